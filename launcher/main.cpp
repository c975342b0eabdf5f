// ftlaunch: the command line. Chooses a verb; without one, options mean `run`.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <new>
#include <optional>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include "launcher/verbs/command_line.h"
#include "launcher/verbs/verb.h"

namespace ftl {
namespace {

constexpr Verb verb_table[] = {
    {"run", "check, launch, watch and recover a fine-tuning run (the default verb)", run_run},
    {"check", "every check before a launch, all findings; nothing is started", run_check},
    {"status", "where a run stands", run_status},
    {"explain", "what a fault kind or a taxonomy code means", run_explain},
    {"generate", "continue a prompt with a model and an adapter", run_generate},
    {"tokenize", "token ids of texts (JSON lines)", run_tokenize},
    {"render", "chats through a chat template (JSON lines)", run_render},
    {"logits", "logits of token ids (JSON lines)", run_logits},
    {"bench", "speed, memory and arithmetic of whole steps on this machine", run_bench},
    {"clean", "remove what dead runs left in node-local memory", run_clean},
    {"inspect", "what a checkpoint directory or file is", run_inspect},
    {"diagnose", "post-mortem of logs", nullptr},
    {"simulate", "a run in virtual time with failures", nullptr},
    {"watch", "follow a run", nullptr},
    {"report", "a run as a page", nullptr},
    {"merge", "an adapter into its base", nullptr},
    {"export", "other formats", nullptr},
    {"convert", "other formats", nullptr},
    {"reshard", "other parallel layouts", nullptr},
    {"verify-resume", "prove that a resume gives the same bits", nullptr},
    {"chaos", "faults on a running job", nullptr},
    {"doctor", "this machine", nullptr},
    {"import-config", "a configuration of another tool, written anew", run_import_config},
};

void print_help() {
  std::fputs(
      "ftlaunch --config FILE [--nodes N] [--ranks-per-node M] [--dry-run] ...   fine-tune (= ftlaunch run)\n"
      "ftlaunch VERB ...\n\n",
      stdout);
  for (const Verb& verb : verb_table) {
    if (verb.run != nullptr)
      std::printf("  %-13s %s\n", std::string(verb.name).c_str(), std::string(verb.summary).c_str());
  }
  std::fputs("\n`ftlaunch VERB -h` shows a verb's options.\n", stdout);
}

// A standard stream that the caller closed would become the first file that is opened: its place is taken by one that
// reads as empty and cannot be written.
void hold_standard_streams() {
  for (int stream = 0; stream <= 2; ++stream) {
    if (::fcntl(stream, F_GETFD) < 0 && ::open("/dev/null", O_RDONLY) != stream) std::abort();
  }
}

// With less, the first deep call ends the process by a signal that names nothing.
std::optional<Failure> too_small_a_stack() {
  constexpr rlim_t least = rlim_t{1} << 20;
  rlimit stack{};
  if (::getrlimit(RLIMIT_STACK, &stack) != 0 || stack.rlim_cur >= least) return std::nullopt;
  return Failure{
      FaultKind::launch_failed,
      fmt::format("the limit of the stack is {} KiB, at least {} KiB are needed", stack.rlim_cur >> 10, least >> 10),
      "ulimit -s", "raise it in the shell that starts ftlaunch: ulimit -s 8192"};
}

int dispatch(Arguments arguments) {
  if (arguments.empty() || arguments[0] == "-h" || arguments[0] == "--help" || arguments[0] == "help") {
    print_help();
    return arguments.empty() ? 2 : 0;
  }
  if (arguments[0] == "--version") {
    std::puts("ftlaunch " FTL_VERSION);
    return 0;
  }
  if (arguments[0].starts_with("-")) return run_run(arguments);
  const auto verb = std::ranges::find(verb_table, std::string_view(arguments[0]), &Verb::name);
  if (verb == std::end(verb_table)) {
    return refuse(Failure{FaultKind::usage_error, fmt::format("there is no verb `{}`", arguments[0]), "command line",
                          "`ftlaunch -h` lists the verbs"});
  }
  if (verb->run == nullptr) {
    return refuse(Failure{FaultKind::not_in_this_version,
                          fmt::format("`ftlaunch {}` is not in this version", arguments[0]), "command line", ""});
  }
  arguments.erase(arguments.begin());
  return verb->run(arguments);
}

}  // namespace

std::span<const Verb> verbs() { return verb_table; }

}  // namespace ftl

int main(int argc, char** argv) {
  ftl::hold_standard_streams();
  ::signal(SIGPIPE, SIG_IGN);  // what cannot be written is an error of its writer, not the end of a run
  ::signal(SIGXFSZ, SIG_IGN);
  try {
    if (const auto failure = ftl::too_small_a_stack()) return ftl::refuse(std::vector<ftl::Failure>{*failure});
    return ftl::code_when_output_arrived(ftl::dispatch(ftl::Arguments(argv + 1, argv + argc)));
  } catch (const std::bad_alloc&) {
    return ftl::refuse(
        std::vector<ftl::Failure>{{ftl::FaultKind::host_out_of_memory,
                                   "ftlaunch asked for memory, and the system has no more for it", "ftlaunch", ""}});
  } catch (const std::exception& error) {
    return ftl::refuse(ftl::Failure{ftl::FaultKind::internal_error, error.what(), "ftlaunch", ""});
  }
}
