#include <cstdio>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "launcher/verbs/command_line.h"
#include "launcher/verbs/run_options.h"
#include "launcher/verbs/verb.h"

namespace ftl {
namespace {

void print_json(const PreflightOutcome& outcome) {
  nlohmann::ordered_json json = {
      {"schema", "ftlaunch.check/1"}, {"ok", outcome.exit_code == 0}, {"findings", nlohmann::ordered_json::array()}};
  for (const Failure& failure : outcome.found.failures) {
    const FaultInfo& kind = info(failure.kind);
    json["findings"].push_back({{"kind", kind.name},
                                {"symptom", kind.symptom},
                                {"root_cause", kind.root_cause},
                                {"what", failure.what},
                                {"where", failure.where},
                                {"fix", failure.fix.empty() ? std::string(kind.fix) : failure.fix}});
  }
  json["warnings"] = outcome.found.warnings;
  json["steps"] = outcome.survey.steps;
  json["train_examples"] = outcome.survey.train_examples;
  json["trainable_parameters"] = outcome.survey.trainable_parameters;
  std::puts(json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

void print_summary(const ReadConfig& read, const PreflightOutcome& outcome) {
  const Survey& survey = outcome.survey;
  for (const std::string& note : read.notes) std::printf("note:    %s\n", note.c_str());
  for (const std::string& warning : outcome.found.warnings) std::printf("warning: %s\n", warning.c_str());
  if (outcome.exit_code != 0) {
    std::printf("%zu finding(s) refuse this run\n", outcome.found.failures.size());
    return;
  }
  std::puts(fmt::format("model    {} ({} parameters, {} trainable in {} modules)", survey.model,
                        survey.model_parameters, survey.trainable_parameters, survey.adapted_modules.size())
                .c_str());
  std::puts(fmt::format("data     {} examples to train on, {} to validate; {} tokens, {:.1f} % supervised; longest {}",
                        survey.train_examples, survey.validation_examples, survey.tokens,
                        100.0 * static_cast<double>(survey.supervised_tokens) /
                            static_cast<double>(std::max<std::int64_t>(1, survey.tokens)),
                        survey.longest_example)
                .c_str());
  for (const auto& [reason, count] : survey.dropped) std::puts(fmt::format("dropped  {} ({})", count, reason).c_str());
  std::puts(fmt::format("run      {} steps of {} sequences on {} rank(s), engine {}, backend {}, {} thread(s) a rank",
                        survey.steps, read.config.global_batch_size, outcome.placement.world, outcome.placement.engine,
                        outcome.placement.backend, outcome.placement.threads_per_rank)
                .c_str());
  std::printf("\nlabel audit (supervised spans in brackets)\n%s\nevery check passed\n", survey.audit.c_str());
}

}  // namespace

int run_check(const Arguments& arguments) {
  CLI::App app("Every check before a launch; all findings, not only the first; nothing is started.", "ftlaunch check");
  RunOptions options;
  add_run_options(app, options);
  if (auto code = parse(app, arguments)) return *code;
  const ConfigOrCode read = read_run_options(options);
  if (!read.read) return read.code;
  const auto faults = planted_faults(options, place(read.read->config, cores_of_machine()));
  if (!faults) return refuse(faults.error());
  const PreflightOutcome outcome = run_preflight(read.read->config);
  if (options.json) {
    print_json(outcome);
  } else {
    refuse(outcome.found.failures);
    print_summary(*read.read, outcome);
  }
  return outcome.exit_code;
}

}  // namespace ftl
