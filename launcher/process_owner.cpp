#include "launcher/process_owner.h"

#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "launcher/engines/process_table.h"

namespace ftl {

using nlohmann::json;

ProcessOwner this_process() {
  ProcessOwner self;
  self.pid = ::getpid();
  if (const auto stat = process_stat(self.pid)) self.start_ticks = stat->start_ticks;
  char host[256] = {};
  self.host = ::gethostname(host, sizeof host - 1) == 0 ? host : "unknown";
  self.boot = read_small_file("/proc/sys/kernel/random/boot_id").value_or("");
  self.boot.erase(self.boot.find_last_not_of('\n') + 1);
  std::error_code left_empty;
  self.pid_namespace = std::filesystem::read_symlink("/proc/self/ns/pid", left_empty).string();
  return self;
}

json to_json(const ProcessOwner& owner) {
  return {{"pid", owner.pid},
          {"start", owner.start_ticks},
          {"host", owner.host},
          {"boot", owner.boot},
          {"pid_namespace", owner.pid_namespace}};
}

std::optional<ProcessOwner> owner_in(std::string_view from) {
  const json object = json::parse(from, nullptr, false);
  if (!object.is_object()) return std::nullopt;
  const auto pid = object.find("pid"), start = object.find("start");
  if (pid == object.end() || start == object.end()) return std::nullopt;
  if (!pid->is_number_integer() || !start->is_number_unsigned()) return std::nullopt;
  const auto text = [&](const char* key) {
    const auto at = object.find(key);
    return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  return ProcessOwner{pid->get<std::int32_t>(), start->get<std::uint64_t>(), text("host"), text("boot"),
                      text("pid_namespace")};
}

Liveness liveness_of(const ProcessOwner& owner) {
  const ProcessOwner here = this_process();
  const auto differs = [](const std::string& its, const std::string& ours) { return !its.empty() && its != ours; };
  if (differs(owner.host, here.host)) return Liveness::out_of_sight;
  if (differs(owner.boot, here.boot)) return Liveness::dead;  // of before the machine was started
  if (differs(owner.pid_namespace, here.pid_namespace)) return Liveness::out_of_sight;
  return owner.pid > 0 && alive(owner.pid, owner.start_ticks) ? Liveness::alive : Liveness::dead;
}

}  // namespace ftl
