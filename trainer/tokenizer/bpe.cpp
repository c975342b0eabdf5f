#include "trainer/tokenizer/bpe.h"

#include <algorithm>
#include <cstdio>

#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

constexpr std::size_t short_word_symbols = 48;     // below, scanning beats a heap
constexpr std::string_view mark = "\xE2\x96\x81";  // U+2581, SentencePiece's white space

constexpr std::uint64_t rank_of(std::uint64_t merge) { return merge >> 32; }
constexpr std::int32_t token_of(std::uint64_t merge) { return static_cast<std::int32_t>(merge & 0xFFFFFFFFu); }

// The next mark at or behind `from` that follows another character: where a word begins.
std::size_t next_word(std::string_view piece, std::size_t from) {
  for (std::size_t at = from; (at = piece.find(mark, at)) != std::string_view::npos; at += mark.size()) {
    if (at > 0 && !piece.substr(0, at).ends_with(mark)) return at;
  }
  return piece.size();
}

}  // namespace

Bpe::Bpe(TokenTable vocabulary, MergeTable merges, BpeOptions options)
    : vocabulary_(std::move(vocabulary)), merges_(std::move(merges)), options_(std::move(options)) {
  for (std::size_t c = 0; c < small_characters_.size(); ++c) {
    std::string character;
    append_utf8(character, static_cast<char32_t>(c));
    small_characters_[c] = vocabulary_.find(character);
  }
  for (std::size_t byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(byte));
    byte_tokens_[byte] = vocabulary_.find(name);
    const char raw = static_cast<char>(static_cast<unsigned char>(byte));
    byte_symbols_[byte] = vocabulary_.find(to_byte_alphabet(std::string_view(&raw, 1)));
  }
  cuts_at_marks_ = cuts_at_marks();
}

// Whether a piece may be cut before every mark that follows another character: when no merge reaches across such a
// place, no run of unknown characters does, and none vanishes that kept two marks apart. Then a text of SentencePiece's
// style is its words, each cheap and cached.
bool Bpe::cuts_at_marks() const {
  const auto known = [](std::int32_t id) { return id >= 0; };
  const bool bytes = options_.byte_fallback && std::all_of(byte_tokens_.begin(), byte_tokens_.end(), known);
  const bool vanish = options_.unknown < 0 && !bytes;
  const bool runs_may_cross = vanish || (options_.fuse_unknown && vocabulary_.find(mark) < 0 && !bytes);
  if (options_.ignore_merges || runs_may_cross || !options_.continuing_prefix.empty() || !options_.word_suffix.empty())
    return false;
  return merges_.all_of([this](std::uint64_t merge) {
    const std::string_view token = vocabulary_.text(token_of(merge));
    return next_word(token, 0) == token.size();
  });
}

bool Bpe::take_bytes() {
  const bool complete =
      std::all_of(byte_symbols_.begin(), byte_symbols_.end(), [](std::int32_t id) { return id >= 0; });
  const bool dropped = options_.unknown < 0 && !options_.byte_fallback;
  if (!(complete || dropped) || !options_.continuing_prefix.empty() || !options_.word_suffix.empty()) return false;
  if (options_.ignore_merges) {
    whole_.reserve(static_cast<std::size_t>(vocabulary_.size()));
    for (std::int32_t id = 0; id < vocabulary_.size(); ++id) {
      std::string bytes;
      if (vocabulary_.has(id) && append_from_byte_alphabet(bytes, vocabulary_.text(id))) whole_.add(bytes, id);
    }
  }
  takes_bytes_ = true;
  cuts_at_marks_ = false;
  return true;
}

void Bpe::encode(std::string_view piece, ModelRoom& room, std::vector<std::int32_t>& ids) const {
  if (!cuts_at_marks_) return encode_word(piece, room, ids);
  for (std::size_t begin = 0; begin < piece.size();) {
    const std::size_t end = next_word(piece, begin + 1);
    encode_word(piece.substr(begin, end - begin), room, ids);
    begin = end;
  }
}

void Bpe::encode_word(std::string_view word, ModelRoom& room, std::vector<std::int32_t>& ids) const {
  if (room.words.append(word, ids)) return;
  const std::size_t before = ids.size();
  const std::int32_t whole = options_.ignore_merges ? (takes_bytes_ ? whole_ : vocabulary_).find(word) : -1;
  if (whole >= 0) {
    ids.push_back(whole);
  } else {
    to_symbols(word, room.symbols);
    room.symbols.size() <= short_word_symbols ? merge_short(room.symbols) : merge_long(room);
    ids.insert(ids.end(), room.symbols.begin(), room.symbols.end());
  }
  room.words.keep(word, std::span(ids).subspan(before));
}

std::int32_t Bpe::id_of_character(std::string_view character, char32_t value) const {
  return value < small_characters_.size() ? small_characters_[value] : vocabulary_.find(character);
}

bool Bpe::append_bytes(std::string_view character, std::vector<std::int32_t>& symbols) const {
  const auto token = [&](char c) { return byte_tokens_[static_cast<unsigned char>(c)]; };
  if (!std::all_of(character.begin(), character.end(), [&](char c) { return token(c) >= 0; })) return false;
  for (const char c : character) symbols.push_back(token(c));
  return true;
}

// An unknown character waits until the next known one, so that fuse_unk can join a run of them; byte fallback does not
// end the run. Characters without id, bytes and unk_token are dropped. All as the reference implementation does.
void Bpe::to_symbols(std::string_view word, std::vector<std::int32_t>& symbols) const {
  symbols.clear();
  if (takes_bytes_) {
    for (const char c : word) {
      const std::int32_t id = byte_symbols_[static_cast<unsigned char>(c)];
      if (id >= 0) symbols.push_back(id);
    }
    return;
  }
  bool waiting = false;
  std::string decorated;
  for (bool first = true; !word.empty(); first = false) {
    const CodePoint point = first_code_point(word);
    std::string_view character = word.substr(0, point.length);
    word.remove_prefix(point.length);
    std::int32_t id;
    if ((!first && !options_.continuing_prefix.empty()) || (word.empty() && !options_.word_suffix.empty())) {
      decorated = first ? "" : options_.continuing_prefix;
      decorated += character;
      if (word.empty()) decorated += options_.word_suffix;
      character = decorated;
      id = vocabulary_.find(character);
    } else {
      id = id_of_character(character, point.value);
    }
    if (id >= 0) {
      if (waiting) symbols.push_back(options_.unknown);
      waiting = false;
      symbols.push_back(id);
    } else if (!(options_.byte_fallback && append_bytes(character, symbols)) && options_.unknown >= 0) {
      if (waiting && !options_.fuse_unknown) symbols.push_back(options_.unknown);
      waiting = true;
    }
  }
  if (waiting) symbols.push_back(options_.unknown);
}

void Bpe::merge_short(std::vector<std::int32_t>& symbols) const {
  std::array<std::uint64_t, short_word_symbols> pair;  // pair[i]: merge of symbols[i] and symbols[i + 1]
  std::size_t count = symbols.size();
  std::int32_t* id = symbols.data();
  for (std::size_t i = 0; i + 1 < count; ++i) pair[i] = merges_.find(id[i], id[i + 1]);
  while (count > 1) {
    std::size_t at = 0;
    for (std::size_t i = 1; i + 1 < count; ++i) at = rank_of(pair[i]) < rank_of(pair[at]) ? i : at;
    if (pair[at] == MergeTable::none) break;
    id[at] = token_of(pair[at]);
    --count;
    for (std::size_t i = at + 1; i < count; ++i) id[i] = id[i + 1];
    for (std::size_t i = at + 1; i + 1 < count; ++i) pair[i] = pair[i + 1];
    if (at + 1 < count) pair[at] = merges_.find(id[at], id[at + 1]);
    if (at > 0) pair[at - 1] = merges_.find(id[at - 1], id[at]);
  }
  symbols.resize(count);
}

void Bpe::merge_long(ModelRoom& room) const {
  using Candidate = ModelRoom::Candidate;
  const auto later = [](const Candidate& a, const Candidate& b) {
    return rank_of(a.merge) != rank_of(b.merge) ? rank_of(a.merge) > rank_of(b.merge) : a.at > b.at;
  };
  constexpr std::size_t end = ~std::size_t{0};
  std::vector<std::int32_t>& ids = room.symbols;
  const std::size_t count = ids.size();
  room.previous.resize(count);
  room.next.resize(count);
  room.candidates.clear();
  const auto candidate = [&](std::size_t at) {
    const std::uint64_t merge = room.next[at] == end ? MergeTable::none : merges_.find(ids[at], ids[room.next[at]]);
    if (merge != MergeTable::none) room.candidates.push_back({merge, at});
    return merge != MergeTable::none;
  };
  for (std::size_t i = 0; i < count; ++i) {
    room.previous[i] = i == 0 ? end : i - 1;
    room.next[i] = i + 1 == count ? end : i + 1;
    candidate(i);
  }
  std::make_heap(room.candidates.begin(), room.candidates.end(), later);
  while (!room.candidates.empty()) {
    std::pop_heap(room.candidates.begin(), room.candidates.end(), later);
    const auto [merge, at] = room.candidates.back();
    room.candidates.pop_back();
    // Out of date when either side has been merged away since.
    if (ids[at] < 0 || room.next[at] == end || merges_.find(ids[at], ids[room.next[at]]) != merge) continue;
    const std::size_t gone = room.next[at];
    ids[at] = token_of(merge);
    ids[gone] = -1;
    room.next[at] = room.next[gone];
    if (room.next[at] != end) room.previous[room.next[at]] = at;
    if (candidate(at)) std::push_heap(room.candidates.begin(), room.candidates.end(), later);
    if (room.previous[at] != end && candidate(room.previous[at]))
      std::push_heap(room.candidates.begin(), room.candidates.end(), later);
  }
  std::erase(ids, -1);
}

}  // namespace ftl
