#include "trainer/tokenizer/unigram.h"

#include <algorithm>
#include <cfloat>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "trainer/tokenizer/tokenizer_json.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

constexpr double unknown_penalty = 10;  // below the least probable token

}  // namespace

Unigram::Unigram(TokenTable vocabulary, std::vector<double> scores, const UnigramOptions& options)
    : vocabulary_(std::move(vocabulary)),
      scores_(std::move(scores)),
      always_(scores_.size()),
      unknown_(options.unknown),
      single_precision_(options.single_precision) {
  std::vector<bool> unusable(scores_.size());
  for (const std::int32_t id : options.unusable) unusable[static_cast<std::size_t>(id)] = true;
  for (const std::int32_t id : options.always) always_[static_cast<std::size_t>(id)] = true;
  std::vector<std::pair<std::string_view, std::int32_t>> strings;
  double least = DBL_MAX, most = FLT_MIN;
  for (std::size_t i = 0; i < scores_.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    if (!unusable[i] && !vocabulary_.text(id).empty()) strings.emplace_back(vocabulary_.text(id), id);
    if (unusable[i] || always_[i]) continue;
    least = std::min(least, scores_[i]);
    most = std::max(most, scores_[i]);
  }
  trie_ = ByteTrie::of(std::move(strings));
  unknown_score_ = (least == DBL_MAX ? 0 : least) - unknown_penalty;
  if (single_precision_) unknown_score_ = static_cast<float>(unknown_score_);
  best_score_ = most;
  bytes_complete_ = options.byte_fallback;
  for (std::size_t byte = 0; byte < byte_tokens_.size(); ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(byte));
    byte_tokens_[byte] = vocabulary_.find(name);
  }
}

void Unigram::offer(ModelRoom::Path& target, double score, std::size_t begin, std::int32_t id) const {
  if (target.begin >= 0 && !(score > target.score)) return;
  target = {single_precision_ ? static_cast<double>(static_cast<float>(score)) : score,
            static_cast<std::int32_t>(begin), id};
}

void Unigram::find_paths(std::string_view piece, std::vector<ModelRoom::Path>& paths) const {
  paths.assign(piece.size() + 1, {0, -1, -1});
  for (std::size_t begin = 0; begin < piece.size();) {
    const double here = paths[begin].score;
    const std::size_t character = first_code_point(piece.substr(begin)).length;
    bool alone = false;  // some token is this character
    std::uint32_t node = ByteTrie::root;
    for (std::size_t end = begin; end < piece.size();) {
      node = trie_.step(node, piece[end++]);
      if (node == ByteTrie::nowhere) break;
      const std::int32_t id = trie_.value(node);
      if (id < 0) continue;
      const auto length = static_cast<double>(end - begin);
      const double score =
          always_[static_cast<std::size_t>(id)] ? length * best_score_ - 0.1 : scores_[static_cast<std::size_t>(id)];
      // A sum of two floats is rounded before it is compared; one with a constant in double is not.
      const bool rounded = single_precision_ && !always_[static_cast<std::size_t>(id)];
      offer(paths[end], rounded ? static_cast<double>(static_cast<float>(score + here)) : score + here, begin, id);
      alone = alone || end - begin == character;
    }
    if (!alone) {
      const double sum = unknown_score_ + here;
      offer(paths[begin + character], single_precision_ ? static_cast<double>(static_cast<float>(sum)) : sum, begin,
            -1);
    }
    begin += character;
  }
}

// One run of unknown characters: as bytes, else one token.
void Unigram::append_unknown(std::string_view text, std::vector<std::int32_t>& ids) const {
  const auto token = [&](char c) { return byte_tokens_[static_cast<unsigned char>(c)]; };
  if (bytes_complete_ && std::all_of(text.begin(), text.end(), [&](char c) { return token(c) >= 0; })) {
    for (const char c : text) ids.push_back(token(c));
  } else if (unknown_ >= 0) {
    ids.push_back(unknown_);
  }
}

void Unigram::encode(std::string_view piece, ModelRoom& room, std::vector<std::int32_t>& ids) const {
  if (piece.empty() || room.words.append(piece, ids)) return;
  find_paths(piece, room.paths);
  const std::size_t before = ids.size();
  // From the end to the beginning: links are turned round in place, so that the way can be walked forwards.
  std::vector<ModelRoom::Path>& paths = room.paths;
  std::int32_t end = static_cast<std::int32_t>(piece.size()), behind = -1;
  while (end > 0) {
    ModelRoom::Path& path = paths[static_cast<std::size_t>(end)];
    const std::int32_t begin = path.begin;
    path.begin = behind;
    behind = end;
    end = begin;
  }
  std::size_t begin = 0, unknown_from = std::string_view::npos;
  for (std::int32_t at = behind; at >= 0; at = paths[static_cast<std::size_t>(at)].begin) {
    const std::int32_t id = paths[static_cast<std::size_t>(at)].id;
    const bool unknown = id < 0 || id == unknown_;
    if (unknown && unknown_from == std::string_view::npos) unknown_from = begin;
    if (!unknown) {
      if (unknown_from != std::string_view::npos) append_unknown(piece.substr(unknown_from, begin - unknown_from), ids);
      unknown_from = std::string_view::npos;
      ids.push_back(id);
    }
    begin = static_cast<std::size_t>(at);
  }
  if (unknown_from != std::string_view::npos) append_unknown(piece.substr(unknown_from), ids);
  room.words.keep(piece, std::span(ids).subspan(before));
}

// "vocab": [["<unk>", 0.0], ["a", -3.5], ...], an id is the place in the list.
std::unique_ptr<Unigram> read_unigram(const JsonView& model, const LongList& list) {
  const JsonView place = model.at("vocab");
  if (!model.failed() && !place.raw().is_array()) place.complain("expected a list of [token, score]");
  if (!model.failed() && list.size() == 0 && !list.odd) place.complain("the vocabulary is empty");
  if (!model.failed() && list.size() > JsonView::max_token_id)
    place.complain("the vocabulary has more than 10000000 tokens");
  if (model.failed()) return nullptr;
  TokenTable vocabulary;
  std::vector<double> scores;
  vocabulary.reserve(list.size());
  const auto complain = [&](const std::string& what) {
    JsonView(place.raw(), place.place() + "[" + std::to_string(scores.size()) + "]", model.complaint()).complain(what);
    return nullptr;
  };
  for (std::size_t i = 0; i < list.size(); ++i) {
    const LongList::Element token = list[i];
    if (token.form != LongList::Form::scored) return complain("a token is [text, score]");
    if (vocabulary.add(token.text, static_cast<std::int32_t>(i)) != TokenTable::Added::fresh)
      return complain(in_quotes(token.text) + " is in the vocabulary twice");
    scores.push_back(token.number);
  }
  if (list.odd) return complain("a token is [text, score]");
  UnigramOptions options;
  options.byte_fallback = model.flag("byte_fallback", false);
  if (model.has("unk_id")) {
    options.unknown = model.at("unk_id").token_id();
    if (options.unknown >= vocabulary.size()) model.complain("unk_id is not in the vocabulary");
  }
  if (model.failed()) return nullptr;
  return std::make_unique<Unigram>(std::move(vocabulary), std::move(scores), options);
}

}  // namespace ftl
