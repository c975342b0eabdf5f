#include "launcher/verbs/command_line.h"

#include <algorithm>
#include <cstdio>

#include <CLI/CLI.hpp>

#include "launcher/preflight.h"

namespace ftl {

std::optional<int> parse(CLI::App& app, const Arguments& arguments) {
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

int refuse(const Failure& failure) {
  std::fputs(describe(failure).c_str(), stderr);
  return exit_code(failure.kind);
}

int refuse(const std::vector<Failure>& failures) {
  for (const Failure& failure : failures) std::fputs(describe(failure).c_str(), stderr);
  return exit_code(failures);
}

}  // namespace ftl
