// The rank as a child process: started with its pipes, signalled, reaped with all that it left behind. Its keeper is a
// subreaper, so whatever the rank forked comes to the keeper when the rank dies, and is killed and reaped too.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "launcher/engines/child_process.h"
#include "launcher/rank_evidence.h"

namespace ftl {

class RankProcess {
 public:
  // argv is the rank's command, complete. The environment is the keeper's without the run's secret.
  static Result<RankProcess> start(const std::vector<std::string>& argv);

  pid_t pid() const { return pid_; }
  // Read ends, non-blocking. reset() when they have ended.
  Descriptor report;
  Descriptor standard_output;
  Descriptor standard_error;

  void terminate() const;  // SIGTERM to the rank alone; nothing happens when it is dead
  void kill();             // SIGKILL to its process group
  bool killed_by_us() const { return killed_by_us_; }

  struct End {
    ExitStatus status;
    std::int64_t peak_resident_bytes = 0;
  };
  bool dead() const;  // it has ended, reaped or not
  // Reaps every child that has ended. The End, when the rank was among them.
  std::optional<End> reap();
  // After the rank's end: kills and reaps the rest of its group and whatever escaped from it.
  void reap_descendants() const;

 private:
  pid_t pid_ = -1;
  bool killed_by_us_ = false;
  bool reaped_ = false;
};

}  // namespace ftl
