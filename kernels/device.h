// Where memory lives and operations run. Seam: the CPU (here), a GPU (libftl_cuda.so), the emulated GPU of the tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "failures/result.h"
#include "kernels/kernel_table.h"
#include "kernels/tensor_view.h"

namespace ftl {

class Device;

// An order of work. On the CPU a stream owns a share of the machine's threads, work is finished when the call returns,
// and one stream is used by one host thread at a time.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual Device& device() = 0;
  // Waits until everything started on this stream is finished; a fault of the device surfaces here.
  virtual Result<Done> synchronize() = 0;

  // Calls `report` whenever a small piece of an operation is done, on the thread that uses the stream: one that works
  // at a long operation can then be told from one that is stuck in it. A GPU's stream never calls it.
  void report_pieces_to(std::function<void()> report) { report_ = std::move(report); }
  // For operations. In device.cpp: what is inline here is compiled for every instruction set.
  void piece_done() const;

 private:
  std::function<void()> report_;  // empty: nobody asks
};

// Owns device memory; move-only; frees through the device that made it, which must outlive it.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Device* device, void* data, std::size_t bytes) : device_(device), data_(data), bytes_(bytes) {}
  Buffer(Buffer&& other) noexcept
      : device_(std::exchange(other.device_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  void* data() const { return data_; }
  float* floats() const { return static_cast<float*>(data_); }
  std::int32_t* ints() const { return static_cast<std::int32_t*>(data_); }
  std::size_t bytes() const { return bytes_; }

 private:
  Device* device_ = nullptr;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

struct DeviceTraits {
  std::string name;  // "AMD EPYC, avx2", "NVIDIA H100 ..."
  Place place = Place::host;
  std::string library;          // whose matrix products are used: "cuBLASLt 13.0"; empty on the CPU, they are ours
  std::string instruction_set;  // "avx2", "baseline", "sm_90"
};

class Device {
 public:
  virtual ~Device() = default;
  virtual const DeviceTraits& traits() const = 0;
  virtual const KernelTable& kernels() const = 0;
  // 64-byte aligned (host) and not zeroed; a failure says how much was asked for and how much is free.
  virtual Result<Buffer> allocate(std::size_t bytes) = 0;
  // A stream with its own `threads` worker threads (the calling thread included); ignored on a GPU.
  virtual Result<std::unique_ptr<Stream>> make_stream(int threads) = 0;
  virtual Result<Done> upload(Stream& stream, void* to, std::span<const std::byte> from) = 0;
  virtual Result<Done> download(Stream& stream, std::span<std::byte> to, const void* from) = 0;

 protected:
  friend class Buffer;
  virtual void release(void* data, std::size_t bytes) noexcept = 0;
};

// The CPU; parallelism comes from the stream's threads. `instruction_set` imposes
// one ("baseline", "avx2"; a failure if the processor lacks it); empty takes the best the processor has.
Result<std::unique_ptr<Device>> make_cpu_device(std::string_view instruction_set = {});

using MakeDeviceResult = Result<std::unique_ptr<Device>>;
using MakeDevice = MakeDeviceResult (*)(int ordinal);

}  // namespace ftl

// A device's shared object (libftl_cuda.so) defines this.
extern "C" __attribute__((visibility("default"))) const ftl::MakeDevice ftl_make_device;
