// Training examples as token ids with a loss mask. One example is one sequence and one leaf of the step's gradient sum.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "checkpoints/files.h"
#include "configs/run_config.h"
#include "failures/result.h"
#include "trainer/tokenizer/tokenizer.h"

namespace ftl {

struct Example {
  std::vector<std::int32_t> ids;       // at least 2, at most cutoff_len
  std::vector<std::uint8_t> supervised;  // same length: 1 when ids[i] is a target (position i - 1 predicts it); [0] is never one
  std::int64_t supervised_count() const;
};

struct ExampleSet {
  std::vector<Example> train;
  std::vector<Example> validation;                // chosen by seed, not by order; never overlaps train
  std::map<std::string, std::int64_t> dropped;    // reason -> number: "empty", "longer than cutoff_len", "nothing supervised"
  std::string content_hash;                       // xxh3-128 over files and tokenizer: part of the run's identity
};

// Reads the JSONL files of all datasets (UTF-8, one object a line), renders, tokenizes on `threads` threads, masks prompts unless
// train_on_inputs. The result does not depend on `threads`. Kinds: file_not_found, dataset_unreadable (file:line), dataset_empty,
// all_labels_masked.
Result<ExampleSet> load_examples(Files& files, const RunConfig& config, const Tokenizer& tokenizer, int threads);

// Which examples step `step` (0-based) uses, in leaf order: a permutation of [0, examples) per epoch, a function of (seed, epoch)
// only; an epoch's last incomplete batch is filled from the next epoch's permutation, so every step has exactly global_batch_size.
std::vector<std::int64_t> examples_of_step(std::uint64_t seed, std::int64_t examples, std::int64_t global_batch_size, std::int64_t step);
// Steps of the whole run: max_steps, or ceil(epochs * examples / global_batch_size).
std::int64_t steps_of_run(const RunConfig& config, std::int64_t examples);

}  // namespace ftl
