// metrics.jsonl: every completed step has exactly one line and every evaluation one, whatever died in between. Lines
// are appended in order, so those that a dead launcher did not write are the newest; the state that a run resumes from
// knows them (TrainerState::recent).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "checkpoints/training_state.h"
#include "failures/result.h"

namespace ftl {

class MetricsFile {
 public:
  // Cuts off a torn last line and reads how far the file goes: in constant memory, whatever its size.
  explicit MetricsFile(std::string path);

  Result<Done> append(const MetricsRecord& record);  // nothing when it has this line already
  // Writes what the storage refused before, if anything.
  Result<Done> flush();
  // For a run that goes on from `step`: lines beyond it go, atomically, as do doubled ones and garbage; those that are
  // missing are written again from `recent`. Returns a sentence for the user when some are known to nobody, else "".
  Result<std::string> restore(std::int64_t step, std::span<const MetricsRecord> recent);

 private:
  struct Newest {
    std::int64_t step = 0;
    std::int64_t evaluation = -1;
    bool takes(const MetricsRecord& record);  // whether it is newer; it then is the newest of its kind
  };
  void scan();
  Result<Done> drop_beyond(std::int64_t step);

  std::string path_;
  Newest newest_;
  std::vector<MetricsRecord> refused_;  // by the storage, in order: tried again with the next one
  bool clean_ = true;                   // no line is garbage or doubled
};

}  // namespace ftl
