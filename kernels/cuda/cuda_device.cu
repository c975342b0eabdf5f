// A GPU behind the Device seam: libftl_cuda.so. Memory, copies, streams and the first kernels are here; most operations
// are not, so ftl_make_device() names them and refuses: nobody trains on half a device by accident.
#include <cuda_runtime.h>

#include <string>

#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/rms_norm.cuh"
#include "kernels/device.h"

namespace ftl {

namespace {

Failure failed(const char* what, cudaError_t error, FaultKind kind = FaultKind::rank_crashed) {
  return {kind, std::string(what) + ": CUDA says " + cudaGetErrorString(error), "", ""};
}

class CudaStream final : public Stream {
 public:
  CudaStream(Device& device, cudaStream_t stream) : device_(device), stream_(stream) {}
  ~CudaStream() override { cudaStreamDestroy(stream_); }
  Device& device() override { return device_; }
  Result<Done> synchronize() override {
    if (const cudaError_t error = cudaStreamSynchronize(stream_); error != cudaSuccess)
      return failed("a stream's work failed", error);
    return Done{};
  }
  cudaStream_t get() const { return stream_; }

 private:
  Device& device_;
  cudaStream_t stream_;
};

cudaStream_t stream_of(Stream& stream) { return static_cast<CudaStream&>(stream).get(); }

// A launch that fails shows in the stream's synchronize(): CUDA keeps the error.
void fill(Stream& stream, const Fill& op) {
  if (op.count > 0)
    cuda::fill_kernel<<<cuda::blocks_for(op.count), cuda::elementwise_threads, 0, stream_of(stream)>>>(op.y, op.value,
                                                                                                       op.count);
}
void add(Stream& stream, const Add& op) {
  if (op.count > 0)
    cuda::add_kernel<<<cuda::blocks_for(op.count), cuda::elementwise_threads, 0, stream_of(stream)>>>(
        op.x, op.y, op.count, op.scale);
}
void scale(Stream& stream, const Scale& op) {
  if (op.count > 0)
    cuda::scale_kernel<<<cuda::blocks_for(op.count), cuda::elementwise_threads, 0, stream_of(stream)>>>(op.y, op.count,
                                                                                                        op.scale);
}
void soft_cap(Stream& stream, const SoftCap& op) {
  if (op.count > 0)
    cuda::soft_cap_kernel<<<cuda::blocks_for(op.count), cuda::elementwise_threads, 0, stream_of(stream)>>>(
        op.y, op.count, op.soft_cap);
}
void bias_forward(Stream& stream, const BiasForward& op) {
  const std::int64_t count = op.rows * op.width;
  if (count > 0)
    cuda::bias_forward_kernel<<<cuda::blocks_for(count), cuda::elementwise_threads, 0, stream_of(stream)>>>(
        op.bias, op.y, count, op.width);
}
void rms_norm_forward(Stream& stream, const RmsNormForward& op) {
  if (op.rows > 0) {
    cuda::rms_norm_forward_kernel<<<static_cast<unsigned>(op.rows), cuda::rms_norm_threads, 0, stream_of(stream)>>>(
        op.x, op.gain, op.y, op.inverse_rms, op.width, op.epsilon, op.gain_offset);
  }
}

KernelTable kernels_of_this_version() {
  KernelTable table{};
  table.fill = fill;
  table.add = add;
  table.scale = scale;
  table.soft_cap = soft_cap;
  table.bias_forward = bias_forward;
  table.rms_norm_forward = rms_norm_forward;
  return table;
}

std::string missing_from(const KernelTable& table) {
  std::string names;
#define FTL_MISSING(op) \
  if (table.op == nullptr) names += (names.empty() ? "" : ", ") + std::string(#op)
  FTL_MISSING(embedding_forward);
  FTL_MISSING(embedding_backward);
  FTL_MISSING(rms_norm_forward);
  FTL_MISSING(rms_norm_backward);
  FTL_MISSING(matmul);
  FTL_MISSING(bias_forward);
  FTL_MISSING(bias_backward);
  FTL_MISSING(rope);
  FTL_MISSING(attention_forward);
  FTL_MISSING(attention_backward);
  FTL_MISSING(swiglu_forward);
  FTL_MISSING(swiglu_backward);
  FTL_MISSING(geglu_forward);
  FTL_MISSING(geglu_backward);
  FTL_MISSING(cross_entropy);
  FTL_MISSING(gather_rows);
  FTL_MISSING(scatter_rows);
  FTL_MISSING(fill);
  FTL_MISSING(add);
  FTL_MISSING(scale);
  FTL_MISSING(soft_cap);
  FTL_MISSING(squared_norm);
  FTL_MISSING(adamw);
#undef FTL_MISSING
  return names;
}

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(const cudaDeviceProp& properties) : table_(kernels_of_this_version()) {
    traits_.name = properties.name;
    traits_.place = Place::cuda;
    traits_.instruction_set = "sm_" + std::to_string(properties.major) + std::to_string(properties.minor);
  }
  const DeviceTraits& traits() const override { return traits_; }
  const KernelTable& kernels() const override { return table_; }

  Result<Buffer> allocate(std::size_t bytes) override {
    void* data = nullptr;
    if (const cudaError_t error = cudaMalloc(&data, bytes); error != cudaSuccess) {
      std::size_t free_bytes = 0, total = 0;
      cudaMemGetInfo(&free_bytes, &total);
      return failed(
          (std::to_string(bytes) + " bytes of GPU memory were asked for, " + std::to_string(free_bytes) + " are free")
              .c_str(),
          error);
    }
    return Buffer(this, data, bytes);
  }
  Result<std::unique_ptr<Stream>> make_stream(int) override {
    cudaStream_t stream = nullptr;
    if (const cudaError_t error = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking); error != cudaSuccess) {
      return failed("a stream cannot be made", error);
    }
    return std::unique_ptr<Stream>(std::make_unique<CudaStream>(*this, stream));
  }
  Result<Done> upload(Stream& stream, void* to, std::span<const std::byte> from) override {
    const cudaError_t error = cudaMemcpyAsync(to, from.data(), from.size(), cudaMemcpyHostToDevice, stream_of(stream));
    if (error != cudaSuccess) return failed("an upload cannot be started", error);
    return stream.synchronize();  // the caller's memory is free again
  }
  Result<Done> download(Stream& stream, std::span<std::byte> to, const void* from) override {
    const cudaError_t error = cudaMemcpyAsync(to.data(), from, to.size(), cudaMemcpyDeviceToHost, stream_of(stream));
    if (error != cudaSuccess) return failed("a download cannot be started", error);
    return stream.synchronize();
  }

 private:
  void release(void* data, std::size_t) noexcept override { cudaFree(data); }

  DeviceTraits traits_;
  KernelTable table_;
};

MakeDeviceResult make(int ordinal) {
  int devices = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&devices); error != cudaSuccess) {
    return failed("there is no usable GPU", error, FaultKind::backend_unavailable);
  }
  if (ordinal < 0 || ordinal >= devices) {
    return Failure{FaultKind::backend_unavailable,
                   "GPU " + std::to_string(ordinal) + " was asked for, there are " + std::to_string(devices), "", ""};
  }
  cudaDeviceProp properties{};
  cudaError_t error = cudaSetDevice(ordinal);
  if (error == cudaSuccess) error = cudaGetDeviceProperties(&properties, ordinal);
  if (error != cudaSuccess) return failed("the GPU cannot be opened", error, FaultKind::backend_unavailable);
  auto device = std::make_unique<CudaDevice>(properties);
  if (const std::string missing = missing_from(device->kernels()); !missing.empty()) {
    return Failure{FaultKind::not_in_this_version, "the CUDA device lacks these operations: " + missing,
                   properties.name, "use device: cpu"};
  }
  return std::unique_ptr<Device>(std::move(device));
}

}  // namespace

}  // namespace ftl

const ftl::MakeDevice ftl_make_device = ftl::make;
