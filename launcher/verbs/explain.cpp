#include "failures/explain.h"

#include <cstdio>

#include <CLI/CLI.hpp>

#include "launcher/verbs/command_line.h"
#include "launcher/verbs/verb.h"

namespace ftl {

int run_explain(const Arguments& arguments) {
  CLI::App app(
      "What a fault kind (rank_stuck) or a code of the taxonomy (S:B.2, R:A.3.3) means and what to do about it.",
      "ftlaunch explain");
  std::string word;
  bool list = false;
  app.add_option("word", word, "fault kind, S:CODE or R:CODE");
  app.add_flag("--list", list, "every fault kind as a table");
  if (auto code = parse(app, arguments)) return *code;
  if (list) {
    std::fputs(taxonomy_as_markdown().c_str(), stdout);
    return 0;
  }
  if (word.empty()) {
    return refuse(Failure{FaultKind::usage_error, "explain needs a fault kind or a code", "command line",
                          "`ftlaunch explain --list` shows all kinds"});
  }
  const Explanation explanation = explain(word);
  std::fputs(explanation.text.c_str(), explanation.known ? stdout : stderr);
  return explanation.known ? 0 : 2;
}

}  // namespace ftl
