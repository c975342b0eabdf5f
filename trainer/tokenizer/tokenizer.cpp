#include "trainer/tokenizer/tokenizer.h"

#include <algorithm>
#include <cstdio>
#include <unordered_set>

#include <xxhash.h>

#include "trainer/tokenizer/added_tokens.h"
#include "trainer/tokenizer/bpe.h"
#include "trainer/tokenizer/decoder.h"
#include "trainer/tokenizer/json_view.h"
#include "trainer/tokenizer/normalizer.h"
#include "trainer/tokenizer/post_processor.h"
#include "trainer/tokenizer/pre_tokenizer.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl {

struct Tokenizer::Impl {
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::unique_ptr<Bpe> model;
  PostProcessor post_processor;
  Decoder decoder;
  TokenTable tokens;  // the model's and the added ones
  AddedTokenFinder raw_added, normalized_added;
  std::unordered_set<std::int32_t> special;
  std::optional<std::int32_t> bos, eos;
  std::vector<std::int32_t> stop_ids;
  std::string content_hash;

  void read(const JsonView& root);
  void read_added_token(const JsonView& view);
  void encode(std::string_view text, std::vector<std::int32_t>& ids) const;
  void encode_ordinary(std::string_view text, bool at_text_start, std::vector<std::int32_t>& ids) const;
};

namespace {

constexpr std::size_t tokenizer_limit = 200u << 20, config_limit = 16u << 20;

struct TokenizerFiles {
  std::string tokenizer, directory;
};

Result<TokenizerFiles> locate(Files& files, const std::string& path) {
  const auto slash = path.find_last_of('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash);
  if (path.ends_with(".json")) {
    if (files.exists(path)) return TokenizerFiles{path, parent};
    return Failure{FaultKind::file_not_found, "the tokenizer's file does not exist", path, ""};
  }
  if (files.exists(path + "/tokenizer.json")) return TokenizerFiles{path + "/tokenizer.json", path};
  if (files.exists(path + "/tokenizer.model")) {
    return Failure{FaultKind::tokenizer_invalid,
                   "there is a tokenizer.model but no tokenizer.json; only the latter is read in this version", path,
                   "save the tokenizer as tokenizer.json (save_pretrained of a fast tokenizer does)"};
  }
  return Failure{FaultKind::file_not_found, "there is no tokenizer.json", path, ""};
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
std::optional<std::int32_t> named_token(const JsonView& config, std::string_view key, const TokenTable& tokens) {
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

JsonView optional_member(const JsonView& root, std::string_view key) {
  static const nlohmann::json null;
  return root.has(key) ? root.at(key) : JsonView(null, root.place() + "." + std::string(key), root.complaint());
}

}  // namespace

void Tokenizer::Impl::read(const JsonView& root) {
  if (!root.raw().is_object()) return root.complain("expected a JSON object");
  model = Bpe::from_json(root.at("model"));
  normalizer = Normalizer::from_json(optional_member(root, "normalizer"));
  pre_tokenizer = PreTokenizer::from_json(optional_member(root, "pre_tokenizer"));
  decoder = Decoder::from_json(optional_member(root, "decoder"));
  if (root.failed()) return;
  tokens = model->vocabulary();
  if (root.has("added_tokens")) {
    for (const JsonView& view : root.at("added_tokens").elements()) {
      read_added_token(view);
      if (root.failed()) return;
    }
  }
  post_processor = PostProcessor::from_json(optional_member(root, "post_processor"), tokens);
}

void Tokenizer::Impl::read_added_token(const JsonView& view) {
  AddedToken token;
  token.content = view.text("content");
  token.id = view.at("id").token_id();
  token.special = view.flag("special", false);
  token.normalized = view.flag("normalized", !token.special);
  token.lstrip = view.flag("lstrip", false);
  token.rstrip = view.flag("rstrip", false);
  token.single_word = view.flag("single_word", false);
  if (view.failed()) return;
  switch (tokens.add(token.content, token.id)) {
    case TokenTable::Added::text_taken:
      return view.complain(std::string("added token ") + in_quotes(token.content) + " has id " +
                           std::to_string(token.id) + " here and id " + std::to_string(tokens.find(token.content)) +
                           " before");
    case TokenTable::Added::id_taken:
      return view.complain(std::string("id ") + std::to_string(token.id) + " is given to " + in_quotes(token.content) +
                           " and to " + in_quotes(tokens.text(token.id)));
    case TokenTable::Added::fresh:
    case TokenTable::Added::same: break;
  }
  if (token.special) special.insert(token.id);
  if (token.normalized) {
    normalized_added.add(token, normalizer.apply(token.content));
  } else {
    raw_added.add(token, token.content);
  }
}

void Tokenizer::Impl::encode(std::string_view text, std::vector<std::int32_t>& ids) const {
  std::string repaired;
  if (!is_valid_utf8(text)) text = repaired = repair_utf8(text);
  for (const AddedTokenFinder::Part& raw : raw_added.split(text)) {
    if (raw.id >= 0) {
      ids.push_back(raw.id);
      continue;
    }
    bool at_text_start = raw.text.data() == text.data();
    const std::string normalized = normalizer.apply(std::string(raw.text));
    for (const AddedTokenFinder::Part& part : normalized_added.split(normalized)) {
      part.id >= 0 ? ids.push_back(part.id) : encode_ordinary(part.text, at_text_start, ids);
      at_text_start = false;
    }
  }
}

void Tokenizer::Impl::encode_ordinary(std::string_view text, bool at_text_start, std::vector<std::int32_t>& ids) const {
  Pieces pieces{std::string(text), {}, at_text_start};
  pre_tokenizer.apply(pieces);
  for (const Span& piece : pieces.spans)
    model->encode(std::string_view(pieces.text).substr(piece.begin, piece.end - piece.begin), ids);
}

Result<Tokenizer> Tokenizer::load(Files& files, const std::string& path) {
  Result<TokenizerFiles> places = locate(files, path);
  if (!places) return places.error();
  Result<std::string> text = files.read(places->tokenizer, tokenizer_limit);
  if (!text) return Failure{FaultKind::tokenizer_invalid, text.error().what, places->tokenizer, text.error().fix};
  Result<nlohmann::json> json = parse_json(*text, FaultKind::tokenizer_invalid, places->tokenizer);
  if (!json) return json.error();
  auto impl = std::make_unique<Impl>();
  impl->content_hash = hash_of(*text);
  text->clear();
  text->shrink_to_fit();
  std::optional<Failure> complaint;
  impl->read(JsonView(*json, places->tokenizer + ": $", complaint));
  if (complaint) return *complaint;

  const std::string config_path = places->directory + "/tokenizer_config.json";
  const std::string generation_path = places->directory + "/generation_config.json";
  Result<nlohmann::json> config = read_neighbour(files, config_path);
  if (!config) return config.error();
  Result<nlohmann::json> generation = read_neighbour(files, generation_path);
  if (!generation) return generation.error();
  const JsonView config_view(*config, config_path + ": $", complaint);
  impl->bos = named_token(config_view, "bos_token", impl->tokens);
  impl->eos = named_token(config_view, "eos_token", impl->tokens);
  impl->stop_ids = read_stop_ids(JsonView(*generation, generation_path + ": $", complaint), impl->tokens.size());
  if (complaint) return *complaint;
  if (!impl->bos && !impl->post_processor.before.empty()) impl->bos = impl->post_processor.before.front();
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
  impl_->encode(text, ids);
  return ids;
}

std::vector<std::int32_t> Tokenizer::encode_with_special(std::string_view text) const {
  const PostProcessor& around = impl_->post_processor;
  std::vector<std::int32_t> ids = around.before;
  impl_->encode(text, ids);
  ids.insert(ids.end(), around.after.begin(), around.after.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special) const {
  std::vector<std::string> texts;
  texts.reserve(ids.size());
  for (const std::int32_t id : ids) {
    if (impl_->tokens.has(id) && !(skip_special && impl_->special.contains(id)))
      texts.emplace_back(impl_->tokens.text(id));
  }
  return impl_->decoder.decode(std::move(texts));
}

std::int32_t Tokenizer::vocabulary_size() const { return impl_->tokens.size(); }
std::optional<std::int32_t> Tokenizer::bos() const { return impl_->bos; }
std::optional<std::int32_t> Tokenizer::eos() const { return impl_->eos; }
std::span<const std::int32_t> Tokenizer::stop_ids() const { return impl_->stop_ids; }
std::span<const std::int32_t> Tokenizer::special_prefix() const { return impl_->post_processor.before; }
std::span<const std::int32_t> Tokenizer::special_suffix() const { return impl_->post_processor.after; }
const std::string& Tokenizer::content_hash() const { return impl_->content_hash; }

}  // namespace ftl
