#include "trainer/tokenizer/tokenizer.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>

#include <xxhash.h>

#include "trainer/tokenizer/json_view.h"
#include "trainer/tokenizer/pipeline.h"
#include "trainer/tokenizer/sentencepiece.h"
#include "trainer/tokenizer/tiktoken.h"
#include "trainer/tokenizer/tokenizer_json.h"

namespace ftl {

struct Tokenizer::Impl {
  Pipeline pipeline;
  Encoder encoder;
  std::optional<std::int32_t> bos, eos;
  std::vector<std::int32_t> stop_ids;
  std::string content_hash;
};

namespace {

constexpr std::size_t tokenizer_limit = 200u << 20, config_limit = 16u << 20;

struct TokenizerFiles {
  std::string tokenizer, directory;
};

Result<TokenizerFiles> locate(Files& files, const std::string& path) {
  const auto slash = path.find_last_of('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash);
  if (path.ends_with(".json") || path.ends_with(".model") || path.ends_with(".tiktoken")) {
    if (files.exists(path)) return TokenizerFiles{path, parent};
    return Failure{FaultKind::file_not_found, "the tokenizer's file does not exist", path, ""};
  }
  for (const char* name : {"/tokenizer.json", "/tokenizer.model", "/qwen.tiktoken"}) {
    if (files.exists(path + name)) return TokenizerFiles{path + name, path};
  }
  return Failure{FaultKind::file_not_found, "there is neither a tokenizer.json nor a tokenizer.model", path, ""};
}

// An optional neighbour of tokenizer.json; null when it is not there.
Result<nlohmann::json> read_neighbour(Files& files, const std::string& path) {
  if (!files.exists(path)) return nlohmann::json();
  Result<std::string> text = files.read(path, config_limit);
  if (!text) return Failure{FaultKind::tokenizer_invalid, text.error().what, path, text.error().fix};
  Result<nlohmann::json> parsed = parse_json(*text, FaultKind::tokenizer_invalid, path);
  if (parsed && !parsed->is_object()) return Failure{FaultKind::tokenizer_invalid, "expected a JSON object", path, ""};
  return parsed;
}

// bos_token, eos_token: "<s>" or {"content": "<s>", ...} or null.
std::optional<std::int32_t> named_token(const JsonView& config, std::string_view key, const TokenNames& tokens) {
  if (!config.has(key)) return std::nullopt;
  const JsonView value = config.at(key);
  const std::string text = value.raw().is_object() ? value.text("content") : value.text();
  if (value.failed() || text.empty()) return std::nullopt;
  const std::int32_t id = tokens.find(text);
  if (id >= 0) return id;
  value.complain(in_quotes(text) + " is not a token of the tokenizer");
  return std::nullopt;
}

std::vector<std::int32_t> read_stop_ids(const JsonView& config, std::int32_t vocabulary_size) {
  std::vector<std::int32_t> ids;
  if (!config.has("eos_token_id")) return ids;
  const JsonView value = config.at("eos_token_id");
  for (const JsonView& view : value.raw().is_array() ? value.elements() : std::vector{value}) {
    const std::int32_t id = view.token_id();
    if (id >= vocabulary_size) {
      view.complain(std::string("token id ") + std::to_string(id) + " is not below the tokenizer's " +
                    std::to_string(vocabulary_size));
    }
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  return ids;
}

std::string hash_of(std::string_view text) {
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  char hex[33];
  std::snprintf(hex, sizeof hex, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return hex;
}

// An added token of tokenizer_config.json: a name, or an object with its flags. Nothing when it is null.
std::optional<AddedToken> configured_token(const JsonView& view) {
  if (view.is_null()) return std::nullopt;
  AddedToken token;
  token.special = true;
  if (!view.raw().is_object()) {
    token.content = view.text();
    return token;
  }
  token.content = view.text("content");
  token.special = view.flag("special", true);
  token.lstrip = view.flag("lstrip", false);
  token.rstrip = view.flag("rstrip", false);
  token.single_word = view.flag("single_word", false);
  return token;
}

// A SentencePiece file does not say which of its pieces are found in texts; its tokenizer_config.json does.
void add_configured_tokens(const JsonView& config, Pipeline& pipeline) {
  for (const char* key : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
    const std::optional<AddedToken> token = config.has(key) ? configured_token(config.at(key)) : std::nullopt;
    const std::int32_t id = token ? pipeline.tokens.find(token->content) : -1;
    if (id < 0 || config.failed()) continue;
    pipeline.raw_added.add({id, token->content, true, false, token->lstrip, token->rstrip, token->single_word},
                           token->content);
    pipeline.special.insert(id);
  }
  if (!config.has("added_tokens_decoder")) return;
  const JsonView added = config.at("added_tokens_decoder");
  if (!added.raw().is_object()) return added.complain("expected an object of id -> token");
  for (const auto& [key, value] : added.raw().items()) {
    const JsonView view(value, added.place() + "[" + in_quotes(key) + "]", added.complaint());
    AddedToken token = configured_token(view).value_or(AddedToken{});
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token.id);
    if (error != std::errc() || end != key.data() + key.size() || token.id < 0 || token.id > JsonView::max_token_id)
      view.complain("the key is no token id");
    if (view.failed()) return;
    if (const auto problem = pipeline.add_token(token)) return view.complain(*problem);
  }
  if (const auto problem = id_out_of_proportion(pipeline.tokens.size() - 1, pipeline.tokens.entries()))
    added.complain(*problem);
}

// BOS in front unless the configuration says no, EOS behind only if it says so, as LlamaTokenizer does.
void surround(const JsonView& config, const SentencePieceFile& file, Pipeline& pipeline) {
  const auto control = [&](const std::string& piece) {
    const std::int32_t id = pipeline.tokens.find(piece);
    return id >= 0 && pipeline.special.contains(id) ? id : -1;
  };
  const std::int32_t bos = control(file.bos_piece), eos = control(file.eos_piece);
  if (bos >= 0 && config.flag("add_bos_token", true)) pipeline.post_processor.before.push_back(bos);
  if (eos >= 0) pipeline.natural_end = eos;
  if (eos >= 0 && config.flag("add_eos_token", false)) pipeline.post_processor.after.push_back(eos);
}

std::optional<Failure> at_place(std::optional<Failure> failure, const std::string& place) {
  if (failure) failure->where = place;
  return failure;
}

std::optional<Failure> read_pipeline(const std::string& path, const std::string& text, const JsonView& config,
                                     Pipeline& pipeline) {
  if (path.ends_with(".json")) {
    Result<TokenizerJson> json = parse_tokenizer_json(text, path);
    if (!json) return json.error();
    std::optional<Failure> complaint;
    read_tokenizer_json(JsonView(json->tree, path + ": $", complaint), *json, pipeline);
    return complaint;
  }
  if (path.ends_with(".tiktoken")) return at_place(read_tiktoken(text, qwen_family(), pipeline), path);
  if (looks_like_tiktoken(text)) return at_place(read_tiktoken(text, llama3_family(), pipeline), path);
  Result<SentencePieceFile> file = read_sentencepiece(text);
  if (!file) return at_place(file.error(), path);
  const SentencePieceOptions options{config.flag("legacy", true)};
  if (auto failure = use_sentencepiece(*file, options, pipeline)) return at_place(failure, path);
  surround(config, *file, pipeline);
  add_configured_tokens(config, pipeline);
  return config.complaint();
}

}  // namespace

Result<Tokenizer> Tokenizer::load(Files& files, const std::string& path) {
  Result<TokenizerFiles> places = locate(files, path);
  if (!places) return places.error();
  const std::string config_path = places->directory + "/tokenizer_config.json";
  const std::string generation_path = places->directory + "/generation_config.json";
  Result<std::string> text = files.read(places->tokenizer, tokenizer_limit);
  if (!text) return Failure{FaultKind::tokenizer_invalid, text.error().what, places->tokenizer, text.error().fix};
  Result<nlohmann::json> config = read_neighbour(files, config_path);
  if (!config) return config.error();
  Result<nlohmann::json> generation = read_neighbour(files, generation_path);
  if (!generation) return generation.error();

  auto impl = std::make_unique<Impl>();
  Pipeline& pipeline = impl->pipeline;
  std::optional<Failure> complaint;
  const JsonView config_view(*config, config_path + ": $", complaint);
  if (auto failure = read_pipeline(places->tokenizer, *text, config_view, pipeline)) return *failure;
  // The settings of a SentencePiece file's ids stand beside it.
  const bool complete = places->tokenizer.ends_with(".json") || config->is_null();
  impl->content_hash = hash_of(complete ? *text : *text + config->dump());

  impl->bos = named_token(config_view, "bos_token", pipeline.tokens);
  impl->eos = named_token(config_view, "eos_token", pipeline.tokens);
  impl->stop_ids = read_stop_ids(JsonView(*generation, generation_path + ": $", complaint), pipeline.tokens.size());
  if (complaint) return *complaint;
  if (!impl->bos && !pipeline.post_processor.before.empty()) impl->bos = pipeline.post_processor.before.front();
  if (!impl->eos) impl->eos = pipeline.natural_end;
  if (!impl->eos && !impl->stop_ids.empty()) impl->eos = impl->stop_ids.front();
  if (impl->stop_ids.empty() && impl->eos) impl->stop_ids.push_back(*impl->eos);
  return Tokenizer(std::move(impl));
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<std::int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<std::int32_t> ids;
  impl_->encoder.encode(impl_->pipeline, text, ids);
  return ids;
}

std::vector<std::int32_t> Tokenizer::encode_with_special(std::string_view text) const {
  const PostProcessor& around = impl_->pipeline.post_processor;
  std::vector<std::int32_t> ids = around.before;
  impl_->encoder.encode(impl_->pipeline, text, ids);
  ids.insert(ids.end(), around.after.begin(), around.after.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special) const {
  std::vector<std::string> texts;
  texts.reserve(ids.size());
  for (const std::int32_t id : ids) {
    const Pipeline& pipeline = impl_->pipeline;
    if (!pipeline.tokens.has(id) || (skip_special && pipeline.special.contains(id))) continue;
    const auto found = pipeline.decoded_texts.find(id);
    texts.emplace_back(found == pipeline.decoded_texts.end() ? pipeline.tokens.text(id) : found->second);
  }
  return impl_->pipeline.decoder.decode(std::move(texts));
}

std::int32_t Tokenizer::vocabulary_size() const { return impl_->pipeline.tokens.size(); }
std::optional<std::int32_t> Tokenizer::bos() const { return impl_->bos; }
std::optional<std::int32_t> Tokenizer::eos() const { return impl_->eos; }
std::span<const std::int32_t> Tokenizer::stop_ids() const { return impl_->stop_ids; }
std::span<const std::int32_t> Tokenizer::special_prefix() const { return impl_->pipeline.post_processor.before; }
std::span<const std::int32_t> Tokenizer::special_suffix() const { return impl_->pipeline.post_processor.after; }
const std::string& Tokenizer::content_hash() const { return impl_->content_hash; }

}  // namespace ftl
