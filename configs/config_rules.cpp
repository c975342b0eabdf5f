// Rules between the keys of a configuration, judged when every value by itself is well.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "configs/config_builder.h"

namespace ftl {

void ConfigBuilder::require(bool there, const std::string& key, const std::string& fix) {
  if (!there) refuse(FaultKind::config_missing_key, fmt::format("{} is missing or empty", key), place_of(key), fix);
}

void ConfigBuilder::judge_whole() {
  judge_world();
  require(!config.model_name_or_path.empty(), "model_name_or_path", "name the directory of the base model");
  require(!config.datasets.empty(), "datasets",
          "name at least one data set: datasets: [{path: data.jsonl, type: alpaca}]");
  for (std::size_t i = 0; i < config.datasets.size(); ++i)
    require(!config.datasets[i].path.empty(), fmt::format("datasets[{}].path", i), "name the data set's file");
  require(!config.output_dir.empty(), "output_dir", "name the run directory");
  judge_exclusions();
  judge_adapter();
  if (failures.empty()) derive_global_batch();
  if (config.max_steps > 0 && seen("num_train_epochs"))
    note(fmt::format("max_steps {} overrides num_train_epochs {}", config.max_steps, config.num_train_epochs));
}

void ConfigBuilder::judge_world() {
  constexpr std::int64_t most_ranks = 1 << 20;
  const std::int64_t ranks = std::int64_t{config.nodes} * std::max(1, config.ranks_per_node);
  if (ranks <= most_ranks) return;
  refuse(FaultKind::config_invalid_value,
         fmt::format("nodes {} x ranks_per_node {} are {} ranks: at most {} are possible", config.nodes,
                     config.ranks_per_node, ranks, most_ranks),
         place_of("ranks_per_node"), "lower one of the two");
}

// What excludes each other, as the other tools have it too.
void ConfigBuilder::judge_exclusions() {
  if (config.warmup_steps > 0 && config.warmup_ratio > 0) {
    refuse(FaultKind::config_invalid_value,
           fmt::format("warmup_steps is {} and warmup_ratio is {} (at {}): only one of the two may be given",
                       config.warmup_steps, config.warmup_ratio, place_of("warmup_ratio")),
           place_of("warmup_steps"), "remove one of the two");
  }
  if (config.val_set_size >= 1 && config.val_set_size != std::floor(config.val_set_size)) {
    refuse(FaultKind::config_invalid_value,
           fmt::format("val_set_size is {}: below 1 it is a share, from 1 on a whole number of examples",
                       config.val_set_size),
           place_of("val_set_size"));
  }
  if (config.eval_steps > 0 && config.val_set_size == 0) {
    refuse(FaultKind::config_invalid_value,
           fmt::format("eval_steps is {} and val_set_size is 0: there is nothing to evaluate on", config.eval_steps),
           place_of("eval_steps"), "set val_set_size, or remove eval_steps");
  }
}

void ConfigBuilder::judge_adapter() {
  if (config.adapter == "none") {
    for (const char* key : {"lora_rank", "lora_alpha", "lora_target", "use_rslora"}) {
      if (seen(key)) note(fmt::format("{} has no effect: adapter is none", key));
    }
    return;
  }
  const double rank = config.lora_rank;
  const double scale = config.lora_alpha / (config.use_rslora ? std::sqrt(rank) : rank);
  constexpr double least = 0.25, most = 4;  // what published recipes stay within
  if (scale < least || scale > most) {
    note(fmt::format("the adapter is scaled by {:.4g} (lora_alpha {} / {}{}): {} to {} is usual", scale,
                     config.lora_alpha, config.use_rslora ? "the root of lora_rank " : "lora_rank ", config.lora_rank,
                     least, most));
  }
}

void ConfigBuilder::derive_global_batch() {
  if (!accumulation_) return;
  if (seen("global_batch_size")) {
    return note("gradient_accumulation_steps is ignored: global_batch_size is given, accumulation follows from it");
  }
  // Two factors of at most 2^24 each; the world's 2^20 on top would not fit into 64 bits.
  const std::int64_t of_a_rank = std::int64_t{config.per_device_train_batch_size} * *accumulation_;
  constexpr std::int64_t most = 1 << 24;
  if (of_a_rank > most / config.world_size()) {
    return refuse(
        FaultKind::config_invalid_value,
        fmt::format("gradient_accumulation_steps {} makes a global batch of {} x {} x {} sequences, "
                    "at most {} are possible",
                    *accumulation_, config.per_device_train_batch_size, *accumulation_, config.world_size(), most),
        "", "set global_batch_size");
  }
  const std::int64_t derived = of_a_rank * config.world_size();
  config.global_batch_size = static_cast<int>(derived);
  note(
      fmt::format("global_batch_size is {}: {} sequences a rank x {} accumulation steps x {} ranks; it is kept when "
                  "the number of ranks changes",
                  derived, config.per_device_train_batch_size, *accumulation_, config.world_size()));
}

}  // namespace ftl
