#include "trainer/chat_template/printing.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "trainer/chat_template/characters.h"
#include "trainer/chat_template/template_error.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl::chat {
namespace {

void append_escape(std::string& out, char32_t c) {
  constexpr const char* hex = "0123456789abcdef";
  const int digits = c < 0x100 ? 2 : c < 0x10000 ? 4 : 8;
  out += '\\';
  out += digits == 2 ? 'x' : digits == 4 ? 'u' : 'U';
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += hex[(c >> shift) & 0xF];
}

// The one source of all texts in a value; empty when they differ. Bytes that are nobody's do not count.
class CommonSource {
 public:
  void look(const Value& value) {
    if (differ_) return;
    if (const Text* text = value.text()) {
      for (const Run& run : text->runs()) add(run.source);
    } else if (const Sequence* sequence = value.sequence()) {
      for (const Value& item : sequence->items) look(item);
    } else if (const Dict* dict = value.dict()) {
      for (const auto& entry : dict->entries()) look(entry.second);
    }
  }
  Source source() const { return differ_ ? Source{} : source_.value_or(Source{}); }

 private:
  void add(Source source) {
    if (!source_) source_ = source;
    differ_ = differ_ || *source_ != source;
  }
  std::optional<Source> source_;
  bool differ_ = false;
};

class Writer {
 public:
  explicit Writer(Meter& meter) : meter_(meter) {}
  void put(std::string_view bytes) {
    meter_.take(bytes.size());
    out_ += bytes;
    meter_.check_string(out_.size());
  }
  Meter& meter() { return meter_; }
  std::string take() { return std::move(out_); }

 private:
  Meter& meter_;
  std::string out_;
};

void write_repr(Writer& out, const Value& value);

void write_items(Writer& out, std::string_view open, const std::vector<Value>& items, std::string_view close) {
  out.put(open);
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.put(", ");
    write_repr(out, items[i]);
  }
  out.put(close);
}

void write_sequence(Writer& out, const Sequence& sequence) {
  switch (sequence.kind) {
    case SequenceKind::list: return write_items(out, "[", sequence.items, "]");
    case SequenceKind::tuple: return write_items(out, "(", sequence.items, sequence.items.size() == 1 ? ",)" : ")");
    case SequenceKind::keys: return write_items(out, "dict_keys([", sequence.items, "])");
    case SequenceKind::values: return write_items(out, "dict_values([", sequence.items, "])");
    case SequenceKind::items: return write_items(out, "dict_items([", sequence.items, "])");
    case SequenceKind::range: {
      const auto [start, stop, step] = sequence.range;
      out.put("range(" + std::to_string(start) + ", " + std::to_string(stop));
      return out.put(step == 1 ? ")" : ", " + std::to_string(step) + ")");
    }
    case SequenceKind::iterator: return out.put("<generator object>");
  }
}

void write_dict(Writer& out, const Dict& dict) {
  out.put("{");
  bool is_first = true;
  for (const auto& [key, item] : dict.entries()) {
    if (!std::exchange(is_first, false)) out.put(", ");
    write_repr(out, key);
    out.put(": ");
    write_repr(out, item);
  }
  out.put("}");
}

void write_repr(Writer& out, const Value& value) {
  out.meter().step();
  if (value.is_undefined()) return out.put("Undefined");
  if (value.is_none()) return out.put("None");
  if (value.boolean()) return out.put(*value.boolean() ? "True" : "False");
  if (value.integer()) return out.put(std::to_string(*value.integer()));
  if (value.real()) return out.put(real_text(*value.real()));
  if (value.text()) {
    out.meter().take(value.text()->size());
    return out.put(quoted(value.text()->view()));
  }
  if (value.sequence()) return write_sequence(out, *value.sequence());
  if (value.dict()) return write_dict(out, *value.dict());
  out.put(value.object()->shown());
}

Text with_common_source(std::string bytes, const Value& of) {
  CommonSource common;
  common.look(of);
  return Text(std::move(bytes), common.source());
}

}  // namespace

std::string real_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 64> buffer{};
  const double size = std::abs(value);
  const bool is_plain = value == 0 || (size >= 1e-4 && size < 1e16);
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                 is_plain ? std::chars_format::fixed : std::chars_format::scientific)
                       .ptr;
  std::string text(buffer.data(), end);
  if (is_plain && text.find('.') == std::string::npos) text += ".0";
  return text;
}

std::string quoted(std::string_view text) {
  const char quote = text.find('\'') != text.npos && text.find('"') == text.npos ? '"' : '\'';
  std::string out(1, quote);
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = first_code_point(text.substr(at));
    switch (point.value) {
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\\': out += "\\\\"; break;
      default:
        if (point.value == static_cast<char32_t>(quote)) out += '\\';
        if (is_printable(point.value)) {
          out += text.substr(at, point.length);
        } else {
          append_escape(out, point.value);
        }
    }
    at += point.length;
  }
  return out += quote;
}

Text repr(const Value& value, Meter& meter) {
  Writer out(meter);
  write_repr(out, value);
  return with_common_source(out.take(), value);
}

Text shown(const Value& value, Meter& meter) {
  if (value.text()) return *value.text();
  return value.is_undefined() ? Text() : repr(value, meter);
}

namespace {

class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, Meter& meter) : style_(style), out_(meter) {}
  void write(const Value& value, int level);
  std::string take() { return out_.take(); }

 private:
  void line(int level);
  void write_string(std::string_view text);
  void write_dict(const Dict& dict, int level);
  void write_list(const std::vector<Value>& items, int level);
  static std::string key_text(const Value& key);

  const JsonStyle& style_;
  Writer out_;
};

std::string json_real(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  return real_text(value);
}

void JsonWriter::line(int level) {
  if (!style_.indent) return;
  out_.put("\n");
  for (int i = 0; i < level; ++i) out_.put(*style_.indent);
}

void append_json_escape(std::string& out, char32_t c, bool ascii_only) {
  std::array<char, 8> buffer{};
  if (c >= 0x10000) {
    append_json_escape(out, 0xD800 + ((c - 0x10000) >> 10), ascii_only);
    c = 0xDC00 + ((c - 0x10000) & 0x3FF);
  }
  std::snprintf(buffer.data(), buffer.size(), "\\u%04x", static_cast<unsigned>(c));
  out += buffer.data();
}

void JsonWriter::write_string(std::string_view text) {
  out_.meter().take(text.size());
  std::string written = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = first_code_point(text.substr(at));
    switch (point.value) {
      case '"': written += "\\\""; break;
      case '\\': written += "\\\\"; break;
      case '\n': written += "\\n"; break;
      case '\r': written += "\\r"; break;
      case '\t': written += "\\t"; break;
      case '\b': written += "\\b"; break;
      case '\f': written += "\\f"; break;
      default:
        if (point.value < 0x20 || (style_.ascii_only && point.value > 0x7E)) {
          append_json_escape(written, point.value, style_.ascii_only);
        } else {
          written += text.substr(at, point.length);
        }
    }
    at += point.length;
  }
  out_.put(written += '"');
}

std::string JsonWriter::key_text(const Value& key) {
  if (key.text()) return key.text()->bytes();
  if (key.is_none()) return "null";
  if (key.boolean()) return *key.boolean() ? "true" : "false";
  if (key.integer()) return std::to_string(*key.integer());
  if (key.real()) return json_real(*key.real());
  throw TemplateError("a key of type `" + type_name(key) + "` cannot be written as JSON");
}

void JsonWriter::write_dict(const Dict& dict, int level) {
  if (dict.entries().empty()) return out_.put("{}");
  std::vector<const Dict::Entry*> entries;
  for (const Dict::Entry& entry : dict.entries()) entries.push_back(&entry);
  if (style_.sort_keys) {
    std::ranges::stable_sort(
        entries, [&](const auto* left, const auto* right) { return less(left->first, right->first, out_.meter()); });
  }
  out_.put("{");
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i > 0) out_.put(style_.item_separator);
    line(level + 1);
    write_string(key_text(entries[i]->first));
    out_.put(style_.key_separator);
    write(entries[i]->second, level + 1);
  }
  line(level);
  out_.put("}");
}

void JsonWriter::write_list(const std::vector<Value>& items, int level) {
  if (items.empty()) return out_.put("[]");
  out_.put("[");
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out_.put(style_.item_separator);
    line(level + 1);
    write(items[i], level + 1);
  }
  line(level);
  out_.put("]");
}

void JsonWriter::write(const Value& value, int level) {
  out_.meter().step();
  if (value.is_none()) return out_.put("null");
  if (value.boolean()) return out_.put(*value.boolean() ? "true" : "false");
  if (value.integer()) return out_.put(std::to_string(*value.integer()));
  if (value.real()) return out_.put(json_real(*value.real()));
  if (value.text()) return write_string(value.text()->view());
  if (value.dict()) return write_dict(*value.dict(), level);
  const Sequence* sequence = value.sequence();
  if (sequence && (sequence->kind == SequenceKind::list || sequence->kind == SequenceKind::tuple)) {
    return write_list(sequence->items, level);
  }
  throw TemplateError("a value of type `" + type_name(value) + "` cannot be written as JSON");
}

}  // namespace

Text json_text(const Value& value, const JsonStyle& style, Meter& meter) {
  JsonWriter writer(style, meter);
  writer.write(value, 0);
  return with_common_source(writer.take(), value);
}

}  // namespace ftl::chat
