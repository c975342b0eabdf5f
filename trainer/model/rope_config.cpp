#include "trainer/model/rope_config.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ftl {
namespace {

using nlohmann::json;

constexpr double smallest_theta = 1e-6, largest_theta = 1e12, largest_factor = 1e6;
constexpr std::int64_t largest_positions = std::int64_t{1} << 30;

// Yarn's temperature (Peng et al. 2023, equation 22), which transformers puts on cosines and sines.
double magnitude_of_yarn(ConfigObject& object, double factor) {
  const auto magnitude = [factor](double scale) { return factor <= 1 ? 1.0 : 0.1 * scale * std::log(factor) + 1; };
  const auto scale_in = [&](const char* key) {  // 0 is as good as absent
    const json* value = object.find(key);
    return value != nullptr && value->is_number() && *value == 0 ? 0.0 : object.real(key, 0, 100, 0);
  };
  const double scale = scale_in("mscale"), scale_of_all = scale_in("mscale_all_dim");
  const double usual = scale != 0 && scale_of_all != 0 ? magnitude(scale) / magnitude(scale_of_all) : magnitude(1);
  return object.real("attention_factor", 0, largest_factor, usual);
}

RopeParameters read_scaling(ConfigObject& object, double theta, const ModelConfig& config) {
  RopeParameters rope{.theta = object.real("rope_theta", smallest_theta, largest_theta, theta)};
  if (object.real("partial_rotary_factor", 0, 1, 1) != 1)
    object.unsupported("\"partial_rotary_factor\" is not 1, rotating a part of each head is not in this version");
  const std::string type = object.text("rope_type", object.text("type", "default"));
  if (type == "default") return rope;
  const auto original = [&] {
    return object.whole("original_max_position_embeddings", largest_positions, config.max_positions);
  };
  if (type == "linear" || type == "dynamic" || type == "llama3") {
    rope.factor = object.real("factor", 0, largest_factor);
    rope.kind = type == "linear" ? RopeKind::linear : type == "dynamic" ? RopeKind::dynamic : RopeKind::llama3;
    rope.original_positions = type == "llama3" ? original() : config.max_positions;
  } else if (type == "yarn") {
    rope.kind = RopeKind::yarn;
    rope.original_positions = original();
    rope.factor = object.real("factor", 0, largest_factor,
                              static_cast<double>(config.max_positions) / static_cast<double>(rope.original_positions));
    rope.beta_fast = object.real("beta_fast", 0, largest_factor, 32);
    rope.beta_slow = object.real("beta_slow", 0, largest_factor, 1);
    rope.truncate = object.flag("truncate", true);
    rope.magnitude = magnitude_of_yarn(object, rope.factor);
    if (!(rope.theta > 1)) object.invalid("\"rope_theta\" must be above 1 for RoPE of type \"yarn\"");
  } else {
    object.unsupported(
        fmt::format("it asks for RoPE of type \"{}\", this version has default, linear, dynamic, llama3 and yarn",
                    type.substr(0, 60)));
  }
  if (rope.kind == RopeKind::llama3) {
    rope.low_frequency_factor = object.real("low_freq_factor", 0, largest_factor);
    rope.high_frequency_factor = object.real("high_freq_factor", 0, largest_factor);
    if (!object.failure() && !(rope.low_frequency_factor < rope.high_frequency_factor))
      object.invalid(fmt::format("\"low_freq_factor\" is {}, must be below \"high_freq_factor\" = {}",
                                 rope.low_frequency_factor, rope.high_frequency_factor));
  }
  if (rope.kind == RopeKind::dynamic && (config.head_dim < 4 || rope.factor < 1))
    object.invalid(
        fmt::format("RoPE of type \"dynamic\" needs a head dimension of at least 4 and a \"factor\" of at "
                    "least 1, they are {} and {}",
                    config.head_dim, rope.factor));
  return rope;
}

RopeParameters read_object(ConfigObject& top, const json* value, const std::string& key, double theta,
                           const ModelConfig& config) {
  if (value == nullptr || value->is_null()) return {.theta = theta};
  if (!value->is_object()) {
    top.invalid(fmt::format("\"{}\" is not an object", key));
    return {.theta = theta};
  }
  ConfigObject object(*value, top.where(), key);
  const RopeParameters rope = read_scaling(object, theta, config);
  top.take(object);
  return rope;
}

// transformers 5, one object a type of layer.
bool read_by_layer_type(ConfigObject& top, double theta, double local_theta, ModelConfig& config) {
  const json* parameters = top.find("rope_parameters");
  if (parameters == nullptr || !parameters->is_object()) return false;
  const auto full = parameters->find("full_attention"), sliding = parameters->find("sliding_attention");
  const auto end = parameters->end();
  if (full == end && sliding == end) return false;
  config.rope = read_object(top, full == end ? nullptr : &*full, "rope_parameters.full_attention", theta, config);
  config.sliding_rope =
      read_object(top, sliding == end ? nullptr : &*sliding, "rope_parameters.sliding_attention", local_theta, config);
  return true;
}

// Positions that config.json names are those before stretching, but for Llama 3.1 and families whose sliding layers
// have angles of their own.
void extend_positions(const RopeDefaults& defaults, ModelConfig& config) {
  const RopeParameters& rope = config.rope;
  if (rope.kind == RopeKind::plain || (rope.kind == RopeKind::linear && defaults.local_theta != 0)) return;
  const double reached = rope.factor * static_cast<double>(rope.original_positions);
  if (reached > static_cast<double>(config.max_positions))
    config.max_positions = static_cast<std::int64_t>(std::min(reached, static_cast<double>(largest_positions)));
}

}  // namespace

void read_rope(ConfigObject& top, const RopeDefaults& defaults, ModelConfig& config) {
  if (top.real("partial_rotary_factor", 0, 1, 1) != 1)
    top.unsupported("\"partial_rotary_factor\" is not 1, rotating a part of each head is not in this version");
  const double theta = top.real("rope_theta", smallest_theta, largest_theta, defaults.theta);
  const double local_theta = top.real("rope_local_base_freq", smallest_theta, largest_theta,
                                      defaults.local_theta == 0 ? theta : defaults.local_theta);
  if (!read_by_layer_type(top, theta, local_theta, config)) {
    const char* key = top.find("rope_parameters") != nullptr ? "rope_parameters" : "rope_scaling";
    config.rope = read_object(top, top.find(key), key, theta, config);
    config.sliding_rope = defaults.local_theta == 0 ? config.rope : RopeParameters{.theta = local_theta};
  }
  extend_positions(defaults, config);
}

}  // namespace ftl
