// A LoRA adapter (Hu et al. 2021): for a frozen W [out, in], y = x W^T + scaling * (x A^T) B^T with A [r, in], B [out,
// r]. All trainable values of a rank lie in one contiguous device buffer, in the order of layout(): the gradient, the
// optimizer's moments, hot state and the exact sum use the same layout, so each of them is one pass over one array.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "failures/result.h"
#include "kernels/device.h"

namespace ftl {

// A named piece of the flat buffer.
struct TrainableTensor {
  std::string name;  // PEFT: "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"; or the HF weight name
  std::vector<std::int64_t> shape;
  std::int64_t offset = 0;  // floats from the beginning of the flat buffer
  std::int64_t count = 0;
  float* values = nullptr;  // device memory
  bool decayed = true;      // weight decay applies
};

// A linear layer that can carry an adapter.
struct LinearModule {
  std::string name;  // "model.layers.0.self_attn.q_proj"
  std::int64_t in = 0;
  std::int64_t out = 0;
};

struct AdapterOptions {
  int rank = 8;
  double alpha = 16;
  bool rslora = false;  // scaling = alpha / sqrt(rank) instead of alpha / rank
  std::vector<std::string> target = {"all"};
};

// Which modules carry an adapter and how large everything is: known without weights (preflight, dry run).
struct AdapterShape {
  AdapterOptions options;
  std::vector<LinearModule> modules;  // the targeted ones, in model order
  std::int64_t parameters() const;
  double scaling() const;
};
// PEFT's rule: "all" = every linear layer but the output embedding; otherwise exact name or suffix after a dot; a
// single target with regex characters must match the whole name. adapter_target_unmatched names the modules that exist.
Result<AdapterShape> select_modules(const AdapterOptions& options, std::span<const LinearModule> all);
// Whether a single target is a regular expression rather than a module name.
bool is_pattern(const std::string& target);
// A then B of each module, in model order, without memory behind it (values are null).
std::vector<TrainableTensor> adapter_layout(const AdapterShape& shape);

class Adapter {
 public:
  // A: uniform in +-1/sqrt(in) (kaiming_uniform with a = sqrt(5), PEFT's default) from (seed, module, element), B:
  // zero.
  static Result<Adapter> initialise(Device& device, const AdapterShape& shape, std::uint64_t seed);
  // The same layout, values not set.
  static Result<Adapter> allocate(Device& device, const AdapterShape& shape);
  Adapter(Adapter&&) noexcept;
  Adapter& operator=(Adapter&&) noexcept;
  ~Adapter();

  const AdapterShape& shape() const;
  std::span<const TrainableTensor> layout() const;  // A then B of each module, in model order
  std::int64_t parameters() const;
  float* values();                                     // the flat buffer, device memory
  Result<Done> assign(std::span<const float> values);  // host -> device, parameters() floats in layout order
  Result<std::vector<float>> copy() const;             // device -> host
  // The module's A and B, or null pointers when it carries none. `module` is an index into the model's list of all
  // linear modules.
  struct Pair {
    const float* a = nullptr;
    const float* b = nullptr;
    std::int64_t offset_a = 0;
    std::int64_t offset_b = 0;
  };
  Pair pair(const std::string& module_name) const;

 private:
  struct Impl;
  explicit Adapter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ftl
