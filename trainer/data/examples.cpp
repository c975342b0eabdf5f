#include "trainer/data/examples.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <optional>
#include <thread>

#include <xxhash.h>

#include "trainer/data/data_order.h"
#include "trainer/data/record.h"

namespace ftl {
namespace {

struct Source {
  const DatasetConfig* dataset;
  MappedFile file;
  std::vector<Line> lines;
};

// What one line came to: an example, a reason to drop it, or a failure.
struct Outcome {
  Example example;
  const char* dropped = nullptr;
  bool truncated = false;
  std::optional<Failure> failure;
};

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes.data()), file.bytes.size()};
}

Result<std::vector<Source>> open_sources(Files& files, const RunConfig& config) {
  std::vector<Source> sources;
  for (const DatasetConfig& dataset : config.datasets) {
    if (!files.exists(dataset.path))
      return Failure{FaultKind::file_not_found, "the data set's file does not exist", dataset.path, ""};
    Result<MappedFile> file = files.map(dataset.path);
    if (!file) return file.error();
    sources.push_back({&dataset, std::move(*file), {}});
    sources.back().lines = split_lines(text_of(sources.back().file), dataset.max_samples);
  }
  return sources;
}

// EOS, BOS: see the header. `supervised` of the first token is never set, since nothing predicts it.
Example tokenize(const Record& record, const Tokenizer& tokenizer, bool train_on_inputs) {
  Example example;
  const auto append = [&](std::span<const std::int32_t> ids, bool supervised) {
    example.ids.insert(example.ids.end(), ids.begin(), ids.end());
    example.supervised.insert(example.supervised.end(), ids.size(), supervised || train_on_inputs ? 1 : 0);
  };
  const std::span<const std::int32_t> prefix = tokenizer.special_prefix();
  bool first = true;
  for (const TextSegment& segment : record.segments) {
    const std::vector<std::int32_t> ids = tokenizer.encode(segment.text);
    if (first && !(ids.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), ids.begin()))) {
      append(prefix, segment.supervised);
    }
    append(ids, segment.supervised);
    first = false;
  }
  if (record.end_supervised && tokenizer.eos() && (example.ids.empty() || example.ids.back() != *tokenizer.eos())) {
    append(std::vector{*tokenizer.eos()}, true);
  }
  if (!example.supervised.empty()) example.supervised[0] = 0;
  return example;
}

Outcome make_example(const Line& line, const DatasetConfig& dataset, const RunConfig& config,
                     const Tokenizer& tokenizer) {
  Outcome outcome;
  Result<Record> record = read_record(line.text, dataset);
  if (!record) {
    outcome.failure = record.error();
    return outcome;
  }
  if (!record->segments.empty()) outcome.example = tokenize(*record, tokenizer, config.train_on_inputs);
  Example& example = outcome.example;
  const auto limit = static_cast<std::size_t>(std::max(config.cutoff_len, 0));
  if (example.ids.size() < 2) {
    outcome.dropped = "empty";
  } else if (example.ids.size() > limit && !record->may_be_cut) {
    outcome.dropped = "longer than cutoff_len";
  } else if (example.ids.size() > limit) {
    example.ids.resize(limit);
    example.supervised.resize(limit);
    outcome.truncated = true;
  }
  if (!outcome.dropped && example.supervised_count() == 0) outcome.dropped = "nothing supervised";
  if (outcome.dropped) example = {};
  return outcome;
}

std::vector<Outcome> make_all(const std::vector<Source>& sources, const RunConfig& config, const Tokenizer& tokenizer,
                              int threads) {
  std::vector<std::pair<const Source*, const Line*>> work;
  for (const Source& source : sources) {
    for (const Line& line : source.lines) work.emplace_back(&source, &line);
  }
  std::vector<Outcome> outcomes(work.size());
  std::atomic<std::size_t> next{0};
  const auto labour = [&] {
    constexpr std::size_t bite = 16;
    for (std::size_t begin; (begin = next.fetch_add(bite)) < work.size();) {
      for (std::size_t i = begin; i < std::min(begin + bite, work.size()); ++i) {
        outcomes[i] = make_example(*work[i].second, *work[i].first->dataset, config, tokenizer);
      }
    }
  };
  std::vector<std::thread> others;
  for (int i = 1; i < std::min(threads, 64); ++i) others.emplace_back(labour);
  labour();
  for (std::thread& other : others) other.join();
  return outcomes;
}

// The first bad line, and how many more there are.
std::optional<Failure> first_failure(const std::vector<Source>& sources, const std::vector<Outcome>& outcomes) {
  std::optional<Failure> first;
  std::int64_t more = -1;
  std::size_t i = 0;
  for (const Source& source : sources) {
    for (const Line& line : source.lines) {
      const Outcome& outcome = outcomes[i++];
      if (!outcome.failure) continue;
      ++more;
      if (first) continue;
      first = outcome.failure;
      first->where = source.dataset->path + ":" + std::to_string(line.number);
    }
  }
  if (more > 0) first->what += std::string(" (and ") + std::to_string(more) + " more lines are bad)";
  return first;
}

void add(XXH3_state_t* state, std::string_view bytes) {
  const std::uint64_t size = bytes.size();
  XXH3_128bits_update(state, &size, sizeof size);
  XXH3_128bits_update(state, bytes.data(), bytes.size());
}

std::string hash_of(const std::vector<Source>& sources, const RunConfig& config, const Tokenizer& tokenizer) {
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(), XXH3_freeState);
  XXH3_128bits_reset(state.get());
  add(state.get(), tokenizer.content_hash());
  char settings[128];
  std::snprintf(settings, sizeof settings, "%d %d %.17g", config.cutoff_len, config.train_on_inputs ? 1 : 0,
                config.val_set_size);
  add(state.get(), settings);
  for (const Source& source : sources) {
    const DatasetConfig& dataset = *source.dataset;
    std::snprintf(settings, sizeof settings, "%d %lld", static_cast<int>(dataset.type),
                  static_cast<long long>(dataset.max_samples));
    add(state.get(), settings);
    for (const std::string* name : {&dataset.prompt_style, &dataset.field_instruction, &dataset.field_input,
                                    &dataset.field_output, &dataset.field_text}) {
      add(state.get(), *name);
    }
    add(state.get(), text_of(source.file));
  }
  const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
  std::snprintf(settings, sizeof settings, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return settings;
}

// Which of `count` examples validate: those of smallest hash.
Result<std::vector<bool>> choose_validation(std::size_t count, const RunConfig& config) {
  const double wanted =
      config.val_set_size < 1 ? config.val_set_size * static_cast<double>(count) : config.val_set_size;
  std::size_t number = wanted <= 0 ? 0 : static_cast<std::size_t>(std::llround(std::min(wanted, 1e15)));
  if (config.val_set_size > 0 && config.val_set_size < 1)
    number = count < 2 ? 0 : std::clamp<std::size_t>(number, 1, count - 1);
  std::vector<bool> chosen(count, false);
  if (number == 0) return chosen;
  if (number >= count) {
    return Failure{FaultKind::dataset_empty,
                   std::string("val_set_size ") + std::to_string(number) + " leaves none of " + std::to_string(count) +
                       " examples to train on",
                   "", "lower val_set_size below the number of examples"};
  }
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto sooner = [&](std::size_t a, std::size_t b) {
    const std::uint64_t left = selection_hash(config.seed, static_cast<std::int64_t>(a));
    const std::uint64_t right = selection_hash(config.seed, static_cast<std::int64_t>(b));
    return left != right ? left < right : a < b;
  };
  std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(number), order.end(), sooner);
  for (std::size_t i = 0; i < number; ++i) chosen[order[i]] = true;
  return chosen;
}

Failure nothing_left(const std::map<std::string, std::int64_t>& dropped, std::size_t lines) {
  std::string counts;
  for (const auto& [reason, number] : dropped)
    counts += (counts.empty() ? "" : ", ") + std::to_string(number) + " " + reason;
  const auto masked = dropped.find("nothing supervised");
  if (masked != dropped.end() && dropped.size() == 1) {
    return Failure{FaultKind::all_labels_masked,
                   std::string("all ") + std::to_string(lines) + " examples have no supervised token", "",
                   "set `label` to true on the segments to learn, correct the data set's type and fields, or set "
                   "train_on_inputs: true"};
  }
  if (lines == 0)
    return Failure{FaultKind::dataset_empty, "the data sets have no lines", "", "check the paths of the data sets"};
  return Failure{
      FaultKind::dataset_empty, std::string("none of ") + std::to_string(lines) + " examples can be used: " + counts,
      "", dropped.contains("longer than cutoff_len") ? "raise cutoff_len" : "check the data set's type and fields"};
}

}  // namespace

std::int64_t Example::supervised_count() const { return std::count(supervised.begin(), supervised.end(), 1); }

Result<ExampleSet> load_examples(Files& files, const RunConfig& config, const Tokenizer& tokenizer, int threads) {
  Result<std::vector<Source>> sources = open_sources(files, config);
  if (!sources) return sources.error();
  std::vector<Outcome> outcomes = make_all(*sources, config, tokenizer, threads);
  if (std::optional<Failure> failure = first_failure(*sources, outcomes)) return *failure;
  ExampleSet set;
  std::vector<Example> kept;
  for (Outcome& outcome : outcomes) {
    if (outcome.truncated && !outcome.dropped) ++set.dropped["truncated"];
    if (outcome.dropped) {
      ++set.dropped[outcome.dropped];
    } else {
      kept.push_back(std::move(outcome.example));
    }
  }
  if (kept.empty()) {
    Failure failure = nothing_left(set.dropped, outcomes.size());
    if (!sources->empty()) failure.where = sources->front().dataset->path;
    return failure;
  }
  Result<std::vector<bool>> validates = choose_validation(kept.size(), config);
  if (!validates) return validates.error();
  for (std::size_t i = 0; i < kept.size(); ++i)
    ((*validates)[i] ? set.validation : set.train).push_back(std::move(kept[i]));
  set.content_hash = hash_of(*sources, config, tokenizer);
  return set;
}

}  // namespace ftl
