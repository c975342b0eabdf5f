#include "trainer/tokenizer/tokenizer_json.h"

#include "trainer/tokenizer/json_view.h"

namespace ftl {
namespace {

using nlohmann::json;

// What the parser meets, built into the tree or, inside a long list, one element at a time.
class Builder final : public nlohmann::json_sax<json> {
 public:
  explicit Builder(TokenizerJson& built) : built_(built) {}
  const std::string& problem() const { return problem_; }

  bool null() override { return scalar(nullptr); }
  bool boolean(bool value) override { return scalar(value); }
  bool number_integer(number_integer_t value) override { return scalar(value); }
  bool number_unsigned(number_unsigned_t value) override { return scalar(value); }
  bool number_float(number_float_t value, const string_t&) override { return scalar(value); }
  bool string(string_t& value) override { return scalar(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool key(string_t& name) override {
    key_.swap(name);
    return true;
  }
  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t, const std::string&, const json::exception& error) override {
    problem_ = error.what();
    return false;
  }

 private:
  bool directly_in_list() const { return list_ && open_.size() == 3; }

  json* put(json value) {
    json* parent = open_.empty() ? nullptr : open_.back();
    if (directly_in_list() && parent->is_object()) name_.swap(key_);
    json& place = !parent               ? built_.tree
                  : directly_in_list()  ? element_
                  : parent->is_object() ? (*parent)[key_]
                                        : parent->emplace_back();
    place = std::move(value);
    return &place;
  }
  bool scalar(json value) {
    put(std::move(value));
    if (directly_in_list()) take_element();
    return true;
  }
  bool open(json container) {
    json* opened = put(std::move(container));
    if (open_.size() == 1) in_model_ = open_[0]->is_object() && opened->is_object() && key_ == "model";
    if (open_.size() == 2 && in_model_) {
      list_ = key_ == "vocab" ? &built_.vocabulary : key_ == "merges" ? &built_.merges : nullptr;
      if (list_) *list_ = LongList();
    }
    open_.push_back(opened);
    return true;
  }
  bool close() {
    open_.pop_back();
    if (directly_in_list()) take_element();
    if (open_.size() == 2) list_ = nullptr;
    return true;
  }

  void take_element() {
    if (list_->odd) return;
    if (const auto element = in_some_form(); element) return list_->add(*element);
    list_->odd = std::move(element_);
    list_->odd_name = name_;
  }
  std::optional<LongList::Element> in_some_form() const {
    using Form = LongList::Form;
    const auto text = [](const json& value) { return std::string_view(value.get_ref<const std::string&>()); };
    if (open_.back()->is_object()) {
      if (!element_.is_number_unsigned() || element_.get<std::uint64_t>() > JsonView::max_token_id) return std::nullopt;
      return LongList::Element{name_, "", element_.get<double>(), Form::named_id};
    }
    if (element_.is_string()) return LongList::Element{text(element_), "", 0, Form::text};
    if (!element_.is_array() || element_.size() != 2 || !element_[0].is_string()) return std::nullopt;
    if (element_[1].is_string()) return LongList::Element{text(element_[0]), text(element_[1]), 0, Form::two_texts};
    if (!element_[1].is_number()) return std::nullopt;
    return LongList::Element{text(element_[0]), "", element_[1].get<double>(), Form::scored};
  }

  TokenizerJson& built_;
  std::vector<json*> open_;  // containers, outermost first
  LongList* list_ = nullptr;
  json element_;
  std::string key_, name_;  // the latest; of the element
  bool in_model_ = false;
  std::string problem_;
};

}  // namespace

LongList::Element LongList::operator[](std::size_t i) const {
  const Record& record = records_[i];
  const std::string_view texts = texts_;
  return {texts.substr(record.begin, record.length),
          texts.substr(std::size_t{record.begin} + record.length, record.second_length), record.number, record.form};
}

void LongList::add(const Element& element) {
  records_.push_back({element.number, static_cast<std::uint32_t>(texts_.size()),
                      static_cast<std::uint32_t>(element.text.size()),
                      static_cast<std::uint32_t>(element.second.size()), element.form});
  texts_ += element.text;
  texts_ += element.second;
}

Result<TokenizerJson> parse_tokenizer_json(std::string_view text, const std::string& where) {
  if (auto refused = refuse_deep_json(text, FaultKind::tokenizer_invalid, where)) return *refused;
  TokenizerJson built;
  Builder builder(built);
  if (!json::sax_parse(text, &builder)) return invalid_json(builder.problem(), FaultKind::tokenizer_invalid, where);
  return built;
}

}  // namespace ftl
