#include "launcher/verbs/command_line.h"

#include <algorithm>
#include <cstdio>
#include <iostream>

#include <CLI/CLI.hpp>

#include "launcher/preflight.h"

namespace ftl {
namespace {

// An empty value is a variable that was not set, never a wish.
std::string not_empty(const std::string& value) { return value.empty() ? "its value is empty" : ""; }

}  // namespace

std::optional<int> parse(CLI::App& app, const Arguments& arguments) {
  for (CLI::Option* option : app.get_options()) {
    if (option->get_items_expected_max() > 0) option->check(not_empty);
  }
  Arguments reversed(arguments.rbegin(), arguments.rend());  // CLI11 takes them as a stack
  try {
    app.parse(std::move(reversed));
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return 0;
  } catch (const CLI::ParseError& error) {
    return refuse(
        Failure{FaultKind::usage_error, error.what(), "command line", "`" + app.get_name() + " -h` lists the options"});
  }
}

int code_when_output_arrived(int code) {
  const bool flushed = std::fflush(stdout) == 0;
  if (std::cout.flush() && flushed && std::ferror(stdout) == 0) return code;
  std::fputs(
      "error: standard output is full or closed: a part of what ftlaunch had to say is lost\n"
      "  where: standard output\n"
      "  fix:   free space where it goes, or let its reader live as long as ftlaunch\n",
      stderr);
  return code == 0 ? 3 : code;
}

int refuse(const Failure& failure) {
  std::fputs(describe(failure).c_str(), stderr);
  return exit_code(failure.kind);
}

int refuse(const std::vector<Failure>& failures) {
  for (const Failure& failure : failures) std::fputs(describe(failure).c_str(), stderr);
  return exit_code(failures);
}

}  // namespace ftl
