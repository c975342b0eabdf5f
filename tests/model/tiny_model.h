// A tiny random model with a random adapter (B not zero, so no gradient vanishes): for what needs no oracle outside.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "lora/adapter.h"
#include "lora/philox.h"
#include "trainer/model/llama.h"
#include "trainer/model/workspace.h"

namespace ftl::tiny {

inline ModelConfig config_of(bool tied) {
  return {.family = "llama",
          .vocabulary = 53,
          .width = 24,
          .ffn_width = 36,
          .layers = 2,
          .heads = 4,
          .kv_heads = 2,
          .head_dim = 6,
          .max_positions = 512,
          .rope = {.theta = 10000},
          .rms_norm_epsilon = 1e-5,
          .tied_embeddings = tied};
}

// All that families do differently, at once.
inline ModelConfig with_every_trait() {
  ModelConfig config = config_of(true);
  config.activation = Activation::gelu_tanh;
  config.qkv_bias = config.output_bias = config.mlp_bias = true;
  config.qk_norm = config.post_norms = true;
  config.norm_offset = 1;
  config.embedding_scale = 4.9;
  config.query_scalar = 9;
  config.attention_soft_cap = 5;
  config.logit_soft_cap = 3;
  config.window = 7;
  config.sliding_layers = {true, false};
  config.rope = {.kind = RopeKind::yarn, .theta = 100, .factor = 4, .original_positions = 16, .magnitude = 1.1};
  config.sliding_rope = {.theta = 50};
  return config;
}

// Angles that depend on the length of a sequence.
inline ModelConfig with_dynamic_rope() {
  ModelConfig config = config_of(false);
  config.rope = {.kind = RopeKind::dynamic, .theta = 100, .factor = 2, .original_positions = 16};
  return config;
}

inline std::vector<float> noise(std::int64_t count, std::uint32_t what, float size) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) {
    values.push_back((uniform_float(philox4x32({static_cast<std::uint32_t>(i), what, 0, 0}, {11, 12})[0]) - 0.5f) *
                     size);
  }
  return values;
}

struct Model {
  explicit Model(const std::vector<std::string>& target = {"all"}, bool tied = false, int threads = 1)
      : Model(config_of(tied), target, threads) {}
  explicit Model(ModelConfig of, const std::vector<std::string>& target = {"all"}, int threads = 1)
      : config(std::move(of)),
        device(std::move(*make_cpu_device())),
        stream(std::move(*device->make_stream(threads))),
        llama(std::move(*Llama::random(*device, config, 3))),
        adapter(std::move(
            *Adapter::initialise(*device, *select_modules({.rank = 3, .target = target}, linear_modules(config)), 5))) {
    for (const TrainableTensor& weight :
         llama.weights()) {  // larger than the initialisation, so that attention is not uniform
      if (weight.shape.size() == 1 && !weight.name.ends_with(".bias")) continue;
      const std::vector<float> values = noise(weight.count, static_cast<std::uint32_t>(weight.offset), 0.8f);
      std::copy(values.begin(), values.end(), weight.values);
    }
    (void)adapter.assign(noise(adapter.parameters(), 99, 0.5f)).has_value();
  }

  ModelConfig config;
  std::unique_ptr<Device> device;
  std::unique_ptr<Stream> stream;
  Llama llama;
  Adapter adapter;
};

struct Text {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> targets;
};
// `rows` ids; every third position has no target.
inline Text text_of(std::int64_t rows) {
  Text text;
  for (std::int64_t i = 0; i < rows; ++i)
    text.ids.push_back(static_cast<std::int32_t>(philox4x32({static_cast<std::uint32_t>(i), 7, 0, 0}, {1, 1})[0] % 53));
  for (std::int64_t i = 0; i < rows; ++i)
    text.targets.push_back(i + 1 == rows || i % 3 == 1 ? -1 : text.ids[static_cast<std::size_t>(i + 1)]);
  return text;
}

struct Outcome {
  double loss = 0;
  std::vector<float> gradient;
  bool operator==(const Outcome&) const = default;
};
// With the adapter, or of all weights.
inline Outcome run(Model& model, std::int64_t max_rows, const Text& text, bool full = false) {
  const Adapter* adapter = full ? nullptr : &model.adapter;
  auto workspace = std::move(*model.llama.make_workspace(max_rows, true, full ? nullptr : &adapter->shape()));
  Outcome outcome{0, std::vector<float>(
                         static_cast<std::size_t>(full ? weight_count(model.config) : adapter->parameters()), 1e30f)};
  outcome.loss =
      model.llama.loss(*model.stream, *workspace, adapter, text.ids, text.targets, outcome.gradient.data())->loss;
  return outcome;
}

}  // namespace ftl::tiny
