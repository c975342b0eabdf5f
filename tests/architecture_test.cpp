// The house rules as a test: who may include whom, which headers stay out of ours, which calls stay at the edge, that
// every source is listed in a CMake file, and that files and lines keep their size. It reads the sources as text.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ftl {
namespace {

namespace fs = std::filesystem;

const fs::path root = FTL_SOURCE_DIR;
const std::vector<std::string> rooms = {"failures", "comm",     "kernels",    "checkpoints", "lora",
                                        "trainer",  "launcher", "simulation", "configs"};

struct Source {
  std::string path;  // from the root
  std::vector<std::string> lines;
};

std::vector<std::string> lines_of(const fs::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

bool is_source(const fs::path& path) {
  static const std::set<std::string> extensions = {".cpp", ".h", ".cu", ".cuh"};
  return extensions.count(path.extension().string()) > 0;
}

const std::vector<Source>& sources() {
  static const std::vector<Source> all = [] {
    std::vector<Source> found;
    for (const std::string& room : rooms) {
      for (const auto& entry : fs::recursive_directory_iterator(root / room)) {
        if (entry.is_regular_file() && is_source(entry.path())) {
          found.push_back({fs::relative(entry.path(), root).string(), lines_of(entry.path())});
        }
      }
    }
    return found;
  }();
  return all;
}

std::string room_of(const std::string& path) { return path.substr(0, path.find('/')); }
bool is_header(const std::string& path) { return path.ends_with(".h"); }

bool is_composition_root(const std::string& path) {
  return path == "launcher/main.cpp" || path.starts_with("launcher/verbs/") || path == "trainer/main.cpp" ||
         path.starts_with("simulation/");
}

std::vector<std::string> includes_of(const Source& source, char open) {
  static const std::regex quoted("^\\s*#include \"([^\"]+)\"");
  static const std::regex angled("^\\s*#include <([^>]+)>");
  std::vector<std::string> found;
  for (const std::string& line : source.lines) {
    std::smatch match;
    if (std::regex_search(line, match, open == '"' ? quoted : angled)) found.push_back(match[1]);
  }
  return found;
}

// The allowed arrows (docs/architecture.md). A room may always include itself and failures.
const std::map<std::string, std::set<std::string>> arrows = {
    {"failures", {}},
    {"configs", {}},
    {"kernels", {}},
    {"checkpoints", {}},
    {"comm", {}},
    {"lora", {"kernels", "checkpoints"}},
    {"trainer", {"lora", "kernels", "checkpoints", "comm", "configs"}},
    {"launcher", {"configs", "checkpoints", "comm"}},
};
const std::set<std::string> seen_by_all = {"kernels/tensor_view.h"};  // the shape of a buffer, nothing else

TEST(Architecture, RoomsIncludeOnlyWhomTheyMay) {
  for (const Source& source : sources()) {
    if (is_composition_root(source.path)) continue;
    const std::string room = room_of(source.path);
    for (const std::string& include : includes_of(source, '"')) {
      const std::string other = room_of(include);
      if (other == room || other == "failures" || seen_by_all.count(include)) continue;
      EXPECT_TRUE(arrows.at(room).count(other)) << source.path << " includes " << include;
    }
  }
}

TEST(Architecture, LibrariesStayInNamedSourceFiles) {
  const std::regex kept_out("^(mpi\\.h|nccl\\.h|cuda.*|cublas.*|yaml-cpp/.*|boost/.*|cblas.*|openblas.*|CLI/.*)$");
  for (const Source& source : sources()) {
    if (!is_header(source.path)) continue;
    for (const std::string& include : includes_of(source, '<')) {
      EXPECT_FALSE(std::regex_match(include, kept_out)) << source.path << " includes <" << include << ">";
    }
  }
}

// Time, randomness, sleeping and the environment come in as parameters; these files are the edge where they are read.
TEST(Architecture, TimeAndEnvironmentAreReadAtTheEdgeOnly) {
  const std::regex banned(
      "(_clock::now|sleep_for|random_device|(\\bstd|[^\\w])::(time|sleep)\\s*\\(|"
      "\\b(usleep|nanosleep|getenv|secure_getenv|s?rand|gettimeofday|clock_gettime|clock_nanosleep)\\s*\\()");
  const std::set<std::string> edge = {"comm/clock.cpp", "launcher/main.cpp", "trainer/main.cpp",
                                      // Times of day, written into files and compared with those of files.
                                      "launcher/run_directory.cpp", "launcher/run_directory_state.cpp"};
  for (const std::string& path : edge) EXPECT_TRUE(fs::exists(root / path)) << path << " is named here and is no file";
  for (const Source& source : sources()) {
    if (edge.count(source.path) || source.path.starts_with("launcher/keeper/") ||
        source.path.starts_with("launcher/shell") || source.path.starts_with("launcher/verbs/")) {
      continue;
    }
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      const std::string code = source.lines[i].substr(0, source.lines[i].find("//"));
      EXPECT_FALSE(std::regex_search(code, banned)) << source.path << ":" << i + 1 << ": " << source.lines[i];
    }
  }
}

TEST(Architecture, NamesSayWhatTheyHold) {
  const std::regex vague("(util|utils|common|helper|helpers|manager|misc)", std::regex::icase);
  for (const Source& source : sources()) {
    EXPECT_FALSE(std::regex_search(fs::path(source.path).stem().string(), vague)) << source.path;
  }
}

TEST(Architecture, EverySourceIsListedInACMakeFile) {
  std::map<std::string, std::string> listings;  // directory -> text of the CMake files there
  auto text_of = [&](const fs::path& directory) -> const std::string& {
    auto [it, is_new] = listings.try_emplace(directory.string());
    if (is_new) {
      for (const auto& entry : fs::directory_iterator(root / directory)) {
        if (entry.path().filename() == "CMakeLists.txt" || entry.path().extension() == ".cmake") {
          for (const std::string& line : lines_of(entry.path())) it->second += line + "\n";
        }
      }
    }
    return it->second;
  };
  for (const Source& source : sources()) {
    if (is_header(source.path) || source.path.ends_with(".cuh")) continue;
    bool listed = false;
    fs::path directory = fs::path(source.path).parent_path();
    for (fs::path up = directory; !listed; up = up.parent_path()) {
      const std::string relative = fs::path(source.path).lexically_relative(up.empty() ? fs::path(".") : up).string();
      listed = text_of(up).find(relative) != std::string::npos;
      if (up.empty()) break;
    }
    EXPECT_TRUE(listed) << source.path << " is listed in no CMake file";
  }
}

TEST(Architecture, FilesAndLinesKeepTheirSize) {
  constexpr std::size_t longest_file = 500;
  constexpr std::size_t longest_line = 120;
  for (const Source& source : sources()) {
    EXPECT_LE(source.lines.size(), longest_file) << source.path;
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      EXPECT_LE(source.lines[i].size(), longest_line) << source.path << ":" << i + 1;
    }
  }
}

TEST(Architecture, HeadersOpenWithTheirIdea) {
  for (const Source& source : sources()) {
    if (!is_header(source.path) || source.lines.empty()) continue;
    EXPECT_TRUE(source.lines[0].starts_with("// ")) << source.path << " does not say what it is for";
    EXPECT_THAT(source.lines, testing::Contains("#pragma once")) << source.path;
  }
}

}  // namespace
}  // namespace ftl
