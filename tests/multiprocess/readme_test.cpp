// What the README tells a stranger to type must work. Its commands are run in a directory of their own, beside links to
// configs/ and examples/; runs are shortened to a few steps.
#include <sstream>

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/multiprocess/launched_run.h"
#include "tests/multiprocess/tiny_inputs.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;

// Lines indented by four spaces that begin with build/release/bin/, comments cut off.
std::vector<std::string> commands_of_readme() {
  std::vector<std::string> commands;
  std::istringstream lines(read_text(fs::path(FTL_SOURCE_DIR) / "README.md"));
  const std::string start = "    build/release/bin/";
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(start)) continue;
    const std::size_t comment = line.find(" # ");
    std::string command = line.substr(start.size(), comment == std::string::npos ? comment : comment - start.size());
    command.erase(command.find_last_not_of(' ') + 1);
    commands.push_back(command);
  }
  return commands;
}

bool starts_a_run(const std::string& command) {
  return command.starts_with("ftlaunch --config") && command.find("--dry-run") == std::string::npos;
}

TEST(Readme, ShowsCommandsThatWork) {
  FTL_REQUIRE_MPIRUN();
  const std::vector<std::string> commands = commands_of_readme();
  ASSERT_GE(commands.size(), 5U);
  const fs::path directory = fresh_directory();
  for (const char* name : {"configs", "examples"})
    fs::create_directory_symlink(fs::path(FTL_SOURCE_DIR) / name, directory / name);
  for (const std::string& command : commands) {
    std::string line = "cd '" + directory.string() + "' && '" FTL_BINARY_DIR "/bin/'" + command;
    if (starts_a_run(command))
      line += " --set max_steps=8 --set warmup_steps=0 --set warmup_ratio=0.1 --set val_set_size=8";
    line += " > output.txt 2>&1";
    const int status = std::system(line.c_str());
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << line << "\n" << read_text(directory / "output.txt");
  }
  if (!HasFailure()) fs::remove_all(directory);
}

}  // namespace
}  // namespace ftl
