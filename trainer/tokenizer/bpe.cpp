#include "trainer/tokenizer/bpe.h"

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <queue>
#include <unordered_map>

#include <xxhash.h>

#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

constexpr std::size_t short_word_symbols = 48;  // below, scanning beats a heap
constexpr std::size_t cached_piece_bytes = 128;
constexpr std::size_t shards = 64, pieces_per_shard = 2048;

struct PieceHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return XXH3_64bits(text.data(), text.size()); }
};

}  // namespace

struct Bpe::Cache {
  struct Shard {
    std::mutex mutex;
    std::unordered_map<std::string, std::vector<std::int32_t>, PieceHash, std::equal_to<>> ids;
  };
  std::array<Shard, shards> shard;

  Shard& of(std::string_view piece) { return shard[(PieceHash{}(piece) >> 48) % shards]; }
  bool append(std::string_view piece, std::vector<std::int32_t>& out) {
    Shard& home = of(piece);
    const std::lock_guard lock(home.mutex);
    const auto found = home.ids.find(piece);
    if (found == home.ids.end()) return false;
    out.insert(out.end(), found->second.begin(), found->second.end());
    return true;
  }
  void keep(std::string_view piece, const std::vector<std::int32_t>& ids) {
    Shard& home = of(piece);
    const std::lock_guard lock(home.mutex);
    if (home.ids.size() < pieces_per_shard) home.ids.try_emplace(std::string(piece), ids);
  }
};

Bpe::Bpe() : cache_(std::make_unique<Cache>()) {}
Bpe::~Bpe() = default;

std::unique_ptr<Bpe> Bpe::from_json(const JsonView& model) {
  std::unique_ptr<Bpe> bpe(new Bpe);
  if (!model.raw().is_object()) {
    model.complain(std::string("expected an object, found ") + std::string(model.raw().type_name()));
    return bpe;
  }
  // Files of before 2022 leave the type out; what has merges is BPE.
  const std::string type = model.text_or("type", model.has("merges") ? "BPE" : "unnamed");
  if (type != "BPE") model.complain_unsupported("model", type);
  if (!model.failed()) bpe->read_vocabulary(model.at("vocab"));
  if (!model.failed()) bpe->read_options(model);
  if (!model.failed()) bpe->read_merges(model.at("merges"));
  return bpe;
}

void Bpe::read_vocabulary(const JsonView& vocabulary) {
  if (!vocabulary.raw().is_object()) return vocabulary.complain("expected an object of token -> id");
  if (vocabulary.raw().empty()) return vocabulary.complain("the vocabulary is empty");
  const std::size_t limit = JsonView::max_token_id + std::size_t{1};
  if (vocabulary.raw().size() > limit) return vocabulary.complain("the vocabulary has more than 10000000 tokens");
  vocabulary_.reserve(vocabulary.raw().size());
  for (const auto& [token, id] : vocabulary.raw().items()) {
    const JsonView entry(id, vocabulary.place() + "[" + in_quotes(token) + "]", vocabulary.complaint());
    const std::int32_t number = entry.token_id();
    if (vocabulary.failed()) return;
    if (vocabulary_.add(token, number) == TokenTable::Added::id_taken) {
      return entry.complain(std::string("id ") + std::to_string(number) + " is given to " + in_quotes(token) +
                            " and to " + in_quotes(vocabulary_.text(number)));
    }
  }
}

void Bpe::read_options(const JsonView& model) {
  if (model.has("dropout")) {
    const auto& dropout = model.raw()["dropout"];
    if (!dropout.is_number() || dropout.get<double>() != 0)
      model.complain("BPE dropout is not supported in this version");
  }
  fuse_unknown_ = model.flag("fuse_unk", false);
  byte_fallback_ = model.flag("byte_fallback", false);
  ignore_merges_ = model.flag("ignore_merges", false);
  continuing_prefix_ = model.text_or("continuing_subword_prefix", "");
  word_suffix_ = model.text_or("end_of_word_suffix", "");
  if (model.has("unk_token")) {
    unknown_ = vocabulary_.find(model.text("unk_token"));
    if (unknown_ < 0)
      model.complain(std::string("unk_token ") + in_quotes(model.text("unk_token")) + " is not in the vocabulary");
  }
  for (std::size_t c = 0; c < small_characters_.size(); ++c) {
    std::string character;
    append_utf8(character, static_cast<char32_t>(c));
    small_characters_[c] = vocabulary_.find(character);
  }
  for (std::size_t byte = 0; byte < byte_tokens_.size(); ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(byte));
    byte_tokens_[byte] = vocabulary_.find(name);
  }
}

void Bpe::read_merges(const JsonView& merges) {
  const auto& list = merges.raw();
  if (!list.is_array()) return merges.complain("expected a list of merges");
  if (list.size() > JsonView::max_token_id) return merges.complain("there are more than 10000000 merges");
  merges_ = MergeTable(list.size());
  std::string merged;
  std::uint32_t rank = 0;
  for (const auto& merge : list) {
    const auto complain = [&](const std::string& what) {
      JsonView(merge, merges.place() + "[" + std::to_string(rank) + "]", merges.complaint()).complain(what);
    };
    std::string_view left, right;
    if (merge.is_string()) {
      const std::string_view both = merge.get_ref<const std::string&>();
      const std::size_t space = both.find(' ');
      if (space == std::string_view::npos || both.find(' ', space + 1) != std::string_view::npos) {
        return complain(std::string("a merge is two tokens with one space between, found ") + in_quotes(both));
      }
      left = both.substr(0, space);
      right = both.substr(space + 1);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      left = merge[0].get_ref<const std::string&>();
      right = merge[1].get_ref<const std::string&>();
    } else {
      return complain("a merge is \"a b\" or [\"a\", \"b\"]");
    }
    if (!right.starts_with(continuing_prefix_))
      return complain(in_quotes(right) + " lacks the continuing_subword_prefix");
    merged.assign(left);
    merged += right.substr(continuing_prefix_.size());
    for (const std::string_view token : {left, right, std::string_view(merged)}) {
      if (vocabulary_.find(token) < 0)
        return complain(std::string("the merge names ") + in_quotes(token) + ", which is not in the vocabulary");
    }
    merges_.add(vocabulary_.find(left), vocabulary_.find(right), rank++, vocabulary_.find(merged));
  }
}

void Bpe::encode(std::string_view piece, std::vector<std::int32_t>& ids) const {
  if (ignore_merges_) {
    if (const std::int32_t whole = vocabulary_.find(piece); whole >= 0) {
      ids.push_back(whole);
      return;
    }
  }
  const bool cached = piece.size() <= cached_piece_bytes;
  if (cached && cache_->append(piece, ids)) return;
  std::vector<std::int32_t> word = to_symbols(piece);
  word.size() <= short_word_symbols ? merge_short(word) : merge_long(word);
  ids.insert(ids.end(), word.begin(), word.end());
  if (cached) cache_->keep(piece, word);
}

std::int32_t Bpe::id_of_character(std::string_view character, char32_t value) const {
  return value < small_characters_.size() ? small_characters_[value] : vocabulary_.find(character);
}

bool Bpe::append_bytes(std::string_view character, std::vector<std::int32_t>& ids) const {
  const auto token = [&](char c) { return byte_tokens_[static_cast<unsigned char>(c)]; };
  if (!std::all_of(character.begin(), character.end(), [&](char c) { return token(c) >= 0; })) return false;
  for (const char c : character) ids.push_back(token(c));
  return true;
}

// An unknown character waits until the next known one, so that fuse_unk can join a run of them; byte fallback does not
// end the run. Characters without id, bytes and unk_token are dropped. All as the reference implementation does.
std::vector<std::int32_t> Bpe::to_symbols(std::string_view piece) const {
  std::vector<std::int32_t> ids;
  ids.reserve(piece.size());
  bool waiting = false;
  std::string decorated;
  for (bool first = true; !piece.empty(); first = false) {
    const CodePoint point = first_code_point(piece);
    std::string_view character = piece.substr(0, point.length);
    piece.remove_prefix(point.length);
    std::int32_t id;
    if ((!first && !continuing_prefix_.empty()) || (piece.empty() && !word_suffix_.empty())) {
      decorated = (first ? "" : continuing_prefix_) + std::string(character) + (piece.empty() ? word_suffix_ : "");
      character = decorated;
      id = vocabulary_.find(character);
    } else {
      id = id_of_character(character, point.value);
    }
    if (id >= 0) {
      if (waiting) ids.push_back(unknown_);
      waiting = false;
      ids.push_back(id);
    } else if (!(byte_fallback_ && append_bytes(character, ids)) && unknown_ >= 0) {
      if (waiting && !fuse_unknown_) ids.push_back(unknown_);
      waiting = true;
    }
  }
  if (waiting) ids.push_back(unknown_);
  return ids;
}

void Bpe::merge_short(std::vector<std::int32_t>& ids) const {
  std::array<std::uint64_t, short_word_symbols> pair;  // pair[i]: merge of ids[i] and ids[i + 1]
  std::size_t count = ids.size();
  for (std::size_t i = 0; i + 1 < count; ++i) pair[i] = merges_.find(ids[i], ids[i + 1]);
  while (count > 1) {
    const std::size_t at = static_cast<std::size_t>(
        std::min_element(pair.begin(), pair.begin() + static_cast<std::ptrdiff_t>(count) - 1) - pair.begin());
    if (pair[at] == MergeTable::none) break;
    ids[at] = static_cast<std::int32_t>(pair[at] & 0xFFFFFFFFu);
    std::copy(ids.begin() + static_cast<std::ptrdiff_t>(at) + 2, ids.begin() + static_cast<std::ptrdiff_t>(count),
              ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    --count;
    for (std::size_t i = at + 1; i + 1 < count; ++i) pair[i] = pair[i + 1];
    if (at + 1 < count) pair[at] = merges_.find(ids[at], ids[at + 1]);
    if (at > 0) pair[at - 1] = merges_.find(ids[at - 1], ids[at]);
  }
  ids.resize(count);
}

void Bpe::merge_long(std::vector<std::int32_t>& ids) const {
  struct Candidate {
    std::uint64_t merge;  // rank << 32 | merged id
    std::size_t at;
    bool operator>(const Candidate& other) const { return merge != other.merge ? merge > other.merge : at > other.at; }
  };
  constexpr std::size_t end = ~std::size_t{0};
  const std::size_t count = ids.size();
  std::vector<std::size_t> previous(count), next(count);
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  const auto offer = [&](std::size_t at) {
    if (next[at] == end) return;
    const std::uint64_t merge = merges_.find(ids[at], ids[next[at]]);
    if (merge != MergeTable::none) candidates.push({merge, at});
  };
  for (std::size_t i = 0; i < count; ++i) {
    previous[i] = i == 0 ? end : i - 1;
    next[i] = i + 1 == count ? end : i + 1;
  }
  for (std::size_t i = 0; i < count; ++i) offer(i);
  while (!candidates.empty()) {
    const auto [merge, at] = candidates.top();
    candidates.pop();
    // Out of date when either side has been merged away since.
    if (ids[at] < 0 || next[at] == end || merges_.find(ids[at], ids[next[at]]) != merge) continue;
    const std::size_t gone = next[at];
    ids[at] = static_cast<std::int32_t>(merge & 0xFFFFFFFFu);
    ids[gone] = -1;
    next[at] = next[gone];
    if (next[at] != end) previous[next[at]] = at;
    offer(at);
    if (previous[at] != end) offer(previous[at]);
  }
  std::erase(ids, -1);
}

}  // namespace ftl
