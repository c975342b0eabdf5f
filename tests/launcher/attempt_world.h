// A launcher's attempt in a test: real keepers and ranks, events recorded, an io_context run until something is true.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "launcher/engines/attempt_processes.h"
#include "launcher/engines/process_table.h"

namespace ftl::testing {

inline bool have_mpirun() { return std::system("command -v mpirun > /dev/null 2>&1") == 0; }

class AttemptWorld {
 public:
  explicit AttemptWorld(EngineKind kind, int world, std::vector<std::string> rank_arguments = {}) {
    std::string pattern = (std::filesystem::temp_directory_path() / "ftl-attempt-XXXXXX").string();
    directory = ::mkdtemp(pattern.data());
    spec.run_id = "test-" + std::filesystem::path(directory).filename().string();
    spec.world = WorldSize{world};
    spec.run_directory = directory;
    spec.state_directory = directory;
    spec.backend = "none";
    std::filesystem::create_directories(spec.attempt_directory());
    const std::string spec_path = spec.attempt_directory() + "/spec.json";
    std::ofstream(spec_path) << to_json(spec);
    marker = attempt_marker(spec.run_id, spec.attempt);

    request.kind = kind;
    request.keeper = FTL_BINARY_DIR "/bin/ftkeeper";
    request.rank_command = {FTL_BINARY_DIR "/tests/dummy_rank", "--spec", spec_path};
    request.rank_command.insert(request.rank_command.end(), rank_arguments.begin(), rank_arguments.end());
    request.spec_path = spec_path;
    request.marker = marker;
    request.scratch_directory = spec.attempt_directory();
    request.world = WorldSize{world};
    request.root = ::geteuid() == 0;
  }
  ~AttemptWorld() {
    processes.reset();
    kill_marked(marker);
    std::filesystem::remove_all(directory);
  }

  Result<Done> start() {
    AttemptSink sink;
    sink.event = [this](Event event) { take(std::move(event)); };
    sink.log = [this](Rank rank, const std::vector<std::string>& lines, std::int64_t missing) {
      log[rank].insert(log[rank].end(), lines.begin(), lines.end());
      dropped += missing;
    };
    sink.engine_log = [this](const std::string& line) { engine_log.push_back(line); };
    sink.ring = [this](Rank rank, const std::string& bytes) { rings[rank] = bytes; };
    auto started = AttemptProcesses::start(io, request, spec.attempt, "127.0.0.1", sink);
    if (!started) return started.error();
    processes = std::move(*started);
    return Done{};
  }

  // Runs the attempt until `reached` or until the patience of a loaded machine is over.
  bool run_until(const std::function<bool()>& reached, Duration patience = std::chrono::seconds(30)) {
    const TimePoint deadline = clock.now() + patience;
    while (!reached()) {
      if (clock.now() > deadline) return false;
      io.restart();
      io.run_for(std::chrono::milliseconds(20));
      if (processes) processes->look(clock.now());
    }
    return true;
  }

  bool all_ranks_step() const {
    for (int rank = 0; rank < spec.world.value; ++rank) {
      if (!steps.contains(Rank{rank})) return false;
    }
    return true;
  }
  bool all_ranks_ended() const { return exits.size() == static_cast<std::size_t>(spec.world.value); }
  bool nothing_left() const { return processes_marked(marker).empty(); }

  std::string directory;
  ProcessSpec spec;
  std::string marker;
  EngineRequest request;
  SystemClock clock;
  boost::asio::io_context io;
  std::unique_ptr<AttemptProcesses> processes;

  std::map<Rank, std::int32_t> keepers, ranks;  // pids
  std::map<Rank, std::string> nodes;
  std::map<Rank, std::int64_t> steps;  // last reported
  std::map<Rank, Pulse> pulses;
  std::map<Rank, ExitEvidence> exits;
  std::map<Rank, std::string> lost;
  std::map<Rank, std::vector<std::string>> log;
  std::map<Rank, std::string> rings;
  std::map<Rank, ReportFinished> finished;
  std::vector<std::string> engine_log;
  std::optional<EngineExited> engine_exited;
  std::int64_t dropped = 0;
  bool gone = false;

 private:
  void take(Event event) {
    if (const auto* e = std::get_if<KeeperConnected>(&event))
      keepers[e->rank] = e->keeper_pid, nodes[e->rank] = e->node;
    if (const auto* e = std::get_if<RankStarted>(&event)) ranks[e->rank] = e->pid;
    if (const auto* e = std::get_if<RankPulse>(&event)) pulses[e->rank] = e->pulse;
    if (const auto* e = std::get_if<RankExited>(&event)) exits[e->rank] = e->evidence;
    if (const auto* e = std::get_if<KeeperLost>(&event)) lost[e->rank] = e->why;
    if (const auto* e = std::get_if<EngineExited>(&event)) engine_exited = *e;
    if (std::holds_alternative<AttemptGone>(event)) gone = true;
    if (const auto* e = std::get_if<RankReported>(&event)) {
      if (const auto* step = std::get_if<ReportStep>(&e->report)) steps[e->rank] = step->step;
      if (const auto* end = std::get_if<ReportFinished>(&e->report)) finished[e->rank] = *end;
    }
  }
};

}  // namespace ftl::testing
