// A flight recorder's file, damaged in any way: what is read from it is within its bounds, in order, and a subset of
// what a longer look sees.
#include <algorithm>

#include "comm/flight_recorder.h"
#include "tests/checkpoints/fresh_directory.h"
#include "tests/fuzz/fuzz_target.h"

namespace ftl {
namespace {

bool run(std::string_view input) {
  static const FreshDirectory directory;
  const std::string path = directory / "rank-0.ring";
  put(path, std::string(input));
  const Result<RingSnapshot> all = read_ring(path, SIZE_MAX), few = read_ring(path, 3);
  must(static_cast<bool>(all) == static_cast<bool>(few), "a ring is one however much of it is wanted");
  if (!all) {
    must(!all.error().what.empty() && all.error().where == path, "a refusal says why and where");
    return false;
  }
  must(few->recent.size() <= 3 && all->recent.size() * 64 <= input.size(), "no more entries than there are");
  must(name_of(all->phase) != "", "the phase has a name");
  std::uint64_t before = 0;
  for (const RecordedEntry& entry : all->recent) {
    must(entry.sequence > before && entry.sequence <= all->entries, "entries come in order");
    must(name_of(entry.phase) != "" && !describe(entry.signature).empty(), "what happened has names");
    before = entry.sequence;
  }
  for (const RecordedEntry& entry : few->recent)
    must(std::ranges::count(all->recent, entry.sequence, &RecordedEntry::sequence) == 1, "a short look sees no more");
  return true;
}

const FuzzTarget target("flight_ring", run);

}  // namespace
}  // namespace ftl
