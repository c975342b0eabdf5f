#include "comm/process_spec.h"

#include <limits>

#include "comm/json_fields.h"

namespace ftl {

namespace {

using nlohmann::json;

constexpr std::size_t spec_limit = 16u << 20;
constexpr std::size_t path_limit = 4096;
constexpr std::size_t name_limit = 1024;
constexpr std::size_t config_limit = 8u << 20;
constexpr std::size_t fault_limit = 1000;
constexpr std::int32_t world_limit = 1 << 20;

json fields_of(const FaultSpec& f) {
  return {{"fault", f.fault}, {"value", f.value},     {"rank", f.rank.value}, {"step", f.step},
          {"phase", f.phase}, {"attempt", f.attempt}, {"times", f.times},     {"text", f.text}};
}

FaultSpec read_fault(const json& object, std::optional<std::string>& problem) {
  JsonFields in(object, "a fault of the process specification");
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  FaultSpec f;
  f.fault = in.text("fault", name_limit);
  f.value = in.integer("value", std::numeric_limits<std::int64_t>::min(), most);
  f.rank = Rank{in.integer_as<std::int32_t>("rank", 0, world_limit)};
  f.step = in.integer("step", 1, most);
  f.phase = in.text("phase", name_limit);
  f.attempt = in.integer_as<std::int32_t>("attempt", 0, std::numeric_limits<std::int32_t>::max());
  f.times = in.integer_as<std::int32_t>("times", 1, std::numeric_limits<std::int32_t>::max());
  f.text = in.text("text", name_limit);
  if (in.problem() && !problem) problem = in.problem();
  return f;
}

}  // namespace

std::string ProcessSpec::attempt_directory() const {
  return state_directory + "/attempt-" + std::to_string(attempt.value);
}

std::string ProcessSpec::ring_path(Rank rank) const {
  return attempt_directory() + "/rank-" + std::to_string(rank.value) + ".ring";
}

std::string ProcessSpec::hot_state_path(Rank rank) const {
  return state_directory + "/hot/rank-" + std::to_string(rank.value) + ".state";
}

std::string to_json(const ProcessSpec& s) {
  json faults = json::array();
  for (const FaultSpec& fault : s.faults) faults.push_back(fields_of(fault));
  return one_line({{"run_id", s.run_id},
                   {"attempt", s.attempt.value},
                   {"world", s.world.value},
                   {"ranks_per_node", s.ranks_per_node},
                   {"backend", s.backend},
                   {"device", s.device},
                   {"threads_per_rank", s.threads_per_rank},
                   {"run_directory", s.run_directory},
                   {"state_directory", s.state_directory},
                   {"resume_from", s.resume_from},
                   {"run_identity", s.run_identity},
                   {"inputs_stamp", s.inputs_stamp},
                   {"expected_platform", s.expected_platform},
                   {"micro_batch", s.micro_batch},
                   {"faults", faults},
                   {"accepted_spike", s.accepted_spike},
                   {"config_json", s.config_json}});
}

Result<ProcessSpec> process_spec_from_json(const std::string& text) {
  const json object = JsonFields::parse(text, spec_limit);
  JsonFields in(object, "the process specification");
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  ProcessSpec s;
  s.run_id = in.text("run_id", name_limit);
  s.attempt = Attempt{in.integer_as<std::int32_t>("attempt", 1, most)};
  s.world = WorldSize{in.integer_as<std::int32_t>("world", 1, world_limit)};
  s.ranks_per_node = in.integer_as<std::int32_t>("ranks_per_node", 1, world_limit);
  s.backend = in.text("backend", name_limit);
  s.device = in.text("device", name_limit);
  s.threads_per_rank = in.integer_as<std::int32_t>("threads_per_rank", 1, 1 << 16);
  s.run_directory = in.text("run_directory", path_limit);
  s.state_directory = in.text("state_directory", path_limit);
  s.resume_from = in.text("resume_from", path_limit);
  s.run_identity = in.text("run_identity", name_limit);
  s.inputs_stamp = in.text("inputs_stamp", name_limit);
  s.expected_platform = in.text("expected_platform", name_limit);
  s.micro_batch = in.integer_as<std::int32_t>("micro_batch", 1, most);
  s.config_json = in.text("config_json", config_limit);
  s.accepted_spike = in.integer("accepted_spike", 0, std::numeric_limits<std::int64_t>::max());
  std::optional<std::string> problem;
  if (const json* faults = in.array("faults", fault_limit)) {
    for (const json& fault : *faults) s.faults.push_back(read_fault(fault, problem));
  }
  if (in.problem()) problem = in.problem();
  if (problem) return Failure{FaultKind::internal_error, *problem, "", ""};
  return s;
}

}  // namespace ftl
