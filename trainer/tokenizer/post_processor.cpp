#include "trainer/tokenizer/post_processor.h"

#include "trainer/tokenizer/token_table.h"

namespace ftl {
namespace {

std::int32_t known_id(const JsonView& view, const TokenNames& tokens) {
  const std::int32_t id = view.token_id();
  if (!view.failed() && !tokens.has(id))
    view.complain(std::string("token id ") + std::to_string(id) + " is not in the vocabulary");
  return id;
}

// ["[SEP]", 102]
std::int32_t id_of_pair(const JsonView& view, const TokenNames& tokens) {
  const std::vector<JsonView> pair = view.elements();
  if (pair.size() == 2) return known_id(pair[1], tokens);
  view.complain("expected [token, id]");
  return 0;
}

}  // namespace

PostProcessor PostProcessor::from_json(const JsonView& view, const TokenNames& tokens) {
  PostProcessor processor;
  if (!view.is_null()) processor.add(view, tokens);
  return processor;
}

void PostProcessor::add(const JsonView& view, const TokenNames& tokens) {
  const std::string type = view.text("type");
  if (view.failed()) return;
  if (type == "Sequence") {
    for (const JsonView& element : view.at("processors").elements()) add(element, tokens);
  } else if (type == "TemplateProcessing") {
    add_template(view, tokens);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    before.insert(before.begin(), id_of_pair(view.at("cls"), tokens));
    after.push_back(id_of_pair(view.at("sep"), tokens));
  } else if (type != "ByteLevel") {
    view.complain_unsupported("post_processor", type);
  }
}

// Later processors of a sequence go around what earlier ones have added.
void PostProcessor::add_template(const JsonView& view, const TokenNames& tokens) {
  std::vector<std::int32_t> left, right;
  bool seen_text = false;
  for (const JsonView& element : view.at("single").elements()) {
    if (element.has("Sequence")) {
      if (seen_text) return element.complain("the template for one text names it twice");
      seen_text = true;
      continue;
    }
    const std::string name = element.at("SpecialToken").text("id");
    if (view.failed()) return;
    for (const JsonView& id : view.at("special_tokens").at(name).at("ids").elements()) {
      (seen_text ? right : left).push_back(known_id(id, tokens));
    }
  }
  if (!seen_text) return view.complain("the template for one text does not name the text");
  before.insert(before.begin(), left.begin(), left.end());
  after.insert(after.end(), right.begin(), right.end());
}

}  // namespace ftl
