// Everything a rank's process needs to know to take part in one attempt. The launcher writes it (JSON,
// attempt-<a>/spec.json in the node-local state directory), keeper and rank read it. The same file serves all ranks of
// an attempt.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "comm/rank.h"
#include "failures/result.h"

namespace ftl {

// A planted fault (contract.md, --inject): "fault=sigkill,rank=1,step=5,phase=backward,attempt=1,times=1".
struct FaultSpec {
  std::string fault;       // sigkill | oom | segv | exit | sigstop | hang_before_collective | skip_collective |
                           // mismatch_collective | nan_loss ...
  std::int64_t value = 0;  // of `exit=N`, `slow=MS`, `comm_error=CODE`
  Rank rank{0};
  std::int64_t step = 1;     // while the step with this number is being computed (1 = the first); `slow` from there on,
                             // faults of checkpoints at the first one at or after it
  std::string phase;         // empty: the fault's natural one
  std::int32_t attempt = 0;  // 0 = any
  std::int32_t times = 1;    // how often it may fire in the run; of `slow`: in an attempt, by default in every step
  std::string text;          // as the user wrote it: its identity in the list of fired faults
};
Result<FaultSpec> parse_fault(std::string_view text);

struct ProcessSpec {
  std::string run_id;
  Attempt attempt{1};
  WorldSize world{1};
  std::int32_t ranks_per_node = 1;
  std::string backend;  // "mpi", or "none" for a world of one
  std::string device = "cpu";
  std::int32_t threads_per_rank = 1;
  std::string run_directory;      // absolute
  std::string state_directory;    // absolute, node-local: /dev/shm/ftl-<uid>/<run id>
  std::string resume_from;        // empty: from the beginning; "hot:<step>"; or a checkpoint directory
  std::string run_identity;       // imposed: state of another identity is refused
  std::string inputs_stamp;       // of the files as the launcher checked them (trainer/run_inputs.h); empty: not known
  std::string expected_platform;  // imposed once known: binary, instruction set
  std::int32_t micro_batch = 1;   // per_device_train_batch_size of this attempt (may have been lowered after an OOM)
  std::vector<FaultSpec> faults;  // that may still fire
  std::int64_t accepted_spike = 0;  // step whose loss spike came again when it was replayed, and is applied; 0 = none
  std::string config_json;          // the resolved configuration

  std::string attempt_directory() const;   // <state_directory>/attempt-<a>
  std::string ring_path(Rank rank) const;  // <attempt_directory>/rank-<k>.ring
  std::string hot_state_path(
      Rank rank) const;  // <state_directory>/hot/rank-<k>.state  (fenced by the attempt number inside)
};

std::string to_json(const ProcessSpec& spec);
Result<ProcessSpec> process_spec_from_json(const std::string& json);

// How many ranks' hot state is looked for, whatever the world size is now: an earlier attempt may have had more ranks.
inline constexpr std::int32_t hot_state_files_at_most = 64;

// Names of the file descriptor and environment variables between keeper and rank.
inline constexpr int report_descriptor = 3;  // the rank's end of the report pipe
inline constexpr const char* secret_variable =
    "FTL_SECRET";  // hex; authenticates the control connection; never in argv

}  // namespace ftl
