#include <cstdio>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "launcher/run_directory.h"
#include "launcher/verbs/command_line.h"
#include "launcher/verbs/verb.h"

namespace ftl {
namespace {

void print_status(const StoredStatus& stored) {
  const RunStatus& status = stored.status;
  std::puts(fmt::format("{}: step {} of {}, attempt {}{}", name_of(status.state), status.step, status.steps,
                        status.attempt.value,
                        stored.launcher_alive ? fmt::format(", launcher pid {}", stored.launcher_pid) : "")
                .c_str());
  if (stored.launcher_alive) {
    for (const RankStatus& rank : status.ranks) {
      std::puts(fmt::format("  rank {} on {}: pid {}, step {}, {}{}", rank.rank.value, rank.node, rank.pid, rank.step,
                            name_of(rank.phase), rank.healthy ? "" : ", NOT HEALTHY")
                    .c_str());
    }
  }
  for (const std::string& verdict : stored.verdicts) std::printf("  %s\n", verdict.c_str());
}

}  // namespace

int run_status(const Arguments& arguments) {
  CLI::App app("Where a run stands.", "ftlaunch status");
  std::string directory;
  bool json = false;
  app.add_option("directory", directory, "run directory (output_dir)")->required();
  app.add_flag("--json", json, "schema ftlaunch.status/1");
  if (auto code = parse(app, arguments)) return *code;
  const std::optional<StoredStatus> stored = read_status(directory);
  if (!stored) {
    return refuse(Failure{FaultKind::file_not_found, "there is no run in " + directory, directory + "/status.json",
                          "name a run's output_dir"});
  }
  if (json) {
    std::puts(status_json(*stored).c_str());
  } else {
    print_status(*stored);
  }
  return 0;
}

}  // namespace ftl
