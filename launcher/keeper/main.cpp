// ftkeeper: the parent process of one rank.
//   ftkeeper --control HOST:PORT --spec FILE [--rank K] [--node NAME] -- RANK_PROGRAM ARGUMENTS...
// The rank's number comes from --rank or from the engine's environment; the run's secret from FTL_SECRET, never from
// argv.
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "launcher/engines/process_table.h"
#include "launcher/keeper/keeper.h"

namespace {

struct Arguments {
  std::string control;
  std::string spec;
  std::string node;
  std::optional<int> rank;
  std::vector<std::string> command;
};

std::optional<int> integer(const char* text) {
  if (text == nullptr) return std::nullopt;
  const std::string_view word(text);
  int number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc{} || end != word.data() + word.size() || number < 0) return std::nullopt;
  return number;
}

std::optional<int> rank_of_engine() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID"}) {
    if (const auto rank = integer(std::getenv(name))) return rank;
  }
  return std::nullopt;
}

std::optional<Arguments> parse(int argc, char** argv) {
  Arguments arguments;
  int i = 1;
  for (; i + 1 < argc && std::string_view(argv[i]) != "--"; i += 2) {
    const std::string_view name = argv[i];
    if (name == "--control")
      arguments.control = argv[i + 1];
    else if (name == "--spec")
      arguments.spec = argv[i + 1];
    else if (name == "--node")
      arguments.node = argv[i + 1];
    else if (name == "--rank")
      arguments.rank = integer(argv[i + 1]);
    else
      return std::nullopt;
  }
  if (!arguments.rank) arguments.rank = rank_of_engine();
  if (i >= argc || std::string_view(argv[i]) != "--" || i + 1 >= argc) return std::nullopt;
  arguments.command.assign(argv + i + 1, argv + argc);
  if (arguments.control.empty() || arguments.spec.empty() || !arguments.rank) return std::nullopt;
  return arguments;
}

// Several logical nodes may share a machine; then the engine says that all ranks are local, and the node is a number.
std::string node_of(const ftl::ProcessSpec& spec, int rank) {
  const auto here = integer(std::getenv("OMPI_COMM_WORLD_LOCAL_SIZE"));
  const bool all_here = spec.world.value == 1 || (here && *here == spec.world.value);
  if (all_here) return "local-" + std::to_string(rank / (spec.ranks_per_node > 0 ? spec.ranks_per_node : 1));
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

int refuse(const std::string& what) {
  std::fprintf(stderr, "ftkeeper: %s\n", what.c_str());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t handled;
  ::sigemptyset(&handled);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&handled, signal);
  ::sigprocmask(SIG_BLOCK, &handled, nullptr);

  const auto arguments = parse(argc, argv);
  if (!arguments) {
    return refuse(
        "usage: ftkeeper --control HOST:PORT --spec FILE [--rank K] [--node NAME] -- RANK_PROGRAM ARGUMENTS...");
  }
  const char* secret = std::getenv(ftl::secret_variable);
  if (secret == nullptr)
    return refuse(std::string(ftl::secret_variable) + " is not set: keepers are started by ftlaunch");
  const auto text = ftl::read_small_file(arguments->spec, 16 << 20);
  if (!text) return refuse("the spec cannot be read: " + arguments->spec);
  auto spec = ftl::process_spec_from_json(*text);
  if (!spec) return refuse(spec.error().what);
  if (*arguments->rank >= spec->world.value) {
    return refuse("rank " + std::to_string(*arguments->rank) + " is not within a world of " +
                  std::to_string(spec->world.value));
  }
  ftl::KeeperOptions options{
      *spec, ftl::Rank{*arguments->rank}, arguments->node, arguments->command, arguments->control, secret};
  if (options.node.empty()) options.node = node_of(*spec, *arguments->rank);
  options.rank_command.insert(options.rank_command.end(), {"--rank", std::to_string(*arguments->rank)});
  ftl::SystemClock clock;
  auto link = ftl::ControlLink::connect(arguments->control, secret, clock, std::chrono::seconds(10));
  if (!link) return refuse(link.error().what);
  return ftl::keep(options, std::move(*link), clock);
}
