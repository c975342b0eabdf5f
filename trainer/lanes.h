// Lanes: how many sequences a rank works on at once (per_device_train_batch_size). Every lane has its own stream,
// workspace and gradient, so memory grows with their number; results do not, for a leaf is computed alone and leaves
// are added in their order.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "kernels/device.h"
#include "kernels/thread_pool.h"
#include "trainer/data/examples.h"
#include "trainer/model/llama.h"
#include "trainer/model/workspace.h"

namespace ftl {

class Lanes {
 public:
  // `gradient_floats` = 0 plans for evaluation only.
  static Result<Lanes> plan(Device& device, Llama& model, const Adapter* adapter, int lanes, int threads,
                            std::int64_t max_rows, std::int64_t gradient_floats);

  struct LeafResult {
    LossSum loss;
    const float* gradient = nullptr;  // device memory of the lane; null in evaluation. Valid until `consume` returns.
  };
  enum class Work : std::uint8_t { loss, loss_and_gradient };
  // Computes the examples `indices` of `set`, several at a time, and hands the results to `consume` in ascending order
  // of position. `progress` is called by the leaves that the calling thread computes itself, on it;
  // `elsewhere` by all others, on their threads, several at once.
  Result<Done> run(std::span<const Example> set, std::span<const std::int64_t> indices, Work work,
                   const PassProgress& progress, const PassProgress& elsewhere,
                   const std::function<Result<Done>(std::size_t, const LeafResult&)>& consume);
  // Also within a layer, which a long sequence can make longer than a watchdog waits. Several at once, from any thread.
  void report_pieces_to(const std::function<void()>& report);
  Stream& first_stream() { return *lanes_.front().stream; }
  std::size_t count() const { return lanes_.size(); }

 private:
  struct Lane {
    std::unique_ptr<Stream> stream;
    std::unique_ptr<Workspace> workspace;
    Buffer gradient;
    std::vector<std::int32_t> targets;
    Result<LossSum> result = LossSum{};
  };
  Llama* model_ = nullptr;
  const Adapter* adapter_ = nullptr;
  std::vector<Lane> lanes_;
  std::unique_ptr<ThreadPool> pool_;  // one thread a lane
  void compute(Lane& lane, const Example& example, Work work, const PassProgress& progress);
};

}  // namespace ftl
