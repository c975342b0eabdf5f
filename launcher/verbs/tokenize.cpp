#include <stdexcept>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "checkpoints/files.h"
#include "launcher/verbs/command_line.h"
#include "launcher/verbs/isolation.h"
#include "launcher/verbs/json_lines.h"
#include "launcher/verbs/verb.h"
#include "trainer/tokenizer/tokenizer.h"

namespace ftl {
namespace {

using Json = nlohmann::ordered_json;

std::string answer(const Tokenizer& tokenizer, const std::string& line) {
  const Json request = Json::parse(line);
  if (!request.is_object() || !request.contains("text") || !request["text"].is_string()) {
    throw std::invalid_argument("a line must be an object with a string \"text\"");
  }
  const std::string text = request["text"];
  const std::vector<std::int32_t> ids = tokenizer.encode(text);
  const Json reply = {
      {"ids", ids}, {"ids_with_special", tokenizer.encode_with_special(text)}, {"decoded", tokenizer.decode(ids)}};
  return reply.dump(-1, ' ', false, Json::error_handler_t::replace);
}

int tokenize(const std::string& directory) {
  PosixFiles files;
  Result<Tokenizer> tokenizer = Tokenizer::load(files, directory);
  if (!tokenizer) return refuse(tokenizer.error());
  return filter_json_lines([&](const std::string& line) { return answer(*tokenizer, line); });
}

}  // namespace

int run_tokenize(const Arguments& arguments) {
  CLI::App app("Token ids of texts: {\"text\"} a line in, {\"ids\", \"ids_with_special\", \"decoded\"} out.",
               "ftlaunch tokenize");
  std::string directory;
  app.add_option("--tokenizer", directory, "directory with tokenizer.json, or the file")->required();
  if (auto code = parse(app, arguments)) return *code;
  return exit_code_from_child("reading the tokenizer", [&] { return tokenize(directory); });
}

}  // namespace ftl
