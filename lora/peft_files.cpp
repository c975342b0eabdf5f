#include "lora/peft_files.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "checkpoints/reader.h"
#include "checkpoints/safetensors.h"

namespace ftl {
namespace {

using nlohmann::json;

constexpr std::size_t largest_config = 1 << 20;
constexpr double largest_rank = 1 << 16;
constexpr const char* config_name = "/adapter_config.json";
constexpr const char* tensors_name = "/adapter_model.safetensors";

// Settings of PEFT that change what an adapter means. Any value but these is refused: it would be computed wrongly.
struct Neutral {
  const char* key;
  std::vector<json> values;
};
const std::vector<Neutral>& neutral_settings() {
  static const std::vector<Neutral> settings = {{"alpha_pattern", {nullptr, json::object()}},
                                                {"rank_pattern", {nullptr, json::object()}},
                                                {"bias", {"none"}},
                                                {"fan_in_fan_out", {false, nullptr}},
                                                {"lora_bias", {false, nullptr}},
                                                {"layer_replication", {nullptr}},
                                                {"layers_to_transform", {nullptr}},
                                                {"modules_to_save", {nullptr, json::array()}},
                                                {"exclude_modules", {nullptr}},
                                                {"target_parameters", {nullptr, json::array()}},
                                                {"trainable_token_indices", {nullptr}},
                                                {"use_dora", {false, nullptr}},
                                                {"use_qalora", {false, nullptr}},
                                                {"alora_invocation_tokens", {nullptr}},
                                                {"arrow_config", {nullptr}}};
  return settings;
}

Failure mismatch(std::string what, std::string where) {
  return Failure{FaultKind::adapter_mismatch, std::move(what), std::move(where), ""};
}

std::string text_of(std::span<const std::int64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::string shown(const json& value) {
  if (value.is_structured())
    return value.is_object() ? "an object" : "a list";  // never printed: it may be deeply nested
  return value.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 60);
}

// PEFT writes "all-linear" out as the names it stood for, and so do we: other readers know lists only.
json target_modules(const AdapterShape& shape) {
  const std::vector<std::string>& target = shape.options.target;
  const bool all = target.size() == 1 && (target[0] == "all" || target[0] == "all-linear");
  if (target.size() == 1 && is_pattern(target[0])) return target[0];
  std::set<std::string> names(target.begin(), target.end());
  if (all) {
    names.clear();
    for (const LinearModule& module : shape.modules) names.insert(module.name.substr(module.name.rfind('.') + 1));
  }
  return std::vector<std::string>(names.begin(), names.end());
}

Result<double> number(const json& config, const char* key, double least, double most, const std::string& where) {
  const auto found = config.find(key);
  if (found == config.end()) return mismatch(fmt::format("\"{}\" is missing", key), where);
  if (!found->is_number()) return mismatch(fmt::format("\"{}\" is {}, must be a number", key, shown(*found)), where);
  const double value = found->get<double>();
  if (!(value >= least && value <= most))
    return mismatch(fmt::format("\"{}\" is {}, must be {} to {}", key, value, least, most), where);
  return value;
}

Result<std::vector<std::string>> read_targets(const json& config, const std::string& where) {
  const auto found = config.find("target_modules");
  if (found == config.end()) return mismatch("\"target_modules\" is missing", where);
  if (found->is_string()) return std::vector<std::string>{found->get<std::string>()};
  std::vector<std::string> targets;
  for (const json& name : *found) {
    if (!found->is_array() || !name.is_string())
      return mismatch("\"target_modules\" must be a name or a list of names", where);
    targets.push_back(name.get<std::string>());
  }
  if (targets.empty()) return mismatch("\"target_modules\" is empty", where);
  return targets;
}

Result<AdapterOptions> parse_adapter_config(const std::string& text, const std::string& where) {
  const json config = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) return mismatch("adapter_config.json is not a JSON object", where);
  if (const auto type = config.find("peft_type"); type == config.end() || *type != "LORA") {
    return mismatch("\"peft_type\" is not \"LORA\"", where);
  }
  for (const Neutral& setting : neutral_settings()) {
    const auto found = config.find(setting.key);
    if (found == config.end() ||
        std::find(setting.values.begin(), setting.values.end(), *found) != setting.values.end())
      continue;
    return mismatch(fmt::format("\"{}\" is {}, which is not in this version", setting.key, shown(*found)), where);
  }
  AdapterOptions options;
  const Result<double> rank = number(config, "r", 1, largest_rank, where);
  if (!rank) return rank.error();
  if (*rank != std::floor(*rank)) return mismatch(fmt::format("\"r\" is {}, must be a whole number", *rank), where);
  options.rank = static_cast<int>(*rank);
  const Result<double> alpha = number(config, "lora_alpha", -1e9, 1e9, where);
  if (!alpha) return alpha.error();
  options.alpha = *alpha;
  if (const auto rslora = config.find("use_rslora"); rslora != config.end()) {
    if (!rslora->is_boolean()) return mismatch("\"use_rslora\" must be true or false", where);
    options.rslora = rslora->get<bool>();
  }
  const Result<std::vector<std::string>> targets = read_targets(config, where);
  if (!targets) return targets.error();
  options.target = *targets;
  return options;
}

// Every tensor of the layout is there in its shape, and no other.
Result<Done> require_fit(std::span<const TrainableTensor> layout, const CheckpointReader& reader,
                         const std::string& where) {
  for (const TrainableTensor& tensor : layout) {
    const TensorInfo* stored = reader.find(tensor.name);
    if (stored == nullptr) return mismatch("the adapter lacks the tensor " + tensor.name, where);
    if (stored->shape != tensor.shape) {
      return mismatch(fmt::format("{} is {} in the adapter, the model needs {}", tensor.name, text_of(stored->shape),
                                  text_of(tensor.shape)),
                      where);
    }
  }
  if (reader.tensors().size() == layout.size()) return Done{};
  std::set<std::string> known;
  for (const TrainableTensor& tensor : layout) known.insert(tensor.name);
  for (const TensorInfo& stored : reader.tensors()) {
    if (!known.contains(stored.name))
      return mismatch("the adapter's tensor " + stored.name + " belongs to no module that its config targets", where);
  }
  return Done{};
}

}  // namespace

std::string adapter_config_json(const AdapterShape& shape, const std::string& base_model) {
  const AdapterOptions& options = shape.options;
  json config = {{"auto_mapping", nullptr},
                 {"base_model_name_or_path", base_model},
                 {"bias", "none"},
                 {"fan_in_fan_out", false},
                 {"inference_mode", true},
                 {"init_lora_weights", true},
                 {"layer_replication", nullptr},
                 {"layers_pattern", nullptr},
                 {"layers_to_transform", nullptr},
                 {"loftq_config", json::object()},
                 {"lora_dropout", 0.0},
                 {"megatron_config", nullptr},
                 {"megatron_core", "megatron.core"},
                 {"modules_to_save", nullptr},
                 {"peft_type", "LORA"},
                 {"r", options.rank},
                 {"rank_pattern", json::object()},
                 {"alpha_pattern", json::object()},
                 {"revision", nullptr},
                 {"target_modules", target_modules(shape)},
                 {"task_type", "CAUSAL_LM"},
                 {"use_dora", false},
                 {"use_rslora", options.rslora}};
  const bool whole = options.alpha == std::floor(options.alpha) && std::abs(options.alpha) < 1e9;
  if (whole) {
    config["lora_alpha"] = static_cast<std::int64_t>(options.alpha);
  } else {
    config["lora_alpha"] = options.alpha;
  }
  return config.dump(2, ' ', false, json::error_handler_t::replace);
}

Result<Done> write_peft_adapter(Files& files, const std::string& directory, Adapter& adapter,
                                const std::string& base_model) {
  const Result<std::vector<float>> values = adapter.copy();
  if (!values) return values.error();
  std::vector<TensorToWrite> tensors;
  for (const TrainableTensor& tensor : adapter.layout()) {
    const auto part =
        std::span(*values).subspan(static_cast<std::size_t>(tensor.offset), static_cast<std::size_t>(tensor.count));
    tensors.push_back({tensor.name, DType::f32, tensor.shape, std::as_bytes(part)});
  }
  if (auto made = files.make_directories(directory); !made) return made.error();
  if (auto written = write_safetensors(files, directory + tensors_name, std::move(tensors)); !written)
    return written.error();
  return write_atomically(files, directory + config_name, adapter_config_json(adapter.shape(), base_model));
}

Result<Adapter> read_peft_adapter(Files& files, Device& device, const std::string& directory,
                                  std::span<const LinearModule> modules) {
  const std::string config_path = directory + config_name;
  const Result<std::string> text = files.read(config_path, largest_config);
  if (!text) return text.error();
  const Result<AdapterOptions> options = parse_adapter_config(*text, config_path);
  if (!options) return options.error();
  const Result<AdapterShape> shape = select_modules(*options, modules);
  if (!shape) return mismatch("the adapter does not fit the model: " + shape.error().what, config_path);
  const std::string tensors_path = directory + tensors_name;
  const Result<std::unique_ptr<CheckpointReader>> reader = open_safetensors(files, tensors_path);
  if (!reader) return reader.error();
  if (auto fits = require_fit(adapter_layout(*shape), **reader, tensors_path); !fits) return fits.error();
  Result<Adapter> adapter = Adapter::allocate(device, *shape);
  if (!adapter) return adapter.error();
  std::vector<float> values(static_cast<std::size_t>(adapter->parameters()));
  for (const TrainableTensor& tensor : adapter->layout()) {
    const auto part =
        std::span(values).subspan(static_cast<std::size_t>(tensor.offset), static_cast<std::size_t>(tensor.count));
    if (auto read = (*reader)->read_f32(tensor.name, part); !read) return read.error();
  }
  if (auto set = adapter->assign(values); !set) return set.error();
  return adapter;
}

}  // namespace ftl
