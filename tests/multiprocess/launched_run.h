// A small language for tests that run the real ftlaunch: a site is a fresh directory with a configuration in it, a
// command is one ftlaunch started there. What happened is read from files and from /proc, never from the code under
// test.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/multiprocess/marked_processes.h"

namespace ftl {

using Milliseconds = std::chrono::milliseconds;
using Json = nlohmann::json;

struct CommandResult {
  int exit_code = -1;    // -1: ended by a signal, or not in time
  int signal = 0;        // that ended it
  bool in_time = true;   // false: it was killed at the deadline
  std::string out, err;  // of standard output and standard error
  std::string all() const { return out + err; }
};
void PrintTo(const CommandResult& result, std::ostream* stream);  // what GoogleTest shows of it

// A started ftlaunch. It has its own process group, like a job of a shell.
class Command {
 public:
  // argv[0]: the program.
  Command(std::filesystem::path working_directory, std::vector<std::string> argv, std::string marker,
          std::string state_directory);
  Command(Command&& other) noexcept;
  Command& operator=(Command&&) = delete;
  ~Command();

  pid_t pid() const { return pid_; }
  void send(int signal) const;  // to the launcher alone
  void press_ctrl_c() const;    // SIGINT to the group, as a terminal does
  bool running();
  // Ends everything of the run when the deadline passes; the result then says so.
  CommandResult wait(Milliseconds limit = std::chrono::seconds(60));

 private:
  std::filesystem::path out_, err_;
  std::string marker_;
  pid_t pid_ = 0;              // 0: moved from
  std::optional<int> status_;  // of waitpid
};

struct AdapterFiles {
  std::string weights;  // adapter/adapter_model.safetensors
  std::string config;   // adapter/adapter_config.json
  bool complete() const { return !weights.empty() && !config.empty(); }
  friend bool operator==(const AdapterFiles&, const AdapterFiles&) = default;
};
void PrintTo(const AdapterFiles& files, std::ostream* stream);

class RunSite {
 public:
  RunSite();
  ~RunSite();  // ends what is left of the site's commands; keeps the directory when the test failed
  RunSite(const RunSite&) = delete;
  RunSite& operator=(const RunSite&) = delete;

  const std::filesystem::path& directory() const { return directory_; }
  std::filesystem::path output() const { return directory_ / "out"; }
  std::filesystem::path config() const { return directory_ / "config.yaml"; }
  // Adds or replaces top-level keys of config.yaml, as YAML text.
  void configure(const std::string& key, const std::string& value);

  // From now on commands are those of <directory>/copy/bin: the same bytes under another name and date.
  void use_a_copy_of_the_binaries();

  Command start(std::vector<std::string> arguments);       // ftlaunch --config config.yaml ARGUMENTS
  CommandResult run(std::vector<std::string> arguments);   // started and waited for
  CommandResult verb(std::vector<std::string> arguments);  // ftlaunch ARGUMENTS
  Command start_verb(std::vector<std::string> arguments);

  AdapterFiles adapter() const;
  Json run_json() const { return json("run.json"); }
  Json status_file() const { return json("status.json"); }
  Json status();                       // of `ftlaunch status out --json`
  std::vector<Json> verdicts() const;  // verdicts/1.json, 2.json ...
  std::vector<Json> metrics() const { return json_lines("metrics.jsonl"); }
  std::vector<Json> events() const { return json_lines("events.jsonl"); }
  std::vector<std::int64_t> logged_steps() const;  // of metrics.jsonl, evaluation lines left out
  std::vector<std::int64_t> logged_evaluations() const;
  std::int64_t last_step() const;  // 0: none yet

  std::vector<MarkedProcess> processes() const { return marked_processes(marker_); }
  std::vector<MarkedProcess> left() const { return left_after(marker_, std::chrono::seconds(5)); }
  // The pid of the process that runs a rank, as soon as there is one.
  std::optional<pid_t> wait_for_rank(int rank, Milliseconds limit = std::chrono::seconds(20)) const;
  std::optional<pid_t> process_of(const std::string& program, int rank = -1) const;
  bool wait_until(const std::function<bool()>& condition, Milliseconds limit = std::chrono::seconds(30)) const;
  bool wait_for_step(std::int64_t step) const {
    return wait_until([&] { return last_step() >= step; });
  }
  std::vector<std::string> left_in_state_directory() const;  // node-local memory that nobody gave back

 private:
  Json json(const std::string& name) const;
  std::vector<Json> json_lines(const std::string& name) const;
  void write_config() const;

  std::filesystem::path directory_;
  std::filesystem::path state_directory_;
  std::filesystem::path program_;  // ftlaunch
  std::string marker_;
  std::vector<std::pair<std::string, std::string>> keys_;
};

// The adapter of a run of one rank that nothing disturbed; every other way must give these bytes.
const AdapterFiles& undisturbed_adapter();
// Steps of the tiny run.
inline constexpr std::int64_t steps_of_tiny_run = 12;

// What a verdict must say. `rank` -1: not asked.
struct ExpectedVerdict {
  std::string kind, symptom, root_cause;
  int rank = -1;
  std::string action;
};
void expect_verdict(const Json& verdict, const ExpectedVerdict& expected);
// Exit code 0, the undisturbed bytes, every step and evaluation logged exactly once, nothing left of it.
void expect_undisturbed_result(RunSite& site, const CommandResult& result);

bool have_mpirun();

}  // namespace ftl

// Runs of several ranks need Open MPI; without it the test is skipped, and says so.
#define FTL_REQUIRE_MPIRUN() \
  if (!ftl::have_mpirun()) GTEST_SKIP() << "mpirun is not on the PATH: runs of several ranks cannot be shown here"
