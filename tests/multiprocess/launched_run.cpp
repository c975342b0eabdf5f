#include "tests/multiprocess/launched_run.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <numeric>
#include <ostream>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

#include "tests/multiprocess/tiny_inputs.h"

extern char** environ;

namespace ftl {
namespace {

namespace fs = std::filesystem;

constexpr Milliseconds poll_pause(5);

fs::path launcher_binary() { return fs::path(FTL_BINARY_DIR) / "bin" / "ftlaunch"; }

std::vector<std::string> environment_with(const std::vector<std::string>& added) {
  std::vector<std::string> all = added;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::string name = text.substr(0, text.find('=') + 1);
    const bool replaced =
        std::any_of(added.begin(), added.end(), [&](const std::string& one) { return one.starts_with(name); });
    if (!replaced) all.push_back(text);
  }
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (std::string& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

pid_t spawn(const fs::path& directory, std::vector<std::string> argv, std::vector<std::string> environment,
            const fs::path& out, const fs::path& err) {
  const std::vector<char*> arguments = pointers(argv);
  const std::vector<char*> variables = pointers(environment);
  const int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int output = ::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  const int error = ::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("fork failed");
  if (pid == 0) {
    ::setpgid(0, 0);
    ::dup2(input, STDIN_FILENO);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(error, STDERR_FILENO);
    if (::chdir(directory.c_str()) == 0) ::execve(arguments[0], arguments.data(), variables.data());
    ::_exit(127);
  }
  ::setpgid(pid, pid);  // both sides: a signal to the group may come before the child has run
  for (const int descriptor : {input, output, error}) ::close(descriptor);
  return pid;
}

std::string tail_of(const std::string& text) {
  constexpr std::size_t shown = 3000;
  return text.size() <= shown ? text : "..." + text.substr(text.size() - shown);
}

std::string unique_marker(const fs::path& directory) { return directory.filename().string(); }

}  // namespace

void PrintTo(const CommandResult& result, std::ostream* stream) {
  if (!result.in_time)
    *stream << "killed at the deadline";
  else if (result.signal != 0)
    *stream << "ended by signal " << result.signal;
  else
    *stream << "exit code " << result.exit_code;
  *stream << "\n--- stdout ---\n" << tail_of(result.out) << "--- stderr ---\n" << tail_of(result.err);
}

void PrintTo(const AdapterFiles& files, std::ostream* stream) {
  *stream << files.weights.size() << " bytes of weights (hash " << std::hash<std::string>{}(files.weights) << "), "
          << files.config.size() << " bytes of configuration (hash " << std::hash<std::string>{}(files.config) << ")";
}

Command::Command(fs::path working_directory, std::vector<std::string> argv, std::string marker,
                 std::string state_directory)
    : marker_(std::move(marker)) {
  static int number = 0;
  const std::string stem = "command-" + std::to_string(++number);
  out_ = working_directory / (stem + ".out");
  err_ = working_directory / (stem + ".err");
  pid_ =
      spawn(working_directory, std::move(argv),
            environment_with({std::string(test_marker_variable) + "=" + marker_, "FTL_STATE_DIR=" + state_directory}),
            out_, err_);
}

Command::Command(Command&& other) noexcept
    : out_(std::move(other.out_)),
      err_(std::move(other.err_)),
      marker_(std::move(other.marker_)),
      pid_(std::exchange(other.pid_, 0)),
      status_(std::exchange(other.status_, std::nullopt)) {}

Command::~Command() {
  if (pid_ <= 0 || status_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Command::send(int signal) const {
  if (!status_) ::kill(pid_, signal);
}

void Command::press_ctrl_c() const {
  if (!status_) ::kill(-pid_, SIGINT);
}

bool Command::running() {
  int status = 0;
  if (!status_ && ::waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
  return !status_;
}

CommandResult Command::wait(Milliseconds limit) {
  CommandResult result;
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (running() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(poll_pause);
  if (running()) {
    result.in_time = false;
    kill_all_marked(marker_);
    ::kill(pid_, SIGKILL);
    while (running()) std::this_thread::sleep_for(poll_pause);
  }
  result.out = read_text(out_);
  result.err = read_text(err_);
  if (!result.in_time) return result;
  if (WIFEXITED(*status_)) result.exit_code = WEXITSTATUS(*status_);
  if (WIFSIGNALED(*status_)) result.signal = WTERMSIG(*status_);
  return result;
}

RunSite::RunSite() : directory_(fresh_directory()), program_(launcher_binary()), marker_(unique_marker(directory_)) {
  std::error_code error;
  const fs::path shared_memory = fs::is_directory("/dev/shm", error) ? fs::path("/dev/shm") : directory_;
  state_directory_ = shared_memory / (marker_ + "-state");
  const TinyInputs& inputs = tiny_inputs();
  keys_ = {{"model_name_or_path", inputs.model.string()},
           {"adapter", "lora"},
           {"lora_rank", "4"},
           {"lora_target", "all"},
           {"datasets", "[{path: " + inputs.data.string() + ", type: completion}]"},
           {"val_set_size", "4"},
           {"cutoff_len", "512"},
           {"global_batch_size", "12"},
           {"max_steps", std::to_string(steps_of_tiny_run)},
           {"learning_rate", "0.002"},
           {"warmup_steps", "2"},
           {"save_steps", "5"},
           {"seed", "7"},
           {"output_dir", "out"},
           {"recovery", "{backoff_seconds: 0.1}"}};
  write_config();
}

RunSite::~RunSite() {
  kill_all_marked(marker_);
  std::error_code ignored;
  fs::remove_all(state_directory_, ignored);
  if (::testing::Test::HasFailure()) {
    std::fprintf(stderr, "the run directory is kept: %s\n", directory_.c_str());
  } else {
    fs::remove_all(directory_, ignored);
  }
}

void RunSite::write_config() const {
  std::string text;
  for (const auto& [key, value] : keys_) text += key + ": " + value + "\n";
  write_text(config(), text);
}

void RunSite::configure(const std::string& key, const std::string& value) {
  const auto place = std::find_if(keys_.begin(), keys_.end(), [&](const auto& pair) { return pair.first == key; });
  if (place == keys_.end())
    keys_.emplace_back(key, value);
  else
    place->second = value;
  write_config();
}

void RunSite::use_a_copy_of_the_binaries() {
  const fs::path built = launcher_binary().parent_path().parent_path(), copy = directory_ / "copy";
  fs::create_directories(copy / "bin");
  for (const char* program : {"ftlaunch", "fttrain", "ftkeeper"})
    fs::copy_file(built / "bin" / program, copy / "bin" / program);
  fs::copy(built / "lib", copy / "lib", fs::copy_options::recursive);
  program_ = copy / "bin" / "ftlaunch";
}

Command RunSite::start(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {program_.string(), "--config", config().string()});
  return Command(directory_, std::move(arguments), marker_, state_directory_.string());
}

CommandResult RunSite::run(std::vector<std::string> arguments) { return start(std::move(arguments)).wait(); }

CommandResult RunSite::verb(std::vector<std::string> arguments) { return start_verb(std::move(arguments)).wait(); }

Command RunSite::start_verb(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), program_.string());
  return Command(directory_, std::move(arguments), marker_, state_directory_.string());
}

AdapterFiles RunSite::adapter() const {
  return {read_text(output() / "adapter" / "adapter_model.safetensors"),
          read_text(output() / "adapter" / "adapter_config.json")};
}

Json RunSite::json(const std::string& name) const { return Json::parse(read_text(output() / name), nullptr, false); }

Json RunSite::status() {
  const CommandResult result = verb({"status", output().string(), "--json"});
  EXPECT_EQ(result.exit_code, 0) << ::testing::PrintToString(result);
  return Json::parse(result.out, nullptr, false);
}

std::vector<Json> RunSite::json_lines(const std::string& name) const {
  std::vector<Json> all;
  std::istringstream lines(read_text(output() / name));
  for (std::string line; std::getline(lines, line);) {
    Json json = Json::parse(line, nullptr, false);
    if (json.is_object()) all.push_back(std::move(json));  // the last line may still be in the making
  }
  return all;
}

std::vector<Json> RunSite::verdicts() const {
  std::vector<Json> all;
  for (int number = 1;; ++number) {
    const fs::path file = output() / "verdicts" / (std::to_string(number) + ".json");
    std::error_code error;
    if (!fs::exists(file, error)) return all;
    all.push_back(Json::parse(read_text(file), nullptr, false));
  }
}

std::vector<std::int64_t> RunSite::logged_evaluations() const {
  std::vector<std::int64_t> steps;
  for (const Json& line : metrics()) {
    if (line.contains("eval_loss")) steps.push_back(line.value("step", std::int64_t{-1}));
  }
  return steps;
}

std::vector<std::int64_t> RunSite::logged_steps() const {
  std::vector<std::int64_t> steps;
  for (const Json& line : metrics()) {
    if (line.contains("loss")) steps.push_back(line.value("step", std::int64_t{-1}));
  }
  return steps;
}

std::int64_t RunSite::last_step() const {
  const std::vector<std::int64_t> steps = logged_steps();
  return steps.empty() ? 0 : steps.back();
}

std::optional<pid_t> RunSite::process_of(const std::string& program, int rank) const {
  for (const MarkedProcess& one : of_program(processes(), program)) {
    if (one.rank == rank) return one.pid;
  }
  return std::nullopt;
}

bool RunSite::wait_until(const std::function<bool()>& condition, Milliseconds limit) const {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(poll_pause);
  }
  return true;
}

std::optional<pid_t> RunSite::wait_for_rank(int rank, Milliseconds limit) const {
  std::optional<pid_t> found;
  wait_until([&] { return (found = process_of("fttrain", rank)).has_value(); }, limit);
  return found;
}

std::vector<std::string> RunSite::left_in_state_directory() const {
  std::vector<std::string> left;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(state_directory_, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->is_regular_file(error)) left.push_back(entry->path().string());
  }
  return left;
}

const AdapterFiles& undisturbed_adapter() {
  static const AdapterFiles files = [] {
    RunSite site;
    const CommandResult result = site.run({});
    EXPECT_EQ(result.exit_code, 0) << ::testing::PrintToString(result);
    return site.adapter();
  }();
  return files;
}

void expect_verdict(const Json& verdict, const ExpectedVerdict& expected) {
  ASSERT_TRUE(verdict.is_object());
  const std::string shown = verdict.dump(2);
  EXPECT_EQ(verdict.value("schema", ""), "ftlaunch.verdict/1") << shown;
  EXPECT_EQ(verdict.value("kind", ""), expected.kind) << shown;
  EXPECT_EQ(verdict.value("symptom", ""), expected.symptom) << shown;
  EXPECT_EQ(verdict.value("root_cause", ""), expected.root_cause) << shown;
  EXPECT_EQ(verdict.value("action", ""), expected.action) << shown;
  EXPECT_FALSE(verdict.value("evidence", Json::array()).empty()) << shown;
  if (expected.rank < 0) return;
  ASSERT_EQ(verdict.value("culprits", Json::array()).size(), 1U) << shown;
  EXPECT_EQ(verdict["culprits"][0].value("rank", -1), expected.rank) << shown;
}

void expect_undisturbed_result(RunSite& site, const CommandResult& result) {
  EXPECT_EQ(result.exit_code, 0) << ::testing::PrintToString(result);
  std::vector<std::int64_t> every_step(static_cast<std::size_t>(steps_of_tiny_run));
  std::iota(every_step.begin(), every_step.end(), 1);
  EXPECT_EQ(site.logged_steps(), every_step);
  EXPECT_EQ(site.logged_evaluations(), (std::vector<std::int64_t>{0, steps_of_tiny_run}));
  EXPECT_TRUE(undisturbed_adapter().complete());
  EXPECT_EQ(site.adapter(), undisturbed_adapter());
  EXPECT_EQ(site.status_file().value("state", ""), "finished");
  const std::vector<MarkedProcess> left = site.left();
  EXPECT_TRUE(left.empty()) << describe(left);
}

bool have_mpirun() {
  const char* path = std::getenv("PATH");
  std::istringstream directories(path == nullptr ? "" : path);
  for (std::string directory; std::getline(directories, directory, ':');) {
    if (::access((fs::path(directory) / "mpirun").c_str(), X_OK) == 0) return true;
  }
  return false;
}

}  // namespace ftl
