// Reading rings: from a file that a living process may be writing, a dead one has left, or somebody has damaged.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "comm/flight_recorder.h"
#include "comm/ring_layout.h"

namespace ftl {

namespace ring {

std::optional<RecordedEntry> decode(const EntryCopy& copy, std::uint64_t n) {
  if (copy[0] != n) return std::nullopt;
  const std::uint64_t packed_word = copy[1 + packed];
  const auto byte = [&](int i) { return static_cast<std::uint8_t>(packed_word >> (8 * i)); };
  if (byte(0) > static_cast<std::uint8_t>(EntryKind::fault_fired) ||
      byte(1) > static_cast<std::uint8_t>(Phase::finalize) || byte(2) > static_cast<std::uint8_t>(Operation::barrier) ||
      byte(3) > static_cast<std::uint8_t>(DType::u8)) {
    return std::nullopt;
  }
  RecordedEntry entry;
  entry.sequence = n;
  entry.when = {Duration(static_cast<std::int64_t>(copy[1 + when]))};
  entry.kind = static_cast<EntryKind>(byte(0));
  entry.phase = static_cast<Phase>(byte(1));
  entry.step = static_cast<std::int64_t>(copy[1 + step]);
  entry.collective = copy[1 + collective];
  if (entry.kind == EntryKind::collective_started || entry.kind == EntryKind::collective_completed) {
    entry.signature = {static_cast<Operation>(byte(2)), static_cast<DType>(byte(3)), copy[1 + count],
                       static_cast<std::uint32_t>(copy[1 + group]),
                       static_cast<std::int64_t>(copy[1 + signature_step])};
  }
  return entry;
}

RingSnapshot decode(const HeaderCopy& copy, Rank rank, Attempt attempt, std::int32_t pid) {
  RingSnapshot seen;
  seen.rank = rank;
  seen.attempt = attempt;
  seen.pid = pid;
  seen.entries = copy.entries;
  if (copy.phase <= static_cast<std::uint64_t>(Phase::finalize)) seen.phase = static_cast<Phase>(copy.phase);
  seen.step = copy.step;
  seen.collectives_started = copy.collectives_started;
  seen.collectives_completed = copy.collectives_completed;
  seen.heartbeat = copy.heartbeat;
  seen.last_progress = {Duration(copy.last_progress)};
  return seen;
}

}  // namespace ring

namespace {

using HeaderBytes = std::array<std::byte, sizeof(ring::Header)>;

template <class Value>
Value value_at(const HeaderBytes& bytes, std::size_t offset) {
  Value value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

Failure unreadable(const std::string& path, std::string what) {
  return {FaultKind::file_not_found, "the flight recorder's ring cannot be read: " + std::move(what), path, ""};
}

// A system call copies, so a file that shrinks meanwhile is a short read and not a SIGBUS.
bool read_exactly(int fd, void* to, std::size_t bytes, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < bytes) {
    const ssize_t n = ::pread(fd, static_cast<std::byte*>(to) + done, bytes - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<std::size_t>(n);
  }
  return true;
}

Result<std::uint32_t> checked_capacity(const std::string& path, const HeaderBytes& header, std::uint64_t file_bytes) {
  if (value_at<std::uint64_t>(header, offsetof(ring::Header, magic)) != ring::magic) {
    return unreadable(path, "it does not begin with the magic bytes of a ring");
  }
  const auto version = value_at<std::uint32_t>(header, offsetof(ring::Header, version));
  if (version != ring::version) {
    return unreadable(path, "its version is " + std::to_string(version) + ", this program reads version " +
                                std::to_string(ring::version));
  }
  const auto capacity = value_at<std::uint32_t>(header, offsetof(ring::Header, capacity));
  const auto entry_bytes = value_at<std::uint32_t>(header, offsetof(ring::Header, entry_bytes));
  if (capacity < 1 || capacity > ring::max_capacity || entry_bytes != sizeof(ring::Entry) ||
      ring::file_bytes(capacity) != file_bytes) {
    return unreadable(path, "its header says " + std::to_string(capacity) + " entries of " +
                                std::to_string(entry_bytes) + " bytes, the file has " + std::to_string(file_bytes) +
                                " bytes");
  }
  return capacity;
}

RingSnapshot header_of(const HeaderBytes& bytes) {
  ring::HeaderCopy copy;
  copy.entries = value_at<std::uint64_t>(bytes, offsetof(ring::Header, entries));
  copy.step = value_at<std::int64_t>(bytes, offsetof(ring::Header, step));
  copy.collectives_started = value_at<std::uint64_t>(bytes, offsetof(ring::Header, collectives_started));
  copy.collectives_completed = value_at<std::uint64_t>(bytes, offsetof(ring::Header, collectives_completed));
  copy.heartbeat = value_at<std::uint64_t>(bytes, offsetof(ring::Header, heartbeat));
  copy.last_progress = value_at<std::int64_t>(bytes, offsetof(ring::Header, last_progress));
  copy.phase = value_at<std::uint64_t>(bytes, offsetof(ring::Header, phase));
  return ring::decode(copy, Rank{value_at<std::int32_t>(bytes, offsetof(ring::Header, rank))},
                      Attempt{value_at<std::int32_t>(bytes, offsetof(ring::Header, attempt))},
                      value_at<std::int32_t>(bytes, offsetof(ring::Header, pid)));
}

// An entry counts only if two copies of it are equal: the writer takes the sequence away before it touches a slot
// again.
Result<std::vector<RecordedEntry>> recent_of(int fd, const std::string& path, std::uint64_t entries,
                                             std::uint32_t capacity, std::size_t wanted) {
  const std::uint64_t kept = std::min<std::uint64_t>({entries, capacity, wanted});
  std::vector<RecordedEntry> recent;
  recent.reserve(kept);
  for (std::uint64_t n = entries - kept + 1; n <= entries && kept > 0; ++n) {
    const std::uint64_t offset = sizeof(ring::Header) + (n - 1) % capacity * sizeof(ring::Entry);
    ring::EntryCopy first, second;
    if (!read_exactly(fd, first.data(), sizeof(first), offset) ||
        !read_exactly(fd, second.data(), sizeof(second), offset)) {
      return unreadable(path, "it ends inside entry " + std::to_string(n));
    }
    if (first != second) continue;
    if (const std::optional<RecordedEntry> entry = ring::decode(first, n)) recent.push_back(*entry);
    if (n == UINT64_MAX) break;  // a count that only a damaged header holds
  }
  return recent;
}

}  // namespace

Result<RingSnapshot> read_ring(const std::string& path, std::size_t recent_entries) {
  const int fd =
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // non-blocking: a FIFO of that name must not hang us
  if (fd < 0) return unreadable(path, std::generic_category().message(errno));
  struct Closer {
    int descriptor;
    ~Closer() { ::close(descriptor); }
  } closer{fd};
  struct stat file {};
  if (::fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) return unreadable(path, "it is not a regular file");
  HeaderBytes header;
  if (!read_exactly(fd, header.data(), header.size(), 0)) {
    return unreadable(
        path, "it has " + std::to_string(file.st_size) + " bytes, a header needs " + std::to_string(header.size()));
  }
  const Result<std::uint32_t> capacity = checked_capacity(path, header, static_cast<std::uint64_t>(file.st_size));
  if (!capacity) return capacity.error();
  RingSnapshot seen = header_of(header);
  Result<std::vector<RecordedEntry>> recent = recent_of(fd, path, seen.entries, *capacity, recent_entries);
  if (!recent) return recent.error();
  seen.recent = std::move(*recent);
  return seen;
}

}  // namespace ftl
