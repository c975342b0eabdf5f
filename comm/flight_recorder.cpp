#include "comm/flight_recorder.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <new>
#include <system_error>
#include <utility>

#include "comm/ring_layout.h"
#include "failures/file_errors.h"

namespace ftl {

namespace {

constexpr std::memory_order relaxed = std::memory_order_relaxed;
constexpr std::memory_order release = std::memory_order_release;

Failure cannot_create(const std::string& path, std::size_t bytes, int error) {
  if (error != ENOSPC && error != EDQUOT && error != ENOMEM) {
    return {kind_of_failed_write(error),
            "the flight recorder's ring cannot be created: " + std::generic_category().message(error), path,
            "make the directory writable for this user, or set FTL_STATE_DIR to another one"};
  }
  return {FaultKind::node_state_too_small,
          "the flight recorder's ring needs " + std::to_string(bytes) + " bytes, " + free_bytes_at(path) +
              " bytes are free",
          path, ""};
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// A zeroed file of exactly `bytes`, every block of it really there, mapped; it appears under `path` in one piece, and a
// file that was there before stays whole for whoever has it open.
Result<void*> map_new_file(const std::string& path, std::size_t bytes, Rank rank, Attempt attempt,
                           std::uint32_t capacity);

}  // namespace

struct FlightRecorder::Ring {
  ring::Header* header = nullptr;
  ring::Entry* entries = nullptr;
  std::size_t bytes = 0;
  bool mapped = false;
  // The writer's own copies: never read back from memory that others could have touched.
  std::uint32_t capacity = 0;
  std::uint64_t sequence = 0;
  std::uint64_t collective = 0;
  Phase phase = Phase::init;
  std::int64_t step = 0;
  CollectiveSignature signature;

  void place_in(void* memory, std::uint32_t entries_of_ring) {
    header = static_cast<ring::Header*>(memory);
    entries = reinterpret_cast<ring::Entry*>(static_cast<std::byte*>(memory) + sizeof(ring::Header));
    capacity = entries_of_ring;
    bytes = ring::file_bytes(capacity);
  }

  void write(EntryKind kind, TimePoint now) noexcept {
    ++sequence;
    ring::Entry& entry = entries[(sequence - 1) % capacity];
    entry.sequence.store(0, relaxed);
    const auto put = [&](ring::Word word, std::uint64_t value) { entry.word[word].store(value, release); };
    put(ring::when, static_cast<std::uint64_t>(now.since_start.count()));
    put(ring::step, static_cast<std::uint64_t>(step));
    put(ring::collective, collective);
    put(ring::count, signature.count);
    put(ring::signature_step, static_cast<std::uint64_t>(signature.step));
    put(ring::group, signature.group);
    put(ring::packed, static_cast<std::uint64_t>(kind) | static_cast<std::uint64_t>(phase) << 8 |
                          static_cast<std::uint64_t>(signature.operation) << 16 |
                          static_cast<std::uint64_t>(signature.dtype) << 24);
    entry.sequence.store(sequence, release);
    header->entries.store(sequence, release);
    header->last_progress.store(now.since_start.count(), relaxed);
  }
};

namespace {

void write_header(void* memory, Rank rank, Attempt attempt, std::uint32_t capacity) {
  auto* header = static_cast<ring::Header*>(memory);
  header->magic = ring::magic;
  header->version = ring::version;
  header->capacity = capacity;
  header->rank = rank.value;
  header->attempt = attempt.value;
  header->pid = static_cast<std::int32_t>(::getpid());
  header->entry_bytes = sizeof(ring::Entry);
}

Result<void*> map_new_file(const std::string& path, std::size_t bytes, Rank rank, Attempt attempt,
                           std::uint32_t capacity) {
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(),
                                      ignored);  // open() reports what failed
  const std::string fresh = path + ".new-" + std::to_string(::getpid());
  ::unlink(fresh.c_str());
  Descriptor file(::open(fresh.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.get() < 0) return cannot_create(path, bytes, errno);
  // Without the blocks, a full /dev/shm would be a SIGBUS in the middle of a step.
  if (const int error = ::posix_fallocate(file.get(), 0, static_cast<off_t>(bytes)); error != 0) {
    ::unlink(fresh.c_str());
    return cannot_create(path, bytes, error);
  }
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file.get(), 0);
  if (memory == MAP_FAILED) {
    const int error = errno;
    ::unlink(fresh.c_str());
    return cannot_create(path, bytes, error);
  }
  write_header(memory, rank, attempt, capacity);
  if (::rename(fresh.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::munmap(memory, bytes);
    ::unlink(fresh.c_str());
    return cannot_create(path, bytes, error);
  }
  return memory;
}

std::uint32_t usable(std::uint32_t capacity) {
  return capacity < 1 ? 1 : capacity > ring::max_capacity ? ring::max_capacity : capacity;
}

}  // namespace

Result<FlightRecorder> FlightRecorder::create(const std::string& path, Rank rank, Attempt attempt,
                                              std::uint32_t capacity) {
  capacity = usable(capacity);
  Result<void*> memory = map_new_file(path, ring::file_bytes(capacity), rank, attempt, capacity);
  if (!memory) return memory.error();
  auto ring = std::make_unique<Ring>();
  ring->place_in(*memory, capacity);
  ring->mapped = true;
  return FlightRecorder(ring.release());
}

FlightRecorder FlightRecorder::in_memory(Rank rank, Attempt attempt, std::uint32_t capacity) {
  capacity = usable(capacity);
  void* memory = ::operator new (ring::file_bytes(capacity), std::align_val_t{64});
  std::memset(memory, 0, ring::file_bytes(capacity));
  write_header(memory, rank, attempt, capacity);
  auto ring = std::make_unique<Ring>();
  ring->place_in(memory, capacity);
  return FlightRecorder(ring.release());
}

FlightRecorder::FlightRecorder(FlightRecorder&& other) noexcept : ring_(std::exchange(other.ring_, nullptr)) {}

FlightRecorder& FlightRecorder::operator=(FlightRecorder&& other) noexcept {
  std::swap(ring_, other.ring_);
  return *this;
}

FlightRecorder::~FlightRecorder() {
  if (ring_ == nullptr) return;
  if (ring_->mapped) {
    ::munmap(ring_->header, ring_->bytes);
  } else {
    ::operator delete (static_cast<void*>(ring_->header), std::align_val_t{64});
  }
  delete ring_;
}

void FlightRecorder::enter(Phase phase, Step step, TimePoint now) noexcept {
  ring_->phase = phase;
  ring_->step = step.value;
  ring_->header->phase.store(static_cast<std::uint64_t>(phase), relaxed);
  ring_->header->step.store(step.value, relaxed);
  ring_->write(EntryKind::phase, now);
}

void FlightRecorder::heartbeat() noexcept { ring_->header->heartbeat.fetch_add(1, relaxed); }

void FlightRecorder::heartbeat(TimePoint now) noexcept {
  heartbeat();
  ring_->header->last_progress.store(now.since_start.count(), relaxed);
}

void FlightRecorder::heartbeat(Phase phase, TimePoint now) noexcept {
  ring_->phase = phase;
  ring_->header->phase.store(static_cast<std::uint64_t>(phase), relaxed);
  heartbeat(now);
}

std::uint64_t FlightRecorder::collective_started(const CollectiveSignature& signature, TimePoint now) noexcept {
  ring_->signature = signature;
  ++ring_->collective;
  ring_->write(EntryKind::collective_started, now);
  ring_->header->collectives_started.store(ring_->collective, release);
  return ring_->collective;
}

void FlightRecorder::collective_completed(std::uint64_t collective, TimePoint now) noexcept {
  ring_->write(EntryKind::collective_completed, now);
  ring_->header->collectives_completed.store(collective, release);
}

void FlightRecorder::fault_fired(TimePoint now) noexcept { ring_->write(EntryKind::fault_fired, now); }

RingSnapshot FlightRecorder::snapshot() const {
  constexpr std::memory_order acquire = std::memory_order_acquire;
  const ring::Header& header = *ring_->header;
  ring::HeaderCopy copy;
  copy.entries = header.entries.load(acquire);
  copy.collectives_completed = header.collectives_completed.load(acquire);
  copy.collectives_started = header.collectives_started.load(acquire);
  copy.heartbeat = header.heartbeat.load(relaxed);
  copy.phase = header.phase.load(relaxed);
  copy.step = header.step.load(relaxed);
  copy.last_progress = header.last_progress.load(relaxed);
  RingSnapshot seen = ring::decode(copy, Rank{header.rank}, Attempt{header.attempt}, header.pid);
  const std::uint64_t kept = std::min<std::uint64_t>(seen.entries, ring_->capacity);
  for (std::uint64_t n = seen.entries - kept + 1; n <= seen.entries; ++n) {
    const ring::Entry& entry = ring_->entries[(n - 1) % ring_->capacity];
    ring::EntryCopy words;
    words[0] = entry.sequence.load(acquire);
    for (std::size_t w = 0; w < ring::words; ++w) words[1 + w] = entry.word[w].load(acquire);
    if (entry.sequence.load(relaxed) != n) continue;
    if (const std::optional<RecordedEntry> whole = ring::decode(words, n)) seen.recent.push_back(*whole);
  }
  return seen;
}

}  // namespace ftl
