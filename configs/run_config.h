// What a run is asked to be: the resolved configuration as a plain value. The names are those of the YAML keys
// (contract.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ftl {

enum class DatasetType : std::uint8_t { completion, alpaca, input_output };

struct DatasetConfig {
  std::string path;
  DatasetType type = DatasetType::completion;
  std::string prompt_style = "stanford";  // alpaca: "stanford" (the published preamble) or "short" (headers only)
  std::string field_instruction = "instruction";
  std::string field_input = "input";
  std::string field_output = "output";
  std::string field_text = "text";  // completion
  std::int64_t max_samples = 0;     // 0 = all
  bool operator==(const DatasetConfig&) const = default;
};

struct ParallelConfig {
  int dp = 0;  // 0 = auto: the world size
  int tp = 1, pp = 1, cp = 1, zero = 0;
  bool operator==(const ParallelConfig&) const = default;
};

struct WatchdogConfig {
  bool enabled = true;
  double stuck_floor_seconds = 2.5;         // a rank is never called stuck sooner
  double stuck_step_factor = 2.5;           // times the median step time
  double init_seconds = 120;                // until the first step has begun: loading, joining
  double checkpoint_seconds = 120;          // allowed besides for writing a checkpoint or evaluating
  double collective_give_up_seconds = 600;  // a rank's own last resort
  bool operator==(const WatchdogConfig&) const = default;
};

struct RecoveryConfig {
  bool enabled = true;
  int max_restarts = 10;  // without progress in between
  int max_restarts_at_same_step = 3;
  double backoff_seconds = 0.5;         // doubled with every restart without progress, at most 30
  std::string loss_spike = "continue";  // what becomes of a spike that comes again when replayed: continue | stop
  bool operator==(const RecoveryConfig&) const = default;
};

// What the machines are said to be. Shown by --dry-run; nothing acts on it in this version.
struct HardwareConfig {
  std::string gpu;          // "h100-80g"; empty = not known
  int gpus_per_node = 0;    // 0 = not known
  std::string host_memory;  // "256GiB"; empty = not known
  std::string network;      // "infiniband-400g"; empty = not known
  bool operator==(const HardwareConfig&) const = default;
};

struct PreflightConfig {
  double max_bad_fraction =
      0.001;  // share of unreadable examples that is tolerated; nothing acts on it in this version
  bool operator==(const PreflightConfig&) const = default;
};

struct RunConfig {
  std::string model_name_or_path;
  std::string tokenizer_name_or_path;       // empty: the model's
  std::string init_weights = "pretrained";  // pretrained | random: train from scratch, the directory needs no weights
  std::string adapter = "lora";             // lora | none (full-parameter)
  int lora_rank = 8;
  double lora_alpha = 16;
  double lora_dropout = 0;
  std::vector<std::string> lora_target = {
      "all"};  // "all", or module names; a single name that is no plain name is a regex
  bool use_rslora = false;
  std::vector<DatasetConfig> datasets;
  double val_set_size = 0;  // < 1: share of the examples; >= 1: their number
  int cutoff_len = 512;
  bool packing = false;  // not in this version when true
  bool train_on_inputs = false;
  int global_batch_size = 8;            // sequences a step, whatever the world size
  int per_device_train_batch_size = 1;  // sequences a rank works on at once; its memory grows with it
  double num_train_epochs = 1;
  std::int64_t max_steps = 0;  // > 0 overrides num_train_epochs
  double learning_rate = 2e-4;
  std::string lr_scheduler_type = "cosine";  // cosine | linear | constant
  double warmup_ratio = 0;
  std::int64_t warmup_steps = 0;  // > 0 overrides warmup_ratio
  double weight_decay = 0;
  double max_grad_norm = 1.0;  // 0 = no clipping
  std::string optim = "adamw";
  double adam_beta1 = 0.9, adam_beta2 = 0.999, adam_epsilon = 1e-8;
  std::uint64_t seed = 42;
  std::string dtype = "float32";        // of the computation
  bool gradient_checkpointing = false;  // not in this version when true
  std::string device = "auto";          // auto | cpu | cuda
  std::string backend = "auto";         // auto | mpi | nccl | fake
  std::string engine = "auto";          // auto | local | mpirun | srun
  int nodes = 1;
  int ranks_per_node = 0;  // 0 = visible GPUs, else 1
  ParallelConfig parallel;
  std::string output_dir = "out";
  std::int64_t save_steps = 50;  // 0 = only at the end
  int save_total_limit = 3;
  std::int64_t logging_steps = 1;
  std::int64_t eval_steps = 0;  // 0 = only at the beginning and the end
  std::string resume = "auto";  // resume_from_checkpoint / --resume: auto | never | force | STEP | PATH
  int threads_per_rank = 0;     // 0 = cores of the machine / ranks on it
  WatchdogConfig watchdog;
  RecoveryConfig recovery;
  PreflightConfig preflight;
  HardwareConfig hardware;

  bool operator==(const RunConfig&) const = default;
  int world_size() const { return nodes * (ranks_per_node > 0 ? ranks_per_node : 1); }
};

}  // namespace ftl
