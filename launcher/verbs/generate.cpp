#include <charconv>
#include <cmath>
#include <cstdio>
#include <type_traits>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "checkpoints/files.h"
#include "launcher/verbs/command_line.h"
#include "launcher/verbs/isolation.h"
#include "launcher/verbs/loaded_model.h"
#include "launcher/verbs/verb.h"
#include "trainer/model/generate.h"
#include "trainer/tokenizer/tokenizer.h"

namespace ftl {
namespace {

struct Request {
  std::string model;
  std::string adapter;
  std::string prompt;
  std::string instruction;
  bool compare = false;
  GenerateOptions generation;
};

Result<std::string> continuation(LoadedModel& loaded, const Adapter* adapter, const Tokenizer& tokenizer,
                                 const std::vector<std::int32_t>& prompt, const GenerateOptions& options) {
  Result<std::vector<std::int32_t>> ids = generate(*loaded.stream, *loaded.model, adapter, prompt, options);
  if (!ids) return ids.error();
  return tokenizer.decode(*ids, true);
}

// The option library also takes nan, hexadecimal numbers, and -1 for the largest unsigned one.
template <class Number>
std::string is_a(const std::string& text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  if (whole && std::isfinite(static_cast<double>(number))) return "";
  return text + (std::is_unsigned_v<Number> ? " is no integer from 0 to 18446744073709551615" : " is no number");
}

int generate_text(Request options) {
  PosixFiles files;
  Result<Tokenizer> tokenizer = Tokenizer::load(files, options.model);
  if (!tokenizer) return refuse(tokenizer.error());
  Result<LoadedModel> loaded = load_model_directory(files, options.model, options.adapter);
  if (!loaded) return refuse(loaded.error());
  const std::string text = options.instruction.empty()
                               ? options.prompt
                               : fmt::format("### Instruction:\n{}\n\n### Response:\n", options.instruction);
  const std::vector<std::int32_t> prompt = tokenizer->encode_with_special(text);
  if (prompt.empty()) return refuse(Failure{FaultKind::usage_error, "the prompt is empty", "--prompt", ""});
  options.generation.stop_ids.assign(tokenizer->stop_ids().begin(), tokenizer->stop_ids().end());
  if (options.compare) {
    Result<std::string> base = continuation(*loaded, nullptr, *tokenizer, prompt, options.generation);
    if (!base) return refuse(base.error());
    std::printf("base:  %s\n", base->c_str());
  }
  Result<std::string> answer = continuation(*loaded, loaded->adapter_or_null(), *tokenizer, prompt, options.generation);
  if (!answer) return refuse(answer.error());
  std::printf("%s%s\n", options.compare ? "tuned: " : "", answer->c_str());
  return 0;
}

}  // namespace

int run_generate(const Arguments& arguments) {
  CLI::App app("Continues a prompt with a model and, if given, an adapter.", "ftlaunch generate");
  Request options;
  app.add_option("--model", options.model, "model directory, Hugging Face's or Meta's")->required();
  app.add_option("--adapter", options.adapter, "PEFT adapter directory");
  auto* prompt = app.add_option("--prompt", options.prompt, "text to continue, as it is");
  auto* instruction = app.add_option("--instruction", options.instruction,
                                     "an instruction, rendered as in data sets with prompt_style: short");
  prompt->excludes(instruction);
  app.add_flag("--compare", options.compare, "show the base model's answer besides the adapter's");
  app.add_option("--max-new-tokens", options.generation.max_new_tokens, "at most this many tokens")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--temperature", options.generation.temperature, "0 = always the most probable token")
      ->check(CLI::Range(0.0, 100.0))
      ->check(is_a<double>);
  app.add_option("--seed", options.generation.seed, "of the sampling")->check(is_a<std::uint64_t>);
  if (auto code = parse(app, arguments)) return *code;
  if (prompt->count() + instruction->count() == 0) {
    return refuse(Failure{FaultKind::usage_error, "generate needs --prompt or --instruction", "command line", ""});
  }
  if (options.compare && options.adapter.empty()) {
    return refuse(Failure{FaultKind::usage_error, "--compare needs --adapter", "command line", ""});
  }
  return exit_code_from_child("generating", [&] { return generate_text(options); });
}

}  // namespace ftl
