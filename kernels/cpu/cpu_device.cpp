#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>

#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/cpu_table.h"
#include "kernels/device.h"

namespace ftl {
namespace {

std::string processor_name() {
  std::ifstream information("/proc/cpuinfo");
  for (std::string line; std::getline(information, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "CPU";
}

bool has_avx2() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

const KernelTable& table_of(std::string_view instruction_set) {
#if defined(__x86_64__)
  if (instruction_set == "avx2") return cpu_avx2::cpu_table();
#endif
  (void)instruction_set;
  return cpu_baseline::cpu_table();
}

// Bytes of memory the machine has (or has free), from the system's page counts.
std::uint64_t memory_bytes(int pages_name) {
  const long pages = ::sysconf(pages_name), page = ::sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page) : 0;
}

class CpuDevice final : public Device {
 public:
  explicit CpuDevice(std::string instruction_set) : kernels_(table_of(instruction_set)) {
    traits_ = {.name = processor_name() + ", " + instruction_set,
               .place = Place::host,
               .library = {},
               .instruction_set = std::move(instruction_set)};
  }

  const DeviceTraits& traits() const override { return traits_; }
  const KernelTable& kernels() const override { return kernels_; }

  Result<Buffer> allocate(std::size_t bytes) override {
    constexpr std::size_t alignment = 64;
    // Asked for more than the machine has, the allocator may promise it all the same and the process die when it is
    // used.
    const std::uint64_t total = memory_bytes(_SC_PHYS_PAGES);
    if (bytes > std::numeric_limits<std::ptrdiff_t>::max() - alignment || (total != 0 && bytes > total)) {
      return out_of_memory(bytes);
    }
    const std::size_t rounded = bytes == 0 ? alignment : (bytes + alignment - 1) / alignment * alignment;
    void* data = std::aligned_alloc(alignment, rounded);
    if (data == nullptr) return out_of_memory(bytes);
    return Buffer(this, data, bytes);
  }

  Result<std::unique_ptr<Stream>> make_stream(int threads) override {
    auto pool = ThreadPool::start(threads);
    if (!pool) return pool.error();
    auto memory = allocate(static_cast<std::size_t>(threads * CpuStream::floats_a_thread) * sizeof(float));
    if (!memory) return memory.error();
    return std::unique_ptr<Stream>(std::make_unique<CpuStream>(*this, std::move(*pool), std::move(*memory)));
  }

  Result<Done> upload(Stream&, void* to, std::span<const std::byte> from) override {
    if (!from.empty()) std::memcpy(to, from.data(), from.size());
    return Done{};
  }
  Result<Done> download(Stream&, std::span<std::byte> to, const void* from) override {
    if (!to.empty()) std::memcpy(to.data(), from, to.size());
    return Done{};
  }

 private:
  void release(void* data, std::size_t) noexcept override { std::free(data); }

  static Failure out_of_memory(std::size_t bytes) {
    constexpr std::uint64_t mebibyte = 1 << 20;
    return {FaultKind::host_out_of_memory,
            "asked the host for " + std::to_string(bytes / mebibyte) + " MiB of memory, of which it has " +
                std::to_string(memory_bytes(_SC_PHYS_PAGES) / mebibyte) + " MiB (" +
                std::to_string(memory_bytes(_SC_AVPHYS_PAGES) / mebibyte) + " MiB unused)",
            "host memory", ""};
  }

  DeviceTraits traits_;
  const KernelTable& kernels_;
};

}  // namespace

Result<std::unique_ptr<Device>> make_cpu_device(std::string_view instruction_set) {
  const std::string best = has_avx2() ? "avx2" : "baseline";
  if (!instruction_set.empty() && instruction_set != "baseline" && instruction_set != best) {
    return Failure{FaultKind::backend_unavailable,
                   "instruction set " + std::string(instruction_set) + " was asked for, this processor has baseline" +
                       (best == "baseline" ? "" : " and " + best),
                   "", "run on the kind of machine the run was started on, or start it over"};
  }
  return std::unique_ptr<Device>(
      std::make_unique<CpuDevice>(instruction_set.empty() ? best : std::string(instruction_set)));
}

}  // namespace ftl
