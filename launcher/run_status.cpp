#include <nlohmann/json.hpp>

#include "launcher/engines/process_table.h"
#include "launcher/run_directory.h"

namespace ftl {
namespace {

using nlohmann::json;

template <class T>
T field(const json& object, const char* name, T otherwise) {
  const auto found = object.find(name);
  if (found == object.end()) return otherwise;
  if constexpr (std::is_same_v<T, bool>) {
    return found->is_boolean() ? found->get<bool>() : otherwise;
  } else if constexpr (std::is_integral_v<T>) {
    return found->is_number_integer() ? found->get<T>() : otherwise;
  } else {
    return found->is_string() ? found->get<T>() : otherwise;
  }
}

std::optional<RunState> run_state_named(const std::string& name) {
  for (const RunState state : {RunState::starting, RunState::running, RunState::recovering, RunState::finished,
                               RunState::failed, RunState::stopped}) {
    if (name_of(state) == name) return state;
  }
  return std::nullopt;
}

bool ended(RunState state) {
  return state == RunState::finished || state == RunState::failed || state == RunState::stopped;
}

RankStatus rank_from(const json& object) {
  RankStatus rank;
  rank.rank = Rank{field<std::int32_t>(object, "rank", 0)};
  rank.node = field<std::string>(object, "node", "");
  rank.pid = field<std::int32_t>(object, "pid", 0);
  rank.keeper_pid = field<std::int32_t>(object, "keeper_pid", 0);
  rank.step = field<std::int64_t>(object, "step", 0);
  rank.phase = phase_named(field<std::string>(object, "phase", "init")).value_or(Phase::init);
  rank.collective = field<std::uint64_t>(object, "collective", 0);
  rank.healthy = field<bool>(object, "healthy", false);
  return rank;
}

}  // namespace

std::string status_json(const StoredStatus& stored) {
  json ranks = json::array();
  for (const RankStatus& rank : stored.status.ranks) {
    ranks.push_back({{"rank", rank.rank.value},
                     {"node", rank.node},
                     {"pid", rank.pid},
                     {"keeper_pid", rank.keeper_pid},
                     {"step", rank.step},
                     {"phase", name_of(rank.phase)},
                     {"collective", rank.collective},
                     {"healthy", rank.healthy}});
  }
  json object = {{"schema", "ftlaunch.status/1"},
                 {"state", name_of(stored.status.state)},
                 {"attempt", stored.status.attempt.value},
                 {"step", stored.status.step},
                 {"steps", stored.status.steps},
                 {"launcher_pid", stored.launcher_pid},
                 {"ranks", ranks},
                 {"verdicts", stored.verdicts}};
  if (!stored.status.faults_left.empty()) object["faults_not_fired"] = stored.status.faults_left;
  return object.dump(2, ' ', false, json::error_handler_t::replace);
}

std::optional<StoredStatus> read_status(const std::string& run_directory) {
  const auto text = read_small_file(run_directory + "/status.json", std::size_t{64} << 20);
  const json object = json::parse(text.value_or(""), nullptr, false);
  if (!object.is_object()) return std::nullopt;
  const auto state = run_state_named(field<std::string>(object, "state", ""));
  if (!state) return std::nullopt;
  StoredStatus stored;
  stored.status.state = *state;
  stored.status.attempt = Attempt{field<std::int32_t>(object, "attempt", 1)};
  stored.status.step = field<std::int64_t>(object, "step", 0);
  stored.status.steps = field<std::int64_t>(object, "steps", 0);
  if (const auto ranks = object.find("ranks"); ranks != object.end() && ranks->is_array()) {
    for (const json& rank : *ranks) {
      if (rank.is_object()) stored.status.ranks.push_back(rank_from(rank));
    }
  }
  if (const auto faults = object.find("faults_not_fired"); faults != object.end() && faults->is_array()) {
    for (const json& fault : *faults) {
      if (fault.is_string()) stored.status.faults_left.push_back(fault.get<std::string>());
    }
  }
  stored.verdicts = verdict_files(run_directory);
  stored.status.verdicts = static_cast<int>(stored.verdicts.size());
  stored.launcher_pid = field<std::int32_t>(object, "launcher_pid", 0);
  const auto owner = read_owner(run_directory);
  stored.launcher_alive = owner.has_value();
  if (owner) stored.launcher_pid = owner->pid;
  if (!owner && !ended(*state)) {
    stored.status.state = RunState::failed;  // the launcher died without a word
    for (RankStatus& rank : stored.status.ranks) rank.healthy = false;
  }
  return stored;
}

}  // namespace ftl
