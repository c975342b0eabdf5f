// The keeper's life: starts its rank, forwards what the rank says, tells the launcher every 100 ms how the rank is, and
// collects the evidence of its end. It never lives shorter than its rank, and never longer than its launcher.
#pragma once

#include <string>
#include <vector>

#include "comm/process_spec.h"
#include "launcher/keeper/control_link.h"

namespace ftl {

struct KeeperOptions {
  ProcessSpec spec;
  Rank rank;
  std::string node;                       // as verdicts name it: "local-1", or the host
  std::vector<std::string> rank_command;  // complete
  std::string control, secret;            // the launcher's address and the run's secret: to connect once more
};

// Returns the exit code of the keeper: 0 when it was dismissed, 1 when it was ended otherwise. Call from a process of
// one thread with SIGCHLD, SIGTERM, SIGINT and SIGHUP blocked and SIGPIPE ignored.
int keep(const KeeperOptions& options, ControlLink link, Clock& clock);

}  // namespace ftl
