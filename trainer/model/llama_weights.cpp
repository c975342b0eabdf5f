#include "trainer/model/llama_weights.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lora/philox.h"

namespace ftl {
namespace {

constexpr double initial_deviation = 0.02;  // "initializer_range" of the reference

bool is_gain(const std::string& name) { return name.ends_with("norm.weight"); }
bool is_bias(const std::string& name) { return name.ends_with(".bias"); }
// Vectors are kept in float32, and weight decay does not apply to them.
bool is_vector(const std::string& name) { return is_gain(name) || is_bias(name); }

// The layout alone; `values` stay null.
std::vector<TrainableTensor> weight_layout(const ModelConfig& config) {
  std::vector<TrainableTensor> layout;
  std::int64_t offset = 0;
  for (const WeightShape& weight : weight_shapes(config)) {
    std::int64_t count = 1;
    for (const std::int64_t extent : weight.shape) count *= extent;
    layout.push_back({weight.name, weight.shape, offset, count, nullptr, !is_vector(weight.name)});
    offset += count;
  }
  return layout;
}

using NamedMatrices = std::map<std::string, StoredMatrix>;

// Vectors must be float32.
void point_into(LlamaWeights& weights, const NamedMatrices& named) {
  weights.modules = linear_modules(weights.config);
  weights.embedding = named.at("model.embed_tokens.weight");
  weights.final_norm = named.at("model.norm.weight").f32;
  weights.head = weights.config.tied_embeddings ? weights.embedding : named.at("lm_head.weight");
  for (std::int64_t i = 0; i < weights.config.layers; ++i) {
    LayerWeights layer;
    const auto gain = [&](const char* norm) {
      return norm == nullptr ? nullptr : named.at(fmt::format("model.layers.{}.{}.weight", i, norm)).f32;
    };
    const NormNames norms = norm_names(weights.config);
    layer.attention_norm = gain(norms.before_attention);
    layer.attention_output_norm = gain(norms.after_attention);
    layer.mlp_norm = gain(norms.before_mlp);
    layer.mlp_output_norm = gain(norms.after_mlp);
    layer.q_norm = gain(weights.config.qk_norm ? "self_attn.q_norm" : nullptr);
    layer.k_norm = gain(weights.config.qk_norm ? "self_attn.k_norm" : nullptr);
    for (std::size_t j = 0; j < projections; ++j) {
      const std::string& module = weights.modules[static_cast<std::size_t>(i) * projections + j].name;
      layer.linear[j] = named.at(module + ".weight");
      if (weights.config.has_bias(j)) layer.bias[j] = named.at(module + ".bias").f32;
    }
    weights.layers.push_back(layer);
  }
}

Result<LlamaWeights> allocate_weights(Device& device, const ModelConfig& config) {
  LlamaWeights weights;
  weights.config = config;
  weights.tensors = weight_layout(config);
  Result<Buffer> buffer = device.allocate(static_cast<std::size_t>(weight_count(config)) * sizeof(float));
  if (!buffer) return buffer.error();
  weights.buffer = std::move(*buffer);
  NamedMatrices named;
  for (TrainableTensor& tensor : weights.tensors) {
    tensor.values = weights.buffer.floats() + tensor.offset;
    named[tensor.name] = {.f32 = tensor.values};
  }
  point_into(weights, named);
  return weights;
}

// Calls write(tensor, values) for every tensor, in device memory itself on the host and through a staging buffer
// elsewhere.
template <class Write>
Result<Done> fill_each(Device& device, LlamaWeights& weights, Write write) {
  Result<std::unique_ptr<Stream>> stream = device.make_stream(1);
  if (!stream) return stream.error();
  std::vector<float> staging;
  for (const TrainableTensor& tensor : weights.tensors) {
    const auto count = static_cast<std::size_t>(tensor.count);
    const bool direct = device.traits().place == Place::host;
    if (!direct) staging.resize(count);
    const std::span<float> values(direct ? tensor.values : staging.data(), count);
    if (Result<Done> written = write(tensor, values); !written) return written;
    if (direct) continue;
    if (auto sent = device.upload(**stream, tensor.values, std::as_bytes(values)); !sent) return sent.error();
    if (auto finished = (*stream)->synchronize(); !finished) return finished.error();
  }
  return Done{};
}

Result<Done> require_complete(const ModelConfig& config, const CheckpointReader& reader) {
  std::vector<std::string> missing;
  for (const WeightShape& weight : weight_shapes(config)) {
    const TensorInfo* stored = reader.find(weight.name);
    if (stored == nullptr) {
      missing.push_back(weight.name);
    } else if (stored->shape != weight.shape) {
      return Failure{FaultKind::checkpoint_incomplete,
                     fmt::format("{} is [{}] in the checkpoint, config.json calls for [{}]", weight.name,
                                 fmt::join(stored->shape, ", "), fmt::join(weight.shape, ", ")),
                     stored->file, ""};
    }
  }
  if (missing.empty()) return Done{};
  const std::string where = reader.tensors().empty() ? "" : reader.tensors().front().file;
  return Failure{FaultKind::checkpoint_incomplete,
                 fmt::format("{} of {} tensors that config.json calls for are missing, the first is {}", missing.size(),
                             weight_shapes(config).size(), missing.front()),
                 where, ""};
}

// Box-Muller: the two pairs of words of a counter give four normal values.
void fill_normal(std::span<float> values, double deviation, std::uint64_t seed, std::uint32_t tensor) {
  const PhiloxKey key = philox_key(seed);
  for (std::size_t i = 0; i < values.size(); i += 4) {
    const std::uint64_t block = i / 4;
    const auto words = philox4x32({static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32), tensor,
                                   static_cast<std::uint32_t>(RandomPurpose::weight_initialisation)},
                                  key);
    for (std::size_t j = 0; j < 4 && i + j < values.size(); ++j) {
      const double radius = deviation * std::sqrt(-2.0 * std::log(open_uniform(words[j & 2])));
      const double angle = 2.0 * std::numbers::pi * open_uniform(words[j | 1]);
      values[i + j] = static_cast<float>(radius * (j % 2 == 0 ? std::cos(angle) : std::sin(angle)));
    }
  }
}

bool is_aligned(const void* address, std::size_t alignment) {
  return reinterpret_cast<std::uintptr_t>(address) % alignment == 0;
}

// The matrix as it lies in the mapped file, when kernels can use it there.
StoredMatrix mapped_matrix(const TensorInfo& stored, std::span<const std::byte> bytes) {
  if (is_vector(stored.name)) return {};
  if (stored.dtype == DType::bf16 && is_aligned(bytes.data(), alignof(std::uint16_t)))
    return {.bf16 = reinterpret_cast<const std::uint16_t*>(bytes.data())};
  if (stored.dtype == DType::f32 && is_aligned(bytes.data(), alignof(float)))
    return {.f32 = reinterpret_cast<const float*>(bytes.data())};
  return {};
}

}  // namespace

Result<LlamaWeights> map_weights(Device& device, const ModelConfig& config, const CheckpointReader& reader) {
  if (device.traits().place != Place::host) return read_weights(device, config, reader);
  if (auto complete = require_complete(config, reader); !complete) return complete.error();
  NamedMatrices named;
  std::vector<const TensorInfo*> to_copy;
  std::int64_t floats = 0;
  for (const WeightShape& weight : weight_shapes(config)) {
    const TensorInfo* stored = reader.find(weight.name);
    Result<std::span<const std::byte>> bytes = reader.bytes(weight.name);
    if (!bytes) return bytes.error();
    named[weight.name] = mapped_matrix(*stored, *bytes);
    if (named[weight.name].f32 != nullptr || named[weight.name].bf16 != nullptr) continue;
    to_copy.push_back(stored);
    floats += element_count(*stored);
  }
  Result<Buffer> buffer = device.allocate(static_cast<std::size_t>(floats) * sizeof(float));
  if (!buffer) return buffer.error();
  float* next = buffer->floats();
  for (const TensorInfo* stored : to_copy) {
    const std::int64_t count = element_count(*stored);
    if (auto read = reader.read_f32(stored->name, {next, static_cast<std::size_t>(count)}); !read) return read.error();
    named[stored->name] = {.f32 = next};
    next += count;
  }
  LlamaWeights weights;
  weights.config = config;
  weights.buffer = std::move(*buffer);
  point_into(weights, named);
  return weights;
}

BaseBytes bytes_of_mapped_weights(const ModelConfig& config, const CheckpointReader& reader) {
  BaseBytes counted;
  for (const WeightShape& weight : weight_shapes(config)) {
    const TensorInfo* stored = reader.find(weight.name);
    const Result<std::span<const std::byte>> bytes = reader.bytes(weight.name);
    if (stored == nullptr || !bytes) continue;  // refused elsewhere
    const StoredMatrix matrix = mapped_matrix(*stored, *bytes);
    if (matrix.f32 != nullptr || matrix.bf16 != nullptr)
      counted.mapped += static_cast<std::int64_t>(bytes->size());
    else
      counted.copied += element_count(*stored) * static_cast<std::int64_t>(sizeof(float));
  }
  return counted;
}

Result<LlamaWeights> read_weights(Device& device, const ModelConfig& config, const CheckpointReader& reader) {
  if (auto complete = require_complete(config, reader); !complete) return complete.error();
  Result<LlamaWeights> weights = allocate_weights(device, config);
  if (!weights) return weights;
  auto filled = fill_each(device, *weights, [&](const TrainableTensor& tensor, std::span<float> values) {
    return reader.read_f32(tensor.name, values);
  });
  if (!filled) return filled.error();
  return weights;
}

Result<LlamaWeights> random_weights(Device& device, const ModelConfig& config, std::uint64_t seed) {
  Result<LlamaWeights> weights = allocate_weights(device, config);
  if (!weights) return weights;
  std::uint32_t index = 0;
  auto filled =
      fill_each(device, *weights, [&](const TrainableTensor& tensor, std::span<float> values) -> Result<Done> {
        if (is_gain(tensor.name)) {
          std::fill(values.begin(), values.end(), static_cast<float>(1 - config.norm_offset));
        } else if (is_bias(tensor.name)) {
          std::fill(values.begin(), values.end(), 0.0f);
        } else {
          fill_normal(values, initial_deviation, seed, index);
        }
        ++index;
        return Done{};
      });
  if (!filled) return filled.error();
  return weights;
}

}  // namespace ftl
