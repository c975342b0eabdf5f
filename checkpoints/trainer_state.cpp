#include "checkpoints/trainer_state.h"

#include <cmath>
#include <cstring>

#include <nlohmann/json.hpp>

namespace ftl {
namespace {

constexpr const char* schema = "ftlaunch.trainer_state/1";
constexpr std::size_t text_bytes = 2000;

struct Block {
  std::int64_t step;
  double best_eval_loss;
  std::uint64_t identity_length, platform_length;
  char identity[text_bytes];
  char platform[text_bytes];
};
static_assert(sizeof(Block) <= state_block_bytes);

}  // namespace

std::string to_json(const TrainerState& state) {
  // JSON has no NaN or infinity; a loss that is not finite is no best loss.
  const double best = std::isfinite(state.best_eval_loss) ? state.best_eval_loss : 0;
  const nlohmann::ordered_json json = {{"schema", schema},
                                       {"step", state.step},
                                       {"best_eval_loss", best},
                                       {"run_identity", state.run_identity},
                                       {"platform", state.platform}};
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::optional<TrainerState> trainer_state_from_json(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || json.value("schema", nlohmann::json()) != schema) return std::nullopt;
  const auto field = [&](const char* name) { return json.value(name, nlohmann::json()); };
  const nlohmann::json step = field("step"), best = field("best_eval_loss"), identity = field("run_identity"),
                       platform = field("platform");
  if (!step.is_number_unsigned() || step.get<std::uint64_t>() > INT64_MAX || !best.is_number() ||
      !identity.is_string() || !platform.is_string()) {
    return std::nullopt;
  }
  return TrainerState{step.get<std::int64_t>(), best.get<double>(), identity.get<std::string>(),
                      platform.get<std::string>()};
}

bool pack(const TrainerState& state, std::span<std::byte, state_block_bytes> block) noexcept {
  if (state.run_identity.size() > text_bytes || state.platform.size() > text_bytes) return false;
  Block packed{};
  packed.step = state.step;
  packed.best_eval_loss = state.best_eval_loss;
  packed.identity_length = state.run_identity.size();
  packed.platform_length = state.platform.size();
  std::memcpy(packed.identity, state.run_identity.data(), state.run_identity.size());
  std::memcpy(packed.platform, state.platform.data(), state.platform.size());
  std::memset(block.data(), 0, block.size());
  std::memcpy(block.data(), &packed, sizeof packed);
  return true;
}

std::optional<TrainerState> unpack(std::span<const std::byte, state_block_bytes> block) {
  Block packed;
  std::memcpy(&packed, block.data(), sizeof packed);
  if (packed.step < 0 || packed.identity_length > text_bytes || packed.platform_length > text_bytes)
    return std::nullopt;
  return TrainerState{packed.step, packed.best_eval_loss, std::string(packed.identity, packed.identity_length),
                      std::string(packed.platform, packed.platform_length)};
}

}  // namespace ftl
