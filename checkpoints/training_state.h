// What a resume needs, and the two places it is kept: durable checkpoints (checkpoints/step-<n>/, atomic, checksummed,
// manifest written last) and hot state (after every step, in node-local shared memory that outlives the process). Both
// hold the same values, so a run continues with the same bits from either.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "checkpoints/files.h"
#include "failures/result.h"

namespace ftl {

// One trainable tensor: its values and its optimizer moments, float32, same shape.
struct TrainableView {
  std::string name;  // as in the adapter file, or the model's tensor name in full-parameter mode
  std::vector<std::int64_t> shape;
  std::span<float> values;
  std::span<float> exp_avg;
  std::span<float> exp_avg_sq;
};

// What a completed step or an evaluation had to report: one line of metrics.jsonl.
struct MetricsRecord {
  std::int64_t step = 0;
  bool evaluation = false;
  double loss = 0;  // of an evaluation: over the validation set
  double grad_norm = 0;
  double learning_rate = 0;
  std::int64_t tokens = 0;
  double seconds = 0;
};
// More than a launcher can be behind its ranks when it dies: they are killed as soon as it is missed.
inline constexpr std::size_t recent_records_at_most = 128;

// Small things besides the tensors. The data cursor needs no state: the order of the data is a function of (seed,
// epoch, step).
struct TrainerState {
  std::int64_t step = 0;      // completed optimizer steps
  double best_eval_loss = 0;  // 0 = none yet
  std::string run_identity;   // hash over the identity keys of the configuration (configs/config_reader.h)
  std::string platform;       // binary and instruction set that made the values
  // Oldest first. A launcher that is killed takes the newest lines of metrics.jsonl with it; whoever resumes from this
  // state can write them again.
  std::vector<MetricsRecord> recent{};
};
// Keeps the newest recent_records_at_most; a record that is there already is replaced.
void remember(std::vector<MetricsRecord>& recent, const MetricsRecord& record);

// `kind_of_weights`: "adapter" writes adapter_model.safetensors, "model" writes model.safetensors;
// optimizer.safetensors, trainer_state.json and manifest.json (sizes and xxh3-128 of every file, last) besides. Written
// to a temporary directory that carries the attempt number and renamed, so a checkpoint is there whole or not at all.
// `extra_files`: name -> text, e.g. adapter_config.json.
struct DurableCheckpoint {
  std::string directory;  // .../checkpoints/step-<n>
  std::int64_t step = 0;
};
Result<DurableCheckpoint> write_checkpoint(Files& files, const std::string& checkpoints_directory, std::int32_t attempt,
                                           const std::string& kind_of_weights, std::span<const TrainableView> tensors,
                                           const TrainerState& state,
                                           std::span<const std::pair<std::string, std::string>> extra_files);
// Fills the views in place; every size and checksum is verified before a value is written anywhere. checkpoint_corrupt
// otherwise.
Result<TrainerState> read_checkpoint(Files& files, const std::string& directory,
                                     std::span<const TrainableView> tensors);
// Verifies without reading into views.
Result<TrainerState> verify_checkpoint(Files& files, const std::string& directory);

struct CatalogEntry {
  DurableCheckpoint checkpoint;
  std::optional<Failure> damage;  // why it cannot be used; empty = complete (manifest present and sizes right)
};
// Newest first. Temporary directories are not listed.
Result<std::vector<CatalogEntry>> list_checkpoints(Files& files, const std::string& checkpoints_directory);
// Removes all but the newest `keep` complete ones, and leftovers of attempts before `attempt`.
Result<Done> retain_checkpoints(Files& files, const std::string& checkpoints_directory, int keep, std::int32_t attempt);

// A checksummed double buffer in a file of node-local memory. A save is complete when its slot's header, written last,
// matches; a process that dies while saving leaves the other slot untouched.
class HotState {
 public:
  // Maps (creating or growing) the file for tensors of these sizes. node_state_too_small when the place cannot hold it.
  static Result<HotState> open(const std::string& path, std::int32_t attempt, std::span<const TrainableView> tensors,
                               const SignOfLife& sign_of_life = {});
  HotState(HotState&&) noexcept;
  HotState& operator=(HotState&&) noexcept;
  ~HotState();
  // Memory copies only; no system call.
  void save(std::span<const TrainableView> tensors, const TrainerState& state,
            const SignOfLife& sign_of_life = {}) noexcept;

 private:
  struct Mapping;
  explicit HotState(Mapping* mapping) : mapping_(mapping) {}
  Mapping* mapping_ = nullptr;
};
// The newest complete step in the file that is below `limit`, verified by checksum; nullopt when there is none.
Result<std::optional<TrainerState>> inspect_hot_state(const std::string& path, std::int64_t limit = INT64_MAX);
Result<TrainerState> read_hot_state(const std::string& path, std::int64_t step, std::span<const TrainableView> tensors,
                                    const SignOfLife& sign_of_life = {});

}  // namespace ftl
