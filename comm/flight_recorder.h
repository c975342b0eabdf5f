// A ring in shared memory into which a rank writes what it is doing. It outlives the rank: its keeper reads it while
// the rank runs (progress that needs no help from the rank) and after its death (evidence that no dying process must
// save). One writer (the rank's training thread), any number of readers; no lock, no system call per entry.
//
// File layout (little endian, version 1; docs/flight-recorder.md): RingHeader, then `capacity` Entry slots.
// An entry is complete when its `sequence` equals the slot's expected number, which is written last (release).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "comm/clock.h"
#include "comm/rank.h"
#include "failures/result.h"
#include "kernels/tensor_view.h"

namespace ftl {

// Where in its life a rank is. The names are also the phases of --inject.
enum class Phase : std::uint8_t { init, data, forward, backward, reduce, optimizer, checkpoint, evaluate, finalize };
std::string_view name_of(Phase phase);
std::optional<Phase> phase_named(std::string_view name);

// What a rank is about to do together with others. Two ranks match at the same `index` only if all fields are equal.
enum class Operation : std::uint8_t {
  none,
  exact_sum,
  all_reduce,
  all_gather,
  reduce_scatter,
  broadcast,
  gather,
  send,
  receive,
  barrier
};
std::string_view name_of(Operation operation);

struct CollectiveSignature {
  Operation operation = Operation::none;
  DType dtype = DType::f32;
  std::uint64_t count = 0;  // elements
  std::uint32_t group = 0;  // 0 = world
  std::int64_t step = 0;    // optimizer step the call belongs to
  friend bool operator==(const CollectiveSignature&, const CollectiveSignature&) = default;
};
// "exact_sum f32 x 184,321 at step 118"
std::string describe(const CollectiveSignature& signature);

enum class EntryKind : std::uint8_t { phase, collective_started, collective_completed, fault_fired };

// One thing that happened.
struct RecordedEntry {
  std::uint64_t sequence = 0;  // n-th entry of this rank, from 1
  TimePoint when;
  EntryKind kind = EntryKind::phase;
  Phase phase = Phase::init;
  std::int64_t step = 0;          // completed optimizer steps when it happened
  std::uint64_t collective = 0;   // n-th collective of this rank, from 1; 0 = none yet
  CollectiveSignature signature;  // for the collective kinds
};

// What a reader sees at a glance, from the header.
struct RingSnapshot {
  Rank rank;
  Attempt attempt;
  std::int32_t pid = 0;       // of the writer
  std::uint64_t entries = 0;  // ever written
  Phase phase = Phase::init;
  std::int64_t step = 0;
  std::uint64_t collectives_started = 0;
  std::uint64_t collectives_completed = 0;
  std::uint64_t heartbeat =
      0;  // counts progress within a phase (layers, leaves, pieces of a file, of hot state, of an update)
  TimePoint last_progress;            // of the last entry or heartbeat
  std::vector<RecordedEntry> recent;  // oldest first, at most the capacity
};

// Writer side. Creates the file; fails if the place is full. Every call after that is noexcept and allocates nothing.
class FlightRecorder {
 public:
  static Result<FlightRecorder> create(const std::string& path, Rank rank, Attempt attempt,
                                       std::uint32_t capacity = 1024);
  // Records into private memory: for a rank nobody watches (tests, simulation).
  static FlightRecorder in_memory(Rank rank, Attempt attempt, std::uint32_t capacity = 1024);
  FlightRecorder(FlightRecorder&&) noexcept;
  FlightRecorder& operator=(FlightRecorder&&) noexcept;
  ~FlightRecorder();

  void enter(Phase phase, Step step, TimePoint now) noexcept;
  void heartbeat(TimePoint now) noexcept;
  void heartbeat() noexcept;  // from any thread of the rank, and so without a time; everything else from one thread
  // Progress in `phase`, for phases that alternate too often to have entries of their own.
  void heartbeat(Phase phase, TimePoint now) noexcept;
  std::uint64_t collective_started(const CollectiveSignature& signature, TimePoint now) noexcept;
  void collective_completed(std::uint64_t collective, TimePoint now) noexcept;
  void fault_fired(TimePoint now) noexcept;
  RingSnapshot snapshot() const;

 private:
  struct Ring;
  explicit FlightRecorder(Ring* ring) : ring_(ring) {}
  Ring* ring_ = nullptr;
};

// Reader side: copies what is consistent. Trusts nothing: wrong magic, version, size or torn entries are failures or
// skipped.
Result<RingSnapshot> read_ring(const std::string& path, std::size_t recent_entries);

}  // namespace ftl
