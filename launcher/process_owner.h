// Who holds a run directory or node-local state, as it is written into a file there. Others read it from machines that
// share the storage and from containers that share the memory: its pid means nothing to them, or somebody else.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace ftl {

struct ProcessOwner {
  std::int32_t pid = 0;
  std::uint64_t start_ticks = 0;  // since boot
  // Which list of processes the pid is of: this boot of this machine, seen from this namespace. Empty: not known.
  std::string host, boot, pid_namespace;
};

ProcessOwner this_process();
nlohmann::json to_json(const ProcessOwner& owner);
std::optional<ProcessOwner> owner_in(std::string_view text);  // of a JSON object; nullopt: names no process

enum class Liveness : std::uint8_t { alive, dead, out_of_sight };
Liveness liveness_of(const ProcessOwner& owner);

}  // namespace ftl
