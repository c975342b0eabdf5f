#include "tests/multiprocess/tiny_inputs.h"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <span>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "checkpoints/convert.h"
#include "checkpoints/files.h"
#include "checkpoints/safetensors.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t vocabulary = 2048;
constexpr std::int64_t width = 32;
constexpr std::int64_t ffn_width = 96;
constexpr std::int64_t kv_width = 16;  // 4 heads of 8, two of keys and values
constexpr int layers = 2;
constexpr int data_lines = 48;

std::string config_text() {
  const nlohmann::json config = {{"architectures", {"LlamaForCausalLM"}},
                                 {"model_type", "llama"},
                                 {"vocab_size", vocabulary},
                                 {"hidden_size", width},
                                 {"intermediate_size", ffn_width},
                                 {"num_hidden_layers", layers},
                                 {"num_attention_heads", 4},
                                 {"num_key_value_heads", 2},
                                 {"head_dim", 8},
                                 {"hidden_act", "silu"},
                                 {"max_position_embeddings", 512},
                                 {"rms_norm_eps", 1e-5},
                                 {"rope_theta", 10000.0},
                                 {"tie_word_embeddings", true},
                                 {"torch_dtype", "bfloat16"},
                                 {"eos_token_id", 0}};
  return config.dump(2);
}

// Weights that are random, but the same in every program.
class RandomWeights {
 public:
  void add(const std::string& name, std::vector<std::int64_t> shape) {
    std::int64_t count = 1;
    for (const std::int64_t extent : shape) count *= extent;
    std::vector<std::uint16_t>& values = values_.emplace_back(static_cast<std::size_t>(count));
    const bool is_norm = shape.size() == 1;
    for (std::uint16_t& value : values) value = f32_to_bf16(is_norm ? 1.0F : normal_(source_) * 0.08F);
    tensors_.push_back({name, DType::bf16, std::move(shape), {}});
  }
  void write(const fs::path& file) {
    for (std::size_t i = 0; i < tensors_.size(); ++i) tensors_[i].bytes = std::as_bytes(std::span(values_[i]));
    PosixFiles files;
    if (auto written = write_safetensors(files, file.string(), tensors_); !written)
      throw std::runtime_error(written.error().what);
  }

 private:
  std::mt19937 source_{2048};
  std::normal_distribution<float> normal_;
  std::vector<std::vector<std::uint16_t>> values_;
  std::vector<TensorToWrite> tensors_;
};

void add_layer(RandomWeights& weights, const std::string& layer) {
  weights.add(layer + "input_layernorm.weight", {width});
  weights.add(layer + "self_attn.q_proj.weight", {width, width});
  weights.add(layer + "self_attn.k_proj.weight", {kv_width, width});
  weights.add(layer + "self_attn.v_proj.weight", {kv_width, width});
  weights.add(layer + "self_attn.o_proj.weight", {width, width});
  weights.add(layer + "post_attention_layernorm.weight", {width});
  weights.add(layer + "mlp.gate_proj.weight", {ffn_width, width});
  weights.add(layer + "mlp.up_proj.weight", {ffn_width, width});
  weights.add(layer + "mlp.down_proj.weight", {width, ffn_width});
}

struct Removed {
  fs::path directory;
  ~Removed() {
    std::error_code ignored;
    fs::remove_all(directory, ignored);
  }
};

}  // namespace

void write_tiny_model(const fs::path& directory) {
  fs::create_directories(directory);
  write_text(directory / "config.json", config_text());
  fs::copy_file(fs::path(FTL_SOURCE_DIR) / "examples/tiny-llama/tokenizer.json", directory / "tokenizer.json");
  RandomWeights weights;
  weights.add("model.embed_tokens.weight", {vocabulary, width});
  for (int i = 0; i < layers; ++i) add_layer(weights, "model.layers." + std::to_string(i) + ".");
  weights.add("model.norm.weight", {width});
  weights.write(directory / "model.safetensors");
}

// Lengths differ much from line to line: a micro-batch or a rank that padded would show in the bytes.
void write_tiny_data(const fs::path& file) {
  static constexpr std::array words = {"the",  "garden", "was",  "quiet", "and",    "every", "letter",
                                       "came", "late",   "from", "town",  "where",  "her",   "sister",
                                       "had",  "spoken", "of",   "walks", "visits", "music"};
  std::mt19937 source(48);
  std::string text;
  for (int line = 0; line < data_lines; ++line) {
    std::string sentence = "Line " + std::to_string(line) + ":";
    const std::size_t length = 40 + source() % 140;
    for (std::size_t i = 0; i < length; ++i) sentence += std::string(" ") + words[source() % words.size()];
    text += nlohmann::json{{"text", sentence}}.dump() + "\n";
  }
  write_text(file, text);
}

const TinyInputs& tiny_inputs() {
  static const Removed removed{fresh_directory()};
  static const TinyInputs inputs = [] {
    TinyInputs made{removed.directory / "model", removed.directory / "data.jsonl"};
    write_tiny_model(made.model);
    write_tiny_data(made.data);
    return made;
  }();
  return inputs;
}

void write_text(const fs::path& file, const std::string& text) {
  std::ofstream stream(file, std::ios::binary);
  stream << text;
  stream.flush();
  if (!stream.good()) throw std::runtime_error("cannot write " + file.string());
}

std::string read_text(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

fs::path fresh_directory() {
  std::string name = (fs::temp_directory_path() / "ftl-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
  return name;
}

}  // namespace ftl
