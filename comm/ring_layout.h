// The flight recorder's file, byte for byte (docs/flight-recorder.md). Private to comm/flight_recorder*.cpp and its
// tests.
//
// Every field that changes is an atomic word: a reader never sees half a number. The words of an entry are written
// between two writes of its sequence (first 0, last the number), each of them released, and read with acquire between
// two reads of it; so an entry that was overwritten while it was copied is recognised and left out.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "comm/flight_recorder.h"

namespace ftl::ring {

inline constexpr std::uint64_t magic = 0x31474e52'4c544600;  // the bytes "\0FTLRNG1"
inline constexpr std::uint32_t version = 1;
inline constexpr std::uint32_t max_capacity = 1u << 20;  // entries; a header that says more is garbage

struct Header {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t capacity;  // entries
  std::int32_t rank;
  std::int32_t attempt;
  std::int32_t pid;
  std::uint32_t entry_bytes;
  std::uint64_t reserved[4];
  std::atomic<std::uint64_t> entries;  // ever written; entry n lies in slot (n - 1) % capacity
  std::atomic<std::int64_t> step;
  std::atomic<std::uint64_t> collectives_started;
  std::atomic<std::uint64_t> collectives_completed;
  std::atomic<std::uint64_t> heartbeat;
  std::atomic<std::int64_t> last_progress;  // nanoseconds of CLOCK_MONOTONIC
  std::atomic<std::uint64_t> phase;
  std::uint64_t reserved_too;
};

enum Word : std::size_t { when, step, collective, count, signature_step, group, packed, words };

struct Entry {
  std::atomic<std::uint64_t> sequence;     // 0 while it is being written
  std::atomic<std::uint64_t> word[words];  // packed: kind | phase << 8 | operation << 16 | dtype << 24
};

static_assert(sizeof(Header) == 128 && sizeof(Entry) == 64);
static_assert(offsetof(Header, entries) == 64 && offsetof(Header, phase) == 112);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<std::int64_t>::is_always_lock_free);

// Plain copies of the above, as a reader holds them.
using EntryCopy = std::array<std::uint64_t, 1 + words>;
struct HeaderCopy {
  std::uint64_t entries = 0, collectives_started = 0, collectives_completed = 0, heartbeat = 0, phase = 0;
  std::int64_t step = 0, last_progress = 0;
};

// Entry number `n`, or nothing if the copy is of another number, torn, or not something a writer writes.
std::optional<RecordedEntry> decode(const EntryCopy& copy, std::uint64_t n);

// A reader's view of the header's words, without entries. An unknown phase reads as init.
RingSnapshot decode(const HeaderCopy& copy, Rank rank, Attempt attempt, std::int32_t pid);

constexpr std::size_t file_bytes(std::uint32_t capacity) { return sizeof(Header) + capacity * sizeof(Entry); }

}  // namespace ftl::ring
