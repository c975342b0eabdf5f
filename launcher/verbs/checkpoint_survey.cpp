#include "launcher/verbs/checkpoint_survey.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "checkpoints/manifest.h"
#include "checkpoints/reader.h"
#include "checkpoints/shard_index.h"
#include "checkpoints/torch_file.h"
#include "trainer/model/meta_params.h"
#include "trainer/model/model_config.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t largest_index = std::size_t{64} << 20;
constexpr const char* index_name = "model.safetensors.index.json";

// consolidated.00.pth, ...: the reader has refused the directory if one of them is no part.
bool is_name_of_part(const std::string& name) {
  constexpr std::string_view before = "consolidated.", after = ".pth";
  return name.size() == before.size() + 2 + after.size() && name.starts_with(before) && name.ends_with(after) &&
         std::ranges::all_of(name.substr(before.size(), 2), [](char c) { return c >= '0' && c <= '9'; });
}

class Surveyor {
 public:
  Surveyor(Files& files, const std::string& path) : files_(files), path_(path) {}

  Result<CheckpointSurvey> of_directory() {
    if (has(manifest_name)) return ftlaunch_checkpoint();
    if (has("adapter_config.json")) return adapter();
    if (has("model.safetensors") || has(index_name)) return hugging_face();
    if (is_meta_directory(files_, path_)) return meta();
    for (const char* name : {"pytorch_model.bin", "pytorch_model.bin.index.json"}) {
      if (!has(name)) continue;
      add_files([](const std::string& file) { return file.starts_with("pytorch_model"); });
      say("hugging_face_torch", "Hugging Face model directory of torch pickles");
      survey_.notes.push_back("ftlaunch reads this model's safetensors, not its pytorch_model files");
      return survey_;
    }
    return Failure{
        FaultKind::file_not_found, "the directory holds no checkpoint of a known format", path_,
        "name a directory with model.safetensors, consolidated.00.pth, adapter_config.json or manifest.json"};
  }

  Result<CheckpointSurvey> of_file() {
    add_file(path_);
    Result<MappedFile> file = files_.map(path_);
    if (!file) return file.error();
    const std::string_view text(reinterpret_cast<const char*>(file->bytes.data()), file->bytes.size());
    if (text.starts_with("GGUF")) {
      say("gguf", "GGUF file of llama.cpp");
      survey_.notes.push_back("recognised by its magic number alone; ftlaunch does not read GGUF");
      return survey_;
    }
    if (path_.ends_with(".safetensors")) return safetensors("safetensors", "safetensors file", path_);
    Result<std::vector<TorchTensor>> tensors = parse_torch_file(file->bytes, path_);
    if (!tensors) return tensors.error();
    for (const TorchTensor& tensor : *tensors) count(tensor.info);
    say("torch", "dictionary of tensors by torch.save");
    return survey_;
  }

 private:
  bool has(const std::string& name) const { return files_.exists(path_ + "/" + name); }
  void say(const char* format, const char* title) {
    survey_.format = format;
    survey_.title = title;
  }
  void add_file(const std::string& path) {
    std::error_code error;
    const auto bytes = fs::file_size(path, error);
    if (!error) survey_.files.push_back({fs::path(path).filename().string(), static_cast<std::int64_t>(bytes)});
  }
  template <class Wanted>
  void add_files(Wanted wanted) {
    const Result<std::vector<std::string>> names = files_.list(path_);
    if (!names) return;
    for (const std::string& name : *names) {
      if (wanted(name)) add_file(path_ + "/" + name);
    }
  }
  void count(const TensorInfo& tensor) {
    DTypeShare& share =
        survey_.dtypes[tensor.unsupported_dtype.empty() ? name_of(tensor.dtype) : tensor.unsupported_dtype];
    ++share.tensors;
    ++survey_.tensors;
    share.parameters += element_count(tensor);
    survey_.parameters += element_count(tensor);
  }
  void describe_model(const ModelConfig& config) {
    survey_.family = fmt::format("{}, {} layers, width {}, {}/{} heads, vocabulary {}", config.family, config.layers,
                                 config.width, config.heads, config.kv_heads, config.vocabulary);
  }

  Result<CheckpointSurvey> safetensors(const char* format, const char* title, const std::string& path) {
    const auto reader = open_safetensors(files_, path);
    if (!reader) return reader.error();
    for (const TensorInfo& tensor : (*reader)->tensors()) count(tensor);
    say(format, title);
    return survey_;
  }

  Result<CheckpointSurvey> hugging_face() {
    const bool single = has("model.safetensors");
    if (single) {
      add_file(path_ + "/model.safetensors");
    } else if (auto failure = add_shards()) {
      return *failure;
    }
    Result<CheckpointSurvey> got =
        single ? safetensors("hugging_face_safetensors", "Hugging Face model directory, one safetensors file", path_)
               : safetensors("hugging_face_safetensors_sharded", "Hugging Face model directory, sharded safetensors",
                             path_);
    if (!got) return got;
    judge_total_size();
    if (const Result<ModelConfig> config = read_model_config(files_, path_))
      describe_model(*config);
    else
      survey_.notes.push_back(config.error().what);
    return survey_;
  }

  std::optional<Failure> add_shards() {
    const std::string path = path_ + "/" + index_name;
    const Result<std::string> text = files_.read(path, largest_index);
    if (!text) return text.error();
    const Result<ShardIndex> index = parse_shard_index(*text, path);
    if (!index) return index.error();
    for (const auto& [shard, tensors] : index->shards) add_file(path_ + "/" + shard);
    claimed_bytes_ = index->total_size;
    return std::nullopt;
  }
  void judge_total_size() {
    static const std::map<std::string, std::int64_t> widths = {{"f32", 4}, {"bf16", 2}, {"f16", 2},
                                                               {"i32", 4}, {"i64", 8},  {"u8", 1}};
    std::int64_t stored = 0;
    for (const auto& [dtype, share] : survey_.dtypes) {
      const auto width = widths.find(dtype);
      if (width == widths.end()) return;  // of a dtype that we only know by name
      stored += width->second * share.parameters;
    }
    if (claimed_bytes_ && *claimed_bytes_ != stored) {
      survey_.notes.push_back(
          fmt::format("the index says total_size {}, its tensors have {} bytes; every tensor of the index is there",
                      *claimed_bytes_, stored));
    }
  }

  Result<CheckpointSurvey> meta() {
    const Result<ModelConfig> config = read_model_config(files_, path_);
    if (!config) return config.error();
    const Result<std::vector<TensorInfo>> tensors = tensors_of_meta_checkpoint(files_, path_, meta_shape(*config));
    if (!tensors) return tensors.error();
    for (const TensorInfo& tensor : *tensors) count(tensor);
    add_files(is_name_of_part);
    survey_.model_parallel = static_cast<std::int64_t>(survey_.files.size());
    describe_model(*config);
    say("meta_pth", "Meta's Llama checkpoint, consolidated.*.pth and params.json");
    return survey_;
  }

  Result<CheckpointSurvey> adapter() {
    const std::string path = path_ + "/adapter_model.safetensors";
    add_file(path);
    return safetensors("peft_adapter", "PEFT adapter directory", path);
  }

  Result<CheckpointSurvey> ftlaunch_checkpoint() {
    const Result<Manifest> manifest = read_manifest(files_, path_);
    if (!manifest) return manifest.error();
    for (const ManifestFile& file : manifest->files)
      survey_.files.push_back({file.name, static_cast<std::int64_t>(file.bytes)});
    survey_.notes.push_back(fmt::format("step {}, written by attempt {}", manifest->step, manifest->attempt));
    return safetensors("ftlaunch_checkpoint", "checkpoint of an ftlaunch run", path_ + "/" + manifest->weights);
  }

  Files& files_;
  const std::string& path_;
  CheckpointSurvey survey_;
  std::optional<std::int64_t> claimed_bytes_;
};

}  // namespace

std::int64_t CheckpointSurvey::bytes() const {
  std::int64_t sum = 0;
  for (const CheckpointFile& file : files) sum += file.bytes;
  return sum;
}

Result<CheckpointSurvey> survey_checkpoint(Files& files, const std::string& path) {
  if (!files.exists(path)) return Failure{FaultKind::file_not_found, "there is no such file or directory", path, ""};
  std::error_code error;
  Surveyor surveyor(files, path);
  return fs::is_directory(path, error) ? surveyor.of_directory() : surveyor.of_file();
}

}  // namespace ftl
