// A tokenizer.json as it is read: a tree of JSON, without the elements of the two lists that make up nearly all of the
// file. Those are kept flat; as nodes of the tree they would cost more than all else of loading.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "failures/result.h"

namespace ftl {

// The elements of "vocab" or "merges".
class LongList {
 public:
  enum class Form : std::uint8_t {
    named_id,   // "text": id of an object, within 0..JsonView::max_token_id
    scored,     // ["text", number] of a list
    text,       // "text" of a list
    two_texts,  // ["text", "second"] of a list
  };
  struct Element {
    std::string_view text, second;  // valid until the next add
    double number = 0;              // id or score
    Form form = Form::text;
  };
  std::size_t size() const { return records_.size(); }
  Element operator[](std::size_t i) const;
  void add(const Element& element);

  // An element of no such form ends the list and stands behind its last one.
  std::optional<nlohmann::json> odd;
  std::string odd_name;  // when the list is an object

 private:
  struct Record {
    double number;
    std::uint32_t begin, length, second_length;  // in texts_
    Form form;
  };
  std::string texts_;
  std::vector<Record> records_;
};

struct TokenizerJson {
  nlohmann::json tree;          // model.vocab and model.merges, where they are lists or objects, are empty
  LongList vocabulary, merges;  // their elements
};

// `text` has less than 4 GB. Refuses as parse_json does, with kind tokenizer_invalid.
Result<TokenizerJson> parse_tokenizer_json(std::string_view text, const std::string& where);

}  // namespace ftl
