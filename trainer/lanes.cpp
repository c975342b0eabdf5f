#include "trainer/lanes.h"

#include <algorithm>
#include <cassert>

namespace ftl {

Result<Lanes> Lanes::plan(Device& device, Llama& model, const Adapter* adapter, int lanes, int threads,
                          std::int64_t max_rows, std::int64_t gradient_floats) {
  assert(lanes >= 1 && threads >= 1);
  Lanes planned;
  planned.model_ = &model;
  planned.adapter_ = adapter;
  const int threads_per_lane = std::max(1, threads / lanes);
  for (int i = 0; i < lanes; ++i) {
    Lane lane;
    Result<std::unique_ptr<Stream>> stream = device.make_stream(threads_per_lane);
    if (!stream) return stream.error();
    lane.stream = std::move(*stream);
    Result<std::unique_ptr<Workspace>> workspace =
        model.make_workspace(max_rows, gradient_floats > 0, adapter ? &adapter->shape() : nullptr);
    if (!workspace) return workspace.error();
    lane.workspace = std::move(*workspace);
    if (gradient_floats > 0) {
      Result<Buffer> gradient = device.allocate(static_cast<std::size_t>(gradient_floats) * sizeof(float));
      if (!gradient) return gradient.error();
      lane.gradient = std::move(*gradient);
    }
    lane.targets.reserve(static_cast<std::size_t>(max_rows));
    planned.lanes_.push_back(std::move(lane));
  }
  Result<std::unique_ptr<ThreadPool>> pool = ThreadPool::start(lanes);
  if (!pool) return pool.error();
  planned.pool_ = std::move(*pool);
  return planned;
}

void Lanes::compute(Lane& lane, const Example& example, Work work, const PassProgress& progress) {
  const std::size_t rows = example.ids.size();
  lane.targets.assign(rows, -1);
  for (std::size_t i = 1; i < rows; ++i) {
    if (example.supervised[i]) lane.targets[i - 1] = example.ids[i];
  }
  lane.result = model_->loss(*lane.stream, *lane.workspace, adapter_, example.ids, lane.targets,
                             work == Work::loss_and_gradient ? lane.gradient.floats() : nullptr, progress);
}

void Lanes::report_pieces_to(const std::function<void()>& report) {
  for (Lane& lane : lanes_) lane.stream->report_pieces_to(report);
}

Result<Done> Lanes::run(std::span<const Example> set, std::span<const std::int64_t> indices, Work work,
                        const PassProgress& progress, const PassProgress& elsewhere,
                        const std::function<Result<Done>(std::size_t, const LeafResult&)>& consume) {
  for (std::size_t first = 0; first < indices.size(); first += lanes_.size()) {
    const std::size_t group = std::min(lanes_.size(), indices.size() - first);
    auto compute_one = [&](std::int64_t lane, int thread) {
      compute(lanes_[static_cast<std::size_t>(lane)],
              set[static_cast<std::size_t>(indices[first + static_cast<std::size_t>(lane)])], work,
              thread == 0 ? progress : elsewhere);
    };
    pool_->parallel_for(static_cast<std::int64_t>(group), compute_one);
    for (std::size_t i = 0; i < group; ++i) {
      Lane& lane = lanes_[i];
      if (!lane.result) return lane.result.error();
      const float* gradient = work == Work::loss_and_gradient ? lane.gradient.floats() : nullptr;
      if (Result<Done> consumed = consume(first + i, {*lane.result, gradient}); !consumed) return consumed.error();
    }
  }
  return Done{};
}

}  // namespace ftl
