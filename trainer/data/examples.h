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
  std::vector<std::int32_t> ids;  // at least 2, at most cutoff_len
  // Same length as ids: 1 when ids[i] is a target (position i - 1 predicts it); [0] is never one.
  std::vector<std::uint8_t> supervised;
  std::int64_t supervised_count() const;
};

struct ExampleSet {
  std::vector<Example> train;
  std::vector<Example> validation;  // chosen by seed, not by order; never overlaps train
  // Reason -> number: "empty", "longer than cutoff_len", "nothing supervised"; and "truncated": completion texts that
  // were kept but cut to cutoff_len.
  std::map<std::string, std::int64_t> dropped;
  // xxh3-128 over the files' bytes, the tokenizer and every setting that shapes examples (not paths): part of the run's
  // identity.
  std::string content_hash;
};

// How a line becomes an example. Every segment is tokenized by itself, so the mask's boundary is exact.
//   completion    {"text"}: all of it supervised, EOS follows; cut at cutoff_len.
//   alpaca        {"instruction", "input"?, "output"}: prompt (masked), output and EOS (supervised). prompt_style
//                 "stanford" has the published preambles, "short" only "### Instruction:" ... "### Response:\n".
//   input_output  {"input"?, "output"}: as alpaca, the input itself is the prompt. Or axolotl's
//                 {"segments": [{"text", "label"}]}: supervised where label is true; no EOS is added, since the
//                 segments spell out how they end.
// What the tokenizer's post-processor puts in front (BOS) is put in front once, also when the text begins with it; EOS
// follows when the tokenizer has one and the text does not end with it. Examples that are too long are dropped and
// counted, never cut (but completion).
//
// Reads the JSONL files of all datasets (UTF-8, one object a line), renders, tokenizes on `threads` threads, masks
// prompts unless train_on_inputs. The result does not depend on `threads`. Kinds: file_not_found, dataset_unreadable
// (file:line), dataset_empty, all_labels_masked. Of val_set_size < 1 the share is rounded, but at least 1 (of 2 or more
// examples); one example always remains to train.
Result<ExampleSet> load_examples(Files& files, const RunConfig& config, const Tokenizer& tokenizer, int threads);

// Which examples step `step` (0-based) uses, in leaf order: a permutation of [0, examples) per epoch, a function of
// (seed, epoch) only (data_order.h has the algorithm, and DataOrder for many steps); an epoch's last incomplete batch
// is filled from the next epoch's permutation, so every step has exactly global_batch_size.
std::vector<std::int64_t> examples_of_step(std::uint64_t seed, std::int64_t examples, std::int64_t global_batch_size,
                                           std::int64_t step);
// Steps of the whole run: max_steps, or ceil(epochs * examples / global_batch_size).
std::int64_t steps_of_run(const RunConfig& config, std::int64_t examples);

// For people: counts, lengths, the supervised share, how many examples end supervised with EOS, and the first
// `rendered` training examples with what is supervised between [[ and ]].
std::string label_audit(const ExampleSet& set, const Tokenizer& tokenizer, int rendered);

}  // namespace ftl
