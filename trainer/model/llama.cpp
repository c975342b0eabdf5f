#include "trainer/model/llama.h"

#include <algorithm>
#include <cassert>

#include <fmt/format.h>

#include "trainer/model/llama_pass.h"
#include "trainer/model/llama_weights.h"
#include "trainer/model/workspace.h"

namespace ftl {

struct Llama::Impl {
  Device* device;
  LlamaWeights weights;
};

namespace {

WorkspacePlan plan_for(std::int64_t max_rows, bool training, const AdapterShape* adapter) {
  return {.max_rows = max_rows, .training = training, .rank = adapter == nullptr ? 0 : adapter->options.rank};
}

// The workspace, the ids and the adapter belong together.
Result<Done> require_fit(const ModelConfig& config, const Workspace& workspace, const Adapter* adapter,
                         std::span<const std::int32_t> ids, std::int64_t first_position, bool training) {
  const WorkspacePlan& plan = workspace.plan();
  const auto rows = static_cast<std::int64_t>(ids.size());
  if (rows < 1) return Failure{FaultKind::internal_error, "a sequence of 0 tokens was given to the model", "llama", ""};
  if (first_position < 0 || first_position + rows > plan.max_rows) {
    return Failure{FaultKind::internal_error,
                   fmt::format("{} tokens from position {} on do not fit the workspace of {} rows", rows,
                               first_position, plan.max_rows),
                   "llama", ""};
  }
  if (adapter != nullptr && adapter->shape().options.rank > plan.rank) {
    return Failure{FaultKind::internal_error,
                   fmt::format("an adapter of rank {} is used with a workspace made for rank {}",
                               adapter->shape().options.rank, plan.rank),
                   "llama", ""};
  }
  if (training && !plan.training)
    return Failure{FaultKind::internal_error, "gradients are asked of a workspace made for inference", "llama", ""};
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < config.vocabulary) continue;
    return Failure{
        FaultKind::tokenizer_exceeds_vocabulary,
        fmt::format("token id {} at position {} is outside the model's vocabulary of {}", ids[i], i, config.vocabulary),
        "", ""};
  }
  return Done{};
}

// Lists the positions that have a target in the workspace's host arrays; a target outside the vocabulary is a failure.
Result<Done> list_targets(const ModelConfig& config, Workspace& workspace, std::span<const std::int32_t> targets) {
  workspace.host_rows.clear();
  workspace.host_targets.clear();
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (targets[i] == -1) continue;
    if (targets[i] < 0 || targets[i] >= config.vocabulary) {
      return Failure{FaultKind::tokenizer_exceeds_vocabulary,
                     fmt::format("target id {} of position {} is outside the model's vocabulary of {}", targets[i], i,
                                 config.vocabulary),
                     "", ""};
    }
    workspace.host_rows.push_back(static_cast<std::int32_t>(i));
    workspace.host_targets.push_back(targets[i]);
  }
  return Done{};
}

Result<Done> upload_ints(Stream& stream, std::int32_t* to, std::span<const std::int32_t> from) {
  return stream.device().upload(stream, to, std::as_bytes(from));
}

// LM head and loss over the listed rows, chunk by chunk; with `backward`, the gradient of the last residual stream too.
void head_and_loss(Stream& stream, LlamaPass& pass, Workspace& workspace, const ModelConfig& config, bool backward,
                   float* full_gradient) {
  const KernelTable& kernels = stream.device().kernels();
  const HeadScratch& head = workspace.head;
  const auto count = static_cast<std::int64_t>(workspace.host_rows.size());
  for (std::int64_t begin = 0; begin < count; begin += head_chunk_rows) {
    const std::int64_t rows = std::min(head_chunk_rows, count - begin);
    kernels.gather_rows(stream, {.x = workspace.output,
                                 .indices = workspace.rows_used + begin,
                                 .y = head.hidden,
                                 .rows = rows,
                                 .width = config.width});
    pass.head_forward(head.hidden, rows);
    kernels.cross_entropy(stream, {.logits = head.logits,
                                   .targets = workspace.targets + begin,
                                   .loss_sum = head.loss_sums + begin / head_chunk_rows,
                                   .row_losses = nullptr,
                                   .rows = rows,
                                   .vocabulary = config.vocabulary,
                                   .backward = backward,
                                   .soft_cap = static_cast<float>(config.logit_soft_cap)});
    if (!backward) continue;
    pass.head_backward(head.hidden, rows, full_gradient);
    kernels.scatter_rows(stream, {.x = head.d_hidden,
                                  .indices = workspace.rows_used + begin,
                                  .y = workspace.backward.stream,
                                  .rows = rows,
                                  .width = config.width});
  }
}

Result<LossSum> add_loss_sums(Stream& stream, Workspace& workspace) {
  const std::size_t count = workspace.host_rows.size();
  const std::span<float> sums(workspace.host_loss_sums.data(), (count + head_chunk_rows - 1) / head_chunk_rows);
  if (auto got = stream.device().download(stream, std::as_writable_bytes(sums), workspace.head.loss_sums); !got)
    return got.error();
  if (auto finished = stream.synchronize(); !finished) return finished.error();
  LossSum result{.loss = 0, .tokens = static_cast<std::int64_t>(count)};
  for (const float sum : sums) result.loss += static_cast<double>(sum);
  return result;
}

}  // namespace

Llama::Llama(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Llama::Llama(Llama&&) noexcept = default;
Llama& Llama::operator=(Llama&&) noexcept = default;
Llama::~Llama() = default;

Result<Llama> Llama::load(Device& device, const ModelConfig& config, const CheckpointReader& reader) {
  Result<LlamaWeights> weights = read_weights(device, config, reader);
  if (!weights) return weights.error();
  return Llama(std::make_unique<Impl>(Impl{&device, std::move(*weights)}));
}

Result<Llama> Llama::map(Device& device, const ModelConfig& config, const CheckpointReader& reader) {
  Result<LlamaWeights> weights = map_weights(device, config, reader);
  if (!weights) return weights.error();
  return Llama(std::make_unique<Impl>(Impl{&device, std::move(*weights)}));
}

Result<Llama> Llama::random(Device& device, const ModelConfig& config, std::uint64_t seed) {
  Result<LlamaWeights> weights = random_weights(device, config, seed);
  if (!weights) return weights.error();
  return Llama(std::make_unique<Impl>(Impl{&device, std::move(*weights)}));
}

const ModelConfig& Llama::config() const { return impl_->weights.config; }
std::span<const TrainableTensor> Llama::weights() { return impl_->weights.tensors; }

Result<std::unique_ptr<Workspace>> Llama::make_workspace(std::int64_t max_rows, bool for_training,
                                                         const AdapterShape* adapter) const {
  return Workspace::make(*impl_->device, config(), plan_for(max_rows, for_training, adapter));
}

std::int64_t Llama::workspace_bytes(const ModelConfig& config, std::int64_t max_rows, const AdapterShape* adapter,
                                    bool full_parameter, bool for_training) {
  return Workspace::bytes(config, plan_for(max_rows, for_training && (adapter != nullptr || full_parameter), adapter));
}

Result<LossSum> Llama::loss(Stream& stream, Workspace& workspace, const Adapter* adapter,
                            std::span<const std::int32_t> ids, std::span<const std::int32_t> targets, float* gradient,
                            const PassProgress& progress) {
  assert(ids.size() == targets.size());
  const LlamaWeights& weights = impl_->weights;
  const KernelTable& kernels = stream.device().kernels();
  if (auto fits = require_fit(weights.config, workspace, adapter, ids, 0, gradient != nullptr); !fits)
    return fits.error();
  if (auto listed = list_targets(weights.config, workspace, targets); !listed) return listed.error();
  const bool full = gradient != nullptr && adapter == nullptr;
  const std::int64_t parameters = full ? weight_count(weights.config) : adapter == nullptr ? 0 : adapter->parameters();
  if (workspace.host_rows.empty()) {
    if (gradient != nullptr) kernels.fill(stream, {.y = gradient, .value = 0, .count = parameters});
    if (auto finished = stream.synchronize(); !finished) return finished.error();
    return LossSum{};
  }
  // Attention is causal: what follows the last target has no influence and is not computed.
  const std::int64_t rows = workspace.host_rows.back() + 1;
  if (auto sent = upload_ints(stream, workspace.ids, ids.first(static_cast<std::size_t>(rows))); !sent)
    return sent.error();
  if (auto sent = upload_ints(stream, workspace.rows_used, workspace.host_rows); !sent) return sent.error();
  if (auto sent = upload_ints(stream, workspace.targets, workspace.host_targets); !sent) return sent.error();
  const auto length = static_cast<std::int64_t>(ids.size());
  if (auto turned = workspace.rotate_for(stream, weights.config, 0, length); !turned) return turned.error();
  LlamaPass pass(stream, weights, workspace, adapter, &progress);
  pass.forward(rows, 0);
  const bool backward = full || (gradient != nullptr && pass.has_adapted_module());
  // Gains, embedding and head are added to; everything else is overwritten.
  if (full) kernels.fill(stream, {.y = gradient, .value = 0, .count = parameters});
  if (backward)
    kernels.fill(stream, {.y = workspace.backward.stream, .value = 0, .count = rows * weights.config.width});
  head_and_loss(stream, pass, workspace, weights.config, backward, full ? gradient : nullptr);
  if (backward) pass.backward(rows, gradient);
  return add_loss_sums(stream, workspace);
}

Result<Done> Llama::logits(Stream& stream, Workspace& workspace, const Adapter* adapter,
                           std::span<const std::int32_t> ids, std::span<float> logits) {
  const LlamaWeights& weights = impl_->weights;
  const std::int64_t width = weights.config.width, vocabulary = weights.config.vocabulary;
  assert(logits.size() == ids.size() * static_cast<std::size_t>(vocabulary));
  if (auto fits = require_fit(weights.config, workspace, adapter, ids, 0, false); !fits) return fits.error();
  if (auto sent = upload_ints(stream, workspace.ids, ids); !sent) return sent.error();
  LlamaPass pass(stream, weights, workspace, adapter);
  const auto count = static_cast<std::int64_t>(ids.size());
  if (auto turned = workspace.rotate_for(stream, weights.config, 0, count); !turned) return turned.error();
  pass.forward(count, 0);
  for (std::int64_t begin = 0; begin < count; begin += head_chunk_rows) {
    const std::int64_t rows = std::min(head_chunk_rows, count - begin);
    pass.head_forward(workspace.output + begin * width, rows);
    pass.cap_logits(rows);
    const auto part =
        logits.subspan(static_cast<std::size_t>(begin * vocabulary), static_cast<std::size_t>(rows * vocabulary));
    if (auto got = stream.device().download(stream, std::as_writable_bytes(part), workspace.head.logits); !got)
      return got.error();
  }
  return stream.synchronize();
}

Result<Done> Llama::decode(Stream& stream, Workspace& workspace, const Adapter* adapter,
                           std::span<const std::int32_t> ids, std::int64_t position, std::span<float> logits) {
  const LlamaWeights& weights = impl_->weights;
  assert(logits.size() == static_cast<std::size_t>(weights.config.vocabulary));
  if (auto fits = require_fit(weights.config, workspace, adapter, ids, position, false); !fits) return fits.error();
  if (auto sent = upload_ints(stream, workspace.ids, ids); !sent) return sent.error();
  LlamaPass pass(stream, weights, workspace, adapter);
  const auto rows = static_cast<std::int64_t>(ids.size());
  if (auto turned = workspace.rotate_for(stream, weights.config, position, position + rows); !turned)
    return turned.error();
  pass.forward(rows, position);
  pass.head_forward(workspace.output + (rows - 1) * weights.config.width, 1);
  pass.cap_logits(1);
  if (auto got = stream.device().download(stream, std::as_writable_bytes(logits), workspace.head.logits); !got)
    return got.error();
  return stream.synchronize();
}

}  // namespace ftl
