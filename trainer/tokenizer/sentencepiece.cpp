#include "trainer/tokenizer/sentencepiece.h"

#include <algorithm>

#include "trainer/tokenizer/bpe.h"
#include "trainer/tokenizer/byte_trie.h"
#include "trainer/tokenizer/character_map.h"
#include "trainer/tokenizer/unigram.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

using Type = SentencePieceFile::Type;
constexpr std::string_view mark = "\xE2\x96\x81";  // U+2581
constexpr std::size_t longest_merged = 1024;       // bytes; every way to cut a piece in two is looked at

Failure refuse(std::string what) {
  return Failure{FaultKind::tokenizer_invalid, std::move(what), "", "use the model's tokenizer.json if there is one"};
}

// What becomes of the text before it is cut into pieces.
class Rules {
 public:
  Rules(const SentencePieceFile& file, const SentencePieceOptions& options,
        std::shared_ptr<const CharacterMap> character_map)
      : character_map_(std::move(character_map)),
        space_(file.escape_white_space ? mark : std::string_view(" ")),
        prefix_(file.add_dummy_prefix && !file.white_space_is_suffix),
        suffix_(file.add_dummy_prefix && file.white_space_is_suffix),
        squeeze_(file.remove_extra_white_space),
        prefix_everywhere_(options.prefix_behind_added_tokens) {
    std::vector<std::pair<std::string_view, std::int32_t>> strings;
    for (const auto& piece : file.pieces) {
      if (piece.type == Type::user_defined) strings.emplace_back(piece.text, 0);
    }
    user_defined_ = ByteTrie::of(std::move(strings));
  }

  void operator()(NormalizedText& room) const {
    std::string_view rest = room.text;
    std::string& out = room.spare;
    out.clear();
    while (squeeze_ && !rest.empty() && first_rule(rest).replacement == " ")
      rest.remove_prefix(first_rule(rest).length);
    if (!rest.empty()) {
      if (prefix_ && (prefix_everywhere_ || room.at_text_start)) out += space_;
      bool after_space = squeeze_;
      while (!rest.empty()) {
        const CharacterMap::Rule rule = first_rule(rest);
        rest.remove_prefix(rule.length);
        std::string_view text = rule.replacement;
        while (after_space && text.starts_with(' ')) text.remove_prefix(1);
        for (const char c : text) c == ' ' ? out += space_ : out += c;
        if (!text.empty()) after_space = squeeze_ && text.ends_with(' ');
      }
      while (squeeze_ && out.ends_with(space_)) out.resize(out.size() - space_.size());
      if (suffix_) out += space_;
    }
    room.text.swap(out);
  }

 private:
  // User-defined pieces stay as they are, then come the longest of the compiled rules, then one character.
  CharacterMap::Rule first_rule(std::string_view text) const {
    std::size_t found = 0, length = 0;
    for (std::uint32_t node = ByteTrie::root; length < text.size();) {
      node = user_defined_.step(node, text[length++]);
      if (node == ByteTrie::nowhere) break;
      if (user_defined_.value(node) >= 0) found = length;
    }
    if (found > 0) return {found, text.substr(0, found)};
    if (character_map_) {
      if (const auto rule = character_map_->longest(text)) return *rule;
    }
    const std::size_t character = first_code_point(text).length;
    return {character, text.substr(0, character)};
  }

  std::shared_ptr<const CharacterMap> character_map_;
  ByteTrie user_defined_;
  std::string space_;
  bool prefix_, suffix_, squeeze_, prefix_everywhere_;
};

// Every way to put a piece together from two others is a merge; the better the score, the sooner.
std::optional<Failure> find_merges(const SentencePieceFile& file, const TokenTable& vocabulary, MergeTable& merges) {
  std::vector<std::int32_t> by_score;
  for (std::size_t i = 0; i < file.pieces.size(); ++i) {
    if (file.pieces[i].type == Type::normal) by_score.push_back(static_cast<std::int32_t>(i));
  }
  const auto score = [&](std::int32_t id) { return file.pieces[static_cast<std::size_t>(id)].score; };
  std::stable_sort(by_score.begin(), by_score.end(), [&](auto a, auto b) { return score(a) > score(b); });
  const auto usable = [&](std::string_view text) {
    const std::int32_t id = vocabulary.find(text);
    return id >= 0 && file.pieces[static_cast<std::size_t>(id)].type == Type::normal ? id : -1;
  };
  struct Merge {
    std::int32_t left, right, whole;
    std::uint32_t rank;
  };
  std::vector<Merge> found;
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < by_score.size(); ++i) {
    if (i > 0 && score(by_score[i]) != score(by_score[i - 1])) ++rank;  // equal scores: the leftmost pair goes first
    const std::string_view whole = file.pieces[static_cast<std::size_t>(by_score[i])].text;
    if (whole.size() > longest_merged) {
      return refuse("piece " + in_quotes(whole) + " has " + std::to_string(whole.size()) + " bytes; at most " +
                    std::to_string(longest_merged) + " are supported");
    }
    for (std::size_t at = first_code_point(whole).length, length; at < whole.size(); at += length) {
      length = first_code_point(whole.substr(at)).length;
      if (vocabulary.find(whole.substr(at, length)) < 0)
        return refuse("piece " + in_quotes(whole) + " has a character that is no piece itself, which is not supported");
      const std::int32_t left = usable(whole.substr(0, at)), right = usable(whole.substr(at));
      if (left >= 0 && right >= 0) found.push_back({left, right, by_score[i], rank});
    }
  }
  merges = MergeTable(found.size());
  for (const Merge& merge : found) merges.add(merge.left, merge.right, merge.rank, merge.whole);
  return std::nullopt;
}

std::unique_ptr<Model> unigram_of(const SentencePieceFile& file, TokenTable vocabulary, std::int32_t unknown) {
  UnigramOptions options;
  options.unknown = unknown;
  options.byte_fallback = file.byte_fallback;
  options.single_precision = true;
  std::vector<double> scores;
  for (std::size_t i = 0; i < file.pieces.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    if (file.pieces[i].type == Type::user_defined) options.always.push_back(id);
    if (file.pieces[i].type != Type::user_defined && file.pieces[i].type != Type::normal)
      options.unusable.push_back(id);
    scores.push_back(file.pieces[i].score);
  }
  return std::make_unique<Unigram>(std::move(vocabulary), std::move(scores), options);
}

int byte_of_piece(std::string_view text) {
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>' || digit(text[3]) < 0 || digit(text[4]) < 0)
    return -1;
  return digit(text[3]) * 16 + digit(text[4]);
}

// Pieces as the library checks them: one unknown piece; byte pieces exactly when there is byte fallback, then all 256.
Result<std::int32_t> check_pieces(const SentencePieceFile& file, TokenTable& vocabulary) {
  std::int32_t unknown = -1, bytes = 0;
  vocabulary.reserve(file.pieces.size());
  for (std::size_t i = 0; i < file.pieces.size(); ++i) {
    const auto& piece = file.pieces[i];
    const auto id = static_cast<std::int32_t>(i);
    if (vocabulary.add(piece.text, id) != TokenTable::Added::fresh)
      return refuse("piece " + in_quotes(piece.text) + " is there twice");
    if (piece.type == Type::unknown && unknown >= 0) return refuse("there are two unknown pieces");
    if (piece.type == Type::unknown) unknown = id;
    if (piece.type == Type::byte && byte_of_piece(piece.text) < 0)
      return refuse("byte piece " + in_quotes(piece.text) + " names no byte");
    bytes += piece.type == Type::byte ? 1 : 0;
    if (piece.type == Type::unused && file.algorithm == SentencePieceFile::Algorithm::bpe)
      return refuse("piece " + in_quotes(piece.text) + " is unused, which is not supported in a BPE model");
  }
  if (unknown < 0) return refuse("there is no unknown piece");
  if (bytes != (file.byte_fallback ? 256 : 0))
    return refuse("there are " + std::to_string(bytes) + " byte pieces, and byte_fallback asks for " +
                  (file.byte_fallback ? "256" : "0"));
  return unknown;
}

// Ids back to text: marks are spaces, the dummy prefix goes, runs of byte pieces are text where they are UTF-8 and one
// U+FFFD a byte where they are not. Control pieces stay as their names.
class Decode {
 public:
  Decode(const SentencePieceFile& file, std::string unknown)
      : unknown_(std::move(unknown)),
        surface_(file.unknown_surface),
        bytes_(file.byte_fallback),
        strip_(file.add_dummy_prefix || file.remove_extra_white_space),
        strip_all_(file.remove_extra_white_space) {}

  void operator()(std::vector<std::string>& tokens) const {
    std::string text, run;
    bool at_start = true, stripped = false;
    for (const std::string& token : tokens) {
      if (const int byte = bytes_ ? byte_of_piece(token) : -1; byte >= 0) {
        run += static_cast<char>(static_cast<unsigned char>(byte));
        continue;
      }
      append_run(text, run);
      at_start = at_start && !stripped && text.empty();
      append_token(text, token, at_start, stripped);
    }
    append_run(text, run);
    tokens.assign(1, std::move(text));
  }

 private:
  static void append_run(std::string& text, std::string& run) {
    for (std::string_view rest = run; !rest.empty();) {
      std::size_t length = std::min<std::size_t>(4, rest.size());
      while (length > 1 && !is_one_character(rest.substr(0, length))) --length;
      text += is_valid_utf8(rest.substr(0, length)) ? rest.substr(0, length) : std::string_view("\xEF\xBF\xBD");
      rest.remove_prefix(length);
    }
    run.clear();
  }
  static bool is_one_character(std::string_view bytes) {
    return is_valid_utf8(bytes) && first_code_point(bytes).length == bytes.size();
  }
  void append_token(std::string& text, std::string_view token, bool at_start, bool& stripped) const {
    stripped = false;
    if (token == unknown_) {
      text += surface_;
      return;
    }
    if (at_start && strip_ && token.starts_with(mark)) {
      token.remove_prefix(mark.size());
      stripped = !strip_all_;
    }
    for (std::size_t at; (at = token.find(mark)) != std::string_view::npos; token.remove_prefix(at + mark.size())) {
      text += token.substr(0, at);
      text += ' ';
    }
    text += token;
  }

  std::string unknown_, surface_;
  bool bytes_, strip_, strip_all_;
};

}  // namespace

std::optional<Failure> use_sentencepiece(const SentencePieceFile& file, const SentencePieceOptions& options,
                                         Pipeline& pipeline) {
  if (file.algorithm != SentencePieceFile::Algorithm::bpe && file.algorithm != SentencePieceFile::Algorithm::unigram)
    return refuse("a SentencePiece model of words or characters is not supported");
  if (file.denormalizes) return refuse("a SentencePiece model that denormalizes is not supported");
  std::shared_ptr<const CharacterMap> character_map;
  if (!file.character_map.empty() && !(character_map = CharacterMap::from_bytes(file.character_map)))
    return refuse("the compiled normalization rules are broken");
  TokenTable vocabulary;
  Result<std::int32_t> unknown = check_pieces(file, vocabulary);
  if (!unknown) return unknown.error();
  if (file.algorithm == SentencePieceFile::Algorithm::bpe) {
    MergeTable merges;
    if (auto failure = find_merges(file, vocabulary, merges)) return failure;
    BpeOptions bpe;
    bpe.unknown = *unknown;
    bpe.fuse_unknown = true;
    bpe.byte_fallback = file.byte_fallback;
    pipeline.set_model(std::make_unique<Bpe>(std::move(vocabulary), std::move(merges), std::move(bpe)));
  } else {
    pipeline.set_model(unigram_of(file, std::move(vocabulary), *unknown));
  }
  for (std::size_t i = 0; i < file.pieces.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    if (file.pieces[i].type == Type::control) pipeline.special.insert(id);
    if (file.pieces[i].type == Type::user_defined && file.algorithm == SentencePieceFile::Algorithm::bpe)
      pipeline.normalized_added.add({id, file.pieces[i].text, false, true, false, false, false}, file.pieces[i].text);
  }
  pipeline.normalizer.add_step(Rules(file, options, std::move(character_map)));
  pipeline.decoder.add_step(Decode(file, file.pieces[static_cast<std::size_t>(*unknown)].text));
  return std::nullopt;
}

}  // namespace ftl
