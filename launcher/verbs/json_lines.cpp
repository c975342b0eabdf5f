#include "launcher/verbs/json_lines.h"

#include <exception>
#include <iostream>

#include <nlohmann/json.hpp>

#include "launcher/verbs/command_line.h"

namespace ftl {
namespace {

constexpr std::size_t longest_line = 64u << 20;

std::string error_answer(const std::string& text) {
  const nlohmann::json answer = {{"error", text}};
  return answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

int filter_json_lines(const std::function<std::string(const std::string&)>& answer) {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    if (line.empty()) continue;
    try {
      std::cout << (line.size() > longest_line ? error_answer("the line is longer than 64 MiB") : answer(line)) << '\n';
    } catch (const std::exception& error) {
      std::cout << error_answer(error.what()) << '\n';
    }
    if (!std::cout.flush()) break;  // nobody reads the answers
  }
  return code_when_output_arrived(0);
}

}  // namespace ftl
