// What every verb of the command line looks like. A verb parses its own options, prints its own help on -h, and returns
// the process's exit code (contract.md, "Exit codes").
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "failures/failure.h"

namespace ftl {

using Arguments = std::vector<std::string>;  // without program name and verb

struct Verb {
  std::string_view name;
  std::string_view summary;
  int (*run)(const Arguments& arguments);  // null: not in this version
};
std::span<const Verb> verbs();

int run_bench(const Arguments& arguments);
int run_check(const Arguments& arguments);
int run_explain(const Arguments& arguments);
int run_generate(const Arguments& arguments);
int run_import_config(const Arguments& arguments);
int run_inspect(const Arguments& arguments);
int run_logits(const Arguments& arguments);
int run_render(const Arguments& arguments);
int run_run(const Arguments& arguments);
int run_status(const Arguments& arguments);
int run_tokenize(const Arguments& arguments);
int run_clean(const Arguments& arguments);

// Prints a failure for people and returns its exit code.
int refuse(const Failure& failure);
int refuse(const std::vector<Failure>& failures);

}  // namespace ftl
