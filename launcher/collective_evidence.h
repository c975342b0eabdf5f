// Do all ranks call the same collectives? Every rank numbers its calls; two ranks are in step only if the n-th call of
// both has the same signature. The log keeps the recent signatures of every rank; a difference is proof, whatever it
// later looks like (a hang, an error of the library, a crash), and needs no waiting.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "comm/flight_recorder.h"

namespace ftl {

struct CollectiveMismatch {
  enum class DecidedBy : std::uint8_t { majority, plan, nothing };
  std::uint64_t collective = 0;                                   // the first number at which ranks differ
  std::vector<Rank> odd;                                          // who differs; everybody if nothing decides
  std::map<Rank, std::optional<CollectiveSignature>> signatures;  // at that number; none = went on without it
  std::map<Rank, std::int64_t> steps;                             // completed steps, of ranks without a signature there
  DecidedBy decided_by = DecidedBy::nothing;
};

class CollectiveLog {
 public:
  explicit CollectiveLog(WorldSize world);
  void clear();
  // Snapshots of one rank come in the order in which they were taken.
  void add(Rank rank, const RingSnapshot& ring);
  // `trainable`: parameters that a gradient sum must cover, 0 = not known; decides if earlier calls do not.
  std::optional<CollectiveMismatch> find_mismatch(std::int64_t trainable) const;

 private:
  struct Calls {
    std::map<std::uint64_t, CollectiveSignature> started;  // the newest 64 by number
    std::uint64_t newest_started = 0, newest_completed = 0;
    std::int64_t step = 0;
    bool known = false;
  };
  std::optional<CollectiveMismatch> find_difference(std::int64_t trainable) const;
  std::optional<CollectiveMismatch> find_skipped() const;
  std::vector<Rank> odd_by_plan(const CollectiveMismatch& mismatch, std::int64_t trainable) const;
  std::optional<std::uint64_t> count_in_earlier_calls(std::uint64_t before, std::uint64_t a, std::uint64_t b) const;

  std::vector<Calls> ranks_;
};

}  // namespace ftl
