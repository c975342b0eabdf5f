#include "trainer/tokenizer/tiktoken.h"

#include <algorithm>
#include <charconv>

#include "trainer/tokenizer/bpe.h"
#include "trainer/tokenizer/canonical_composition.h"
#include "trainer/tokenizer/character_map.h"
#include "trainer/tokenizer/known_expressions.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

constexpr std::int32_t max_ranks = 10'000'000;
constexpr std::size_t longest_token = 1024;  // bytes; every way to cut a token in two is looked at

struct Line {
  std::string bytes;
  std::int32_t rank = -1;
};

std::optional<Line> read_line(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  std::optional<std::string> bytes = decode_base64(line.substr(0, space));
  Line read;
  const std::string_view number = line.substr(space + 1);
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), read.rank);
  if (!bytes || bytes->empty() || bytes->size() > longest_token || error != std::errc() ||
      end != number.data() + number.size())
    return std::nullopt;
  if (read.rank < 0 || read.rank >= max_ranks) return std::nullopt;
  read.bytes = std::move(*bytes);
  return read;
}

Failure refuse(std::string what) { return Failure{FaultKind::tokenizer_invalid, std::move(what), "", ""}; }

// The tokens' bytes by rank.
Result<std::vector<std::string>> read_ranks(std::string_view text, const TiktokenFamily& family) {
  std::vector<std::string> tokens(static_cast<std::size_t>(family.ranks));
  std::int32_t count = 0, number = 0;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    ++number;
    if (line.empty() || line == "\r") continue;
    std::optional<Line> read = read_line(line);
    const std::string place = "line " + std::to_string(number);
    if (!read) return refuse(place + " is not a token of at most 1024 bytes in base64, a space and a rank");
    ++count;
    if (read->rank >= family.ranks) continue;  // counted, and refused for the number below
    std::string& token = tokens[static_cast<std::size_t>(read->rank)];
    if (!token.empty()) return refuse(place + " gives rank " + std::to_string(read->rank) + " a second time");
    token = std::move(read->bytes);
  }
  if (count != family.ranks) {
    return refuse("there are " + std::to_string(count) + " ranks; " + std::string(family.name) + " has " +
                  std::to_string(family.ranks) + ", and no other family's tiktoken file is known");
  }
  for (std::size_t rank = 0; rank < tokens.size(); ++rank) {
    if (tokens[rank].empty()) return refuse("rank " + std::to_string(rank) + " is missing");
  }
  return tokens;
}

// Every way to put a token together from two others; the token's rank is when it is done.
MergeTable find_merges(const std::vector<std::string>& tokens, const TokenTable& ranks) {
  struct Merge {
    std::int32_t left, right, whole;
  };
  std::vector<Merge> found;
  for (std::size_t rank = 0; rank < tokens.size(); ++rank) {
    const std::string_view token = tokens[rank];
    for (std::size_t at = 1; at < token.size(); ++at) {
      const std::int32_t left = ranks.find(token.substr(0, at));
      const std::int32_t right = left < 0 ? -1 : ranks.find(token.substr(at));
      if (right >= 0) found.push_back({left, right, static_cast<std::int32_t>(rank)});
    }
  }
  MergeTable merges(found.size());
  for (const Merge& merge : found)
    merges.add(merge.left, merge.right, static_cast<std::uint32_t>(merge.whole), merge.whole);
  return merges;
}

}  // namespace

const TiktokenFamily& llama3_family() {
  static const TiktokenFamily family = [] {
    TiktokenFamily llama{"Llama 3", llama3_expression, false, 128000, {}, {}, "<|begin_of_text|>", "<|end_of_text|>"};
    int reserved = 0;
    for (int i = 0; i < 256; ++i) {
      const char* name = i == 0   ? "<|begin_of_text|>"
                         : i == 1 ? "<|end_of_text|>"
                         : i == 6 ? "<|start_header_id|>"
                         : i == 7 ? "<|end_header_id|>"
                         : i == 9 ? "<|eot_id|>"
                                  : nullptr;
      llama.specials.push_back(name ? name : "<|reserved_special_token_" + std::to_string(reserved++) + "|>");
    }
    llama.aliases = {{"<|finetune_right_pad_id|>", 128004}, {"<|eom_id|>", 128008}, {"<|python_tag|>", 128010}};
    return llama;
  }();
  return family;
}

const TiktokenFamily& qwen_family() {
  static const TiktokenFamily family = [] {
    TiktokenFamily qwen{"Qwen", qwen2_expression, true, 151643, {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}, {},
                        "",     "<|endoftext|>"};
    for (int i = 0; i < 205; ++i) qwen.specials.push_back("<|extra_" + std::to_string(i) + "|>");
    return qwen;
  }();
  return family;
}

bool looks_like_tiktoken(std::string_view bytes) { return read_line(bytes.substr(0, bytes.find('\n'))).has_value(); }

std::optional<Failure> read_tiktoken(std::string_view text, const TiktokenFamily& family, Pipeline& pipeline) {
  Result<std::vector<std::string>> tokens = read_ranks(text, family);
  if (!tokens) return tokens.error();
  TokenTable ranks, vocabulary;  // by bytes, and in the byte alphabet
  ranks.reserve(tokens->size());
  vocabulary.reserve(tokens->size() + family.specials.size());
  for (std::size_t rank = 0; rank < tokens->size(); ++rank) {
    const auto id = static_cast<std::int32_t>(rank);
    if (ranks.add((*tokens)[rank], id) != TokenTable::Added::fresh)
      return refuse("rank " + std::to_string(rank) + " has the bytes of another one");
    vocabulary.add(to_byte_alphabet((*tokens)[rank]), id);
  }
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(static_cast<unsigned char>(byte));
    if (ranks.find(std::string_view(&c, 1)) < 0) return refuse("byte " + std::to_string(byte) + " is no token");
  }
  BpeOptions options;
  options.ignore_merges = true;
  auto model = std::make_unique<Bpe>(std::move(vocabulary), find_merges(*tokens, ranks), std::move(options));
  model->take_bytes();  // never fails: all bytes are tokens
  pipeline.set_model(std::move(model));
  Result<Pattern> pattern = Pattern::regex(family.expression);
  if (!pattern) return pattern.error();
  pipeline.pre_tokenizer.add_split(std::make_shared<const Pattern>(std::move(*pattern)), SplitBehavior::isolated,
                                   false);
  if (family.composes)
    pipeline.normalizer.add_step([](NormalizedText& room) { compose_canonically(room.text, room.spare); });
  pipeline.decoder = Decoder::byte_level();
  for (std::size_t i = 0; i < family.specials.size(); ++i) {
    const AddedToken token{family.ranks + static_cast<std::int32_t>(i), family.specials[i], true, false};
    if (const auto problem = pipeline.add_token(token)) return refuse(*problem);
  }
  for (const auto& alias : family.aliases) pipeline.raw_added.add({alias.id, alias.text, true, false}, alias.text);
  if (const std::int32_t bos = pipeline.tokens.find(family.bos); !family.bos.empty() && bos >= 0)
    pipeline.post_processor.before.push_back(bos);
  if (const std::int32_t eos = pipeline.tokens.find(family.eos); eos >= 0) pipeline.natural_end = eos;
  return std::nullopt;
}

}  // namespace ftl
