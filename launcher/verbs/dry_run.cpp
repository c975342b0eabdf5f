#include "launcher/verbs/dry_run.h"

#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "simulation/dry_run.h"
#include "trainer/training_loop.h"

namespace ftl {
namespace {

using Json = nlohmann::ordered_json;

const char* word(PlannedTransfer::Kind kind) {
  switch (kind) {
    case PlannedTransfer::Kind::send: return "send to";
    case PlannedTransfer::Kind::receive: return "receive from";
    case PlannedTransfer::Kind::broadcast_root: return "broadcast from";
    case PlannedTransfer::Kind::broadcast: return "broadcast from";
  }
  return "";
}

std::string in_units(std::int64_t bytes) {
  if (bytes < 1 << 20) return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / 1024.0);
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / 1048576.0);
}

void print_text(const ReadConfig& read, const PreflightOutcome& preflight, const StepPlan& plan) {
  std::printf("resolved configuration\n%s\n", to_yaml(read.config).c_str());
  for (const std::string& note : read.notes) std::printf("note: %s\n", note.c_str());
  for (const std::string& warning : preflight.found.warnings) std::printf("warning: %s\n", warning.c_str());
  const Placement& placement = preflight.placement;
  const Survey& survey = preflight.survey;
  std::puts(
      fmt::format(
          "run: {} steps of {} sequences; {} of {} parameters trainable; engine {}, backend {}, {} thread(s) a rank",
          survey.steps, plan.leaves, survey.trainable_parameters, survey.model_parameters, placement.engine,
          placement.backend, placement.threads_per_rank)
          .c_str());
  std::puts("\nmemory of one rank");
  std::int64_t total = 0;
  for (const MemoryItem& item : survey.memory) {
    total += item.bytes;
    std::puts(fmt::format("  {:<44} {:>12}", item.name, in_units(item.bytes)).c_str());
  }
  std::puts(fmt::format("  {:<44} {:>12}", "together", in_units(total)).c_str());
  std::puts(
      fmt::format("\ncollectives of every step: one exact_sum f32 x {} ({})", plan.count, in_units(plan.count * 4))
          .c_str());
  for (const PlannedRank& rank : plan.ranks) {
    std::puts(fmt::format("  rank {} on {}: sequences {} to {} of the batch, sends {}, receives {}", rank.rank.value,
                          rank.node, rank.leaves.begin, rank.leaves.end - 1, in_units(rank.bytes_sent),
                          in_units(rank.bytes_received))
                  .c_str());
    for (const PlannedTransfer& transfer : rank.transfers) {
      std::puts(fmt::format("    {} rank {}: {}", word(transfer.kind), transfer.peer.value, in_units(transfer.bytes))
                    .c_str());
    }
  }
  std::puts(
      "\npredicted time: not known (this machine has not been measured; a run shows tokens/s from its first step)");
}

void print_json(const ReadConfig& read, const PreflightOutcome& preflight, const StepPlan& plan) {
  Json json = {{"schema", "ftlaunch.dry_run/1"},
               {"config", Json::parse(to_json(read.config))},
               {"steps", preflight.survey.steps},
               {"world_size", preflight.placement.world},
               {"engine", preflight.placement.engine},
               {"backend", preflight.placement.backend},
               {"memory", Json::array()},
               {"collectives", Json::array()},
               {"ranks", Json::array()}};
  for (const MemoryItem& item : preflight.survey.memory)
    json["memory"].push_back({{"name", item.name}, {"bytes", item.bytes}, {"place", name_of(item.place)}});
  json["collectives"].push_back({{"operation", "exact_sum"}, {"dtype", "f32"}, {"count", plan.count}});
  for (const PlannedRank& rank : plan.ranks) {
    Json transfers = Json::array();
    for (const PlannedTransfer& transfer : rank.transfers) {
      transfers.push_back(
          {{"operation", word(transfer.kind)}, {"peer", transfer.peer.value}, {"bytes", transfer.bytes}});
    }
    json["ranks"].push_back({{"rank", rank.rank.value},
                             {"node", rank.node},
                             {"leaves", {rank.leaves.begin, rank.leaves.end}},
                             {"bytes_sent", rank.bytes_sent},
                             {"bytes_received", rank.bytes_received},
                             {"transfers", transfers}});
  }
  std::puts(json.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
}

}  // namespace

int print_dry_run(const ReadConfig& read, const PreflightOutcome& preflight, bool json) {
  const StepPlan plan =
      plan_step(WorldSize{preflight.placement.world}, preflight.placement.ranks_per_node, read.config.global_batch_size,
                preflight.survey.trainable_parameters + exact_sum_passengers);
  json ? print_json(read, preflight, plan) : print_text(read, preflight, plan);
  return 0;
}

}  // namespace ftl
