#include "trainer/trainable_state.h"

#include <cstring>

#include <fmt/format.h>

namespace ftl {
namespace {

AdamWSettings settings_of(const RunConfig& config) {
  return {config.adam_beta1, config.adam_beta2, config.adam_epsilon, config.weight_decay, config.max_grad_norm};
}

}  // namespace

Result<TrainableState> TrainableState::make(Device& device, const RunConfig& config, const RunInputs& inputs,
                                            Llama& model) {
  TrainableState state;
  state.device_ = &device;
  std::span<const TrainableTensor> layout;
  if (inputs.adapter_shape) {
    Result<Adapter> adapter = Adapter::initialise(device, *inputs.adapter_shape, config.seed);
    if (!adapter) return adapter.error();
    state.adapter_ = std::make_unique<Adapter>(std::move(*adapter));
    layout = state.adapter_->layout();
  } else {
    layout = model.weights();
  }
  state.values_ = layout.front().values;
  Result<AdamWOptimizer> optimizer = AdamWOptimizer::create(device, layout, settings_of(config));
  if (!optimizer) return optimizer.error();
  state.optimizer_.emplace(std::move(*optimizer));
  if (device.traits().place == Place::host) {
    state.views_ = state.optimizer_->views();
    return state;
  }
  if (Result<Done> mirrored = state.mirror(layout); !mirrored) return mirrored.error();
  return state;
}

Result<Done> TrainableState::mirror(std::span<const TrainableTensor> layout) {
  const auto count = static_cast<std::size_t>(parameters());
  Result<Buffer> gradient = device_->allocate(count * sizeof(float));
  if (!gradient) return gradient.error();
  gradient_ = std::move(*gradient);
  mirror_.assign(3 * count, 0.0F);
  const std::span<float> all(mirror_);
  for (const TrainableTensor& tensor : layout) {
    const auto offset = static_cast<std::size_t>(tensor.offset);
    const auto size = static_cast<std::size_t>(tensor.count);
    views_.push_back({tensor.name, tensor.shape, all.subspan(offset, size), all.subspan(count + offset, size),
                      all.subspan(2 * count + offset, size)});
  }
  return Done{};
}

Result<Done> TrainableState::download(Stream& stream) {
  if (mirror_.empty()) return Done{};
  const auto count = static_cast<std::size_t>(parameters());
  const std::span<float> all(mirror_);
  const float* sources[] = {values_, optimizer_->exp_avg(), optimizer_->exp_avg_sq()};
  for (std::size_t i = 0; i < 3; ++i) {
    if (auto done = device_->download(stream, std::as_writable_bytes(all.subspan(i * count, count)), sources[i]); !done)
      return done;
  }
  return stream.synchronize();
}

Result<Done> TrainableState::upload(Stream& stream) {
  if (mirror_.empty()) return Done{};
  const auto count = static_cast<std::size_t>(parameters());
  const std::span<const float> all(mirror_);
  float* targets[] = {values_, optimizer_->exp_avg(), optimizer_->exp_avg_sq()};
  for (std::size_t i = 0; i < 3; ++i) {
    if (auto done = device_->upload(stream, targets[i], std::as_bytes(all.subspan(i * count, count))); !done)
      return done;
  }
  return stream.synchronize();
}

Result<Done> TrainableState::download_gradient(Stream& stream, const float* gradient, std::span<float> to) {
  if (mirror_.empty()) {
    std::memcpy(to.data(), gradient, to.size_bytes());
    return Done{};
  }
  if (auto done = device_->download(stream, std::as_writable_bytes(to), gradient); !done) return done;
  return stream.synchronize();
}

Result<double> TrainableState::apply(Stream& stream, std::span<const float> gradient, double factor,
                                     double learning_rate, std::int64_t step, const SignOfLife& sign_of_life) {
  const float* on_device = gradient.data();
  if (!mirror_.empty()) {
    if (auto done = device_->upload(stream, gradient_.data(), std::as_bytes(gradient)); !done) return done.error();
    on_device = gradient_.floats();
  }
  Result<UpdateReport> update = optimizer_->step(stream, on_device, factor, step, learning_rate, sign_of_life);
  if (!update) return update.error();
  if (update->non_finite_index >= 0) {
    return Failure{FaultKind::loss_not_finite,
                   fmt::format("the gradient of {} is not finite (value {} of {})", update->non_finite_tensor,
                               update->non_finite_index, parameters()),
                   "", ""};
  }
  return update->gradient_norm;
}

}  // namespace ftl
