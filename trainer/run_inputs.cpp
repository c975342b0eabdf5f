#include "trainer/run_inputs.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <xxhash.h>

#include "comm/exact_sum.h"
#include "kernels/thread_pool.h"
#include "trainer/model/llama_weights.h"
#include "trainer/model/meta_params.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;

const std::string& tokenizer_path(const RunConfig& config) {
  return config.tokenizer_name_or_path.empty() ? config.model_name_or_path : config.tokenizer_name_or_path;
}

std::optional<Failure> check_vocabulary(const ModelConfig& model, const Tokenizer& tokenizer,
                                        const std::string& where) {
  if (tokenizer.vocabulary_size() <= model.vocabulary) return std::nullopt;
  return Failure{FaultKind::tokenizer_exceeds_vocabulary,
                 fmt::format("the tokenizer makes ids up to {}, but the embedding has {} rows",
                             tokenizer.vocabulary_size() - 1, model.vocabulary),
                 where, ""};
}

std::optional<Failure> check_positions(Files& files, const ModelConfig& model, const RunConfig& config) {
  if (config.cutoff_len <= model.max_positions) return std::nullopt;
  const char* source = is_meta_directory(files, config.model_name_or_path) ? "/params.json" : "/config.json";
  return Failure{
      FaultKind::sequence_exceeds_positions,
      fmt::format("cutoff_len is {}, but the model has {} positions", config.cutoff_len, model.max_positions),
      config.model_name_or_path + source, fmt::format("set cutoff_len to at most {}", model.max_positions)};
}

Result<std::unique_ptr<CheckpointReader>> open_weights(Files& files, const RunConfig& config,
                                                       const ModelConfig& model) {
  if (config.init_weights == "random") return std::unique_ptr<CheckpointReader>();
  return open_base_weights(files, config.model_name_or_path, model);
}

Result<std::optional<AdapterShape>> choose_adapter(const RunConfig& config, const ModelConfig& model) {
  if (config.adapter == "none") return std::optional<AdapterShape>();
  Result<AdapterShape> shape = select_modules(adapter_options(config), linear_modules(model));
  if (!shape) return shape.error();
  return std::optional<AdapterShape>(std::move(*shape));
}

std::int64_t trainable_of(const RunInputs& inputs) {
  return inputs.adapter_shape ? inputs.adapter_shape->parameters() : parameters_of(inputs.model_config);
}

std::string hex_of(const XXH128_hash_t& hash) { return fmt::format("{:016x}{:016x}", hash.high64, hash.low64); }

std::string hash_of(std::string_view text) { return hex_of(XXH3_128bits(text.data(), text.size())); }

std::string description_of(const TensorInfo& tensor) {
  return fmt::format("|{}:{}:{}:", tensor.name, name_of(tensor.dtype), fmt::join(tensor.shape, "x"));
}

// What examples and architecture are made of: all that is not weights.
std::string text_without_weights(const RunInputs& inputs) {
  return fmt::format("{}|{}", inputs.examples.content_hash, text_of(inputs.model_config));
}

void count_tokens(const ExampleSet& examples, Survey& survey) {
  for (const Example& example : examples.train) {
    survey.tokens += static_cast<std::int64_t>(example.ids.size());
    survey.supervised_tokens += example.supervised_count();
  }
}

}  // namespace

// Weights are hashed tensor by tensor, so the same model in other shards is the same; every byte, every time, for no
// date of a file is trusted. What is not in the page cache yet is read here, at the speed of the disk, and then there
// for the ranks. Measured on 2 cores: 0.08 s a GB from the page cache, 1 to 1.5 s from the disk, which reads no faster
// for anybody; so there is no cache of hashes, which would have to trust dates.
Result<std::string> hash_of_inputs(const RunInputs& inputs, int threads) {
  std::string text = text_without_weights(inputs);
  if (inputs.reader) {
    Result<std::unique_ptr<ThreadPool>> pool = ThreadPool::start(threads);
    if (!pool) return pool.error();
    const std::span<const TensorInfo> tensors = inputs.reader->tensors();
    std::vector<std::string> texts(tensors.size());
    (*pool)->parallel_for(static_cast<std::int64_t>(tensors.size()), [&](std::int64_t index, int) {
      const TensorInfo& tensor = tensors[static_cast<std::size_t>(index)];
      std::string& own = texts[static_cast<std::size_t>(index)];
      own = description_of(tensor);
      if (const Result<std::span<const std::byte>> bytes = inputs.reader->bytes(tensor.name))
        own += hex_of(XXH3_128bits(bytes->data(), bytes->size()));
    });
    for (const std::string& own : texts) text += own;
  }
  return hash_of(text);
}

std::string stamp_of_inputs(const RunConfig& config) {
  std::set<std::string> paths;
  std::error_code error;
  const auto take = [&](const std::string& path) {
    if (path.empty()) return;
    if (!fs::is_directory(path, error)) paths.insert(path);
    for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error))
      paths.insert(entry->path().string());
  };
  take(config.model_name_or_path);
  take(config.tokenizer_name_or_path);
  for (const DatasetConfig& dataset : config.datasets) take(dataset.path);
  std::string text;
  for (const std::string& path : paths) {
    struct stat about {};
    if (::stat(path.c_str(), &about) != 0 || !S_ISREG(about.st_mode)) continue;
    text +=
        fmt::format("{}|{}|{}|{}|{}\n", path, about.st_ino, about.st_size, about.st_mtim.tv_sec, about.st_mtim.tv_nsec);
  }
  return hash_of(text);
}

std::int64_t parameters_of(const ModelConfig& model) { return weight_count(model); }

AdapterOptions adapter_options(const RunConfig& config) {
  return {config.lora_rank, config.lora_alpha, config.use_rslora, config.lora_target};
}

std::int64_t longest_example(const ExampleSet& examples) {
  std::size_t longest = 2;
  for (const Example& example : examples.train) longest = std::max(longest, example.ids.size());
  for (const Example& example : examples.validation) longest = std::max(longest, example.ids.size());
  return static_cast<std::int64_t>(longest);
}

Result<RunInputs> load_inputs(Files& files, const RunConfig& config, int threads) {
  RunInputs inputs;
  Result<ModelConfig> model = read_model_config(files, config.model_name_or_path);
  if (!model) return model.error();
  inputs.model_config = *model;
  if (auto failure = check_positions(files, *model, config)) return *failure;
  Result<std::optional<AdapterShape>> shape = choose_adapter(config, *model);
  if (!shape) return shape.error();
  inputs.adapter_shape = std::move(*shape);
  Result<std::unique_ptr<CheckpointReader>> reader = open_weights(files, config, *model);
  if (!reader) return reader.error();
  inputs.reader = std::move(*reader);
  Result<Tokenizer> tokenizer = Tokenizer::load(files, tokenizer_path(config));
  if (!tokenizer) return tokenizer.error();
  inputs.tokenizer.emplace(std::move(*tokenizer));
  if (auto failure = check_vocabulary(*model, *inputs.tokenizer, tokenizer_path(config))) return *failure;
  Result<ExampleSet> examples = load_examples(files, config, *inputs.tokenizer, threads);
  if (!examples) return examples.error();
  inputs.examples = std::move(*examples);
  return inputs;
}

Result<Llama> load_model(Device& device, const RunConfig& config, const RunInputs& inputs) {
  if (!inputs.reader) return Llama::random(device, inputs.model_config, config.seed);
  return inputs.adapter_shape ? Llama::map(device, inputs.model_config, *inputs.reader)
                              : Llama::load(device, inputs.model_config, *inputs.reader);
}

std::vector<MemoryItem> rank_memory(const RunConfig& config, const RunInputs& inputs, int world_size) {
  const std::int64_t trainable = trainable_of(inputs);
  const AdapterShape* shape = inputs.adapter_shape ? &*inputs.adapter_shape : nullptr;
  const std::int64_t leaves = config.global_batch_size;
  const std::int64_t own = (leaves + world_size - 1) / world_size;
  const std::int64_t lanes = std::min<std::int64_t>(config.per_device_train_batch_size, own);
  const std::int64_t value = sizeof(float);
  const std::int64_t held = inputs.reader ? inputs.reader->held_bytes() : 0;
  std::vector<MemoryItem> items;
  if (shape && inputs.reader) {
    const BaseBytes base = bytes_of_mapped_weights(inputs.model_config, *inputs.reader);  // held ones count as mapped
    items.push_back({"base weights, mapped (one copy a node)", base.mapped - std::min(base.mapped, held), "all",
                     MemoryPlace::mapped});
    items.push_back({"base weights, copied (float32)", base.copied, "all"});
  } else {
    items.push_back({"base weights (float32)", parameters_of(inputs.model_config) * value, "all"});
  }
  if (held > 0) items.push_back({"base weights, put together from Meta's parts", held, "all"});
  if (shape) items.push_back({"adapter", trainable * value, "all"});
  items.push_back({"optimizer moments", 2 * trainable * value, "all"});
  items.push_back({"gradient sums of the tree", exact_sum_buffers(own, leaves) * (trainable + 3) * value, "all"});
  items.push_back({"gradients of lanes", lanes * trainable * value, "all"});
  items.push_back(
      {fmt::format("activations, {} lane(s) of {} tokens", lanes, longest_example(inputs.examples)),
       lanes * Llama::workspace_bytes(inputs.model_config, longest_example(inputs.examples), shape, shape == nullptr),
       "all"});
  items.push_back({"hot state (shared memory)", 6 * trainable * value, "all", MemoryPlace::shared});
  return items;
}

Survey survey_run(Files& files, Device& device, const RunConfig& config, int threads) {
  Survey survey;
  auto note = [&survey](const Failure& failure) { survey.failures.push_back(failure); };

  RunInputs inputs;
  Result<ModelConfig> model = read_model_config(files, config.model_name_or_path);
  if (!model) {
    note(model.error());
  } else {
    inputs.model_config = *model;
    survey.model = fmt::format("{}, {} layers, width {}, {}/{} heads, vocabulary {}", model->family, model->layers,
                               model->width, model->heads, model->kv_heads, model->vocabulary);
    survey.model_parameters = parameters_of(*model);
    if (auto failure = check_positions(files, *model, config)) note(*failure);
    Result<std::optional<AdapterShape>> shape = choose_adapter(config, *model);
    if (!shape) {
      note(shape.error());
    } else {
      inputs.adapter_shape = std::move(*shape);
      survey.trainable_parameters = trainable_of(inputs);
      if (inputs.adapter_shape) {
        for (const LinearModule& module : inputs.adapter_shape->modules) survey.adapted_modules.push_back(module.name);
      }
    }
    Result<std::unique_ptr<CheckpointReader>> reader = open_weights(files, config, *model);
    if (!reader) {
      note(reader.error());
    } else if (*reader) {
      // Loading is the complete check of names and shapes; the weights are dropped again at once.
      inputs.reader = std::move(*reader);
      if (Result<Llama> loaded = Llama::map(device, *model, *inputs.reader); !loaded) note(loaded.error());
    }
  }
  Result<Tokenizer> tokenizer = Tokenizer::load(files, tokenizer_path(config));
  if (!tokenizer) {
    note(tokenizer.error());
    return survey;
  }
  inputs.tokenizer.emplace(std::move(*tokenizer));
  if (model) {
    if (auto failure = check_vocabulary(*model, *inputs.tokenizer, tokenizer_path(config))) note(*failure);
  }
  Result<ExampleSet> examples = load_examples(files, config, *inputs.tokenizer, threads);
  if (!examples) {
    note(examples.error());
    return survey;
  }
  inputs.examples = std::move(*examples);
  survey.train_examples = static_cast<std::int64_t>(inputs.examples.train.size());
  survey.validation_examples = static_cast<std::int64_t>(inputs.examples.validation.size());
  survey.dropped = inputs.examples.dropped;
  count_tokens(inputs.examples, survey);
  survey.longest_example = longest_example(inputs.examples);
  survey.steps = steps_of_run(config, survey.train_examples);
  survey.audit = label_audit(inputs.examples, *inputs.tokenizer, 2);
  if (survey.failures.empty()) survey.memory = rank_memory(config, inputs, config.world_size());
  Result<std::string> hash = hash_of_inputs(inputs, threads);
  if (hash)
    survey.inputs_hash = std::move(*hash);
  else
    note(hash.error());
  return survey;
}

}  // namespace ftl
