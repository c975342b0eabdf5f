#include "trainer/optimizer/adamw.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace ftl {
namespace {

// Between two signs of life, and a multiple of the blocks in which the kernel goes through them.
constexpr std::int64_t values_at_once = std::int64_t{1} << 22;

}  // namespace

Result<AdamWOptimizer> AdamWOptimizer::create(Device& device, std::span<const TrainableTensor> layout,
                                              const AdamWSettings& settings) {
  AdamWOptimizer made;
  made.layout_.assign(layout.begin(), layout.end());
  made.settings_ = settings;
  made.parameters_ = layout.empty() ? nullptr : layout.front().values;
  for (const TrainableTensor& tensor : layout) {
    assert(tensor.offset == made.count_ && tensor.values == made.parameters_ + tensor.offset);
    if (made.segments_.empty() || made.segments_.back().decayed != tensor.decayed)
      made.segments_.push_back({tensor.offset, 0, tensor.decayed});
    made.segments_.back().count += tensor.count;
    made.count_ += tensor.count;
  }
  const std::size_t bytes = static_cast<std::size_t>(made.count_) * sizeof(float);
  const std::pair<Buffer*, std::size_t> buffers[] = {{&made.exp_avg_, bytes},
                                                     {&made.exp_avg_sq_, bytes},
                                                     {&made.square_sum_, sizeof(double)},
                                                     {&made.non_finite_, sizeof(std::int64_t)}};
  for (const auto& [buffer, size] : buffers) {
    Result<Buffer> allocated = device.allocate(size);
    if (!allocated) return allocated.error();
    *buffer = std::move(*allocated);
  }
  Result<std::unique_ptr<Stream>> stream = device.make_stream(1);
  if (!stream) return stream.error();
  device.kernels().fill(**stream, {.y = made.exp_avg(), .value = 0, .count = made.count_});
  device.kernels().fill(**stream, {.y = made.exp_avg_sq(), .value = 0, .count = made.count_});
  if (auto finished = (*stream)->synchronize(); !finished) return finished.error();
  return made;
}

Result<UpdateReport> AdamWOptimizer::measure(Stream& stream, const float* gradient, double gradient_factor) {
  Device& device = stream.device();
  device.kernels().squared_norm(stream, {.x = gradient,
                                         .sum = static_cast<double*>(square_sum_.data()),
                                         .non_finite = static_cast<std::int64_t*>(non_finite_.data()),
                                         .count = count_});
  double sum = 0;
  UpdateReport report;
  if (auto got = device.download(stream, std::as_writable_bytes(std::span(&sum, 1)), square_sum_.data()); !got)
    return got.error();
  if (auto got =
          device.download(stream, std::as_writable_bytes(std::span(&report.non_finite_index, 1)), non_finite_.data());
      !got)
    return got.error();
  if (auto finished = stream.synchronize(); !finished) return finished.error();
  report.gradient_norm = gradient_factor * std::sqrt(sum);
  if (report.non_finite_index >= 0) {
    const auto after =
        std::upper_bound(layout_.begin(), layout_.end(), report.non_finite_index,
                         [](std::int64_t index, const TrainableTensor& tensor) { return index < tensor.offset; });
    report.non_finite_tensor = std::prev(after)->name;
  }
  return report;
}

Result<UpdateReport> AdamWOptimizer::step(Stream& stream, const float* gradient, double gradient_factor,
                                          std::int64_t step, double learning_rate, const SignOfLife& sign_of_life) {
  assert(step >= 1);
  Result<UpdateReport> report = measure(stream, gradient, gradient_factor);
  if (!report || report->non_finite_index >= 0) return report;
  const double clip =
      settings_.max_grad_norm > 0 ? std::min(1.0, settings_.max_grad_norm / (report->gradient_norm + 1e-6)) : 1.0;
  const auto update = [&](std::int64_t offset, std::int64_t count, bool decayed) {
    stream.device().kernels().adamw(stream,
                                    {.parameters = parameters_ + offset,
                                     .gradient = gradient + offset,
                                     .m = exp_avg() + offset,
                                     .v = exp_avg_sq() + offset,
                                     .count = count,
                                     .step = step,
                                     .learning_rate = static_cast<float>(learning_rate),
                                     .beta1 = static_cast<float>(settings_.beta1),
                                     .beta2 = static_cast<float>(settings_.beta2),
                                     .epsilon = static_cast<float>(settings_.epsilon),
                                     .weight_decay = decayed ? static_cast<float>(settings_.weight_decay) : 0.0f,
                                     .gradient_scale = static_cast<float>(gradient_factor * clip)});
    if (sign_of_life) sign_of_life();
  };
  for (const Segment& segment : segments_) {
    for (std::int64_t done = 0; done < segment.count; done += values_at_once)
      update(segment.offset + done, std::min(values_at_once, segment.count - done), segment.decayed);
  }
  if (auto finished = stream.synchronize(); !finished) return finished.error();
  return report;
}

std::vector<TrainableView> AdamWOptimizer::views() {
  std::vector<TrainableView> views;
  for (const TrainableTensor& tensor : layout_) {
    const auto count = static_cast<std::size_t>(tensor.count);
    views.push_back({tensor.name,
                     tensor.shape,
                     {parameters_ + tensor.offset, count},
                     {exp_avg() + tensor.offset, count},
                     {exp_avg_sq() + tensor.offset, count}});
  }
  return views;
}

}  // namespace ftl
