#include "checkpoints/trainer_state.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include <nlohmann/json.hpp>

namespace ftl {
namespace {

constexpr const char* schema = "ftlaunch.trainer_state/1";
constexpr std::size_t text_bytes = 2000;

struct PackedRecord {
  std::int64_t step;
  std::uint8_t evaluation;  // 0 or 1
  std::uint8_t reserved[7];
  double loss, grad_norm, learning_rate;
  std::int64_t tokens;
  double seconds;
};
struct Block {
  std::int64_t step;
  double best_eval_loss;
  std::uint64_t identity_length, platform_length;
  char identity[text_bytes];
  char platform[text_bytes];
  std::uint64_t records;
  PackedRecord recent[recent_records_at_most];
};
static_assert(sizeof(Block) <= state_block_bytes && std::is_trivially_copyable_v<Block>);

// JSON has no NaN or infinity.
nlohmann::ordered_json number(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json();
}

nlohmann::ordered_json fields_of(const MetricsRecord& record) {
  return {
      record.step,   record.evaluation,     number(record.loss), number(record.grad_norm), number(record.learning_rate),
      record.tokens, number(record.seconds)};
}

// A count, from 0.
std::optional<std::int64_t> count_in(const nlohmann::json& value) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > INT64_MAX) return std::nullopt;
  return value.get<std::int64_t>();
}

std::optional<MetricsRecord> record_from(const nlohmann::json& fields) {
  if (!fields.is_array() || fields.size() != 7 || !fields[1].is_boolean()) return std::nullopt;
  const std::optional<std::int64_t> step = count_in(fields[0]), tokens = count_in(fields[5]);
  if (!step || !tokens) return std::nullopt;
  const auto real = [&](std::size_t i) {
    return fields[i].is_number() ? fields[i].get<double>() : std::numeric_limits<double>::quiet_NaN();
  };
  return MetricsRecord{*step, fields[1].get<bool>(), real(2), real(3), real(4), *tokens, real(6)};
}

}  // namespace

void remember(std::vector<MetricsRecord>& recent, const MetricsRecord& record) {
  std::erase_if(recent, [&](const MetricsRecord& known) {
    return known.step == record.step && known.evaluation == record.evaluation;
  });
  if (recent.size() >= recent_records_at_most) recent.erase(recent.begin());
  recent.push_back(record);
}

std::string to_json(const TrainerState& state) {
  // JSON has no NaN or infinity; a loss that is not finite is no best loss.
  const double best = std::isfinite(state.best_eval_loss) ? state.best_eval_loss : 0;
  nlohmann::ordered_json json = {{"schema", schema},           {"step", state.step},
                                 {"best_eval_loss", best},     {"run_identity", state.run_identity},
                                 {"platform", state.platform}, {"recent", nlohmann::ordered_json::array()}};
  for (const MetricsRecord& record : state.recent) json["recent"].push_back(fields_of(record));
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::optional<TrainerState> trainer_state_from_json(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  // Never copied: a copy recurses as deep as a stranger has nested the field.
  static const nlohmann::json absent;
  const auto field = [&](const char* name) -> const nlohmann::json& {
    const auto found = json.find(name);
    return found == json.end() ? absent : *found;
  };
  if (!json.is_object() || field("schema") != schema) return std::nullopt;
  const std::optional<std::int64_t> step = count_in(field("step"));
  const nlohmann::json &best = field("best_eval_loss"), &identity = field("run_identity"),
                       &platform = field("platform"), &recent = field("recent");
  if (!step || !best.is_number() || !identity.is_string() || !platform.is_string()) return std::nullopt;
  TrainerState state{*step, best.get<double>(), identity.get<std::string>(), platform.get<std::string>()};
  if (recent.is_array()) {  // absent in a state of the first version
    for (const nlohmann::json& fields : recent) {
      if (const auto record = record_from(fields)) remember(state.recent, *record);
    }
  }
  return state;
}

bool pack(const TrainerState& state, std::span<std::byte, state_block_bytes> block) noexcept {
  if (state.run_identity.size() > text_bytes || state.platform.size() > text_bytes ||
      state.recent.size() > recent_records_at_most)
    return false;
  Block packed{};
  packed.step = state.step;
  packed.best_eval_loss = state.best_eval_loss;
  packed.identity_length = state.run_identity.size();
  packed.platform_length = state.platform.size();
  std::memcpy(packed.identity, state.run_identity.data(), state.run_identity.size());
  std::memcpy(packed.platform, state.platform.data(), state.platform.size());
  packed.records = state.recent.size();
  std::ranges::transform(state.recent, packed.recent, [](const MetricsRecord& r) {
    return PackedRecord{r.step, r.evaluation, {}, r.loss, r.grad_norm, r.learning_rate, r.tokens, r.seconds};
  });
  std::memset(block.data(), 0, block.size());
  std::memcpy(block.data(), &packed, sizeof packed);
  return true;
}

std::optional<TrainerState> unpack(std::span<const std::byte, state_block_bytes> block) {
  Block packed;
  std::memcpy(&packed, block.data(), sizeof packed);
  if (packed.step < 0 || packed.identity_length > text_bytes || packed.platform_length > text_bytes ||
      packed.records > recent_records_at_most)
    return std::nullopt;
  TrainerState state{packed.step, packed.best_eval_loss, std::string(packed.identity, packed.identity_length),
                     std::string(packed.platform, packed.platform_length)};
  for (const PackedRecord& r : std::span(packed.recent, packed.records)) {
    if (r.step < 0 || r.tokens < 0 || r.evaluation > 1) return std::nullopt;
    remember(state.recent, {r.step, r.evaluation == 1, r.loss, r.grad_norm, r.learning_rate, r.tokens, r.seconds});
  }
  return state;
}

}  // namespace ftl
