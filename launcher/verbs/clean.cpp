#include <cstdio>
#include <cstdlib>

#include <CLI/CLI.hpp>

#include "launcher/run_directory_state.h"
#include "launcher/verbs/command_line.h"
#include "launcher/verbs/verb.h"

namespace ftl {

int run_clean(const Arguments& arguments) {
  CLI::App app("Removes what dead runs left in node-local memory (rings, hot state).", "ftlaunch clean");
  bool all = false;
  app.add_flag("--all", all, "also the hot state of runs that could still be resumed from it");
  if (auto code = parse(app, arguments)) return *code;
  const char* base = std::getenv("FTL_STATE_DIR");
  const std::vector<std::string> removed = reclaim_state(base != nullptr ? base : "", all);
  for (const std::string& path : removed) std::printf("removed %s\n", path.c_str());
  std::printf("%zu state directories removed\n", removed.size());
  return 0;
}

}  // namespace ftl
