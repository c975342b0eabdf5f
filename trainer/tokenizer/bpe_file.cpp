// The "model" object of a tokenizer.json whose type is BPE.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "trainer/tokenizer/bpe.h"
#include "trainer/tokenizer/tokenizer_json.h"

namespace ftl {
namespace {

const std::string no_merge = "a merge is \"a b\" or [\"a\", \"b\"]";

BpeOptions read_options(const JsonView& model, const TokenTable& vocabulary) {
  BpeOptions options;
  if (model.has("dropout")) {
    const auto& dropout = model.raw()["dropout"];
    if (!dropout.is_number() || dropout.get<double>() != 0)
      model.complain("BPE dropout is not supported in this version");
  }
  options.fuse_unknown = model.flag("fuse_unk", false);
  options.byte_fallback = model.flag("byte_fallback", false);
  options.ignore_merges = model.flag("ignore_merges", false);
  options.continuing_prefix = model.text_or("continuing_subword_prefix", "");
  options.word_suffix = model.text_or("end_of_word_suffix", "");
  if (model.has("unk_token")) {
    options.unknown = vocabulary.find(model.text("unk_token"));
    if (options.unknown < 0)
      model.complain(std::string("unk_token ") + in_quotes(model.text("unk_token")) + " is not in the vocabulary");
  }
  return options;
}

// An object of token -> id.
TokenTable read_vocabulary(const JsonView& view, const LongList& list) {
  TokenTable table;
  if (!view.raw().is_object()) view.complain("expected an object of token -> id");
  if (list.size() == 0 && !list.odd) view.complain("the vocabulary is empty");
  if (list.size() > JsonView::max_token_id + std::size_t{1})
    view.complain("the vocabulary has more than 10000000 tokens");
  if (view.failed()) return table;
  const auto entry = [&](const nlohmann::json& id, std::string_view token) {
    return JsonView(id, view.place() + "[" + in_quotes(token) + "]", view.complaint());
  };
  if (list.odd) {
    (void)entry(*list.odd, list.odd_name).token_id();  // says what is wrong with it
    return table;
  }
  double largest = 0;
  for (std::size_t i = 0; i < list.size(); ++i) largest = std::max(largest, list[i].number);
  if (const auto problem = id_out_of_proportion(static_cast<std::int32_t>(largest), list.size())) {
    view.complain(*problem);
    return table;
  }
  table.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto [token, unused, number, form] = list[i];
    const auto id = static_cast<std::int32_t>(number);
    const TokenTable::Added added = table.add(token, id);
    if (added == TokenTable::Added::fresh || added == TokenTable::Added::same) continue;
    const bool id_taken = added == TokenTable::Added::id_taken;
    entry(view.raw(), token)
        .complain(id_taken ? "id " + std::to_string(id) + " is given to " + in_quotes(token) + " and to " +
                                 in_quotes(table.text(id))
                           : "has id " + std::to_string(id) + " here and id " + std::to_string(table.find(token)) +
                                 " before");
    return table;
  }
  return table;
}

struct Pair {
  std::string_view left, right;
};

// "a b" or ["a", "b"]; what is wrong with it otherwise.
std::optional<std::string> read_pair(const LongList::Element& merge, Pair& pair) {
  if (merge.form == LongList::Form::two_texts) {
    pair = {merge.text, merge.second};
    return std::nullopt;
  }
  if (merge.form != LongList::Form::text) return no_merge;
  const std::size_t space = merge.text.find(' ');
  if (space == std::string_view::npos || merge.text.find(' ', space + 1) != std::string_view::npos)
    return "a merge is two tokens with one space between, found " + in_quotes(merge.text);
  pair = {merge.text.substr(0, space), merge.text.substr(space + 1)};
  return std::nullopt;
}

MergeTable read_merges(const JsonView& merges, const LongList& list, const TokenTable& vocabulary,
                       std::string_view continuing_prefix) {
  if (!merges.raw().is_array()) merges.complain("expected a list of merges");
  if (list.size() > JsonView::max_token_id) merges.complain("there are more than 10000000 merges");
  if (merges.failed()) return MergeTable(0);
  MergeTable table(list.size());
  std::string merged;
  const auto complain = [&](std::size_t rank, const std::string& what) {
    JsonView(merges.raw(), merges.place() + "[" + std::to_string(rank) + "]", merges.complaint()).complain(what);
    return MergeTable(0);
  };
  for (std::size_t rank = 0; rank < list.size(); ++rank) {
    Pair pair;
    if (const auto problem = read_pair(list[rank], pair)) return complain(rank, *problem);
    if (!pair.right.starts_with(continuing_prefix))
      return complain(rank, in_quotes(pair.right) + " lacks the continuing_subword_prefix");
    merged.assign(pair.left);
    merged += pair.right.substr(continuing_prefix.size());
    const std::int32_t left = vocabulary.find(pair.left), right = vocabulary.find(pair.right),
                       whole = vocabulary.find(merged);
    if (left < 0 || right < 0 || whole < 0) {
      const std::string_view absent = left < 0 ? pair.left : right < 0 ? pair.right : std::string_view(merged);
      return complain(rank, "the merge names " + in_quotes(absent) + ", which is not in the vocabulary");
    }
    table.add(left, right, static_cast<std::uint32_t>(rank), whole);
  }
  return list.odd ? complain(list.size(), no_merge) : std::move(table);
}

}  // namespace

std::unique_ptr<Bpe> read_bpe(const JsonView& model, const LongList& vocabulary_list, const LongList& merge_list) {
  TokenTable vocabulary = read_vocabulary(model.at("vocab"), vocabulary_list);
  if (model.failed()) return nullptr;
  BpeOptions options = read_options(model, vocabulary);
  if (model.failed()) return nullptr;
  MergeTable merges = read_merges(model.at("merges"), merge_list, vocabulary, options.continuing_prefix);
  if (model.failed()) return nullptr;
  return std::make_unique<Bpe>(std::move(vocabulary), std::move(merges), std::move(options));
}

}  // namespace ftl
