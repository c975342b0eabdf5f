// One file of node-local memory: a page that says for which tensors it is and which attempt owns it, then two slots. A
// save goes into the slot that does not hold the newest step: its header is cleared, the values follow, the header
// comes last.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>
#include <type_traits>

#include <fmt/format.h>
#include <xxhash.h>

#include "checkpoints/descriptor.h"
#include "checkpoints/trainer_state.h"
#include "checkpoints/training_state.h"
#include "failures/file_errors.h"

namespace ftl {
namespace {

constexpr std::uint64_t magic = 0x32304554'41545348ull;  // "HSTATE02"
constexpr std::size_t page = 4096;
constexpr std::uint64_t most_data = std::uint64_t{1} << 42;

struct FileHeader {
  std::uint64_t magic;         // written last when the file is made
  std::uint64_t data_bytes;    // of a slot, without its header and state block
  std::uint64_t layout[2];     // hash over names and shapes
  std::int32_t owner_attempt;  // a save by an older attempt writes nothing
  std::int32_t reserved;
};
struct SlotHeader {
  std::uint64_t sequence;  // 0: nothing complete in here
  std::int64_t step;
  std::int32_t attempt;
  std::int32_t reserved;
  std::uint64_t length;
  std::uint64_t checksum[2];  // over the fields above, the state block and the values
};
static_assert(std::is_trivially_copyable_v<FileHeader> && sizeof(FileHeader) <= page && sizeof(SlotHeader) <= page);
static_assert(std::atomic_ref<std::uint64_t>::is_always_lock_free &&
              std::atomic_ref<std::int32_t>::is_always_lock_free);

using Hasher = std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)>;
Hasher new_hasher() { return Hasher(XXH3_createState(), &XXH3_freeState); }

std::uint64_t slot_bytes(std::uint64_t data_bytes) {
  return (page + state_block_bytes + data_bytes + page - 1) / page * page;
}
std::uint64_t slot_offset(std::uint64_t data_bytes, int slot) {
  return page + static_cast<std::uint64_t>(slot) * slot_bytes(data_bytes);
}
std::uint64_t file_bytes(std::uint64_t data_bytes) { return slot_offset(data_bytes, 2); }

struct Layout {
  std::uint64_t data_bytes = 0;
  std::uint64_t hash[2] = {0, 0};
  bool matches(const FileHeader& header) const {
    return header.magic == magic && header.data_bytes == data_bytes && header.layout[0] == hash[0] &&
           header.layout[1] == hash[1];
  }
};

Layout layout_of(std::span<const TrainableView> tensors) {
  Layout layout;
  std::string text;
  for (const TrainableView& tensor : tensors) {
    text += fmt::format("{}:{}[{}];", tensor.name.size(), tensor.name, fmt::join(tensor.shape, ","));
    layout.data_bytes += tensor.values.size_bytes() + tensor.exp_avg.size_bytes() + tensor.exp_avg_sq.size_bytes();
  }
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  layout.hash[0] = hash.low64;
  layout.hash[1] = hash.high64;
  return layout;
}

void seal(SlotHeader& header, XXH3_state_t* hasher) {
  XXH3_128bits_update(hasher, &header, offsetof(SlotHeader, checksum));
  const XXH128_hash_t hash = XXH3_128bits_digest(hasher);
  header.checksum[0] = hash.low64;
  header.checksum[1] = hash.high64;
}

// Work on many bytes, a piece at a time.
template <class Work>
void in_pieces(std::size_t count, const SignOfLife& sign_of_life, Work work) {
  for (std::size_t done = 0; done < count;) {
    const std::size_t piece = std::min(count - done, piece_bytes);
    work(done, piece);
    done += piece;
    if (sign_of_life) sign_of_life();
  }
}

bool is_sealed(SlotHeader header, std::span<const std::byte> state_and_data, const SignOfLife& sign_of_life) {
  if (header.sequence == 0 || header.length != state_and_data.size() || header.step < 0) return false;
  const SlotHeader found = header;
  const Hasher hasher = new_hasher();
  XXH3_128bits_reset(hasher.get());
  in_pieces(state_and_data.size(), sign_of_life, [&](std::size_t at, std::size_t count) {
    XXH3_128bits_update(hasher.get(), state_and_data.data() + at, count);
  });
  seal(header, hasher.get());
  return std::memcmp(&header, &found, sizeof header) == 0;
}

Failure cannot(const std::string& path, const char* action, int error) {
  return {kind_of_failed_write(error),
          fmt::format("cannot {} the hot state: {}", action, std::generic_category().message(error)), path, ""};
}

// Every page exists before the first save: a place that is full says so now, not by SIGBUS in the middle of a run.
Result<Done> reserve(const Descriptor& file, const std::string& path, std::uint64_t wanted) {
  int error = ::ftruncate(file.get(), static_cast<off_t>(wanted)) == 0 ? 0 : errno;
  if (error == 0) {
    do error = ::posix_fallocate(file.get(), 0, static_cast<off_t>(wanted));
    while (error == EINTR);
  }
  if (error == 0) return Done{};
  if (error != EFBIG && kind_of_failed_write(error) == FaultKind::storage_failed) return cannot(path, "reserve", error);
  return Failure{FaultKind::node_state_too_small,
                 fmt::format("the hot state needs {} bytes, {} bytes are free: {}", wanted, free_bytes_at(path),
                             std::generic_category().message(error)),
                 path, ""};
}

// A private copy of one slot. A writer may be at work meanwhile: the checksum tells.
struct SlotCopy {
  SlotHeader header{};
  std::unique_ptr<std::byte[]> bytes;
  std::size_t size = 0;
  std::span<const std::byte> all() const { return {bytes.get(), size}; }
  std::span<const std::byte, state_block_bytes> state() const { return all().first<state_block_bytes>(); }
  std::span<const std::byte> data() const { return all().subspan(state_block_bytes); }
};

bool read_at(int file, void* into, std::size_t count, std::uint64_t offset) {
  auto* at = static_cast<char*>(into);
  while (count > 0) {
    const ssize_t got = ::pread(file, at, count, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    count -= static_cast<std::size_t>(got);
    offset += static_cast<std::uint64_t>(got);
  }
  return true;
}

bool copy_slot(int file, const FileHeader& header, int slot, SlotCopy& copy, const SignOfLife& sign_of_life) {
  const std::uint64_t offset = slot_offset(header.data_bytes, slot);
  copy.size = state_block_bytes + header.data_bytes;
  if (!copy.bytes) copy.bytes = std::make_unique_for_overwrite<std::byte[]>(copy.size);
  if (!read_at(file, &copy.header, sizeof copy.header, offset) || copy.header.sequence == 0) return false;
  bool whole = true;
  in_pieces(copy.size, sign_of_life, [&](std::size_t at, std::size_t count) {
    whole = whole && read_at(file, copy.bytes.get() + at, count, offset + page + at);
  });
  return whole && is_sealed(copy.header, copy.all(), sign_of_life);
}

std::array<std::uint64_t, 2> sequences(int file, const FileHeader& header) {
  std::array<std::uint64_t, 2> both{};
  for (int slot = 0; slot < 2; ++slot)
    (void)read_at(file, &both[static_cast<std::size_t>(slot)], sizeof(std::uint64_t),
                  slot_offset(header.data_bytes, slot));
  return both;
}

// The newest complete slot that `accepts` takes. While a writer is at work the second slot may have become invalid
// after the first was read, so a look during which anything moved is repeated; the best of all looks is taken in the
// end.
template <class Accepts>
std::optional<SlotCopy> newest(int file, const FileHeader& header, const SignOfLife& sign_of_life, Accepts accepts) {
  constexpr int looks = 64;
  std::optional<SlotCopy> best;
  for (int look = 0; look < looks; ++look) {
    const std::array<std::uint64_t, 2> before = sequences(file, header);
    for (int slot = 0; slot < 2; ++slot) {
      SlotCopy copy;
      if (copy_slot(file, header, slot, copy, sign_of_life) && accepts(copy) &&
          (!best || copy.header.sequence > best->header.sequence))
        best = std::move(copy);
    }
    if (before == sequences(file, header)) break;  // nobody is writing: it will not get better
  }
  return best;
}

// nullopt: no such file, or one that nobody has finished making. The header is checked against the file's size.
Result<std::optional<FileHeader>> read_header(const Descriptor& file, const std::string& path) {
  if (file.get() < 0 && errno == ENOENT) return std::optional<FileHeader>();
  if (file.get() < 0) return cannot(path, "open", errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return cannot(path, "open", errno);
  FileHeader header{};
  if (!S_ISREG(status.st_mode))
    return Failure{FaultKind::checkpoint_corrupt, "the hot state is not a regular file", path, ""};
  if (status.st_size == 0 || !read_at(file.get(), &header, sizeof header, 0) || header.magic == 0)
    return std::optional<FileHeader>();
  if (header.magic != magic || header.data_bytes > most_data ||
      file_bytes(header.data_bytes) > static_cast<std::uint64_t>(status.st_size)) {
    return Failure{
        FaultKind::checkpoint_corrupt,
        fmt::format("the hot state's header is garbage, or its file of {} bytes was cut short", status.st_size), path,
        ""};
  }
  return std::optional(header);
}

Descriptor open_to_read(const std::string& path) {
  return Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
}

}  // namespace

struct HotState::Mapping {
  std::byte* start = nullptr;
  std::size_t length = 0;
  std::int32_t attempt = 0;
  Layout layout;
  std::uint64_t sequence = 0;  // of the newest complete slot
  int next_slot = 0;
  Hasher hasher = new_hasher();

  ~Mapping() {
    if (start != nullptr) ::munmap(start, length);
  }
  FileHeader& header() { return *reinterpret_cast<FileHeader*>(start); }
  SlotHeader& slot(int number) {
    return *reinterpret_cast<SlotHeader*>(start + slot_offset(layout.data_bytes, number));
  }
  bool is_owner() { return std::atomic_ref(header().owner_attempt).load(std::memory_order_acquire) <= attempt; }

  // Makes the file anew for these tensors: what it held cannot be meant for them.
  void format() {
    std::atomic_ref(header().magic).store(0, std::memory_order_release);
    for (int number : {0, 1}) std::memset(&slot(number), 0, sizeof(SlotHeader));
    header().data_bytes = layout.data_bytes;
    header().layout[0] = layout.hash[0];
    header().layout[1] = layout.hash[1];
    std::atomic_ref(header().owner_attempt).store(attempt, std::memory_order_release);
    std::atomic_ref(header().magic).store(magic, std::memory_order_release);
  }

  void find_newest(const SignOfLife& sign_of_life) {
    for (int number : {0, 1}) {
      const SlotHeader& found = slot(number);
      const std::byte* bytes = reinterpret_cast<const std::byte*>(&found) + page;
      if (found.sequence <= sequence || !is_sealed(found, {bytes, state_block_bytes + layout.data_bytes}, sign_of_life))
        continue;
      sequence = found.sequence;
      next_slot = 1 - number;
    }
  }
};

HotState::HotState(HotState&& other) noexcept : mapping_(std::exchange(other.mapping_, nullptr)) {}
HotState& HotState::operator=(HotState&& other) noexcept {
  std::swap(mapping_, other.mapping_);
  return *this;
}
HotState::~HotState() { delete mapping_; }

Result<HotState> HotState::open(const std::string& path, std::int32_t attempt, std::span<const TrainableView> tensors,
                                const SignOfLife& sign_of_life) {
  auto mapping = std::make_unique<Mapping>();
  mapping->attempt = attempt;
  mapping->layout = layout_of(tensors);
  const Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.get() < 0) return cannot(path, "open", errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return cannot(path, "open", errno);
  // Never shrunk: an older attempt that still has it mapped would die of SIGBUS.
  const std::uint64_t wanted =
      std::max<std::uint64_t>(file_bytes(mapping->layout.data_bytes), static_cast<std::uint64_t>(status.st_size));
  if (Result<Done> reserved = reserve(file, path, wanted); !reserved) {
    if (status.st_size == 0)
      ::unlink(path.c_str());
    else
      (void)::ftruncate(file.get(), status.st_size);
    return reserved.error();
  }
  void* const start = ::mmap(nullptr, wanted, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (start == MAP_FAILED) return cannot(path, "map", errno);
  mapping->start = static_cast<std::byte*>(start);
  mapping->length = wanted;
  const bool is_fenced = mapping->header().magic == magic && !mapping->is_owner();
  if (!is_fenced) {
    if (mapping->layout.matches(mapping->header()))
      std::atomic_ref(mapping->header().owner_attempt).store(attempt, std::memory_order_release);
    else
      mapping->format();
    mapping->find_newest(sign_of_life);
  }
  return HotState(mapping.release());
}

void HotState::save(std::span<const TrainableView> tensors, const TrainerState& state,
                    const SignOfLife& sign_of_life) noexcept {
  Mapping& map = *mapping_;
  if (!map.is_owner() || !map.layout.matches(map.header())) return;
  SlotHeader& slot = map.slot(map.next_slot);
  std::byte* at = reinterpret_cast<std::byte*>(&slot) + page;
  std::array<std::byte, state_block_bytes> block;
  if (!pack(state, block)) return;
  // The values must not be written before the header is cleared. An exchange keeps that order for the compiler and on
  // x86 (a fence would everywhere, but the thread sanitizer does not understand fences); where a processor lets a value
  // pass it all the same, the checksum refuses the slot.
  std::atomic_ref(slot.sequence).exchange(0, std::memory_order_seq_cst);
  XXH3_128bits_reset(map.hasher.get());
  // The checksum is of the source: whatever else happens to the copy, a mixture is not blessed.
  const auto append = [&](std::span<const std::byte> from) {
    in_pieces(from.size(), sign_of_life, [&](std::size_t done, std::size_t count) {
      XXH3_128bits_update(map.hasher.get(), from.data() + done, count);
      std::memcpy(at, from.data() + done, count);
      at += count;
    });
  };
  append(block);
  std::uint64_t left = map.layout.data_bytes;  // the caller's tensors may not leave the slot, whatever they are
  for (const TrainableView& tensor : tensors) {
    for (std::span<const float> values : {std::span<const float>(tensor.values), std::span<const float>(tensor.exp_avg),
                                          std::span<const float>(tensor.exp_avg_sq)}) {
      if (values.size_bytes() > left) return;
      append(std::as_bytes(values));
      left -= values.size_bytes();
    }
  }
  if (left != 0 || !map.is_owner()) return;  // a newer attempt came meanwhile: nothing is published
  SlotHeader header{map.sequence + 1, state.step, map.attempt, 0, state_block_bytes + map.layout.data_bytes, {0, 0}};
  seal(header, map.hasher.get());
  std::memcpy(reinterpret_cast<std::byte*>(&slot) + sizeof header.sequence,
              reinterpret_cast<const std::byte*>(&header) + sizeof header.sequence,
              sizeof header - sizeof header.sequence);
  std::atomic_ref(slot.sequence).store(header.sequence, std::memory_order_release);
  ++map.sequence;
  map.next_slot = 1 - map.next_slot;
}

Result<std::optional<TrainerState>> inspect_hot_state(const std::string& path, std::int64_t limit) {
  const Descriptor file = open_to_read(path);
  const Result<std::optional<FileHeader>> header = read_header(file, path);
  if (!header) return header.error();
  if (!*header) return std::optional<TrainerState>();
  const std::optional<SlotCopy> slot =
      newest(file.get(), **header, {}, [&](const SlotCopy& copy) { return copy.header.step < limit; });
  return slot ? unpack(slot->state()) : std::optional<TrainerState>();
}

Result<TrainerState> read_hot_state(const std::string& path, std::int64_t step, std::span<const TrainableView> tensors,
                                    const SignOfLife& sign_of_life) {
  const auto corrupt = [&](std::string what) {
    return Failure{FaultKind::checkpoint_corrupt, std::move(what), path, ""};
  };
  const Descriptor file = open_to_read(path);
  const Result<std::optional<FileHeader>> header = read_header(file, path);
  if (!header) return header.error();
  if (!*header) return corrupt("there is no hot state");
  if (!layout_of(tensors).matches(**header)) return corrupt("the hot state is of other tensors than this run's");
  const std::optional<SlotCopy> slot =
      newest(file.get(), **header, sign_of_life, [&](const SlotCopy& copy) { return copy.header.step == step; });
  if (!slot) return corrupt(fmt::format("the hot state holds no complete copy of step {}", step));
  std::optional<TrainerState> state = unpack(slot->state());
  if (!state || state->step != step)
    return corrupt(fmt::format("the hot state of step {} has a garbled state block", step));
  const std::byte* from = slot->data().data();
  for (const TrainableView& tensor : tensors) {
    for (std::span<float> values : {tensor.values, tensor.exp_avg, tensor.exp_avg_sq}) {
      if (!values.empty()) std::memcpy(values.data(), from, values.size_bytes());
      from += values.size_bytes();
      if (sign_of_life) sign_of_life();
    }
  }
  return std::move(*state);
}

}  // namespace ftl
