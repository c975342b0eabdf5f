#include "configs/schema.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace ftl {
namespace {

constexpr double largest = 1e15;
constexpr double int_most = 2147483647;
constexpr KeyClass free_key = KeyClass::free, resume_safe = KeyClass::resume_safe, identity = KeyClass::identity;

#define AT(member) [](Owner c) -> Place { return &std::get<RunConfig*>(c)->member; }
#define IN(member) [](Owner c) -> Place { return &std::get<DatasetConfig*>(c)->member; }

// An edit of the list below is all that a new key needs, besides its member in RunConfig.
std::vector<Key> model_keys() {
  return {
      {.name = "model_name_or_path", .place = AT(model_name_or_path), .behaviour = identity, .description = "directory of the base model (Hugging Face, safetensors); required", .aliases = {"base_model", "model"}},
      {.name = "tokenizer_name_or_path", .place = AT(tokenizer_name_or_path), .behaviour = identity, .description = "directory of the tokenizer; empty: the model's", .aliases = {"tokenizer_config", "tokenizer"}},
      {.name = "init_weights", .place = AT(init_weights), .behaviour = identity, .description = "pretrained, or random to train from scratch (the directory then needs no weights)", .choices = {{"pretrained"}, {"random"}}},
      {.name = "adapter", .place = AT(adapter), .behaviour = identity, .description = "lora, or none for all parameters", .choices = {{"lora"}, {"none"}, {"full", "none"}, {"qlora", {}, true}}, .aliases = {"finetuning_type", "fine_tune_type"}},
      {.name = "lora_rank", .place = AT(lora_rank), .behaviour = identity, .description = "rank of the adapter matrices", .least = 1, .most = 65536, .aliases = {"lora_r", "r"}},
      {.name = "lora_alpha", .place = AT(lora_alpha), .behaviour = identity, .description = "the adapter is scaled by lora_alpha / lora_rank", .least = 0, .most = largest, .above_least = true},
      {.name = "lora_dropout", .place = AT(lora_dropout), .behaviour = identity, .description = "dropout before the adapter", .least = 0, .most = 1, .only_default = true},
      {.name = "lora_target", .place = AT(lora_target), .behaviour = identity, .description = "all, a list of module names, or one regular expression", .aliases = {"lora_target_modules", "target_modules"}},
      {.name = "use_rslora", .place = AT(use_rslora), .behaviour = identity, .description = "scale by lora_alpha / sqrt(lora_rank) instead"},
  };
}

std::vector<Key> data_keys() {
  return {
      {.name = "datasets", .place = AT(datasets), .behaviour = identity, .description = "list of data sets, see below; required"},
      {.name = "val_set_size", .place = AT(val_set_size), .behaviour = identity, .description = "below 1: share of the examples held back; from 1 on: their number", .least = 0, .most = largest, .aliases = {"val_size"}},
      {.name = "cutoff_len", .place = AT(cutoff_len), .behaviour = identity, .description = "longest sequence, in tokens", .least = 2, .most = 1 << 24, .aliases = {"sequence_len", "max_seq_length", "max_length", "max_seq_len"}},
      {.name = "packing", .place = AT(packing), .behaviour = identity, .description = "several examples in one sequence", .aliases = {"sample_packing"}, .only_default = true},
      {.name = "train_on_inputs", .place = AT(train_on_inputs), .behaviour = identity, .description = "supervise the prompt too", .aliases = {"train_on_prompt"}},
  };
}

std::vector<Key> training_keys() {
  return {
      {.name = "global_batch_size", .place = AT(global_batch_size), .behaviour = identity, .description = "sequences a step, whatever the world size", .least = 1, .most = 1 << 24},
      {.name = "per_device_train_batch_size", .place = AT(per_device_train_batch_size), .behaviour = resume_safe, .description = "sequences a rank works on at once", .least = 1, .most = 1 << 24, .aliases = {"micro_batch_size", "batch_size"}},
      {.name = "num_train_epochs", .place = AT(num_train_epochs), .behaviour = identity, .description = "passes over the data", .least = 0, .most = largest, .above_least = true, .aliases = {"num_epochs", "epochs"}},
      {.name = "max_steps", .place = AT(max_steps), .behaviour = identity, .description = "optimizer steps; above 0 it overrides num_train_epochs", .least = 0, .most = largest, .aliases = {"iters"}},
      {.name = "learning_rate", .place = AT(learning_rate), .behaviour = identity, .description = "peak of the schedule", .least = 0, .most = 1e6, .aliases = {"lr"}},
      {.name = "lr_scheduler_type", .place = AT(lr_scheduler_type), .behaviour = identity, .description = "shape of the schedule after the warm-up", .choices = {{"cosine"}, {"linear"}, {"constant"}, {"constant_with_warmup", "constant"}, {"cosine_with_restarts", {}, true}, {"polynomial", {}, true}, {"inverse_sqrt", {}, true}, {"cosine_with_min_lr", {}, true}}, .aliases = {"lr_scheduler"}},
      {.name = "warmup_ratio", .place = AT(warmup_ratio), .behaviour = identity, .description = "share of the steps that the rate rises", .least = 0, .most = 1},
      {.name = "warmup_steps", .place = AT(warmup_steps), .behaviour = identity, .description = "the same as a number of steps; not both", .least = 0, .most = largest},
      {.name = "weight_decay", .place = AT(weight_decay), .behaviour = identity, .description = "decoupled decay of AdamW", .least = 0, .most = 1e6},
      {.name = "max_grad_norm", .place = AT(max_grad_norm), .behaviour = identity, .description = "gradients are clipped to this norm; 0: never", .least = 0, .most = largest},
      {.name = "optim", .place = AT(optim), .behaviour = identity, .description = "optimizer", .choices = {{"adamw"}, {"adamw_torch", "adamw"}, {"adamw_torch_fused", "adamw"}, {"adamw_8bit", {}, true}, {"adamw_bnb_8bit", {}, true}, {"paged_adamw_8bit", {}, true}, {"paged_adamw_32bit", {}, true}, {"adafactor", {}, true}, {"lion", {}, true}, {"lion_8bit", {}, true}, {"sgd", {}, true}, {"muon", {}, true}}, .aliases = {"optimizer"}},
      {.name = "adam_beta1", .place = AT(adam_beta1), .behaviour = identity, .description = "decay of the first moment", .least = 0, .most = 0.999999999},
      {.name = "adam_beta2", .place = AT(adam_beta2), .behaviour = identity, .description = "decay of the second moment", .least = 0, .most = 0.999999999},
      {.name = "adam_epsilon", .place = AT(adam_epsilon), .behaviour = identity, .description = "added to the root of the second moment", .least = 0, .most = 1, .above_least = true},
      {.name = "seed", .place = AT(seed), .behaviour = identity, .description = "of initialisation and data order", .least = 0},
      {.name = "dtype", .place = AT(dtype), .behaviour = identity, .description = "of the computation", .choices = {{"float32"}, {"auto", "float32"}, {"fp32", "float32"}, {"bfloat16", {}, true}, {"bf16", {}, true}, {"float16", {}, true}, {"fp16", {}, true}}, .aliases = {"compute_dtype"}},
      {.name = "gradient_checkpointing", .place = AT(gradient_checkpointing), .behaviour = resume_safe, .description = "recompute activations in the backward pass", .only_default = true},
  };
}

std::vector<Key> world_keys() {
  return {
      {.name = "device", .place = AT(device), .behaviour = resume_safe, .description = "where ranks compute", .choices = {{"auto"}, {"cpu"}, {"cuda"}}},
      {.name = "backend", .place = AT(backend), .behaviour = resume_safe, .description = "how ranks meet", .choices = {{"auto"}, {"mpi"}, {"nccl"}, {"fake"}}},
      {.name = "engine", .place = AT(engine), .behaviour = resume_safe, .description = "what starts the ranks", .choices = {{"auto"}, {"local"}, {"mpirun"}, {"srun"}}},
      {.name = "nodes", .place = AT(nodes), .behaviour = resume_safe, .description = "number of nodes", .least = 1, .most = 1 << 20},
      {.name = "ranks_per_node", .place = AT(ranks_per_node), .behaviour = resume_safe, .description = "auto: the visible GPUs, else 1", .least = 0, .most = 1 << 16, .word_for_zero = "auto"},
      {.name = "threads_per_rank", .place = AT(threads_per_rank), .behaviour = resume_safe, .description = "auto: cores of the machine / ranks on it", .least = 0, .most = 1 << 16, .word_for_zero = "auto"},
      {.name = "parallel.dp", .place = AT(parallel.dp), .behaviour = resume_safe, .description = "data-parallel degree; auto: the world size", .least = 0, .most = int_most, .word_for_zero = "auto"},
      {.name = "parallel.tp", .place = AT(parallel.tp), .behaviour = resume_safe, .description = "tensor-parallel degree", .least = 1, .most = int_most, .aliases = {"tensor_parallel_size"}, .only_default = true},
      {.name = "parallel.pp", .place = AT(parallel.pp), .behaviour = resume_safe, .description = "pipeline-parallel degree", .least = 1, .most = int_most, .only_default = true},
      {.name = "parallel.cp", .place = AT(parallel.cp), .behaviour = resume_safe, .description = "context-parallel degree", .least = 1, .most = int_most, .aliases = {"context_parallel_size"}, .only_default = true},
      {.name = "parallel.zero", .place = AT(parallel.zero), .behaviour = resume_safe, .description = "stage of optimizer sharding", .least = 0, .most = 3, .aliases = {"zero_level"}, .only_default = true},
  };
}

std::vector<Key> run_keys() {
  return {
      {.name = "output_dir", .place = AT(output_dir), .behaviour = free_key, .description = "the run directory"},
      {.name = "save_steps", .place = AT(save_steps), .behaviour = free_key, .description = "steps between checkpoints; 0: only at the end", .least = 0, .most = largest},
      {.name = "save_total_limit", .place = AT(save_total_limit), .behaviour = free_key, .description = "checkpoints kept; 0: all", .least = 0, .most = int_most},
      {.name = "logging_steps", .place = AT(logging_steps), .behaviour = free_key, .description = "steps between lines for people; metrics.jsonl has every step", .least = 1, .most = largest},
      {.name = "eval_steps", .place = AT(eval_steps), .behaviour = free_key, .description = "steps between evaluations; 0: only at the beginning and the end", .least = 0, .most = largest},
      {.name = "resume_from_checkpoint", .place = AT(resume), .behaviour = free_key, .description = "auto, never, force, a step, or the path of a checkpoint", .aliases = {"resume"}},
      {.name = "preflight.max_bad_fraction", .place = AT(preflight.max_bad_fraction), .behaviour = free_key, .description = "share of unreadable examples that is tolerated (kept, not acted on in this version)", .least = 0, .most = 1},
      {.name = "watchdog.enabled", .place = AT(watchdog.enabled), .behaviour = free_key, .description = "watch for ranks that are stuck"},
      {.name = "watchdog.stuck_floor_seconds", .place = AT(watchdog.stuck_floor_seconds), .behaviour = free_key, .description = "a rank is never called stuck sooner", .least = 0, .most = 1e9, .above_least = true},
      {.name = "watchdog.stuck_step_factor", .place = AT(watchdog.stuck_step_factor), .behaviour = free_key, .description = "and not before this many median step times", .least = 1, .most = 1e9},
      {.name = "watchdog.init_seconds", .place = AT(watchdog.init_seconds), .behaviour = free_key, .description = "allowed until the first step has begun", .least = 0, .most = 1e9, .above_least = true},
      {.name = "watchdog.checkpoint_seconds", .place = AT(watchdog.checkpoint_seconds), .behaviour = free_key, .description = "allowed besides for a checkpoint or an evaluation", .least = 0, .most = 1e9},
      {.name = "watchdog.collective_give_up_seconds", .place = AT(watchdog.collective_give_up_seconds), .behaviour = free_key, .description = "a rank's own last resort", .least = 0, .most = 1e9, .above_least = true},
      {.name = "recovery.enabled", .place = AT(recovery.enabled), .behaviour = free_key, .description = "restart after failures that a retry can mend"},
      {.name = "recovery.max_restarts", .place = AT(recovery.max_restarts), .behaviour = free_key, .description = "without progress in between", .least = 0, .most = int_most},
      {.name = "recovery.max_restarts_at_same_step", .place = AT(recovery.max_restarts_at_same_step), .behaviour = free_key, .description = "before a step is called deterministic trouble", .least = 0, .most = int_most},
      {.name = "recovery.backoff_seconds", .place = AT(recovery.backoff_seconds), .behaviour = free_key, .description = "before a restart; doubled each time, at most 30", .least = 0, .most = 1e9},
      {.name = "hardware.gpu", .place = AT(hardware.gpu), .behaviour = free_key, .description = "kind of GPU, e.g. h100-80g (shown, not acted on in this version)"},
      {.name = "hardware.gpus_per_node", .place = AT(hardware.gpus_per_node), .behaviour = free_key, .description = "0: not known (shown, not acted on in this version)", .least = 0, .most = 1 << 16},
      {.name = "hardware.host_memory", .place = AT(hardware.host_memory), .behaviour = free_key, .description = "e.g. 256GiB (shown, not acted on in this version)"},
      {.name = "hardware.network", .place = AT(hardware.network), .behaviour = free_key, .description = "between nodes (shown, not acted on in this version)"},
  };
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

const std::vector<Key>& config_keys() {
  static const std::vector<Key> keys = [] {
    std::vector<Key> all;
    for (const auto& part : {model_keys(), data_keys(), training_keys(), world_keys(), run_keys()}) all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return keys;
}

const std::vector<Key>& dataset_keys() {
  static const std::vector<Key> keys = {
      {.name = "path", .place = IN(path), .behaviour = identity, .description = "a .jsonl, .json or text file; required"},
      {.name = "type", .place = IN(type), .behaviour = identity, .description = "how an example is laid out", .choices = {{"completion"}, {"alpaca"}, {"input_output"}, {"chat_template", {}, true}, {"sharegpt", {}, true}}},
      {.name = "prompt_style", .place = IN(prompt_style), .behaviour = identity, .description = "alpaca: the published preamble, or headers only", .choices = {{"stanford"}, {"short"}}},
      {.name = "field_instruction", .place = IN(field_instruction), .behaviour = identity, .description = "alpaca: field of the instruction"},
      {.name = "field_input", .place = IN(field_input), .behaviour = identity, .description = "alpaca: field of the input"},
      {.name = "field_output", .place = IN(field_output), .behaviour = identity, .description = "alpaca: field of the answer"},
      {.name = "field_text", .place = IN(field_text), .behaviour = identity, .description = "completion: field of the text"},
      {.name = "max_samples", .place = IN(max_samples), .behaviour = identity, .description = "use the first ones only; 0: all", .least = 0, .most = largest},
  };
  return keys;
}

const std::vector<std::string_view>& later_keys() {
  static const std::vector<std::string_view> names = {
      "template", "chat_template", "lora_exclude", "exclude_modules", "modules_to_save", "lora_modules_to_save", "rank_pattern", "alpha_pattern",
      "layers_to_transform", "use_dora", "init_lora_weights", "loraplus_lr_ratio", "adapter_name_or_path", "lora_model_dir", "quantization_bit",
      "load_in_4bit", "load_in_8bit", "mask_history", "streaming", "min_lr_ratio", "cosine_min_lr_ratio", "neftune_noise_alpha",
      "label_smoothing_factor", "bf16", "fp16", "tf32", "flash_attn", "attn_implementation", "deepspeed", "fsdp", "eval_strategy",
      "load_best_model_at_end", "metric_for_best_model", "early_stopping_patience", "report_to", "export", "saves_per_epoch", "evals_per_epoch"};
  return names;
}

std::string nearest_name(std::string_view name, const std::vector<std::string_view>& candidates) {
  if (name.size() > 200) return "";
  std::size_t best = std::max<std::size_t>(2, name.size() / 3) + 1;
  std::string_view nearest;
  for (std::string_view candidate : candidates) {
    if (const std::size_t distance = edit_distance(name, candidate); distance < best) {
      best = distance;
      nearest = candidate;
    }
  }
  return std::string(nearest);
}

}  // namespace ftl
