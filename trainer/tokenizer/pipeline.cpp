#include "trainer/tokenizer/pipeline.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "trainer/tokenizer/bpe.h"
#include "trainer/tokenizer/tokenizer_json.h"
#include "trainer/tokenizer/unigram.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

JsonView optional_member(const JsonView& root, std::string_view key) {
  static const nlohmann::json null;
  return root.has(key) ? root.at(key) : JsonView(null, root.place() + "." + std::string(key), root.complaint());
}

std::unique_ptr<Model> read_model(const JsonView& model, const TokenizerJson& json) {
  if (!model.raw().is_object()) {
    model.complain(std::string("expected an object, found ") + std::string(model.raw().type_name()));
    return nullptr;
  }
  // Files of before 2022 leave the type out: what has merges is BPE, what has unk_id Unigram.
  const std::string type = model.text_or("type", model.has("merges")   ? "BPE"
                                                 : model.has("unk_id") ? "Unigram"
                                                                       : "unnamed");
  if (model.failed()) return nullptr;
  if (type == "BPE") return read_bpe(model, json.vocabulary, json.merges);
  if (type == "Unigram") return read_unigram(model, json.vocabulary);
  model.complain_unsupported("model", type);
  return nullptr;
}

AddedToken read_added_token(const JsonView& view) {
  AddedToken token;
  token.content = view.text("content");
  token.id = view.at("id").token_id();
  token.special = view.flag("special", false);
  token.normalized = view.flag("normalized", !token.special);
  token.lstrip = view.flag("lstrip", false);
  token.rstrip = view.flag("rstrip", false);
  token.single_word = view.flag("single_word", false);
  return token;
}

}  // namespace

void Pipeline::set_model(std::unique_ptr<Model> model_of_tokens) {
  model = std::move(model_of_tokens);
  tokens.set_model(model->vocabulary());
}

std::optional<std::string> Pipeline::add_token(const AddedToken& token) {
  switch (tokens.add(token.content, token.id)) {
    case TokenTable::Added::text_taken:
      return std::string("added token ") + in_quotes(token.content) + " has id " + std::to_string(token.id) +
             " here and id " + std::to_string(tokens.find(token.content)) + " before";
    case TokenTable::Added::id_taken:
      return std::string("id ") + std::to_string(token.id) + " is given to " + in_quotes(token.content) + " and to " +
             in_quotes(tokens.text(token.id));
    case TokenTable::Added::fresh:
    case TokenTable::Added::same: break;
  }
  if (token.special) special.insert(token.id);
  if (token.normalized) {
    const std::string normalized = normalizer.apply(token.content);
    normalized_added.add(token, normalized);
    if (normalized != token.content) decoded_texts[token.id] = normalized;
  } else {
    raw_added.add(token, token.content);
  }
  return std::nullopt;
}

void Pipeline::use_bytes_where_possible() {
  if (pre_tokenizer.ends_with_byte_alphabet() && model->take_bytes()) pre_tokenizer.spare_byte_alphabet();
}

void read_tokenizer_json(const JsonView& root, const TokenizerJson& json, Pipeline& pipeline) {
  if (!root.raw().is_object()) return root.complain("expected a JSON object");
  std::unique_ptr<Model> model = read_model(root.at("model"), json);
  pipeline.normalizer = Normalizer::from_json(optional_member(root, "normalizer"));
  pipeline.pre_tokenizer = PreTokenizer::from_json(optional_member(root, "pre_tokenizer"));
  pipeline.decoder = Decoder::from_json(optional_member(root, "decoder"));
  if (root.failed()) return;
  pipeline.set_model(std::move(model));
  if (root.has("added_tokens")) {
    for (const JsonView& view : root.at("added_tokens").elements()) {
      const AddedToken token = read_added_token(view);
      if (root.failed()) return;
      if (const auto problem = pipeline.add_token(token)) return view.complain(*problem);
    }
    if (const auto problem = id_out_of_proportion(pipeline.tokens.size() - 1, pipeline.tokens.entries()))
      return root.at("added_tokens").complain(*problem);
  }
  pipeline.post_processor = PostProcessor::from_json(optional_member(root, "post_processor"), pipeline.tokens);
  if (!root.failed()) pipeline.use_bytes_where_possible();
}

std::unique_ptr<Encoder::Room> Encoder::take_room() const {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_unique<Room>();
  std::unique_ptr<Room> room = std::move(idle_.back());
  idle_.pop_back();
  return room;
}

void Encoder::give_back(std::unique_ptr<Room> room) const {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(room));
}

void Encoder::encode(const Pipeline& pipeline, std::string_view text, std::vector<std::int32_t>& ids) const {
  std::string repaired;
  if (!is_valid_utf8(text)) text = repaired = repair_utf8(text);
  std::unique_ptr<Room> room = take_room();
  Pieces& pieces = room->pieces;
  pipeline.raw_added.split(text, room->raw_parts);
  for (const AddedTokenFinder::Part& raw : room->raw_parts) {
    if (raw.id >= 0) {
      ids.push_back(raw.id);
      continue;
    }
    bool at_text_start = raw.text.data() == text.data();
    const std::string_view normalized = pipeline.normalizer.apply(raw.text, at_text_start, room->normalized);
    pipeline.normalized_added.split(normalized, room->parts);
    for (const AddedTokenFinder::Part& part : room->parts) {
      if (part.id >= 0) {
        ids.push_back(part.id);
      } else {
        pieces.text = part.text;
        pieces.at_text_start = at_text_start;
        pipeline.pre_tokenizer.apply(pieces);
        for (const Span& piece : pieces.spans)
          pipeline.model->encode(pieces.text.substr(piece.begin, piece.end - piece.begin), room->model, ids);
      }
      at_text_start = false;
    }
  }
  give_back(std::move(room));
}

}  // namespace ftl
