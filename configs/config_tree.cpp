#include "configs/config_tree.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>
#include <nlohmann/json.hpp>

namespace ftl {
namespace {

Failure syntax(std::string what, std::string where, std::string fix = "") {
  return {FaultKind::config_syntax, std::move(what), std::move(where), std::move(fix)};
}

struct Refused {  // leaves the parser from inside an event; caught in this file
  Failure failure;
};

class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(std::string origin, bool is_file) : origin_(std::move(origin)), is_file_(is_file) {}
  ConfigNode take() { return std::move(root_); }

  std::string place(const YAML::Mark& mark) const {
    return is_file_ ? fmt::format("{}:{}:{}", origin_, std::max(mark.line, 0) + 1, std::max(mark.column, 0) + 1)
                    : origin_;
  }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { leaf(mark, anchor, {}); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    ConfigNode node;
    node.shape = ConfigNode::Shape::scalar;
    node.text = value;
    node.quoted = tag == "!";
    refuse_tag(mark, tag);
    leaf(mark, anchor, std::move(node));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto anchored = anchors_.find(anchor);
    if (anchored == anchors_.end())
      throw Refused{syntax("an alias stands inside the value that it repeats", place(mark))};
    count(anchored->second.size, mark);
    if (open_.size() + anchored->second.height > deepest_config) throw Refused{too_deep(mark)};
    add(mark, ConfigNode(anchored->second));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    begin(mark, tag, anchor, ConfigNode::Shape::list);
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    begin(mark, tag, anchor, ConfigNode::Shape::mapping);
  }
  void OnMapEnd() override { end(); }

 private:
  struct Open {
    ConfigNode node;
    YAML::anchor_t anchor;
    YAML::Mark mark;
    bool awaits_value = false;
  };

  Failure too_deep(const YAML::Mark& mark) const {
    return syntax(fmt::format("the configuration is nested more than {} levels deep", deepest_config), place(mark));
  }
  void refuse_tag(const YAML::Mark& mark, const std::string& tag) const {
    if (!tag.empty() && tag != "?" && tag != "!")
      throw Refused{syntax("YAML tags are not supported: " + shown(tag), place(mark), "remove the tag")};
  }
  void count(std::size_t nodes, const YAML::Mark& mark) {
    nodes_ += nodes;
    if (nodes_ > most_config_nodes) {
      throw Refused{syntax(
          fmt::format("the configuration has more than {} values when its aliases are expanded", most_config_nodes),
          place(mark))};
    }
  }
  void leaf(const YAML::Mark& mark, YAML::anchor_t anchor, ConfigNode node) {
    count(1, mark);
    node.where = place(mark);
    if (anchor != YAML::NullAnchor) anchors_[anchor] = node;
    add(mark, std::move(node));
  }
  void begin(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, ConfigNode::Shape shape) {
    count(1, mark);
    refuse_tag(mark, tag);
    if (open_.size() >= deepest_config) throw Refused{too_deep(mark)};
    ConfigNode node;
    node.shape = shape;
    node.where = place(mark);
    open_.push_back({std::move(node), anchor, mark});
  }
  void end() {
    Open closed = std::move(open_.back());
    open_.pop_back();
    if (closed.anchor != YAML::NullAnchor) anchors_[closed.anchor] = closed.node;
    add(closed.mark, std::move(closed.node));
  }
  void add(const YAML::Mark& mark, ConfigNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.shape == ConfigNode::Shape::mapping && !parent.awaits_value) {
      add_key(parent, mark, node);
      return;
    }
    parent.awaits_value = false;
    parent.node.size += node.size;
    parent.node.height = std::max(parent.node.height, node.height + 1);
    parent.node.children.push_back(std::move(node));
  }
  void add_key(Open& parent, const YAML::Mark& mark, const ConfigNode& key) {
    if (key.shape != ConfigNode::Shape::scalar)
      throw Refused{syntax(fmt::format("{} stands where a key is wanted", shown(key)), place(mark))};
    if (key.text == "<<" && !key.quoted)
      throw Refused{syntax("merge keys (<<) are not supported", place(mark), "write the keys out")};
    ConfigNode& map = parent.node;
    if (const auto twice = std::find(map.keys.begin(), map.keys.end(), key.text); twice != map.keys.end()) {
      throw Refused{syntax(fmt::format("the key {} is given twice, first at {}", shown(key.text),
                                       map.key_places[static_cast<std::size_t>(twice - map.keys.begin())]),
                           place(mark), "remove one of the two")};
    }
    // Every key of ours fits many times over; a mapping of thousands would make the search above quadratic.
    if (map.keys.size() >= 1000) throw Refused{syntax("a mapping has more than 1000 keys", place(mark))};
    map.keys.push_back(key.text);
    map.key_places.push_back(place(mark));
    parent.awaits_value = true;
  }

  std::string origin_;
  bool is_file_;
  ConfigNode root_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, ConfigNode> anchors_;
  std::size_t nodes_ = 0;
};

// Length of the UTF-8 character that `text` begins with; 0: it begins with none.
std::size_t character_length(std::string_view text) {
  constexpr std::uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const std::uint32_t first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc0 || first > 0xf7 || text.size() < length) return 0;
  std::uint32_t value = first & (0x7fu >> length);
  for (const char c : text.substr(1, length - 1)) {
    const std::uint32_t byte = static_cast<unsigned char>(c);
    if ((byte & 0xc0) != 0x80) return 0;
    value = value << 6 | (byte & 0x3f);
  }
  const bool is_surrogate = value >= 0xd800 && value <= 0xdfff;
  return value < smallest[length] || value > 0x10ffff || is_surrogate ? 0 : length;
}

// The parser passes over control characters and would show them in messages. What is not UTF-8 would reach the ranks,
// who are told in JSON, as another text.
std::optional<Failure> first_odd_byte(std::string_view text, const std::string& origin, bool is_file) {
  std::size_t line = 1, column = 1;
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    const char c = text[0];
    const auto byte = static_cast<unsigned char>(c);
    if (length == 0 || (byte < 0x20 && c != '\n' && c != '\r' && c != '\t') || byte == 0x7f) {
      return syntax(length == 0
                        ? fmt::format("the byte 0x{:02x} is not of UTF-8 text", byte)
                        : fmt::format("the byte 0x{:02x} has no place in a configuration: is this a text file?", byte),
                    is_file ? fmt::format("{}:{}:{}", origin, line, column) : origin,
                    length == 0 ? "save the configuration as UTF-8, and give its files names in UTF-8" : "");
    }
    column = c == '\n' ? 1 : column + length;
    line += c == '\n';
    text.remove_prefix(length);
  }
  return std::nullopt;
}

ConfigNode from_json_value(const nlohmann::ordered_json& value, const std::string& where) {
  ConfigNode node;
  node.where = where;
  if (value.is_object()) {
    node.shape = ConfigNode::Shape::mapping;
    for (const auto& [key, child] : value.items()) {
      node.keys.push_back(key);
      node.key_places.push_back(where);
      node.children.push_back(from_json_value(child, where));
    }
  } else if (value.is_array()) {
    node.shape = ConfigNode::Shape::list;
    for (const auto& child : value) node.children.push_back(from_json_value(child, where));
  } else if (!value.is_null()) {
    node.shape = ConfigNode::Shape::scalar;
    node.quoted = value.is_string();
    node.text = node.quoted ? value.get<std::string>() : value.dump();
  }
  return node;
}

}  // namespace

std::string shown(const std::string& text) {
  std::size_t length = std::min<std::size_t>(text.size(), 60);
  while (length > 0 && length < text.size() && (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80) --length;
  std::string line = text.substr(0, length);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return "'" + line + (length < text.size() ? "...'" : "'");
}

std::string shown(const ConfigNode& node) {
  switch (node.shape) {
    case ConfigNode::Shape::null: return "nothing";
    case ConfigNode::Shape::scalar: return shown(node.text) + (node.quoted ? " in quotes" : "");
    case ConfigNode::Shape::list: return "a list";
    case ConfigNode::Shape::mapping: return "a mapping";
  }
  return "?";
}

Result<ConfigNode> parse_yaml(const std::string& text, const std::string& origin, bool is_file) {
  if (text.size() > largest_config) {
    return syntax(fmt::format("the configuration has more than {} bytes", largest_config), origin,
                  "check that this is the file that is meant");
  }
  if (std::optional<Failure> odd = first_odd_byte(text, origin, is_file)) return *odd;
  TreeBuilder builder(origin, is_file);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder))
      return ConfigNode{ConfigNode::Shape::null, "", false, origin, {}, {}, {}, 1, 1};
    ConfigNode root = builder.take();
    TreeBuilder rest(origin, is_file);
    if (parser.HandleNextDocument(rest))
      return syntax("the configuration has more than one YAML document", origin, "keep one, without ---");
    return root;
  } catch (const Refused& refused) {
    return refused.failure;
  } catch (const YAML::Exception& error) {
    return syntax(error.msg, builder.place(error.mark));
  }
}

Result<ConfigNode> parse_json(const std::string& text, const std::string& origin) {
  if (text.size() > largest_config)
    return syntax(fmt::format("the configuration has more than {} bytes", largest_config), origin);
  bool too_deep = false;
  const auto watch = [&](int depth, nlohmann::ordered_json::parse_event_t, nlohmann::ordered_json&) {
    too_deep = too_deep || depth > static_cast<int>(deepest_config);
    return !too_deep;
  };
  const nlohmann::ordered_json value = nlohmann::ordered_json::parse(text, watch, false);
  if (too_deep || value.is_discarded()) return syntax("the configuration is not JSON, or nested too deep", origin);
  return from_json_value(value, origin);
}

}  // namespace ftl
