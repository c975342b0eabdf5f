// The contract's table of faults, again and again: every fault with many seeds, which draw rank, step and phase, on
// real processes. Each verdict, exit code and adapter is held against the table. Records are kept in a JSON file; those
// that are there already are not run again. `make campaign faults` calls it.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/multiprocess/launched_run.h"

namespace ftl {
namespace {

constexpr int ranks = 2;

struct Row {
  const char* fault;
  ExpectedVerdict verdict;  // `rank` is the seed's
  int exit_code = 0;        // 0: and the undisturbed bytes
  bool any_phase = false;
  std::int64_t first_step = 2, last_step = 11;
  bool by_writer = false;  // rank 0 only
  int lanes = 1;
};

const std::vector<Row>& table() {
  static const std::vector<Row> rows{
      {"sigkill", {"rank_killed", "A.11", "E", -1, "retry"}, 0, true},
      {.fault = "oom",
       .verdict = {"rank_killed_by_oom_killer", "A.5.2", "A.2.2", -1, "retry_with_smaller_micro_batch"},
       .lanes = 2},
      {"segv", {"rank_crashed", "A.11", "E", -1, "retry"}, 0, true},
      {"exit=7", {"rank_crashed", "A.11", "E", -1, "retry"}, 0, true},
      {"sigstop", {"rank_stuck", "B.2", "A.3.3", -1, "retry"}, 0, true},
      {"hang_before_collective", {"rank_stuck", "B.2", "A.3.3", -1, "retry"}},
      {"skip_collective", {"collective_mismatch", "B.2", "A.3.3", -1, "stop"}, 4},
      {"mismatch_collective", {"collective_mismatch", "B.2", "A.3.3", -1, "stop"}, 4},
      {.fault = "slow=300", .verdict = {"straggler", "D.2", "A.3.3", -1, "observe"}, .last_step = 6},
      {.fault = "nan_loss", .verdict = {"loss_not_finite", "A.3.3", "C.1.2", -1, "replay_step"}},
      {.fault = "nan_grad", .verdict = {"loss_not_finite", "A.3.3", "C.1.2", -1, "replay_step"}},
      {.fault = "loss_spike", .verdict = {"loss_spike", "C.2.1", "B.1.2", -1, "replay_step"}, .first_step = 4},
      {.fault = "disk_full",
       .verdict = {"storage_full", "A.11", "A.2.3", -1, "retry"},
       .last_step = 12,
       .by_writer = true},
      {.fault = "torn_checkpoint",
       .verdict = {"checkpoint_corrupt", "A.6.1", "C.2.1", -1, "previous_checkpoint"},
       .last_step = 12,
       .by_writer = true},
      {.fault = "bitflip_checkpoint",
       .verdict = {"checkpoint_corrupt", "A.6.1", "C.2.1", -1, "previous_checkpoint"},
       .last_step = 12,
       .by_writer = true},
      {"drop_connection", {"communication_failure", "A.9", "A.3.2", -1, "retry"}, 0, true},
      {"comm_error=17", {"communication_failure", "A.9", "A.3.2", -1, "retry"}},
  };
  return rows;
}

struct Drawn {
  int rank;
  std::string inject;
};

Drawn draw(const Row& row, unsigned seed) {
  std::mt19937 random(seed * 7919 + static_cast<unsigned>(std::hash<std::string>()(row.fault) % 65'521));
  const auto number = [&](std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(random);
  };
  constexpr const char* phases[] = {"data", "forward", "backward", "reduce", "optimizer"};
  const int rank = row.by_writer ? 0 : static_cast<int>(number(0, ranks - 1));
  const std::int64_t step = number(row.first_step, row.last_step);
  return {rank, fmt::format("fault={},rank={},step={}{}", row.fault, rank, step,
                            row.any_phase ? fmt::format(",phase={}", phases[number(0, 4)]) : "")};
}

std::string misfit(const Row& row, const Drawn& drawn, const RunSite& site, const CommandResult& result,
                   const Json& verdict) {
  std::string wrong;
  const auto compare = [&](const std::string& what, const std::string& seen, const std::string& wanted) {
    if (seen != wanted) wrong += fmt::format("{} is {}, must be {}; ", what, seen, wanted);
  };
  compare("kind", verdict.value("kind", ""), row.verdict.kind);
  compare("symptom", verdict.value("symptom", ""), row.verdict.symptom);
  compare("root cause", verdict.value("root_cause", ""), row.verdict.root_cause);
  compare("action", verdict.value("action", ""), row.verdict.action);
  compare("exit code", std::to_string(result.exit_code), std::to_string(row.exit_code));
  compare("number of verdicts", std::to_string(site.verdicts().size()), "1");
  const Json culprits = verdict.value("culprits", Json::array());
  compare("culprit", culprits.size() == 1 ? std::to_string(culprits[0].value("rank", -1)) : culprits.dump(),
          std::to_string(drawn.rank));
  if (row.exit_code == 0 && site.adapter() != undisturbed_adapter()) wrong += "the adapter has other bytes; ";
  if (row.exit_code == 0 && site.logged_steps().size() != steps_of_tiny_run) wrong += "metrics lack steps; ";
  if (!site.left().empty()) wrong += "processes are left; ";
  return wrong;
}

Json run_once(const Row& row, unsigned seed) {
  const Drawn drawn = draw(row, seed);
  RunSite site;
  const CommandResult result =
      site.run({"--nodes", std::to_string(ranks), "--set", fmt::format("per_device_train_batch_size={}", row.lanes),
                "--inject", drawn.inject});
  const std::vector<Json> verdicts = site.verdicts();
  const Json verdict = verdicts.empty() ? Json::object() : verdicts.front();
  const std::string wrong = misfit(row, drawn, site, result, verdict);
  return {{"fault", row.fault},
          {"seed", seed},
          {"inject", drawn.inject},
          {"kind", verdict.value("kind", "")},
          {"exit_code", result.exit_code},
          {"detected_after_s", verdict.value("detected_after_s", -1.0)},
          {"wrong", wrong}};
}

Json read_records(const std::string& path) {
  std::ifstream file(path);
  const Json json = Json::parse(file, nullptr, false);
  return json.is_array() ? json : Json::array();
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path + ".tmp") << text;
  std::rename((path + ".tmp").c_str(), path.c_str());
}

std::string table_of(const Json& records) {
  std::string text =
      "# Faults\n\nMade by `make campaign faults` from faults.json. Right: kind, codes, culprit, action, exit code "
      "and, "
      "where the run goes on,\nthe bytes of the adapter and every line of the metrics.\n\n"
      "| fault | runs | right | verdict | seconds to the verdict, median | most |\n|---|---|---|---|---|---|\n";
  for (const Row& row : table()) {
    std::vector<double> seconds;
    int right = 0;
    for (const Json& record : records) {
      if (record.value("fault", "") != row.fault) continue;
      seconds.push_back(record.value("detected_after_s", 0.0));
      right += record.value("wrong", "?").empty();
    }
    if (seconds.empty()) continue;
    std::sort(seconds.begin(), seconds.end());
    text += fmt::format("| {} | {} | {} | {} | {:.2f} | {:.2f} |\n", row.fault, seconds.size(), right, row.verdict.kind,
                        seconds[seconds.size() / 2], seconds.back());
  }
  return text;
}

int campaign(const std::string& directory, unsigned seeds) {
  const std::string path = directory + "/faults.json";
  Json records = read_records(path);
  int wrong = 0;
  for (const Row& row : table()) {
    for (unsigned seed = 1; seed <= seeds; ++seed) {
      const auto done = [&](const Json& record) {
        return record.value("fault", "") == row.fault && record.value("seed", 0U) == seed;
      };
      if (std::none_of(records.begin(), records.end(), done)) {
        records.push_back(run_once(row, seed));
        write_text(path, records.dump(1) + "\n");
      }
      const Json& record = *std::find_if(records.begin(), records.end(), done);
      wrong += !record.value("wrong", "").empty();
      std::puts(fmt::format("{} {}", record.value("inject", ""),
                            record.value("wrong", "").empty() ? "right" : record.value("wrong", ""))
                    .c_str());
      std::fflush(stdout);
    }
  }
  write_text(directory + "/faults.md", table_of(records));
  return wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace ftl

// fault_campaign DIRECTORY [SEEDS]
int main(int argc, char** argv) {
  if (argc < 2 || !ftl::have_mpirun()) {
    std::fputs("fault_campaign DIRECTORY [SEEDS]; mpirun must be on the PATH\n", stderr);
    return 2;
  }
  return ftl::campaign(argv[1], argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 10);
}
