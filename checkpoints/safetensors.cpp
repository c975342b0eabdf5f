#include "checkpoints/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "checkpoints/printable.h"

namespace ftl {
namespace {

using json = nlohmann::json;

constexpr std::size_t length_bytes = 8;
constexpr std::uint64_t largest_header = 100'000'000;  // the reference implementation's limit

struct FormatDType {
  std::string_view name;
  int bits;
  std::optional<DType> ours;  // empty: legal in the format, not supported by ftlaunch
};
constexpr std::array<FormatDType, 20> format_dtypes = {{
    {"F32", 32, DType::f32}, {"BF16", 16, DType::bf16}, {"F16", 16, DType::f16}, {"I32", 32, DType::i32},
    {"I64", 64, DType::i64}, {"U8", 8, DType::u8},      {"BOOL", 8, {}},         {"I8", 8, {}},
    {"I16", 16, {}},         {"U16", 16, {}},           {"U32", 32, {}},         {"U64", 64, {}},
    {"F64", 64, {}},         {"C64", 64, {}},           {"F8_E5M2", 8, {}},      {"F8_E4M3", 8, {}},
    {"F8_E8M0", 8, {}},      {"F6_E2M3", 6, {}},        {"F6_E3M2", 6, {}},      {"F4", 4, {}},
}};

struct Entry {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> offsets;
  bool has_dtype = false, has_shape = false, has_offsets = false;
};

// Walks the header without building a tree: levels beyond three, doubled keys and values of the wrong type end it at
// once.
class HeaderReader : public nlohmann::json_sax<json> {
 public:
  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;
  std::string complaint;

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_float(number_float_t, const string_t& text) override {
    return unexpected("the number " + printable(text));
  }
  bool binary(binary_t&) override { return unexpected("binary data"); }
  bool number_integer(number_integer_t value) override {
    return complain(fmt::format("{} has the negative number {}", where(), value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (array_ == nullptr) return unexpected("a number");
    if (value > static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max())) {
      return complain(fmt::format("{} has the number {}, which is too large", where(), value));
    }
    if (array_->size() >= 32) return complain(where() + " has more than 32 numbers");
    array_->push_back(static_cast<std::int64_t>(value));
    return true;
  }
  bool string(string_t& value) override {
    if (depth_ == 2 && in_metadata_) {
      if (!metadata.emplace(key_, value).second)
        return complain(fmt::format("__metadata__ has the key \"{}\" twice", printable(key_)));
      return true;
    }
    if (depth_ != 2 || array_ != nullptr || key_ != "dtype") return unexpected("a text");
    entries.back().dtype = value;
    entries.back().has_dtype = true;
    return true;
  }
  bool start_object(std::size_t) override {
    if (array_ != nullptr || depth_ >= 2) return unexpected("an object");
    ++depth_;
    if (depth_ < 2) return true;
    if (in_metadata_ = name_ == "__metadata__"; in_metadata_)
      return !std::exchange(saw_metadata_, true) || complain("the key \"__metadata__\" is there twice");
    entries.push_back({});
    entries.back().name = name_;
    return true;
  }
  bool key(string_t& value) override {
    (depth_ == 1 ? name_ : key_) = value;
    if (depth_ != 2 || in_metadata_) return true;
    const Entry& entry = entries.back();
    if (value != "dtype" && value != "shape" && value != "data_offsets")
      return complain(fmt::format("tensor \"{}\" has the unknown key \"{}\"", printable(name_), printable(value)));
    const bool twice = (value == "dtype" && entry.has_dtype) || (value == "shape" && entry.has_shape) ||
                       (value == "data_offsets" && entry.has_offsets);
    return !twice || complain(fmt::format("tensor \"{}\" has the key \"{}\" twice", printable(name_), value));
  }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ != 2 || in_metadata_ || array_ != nullptr || key_ == "dtype") return unexpected("an array");
    Entry& entry = entries.back();
    array_ = key_ == "shape" ? &entry.shape : &entry.offsets;
    (key_ == "shape" ? entry.has_shape : entry.has_offsets) = true;
    return true;
  }
  bool end_array() override {
    array_ = nullptr;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return complain(fmt::format("the header is not JSON at its byte {}", position));
  }

 private:
  bool complain(std::string what) {
    if (complaint.empty()) complaint = std::move(what);
    return false;
  }
  bool unexpected(const std::string& what) {
    return complain(fmt::format("{} has {} where none may be", where(), what));
  }
  std::string where() const {
    if (depth_ < 1) return "the header";
    if (depth_ < 2) return fmt::format("entry \"{}\"", printable(name_));
    return fmt::format("\"{}\" of tensor \"{}\"", printable(key_), printable(name_));
  }

  int depth_ = 0;
  bool in_metadata_ = false, saw_metadata_ = false;
  std::vector<std::int64_t>* array_ = nullptr;  // of entries.back(); no entry is added while it is set
  std::string name_, key_;
};

class FileJudge {
 public:
  FileJudge(std::span<const std::byte> file, const std::string& name) : file_(file), name_(name) {}

  Result<SafetensorsHeader> parse() const {
    if (text(0, 23) == "version https://git-lfs") {
      return Failure{FaultKind::safetensors_corrupt,
                     fmt::format("the file is a git-lfs pointer of {} bytes, not the weights themselves", file_.size()),
                     name_, "run `git lfs install && git lfs pull` in the model's directory, or fetch the file itself"};
    }
    if (file_.size() < length_bytes)
      return wrong(
          fmt::format("the file has {} bytes, the header's length alone needs {}", file_.size(), length_bytes));
    std::uint64_t length = 0;
    std::memcpy(&length, file_.data(), sizeof length);
    if (length > largest_header)
      return wrong(fmt::format("the header says it has {} bytes, at most {} are allowed", length, largest_header));
    if (length > file_.size() - length_bytes) {
      return wrong(fmt::format("the header says it has {} bytes, the file has {} after its length", length,
                               file_.size() - length_bytes));
    }
    if (length < 2) return wrong(fmt::format("the header has {} bytes, at least 2 are needed", length));
    const std::string_view header = text(length_bytes, length);
    if (header[0] != '{')
      return wrong(
          fmt::format("the header begins with byte 0x{:02x}, not with '{{'", static_cast<unsigned char>(header[0])));
    HeaderReader reader;
    if (!json::sax_parse(header, &reader) || !reader.complaint.empty()) {
      return wrong(reader.complaint.empty() ? "the header is not JSON" : reader.complaint);
    }
    return judge(std::move(reader), length_bytes + static_cast<std::size_t>(length));
  }

 private:
  Failure wrong(std::string what) const { return {FaultKind::safetensors_corrupt, std::move(what), name_, ""}; }
  std::string_view text(std::size_t begin, std::size_t count) const {
    return std::string_view(reinterpret_cast<const char*>(file_.data()), file_.size())
        .substr(std::min(begin, file_.size()), count);
  }

  Result<SafetensorsHeader> judge(HeaderReader reader, std::size_t data_begin) const {
    SafetensorsHeader header;
    header.metadata = std::move(reader.metadata);
    header.data_begin = data_begin;
    header.entries.reserve(reader.entries.size());
    for (Entry& entry : reader.entries) {
      Result<SafetensorsEntry> judged = judge(std::move(entry), file_.size() - data_begin);
      if (!judged) return judged.error();
      header.entries.push_back(std::move(*judged));
    }
    if (std::optional<std::string> gap = gap_in(header.entries, file_.size() - data_begin)) return wrong(*gap);
    std::sort(header.entries.begin(), header.entries.end(),
              [](const auto& a, const auto& b) { return a.info.name < b.info.name; });
    const auto twice = std::adjacent_find(header.entries.begin(), header.entries.end(),
                                          [](const auto& a, const auto& b) { return a.info.name == b.info.name; });
    if (twice != header.entries.end())
      return wrong(fmt::format("tensor \"{}\" is there twice", printable(twice->info.name)));
    return header;
  }

  Result<SafetensorsEntry> judge(Entry entry, std::size_t available) const {
    const std::string tensor = fmt::format("tensor \"{}\"", printable(entry.name));
    if (!entry.has_dtype || !entry.has_shape || !entry.has_offsets) {
      return wrong(fmt::format("{} lacks \"{}\"", tensor,
                               !entry.has_dtype   ? "dtype"
                               : !entry.has_shape ? "shape"
                                                  : "data_offsets"));
    }
    const auto dtype = std::find_if(format_dtypes.begin(), format_dtypes.end(),
                                    [&](const FormatDType& d) { return d.name == entry.dtype; });
    if (dtype == format_dtypes.end())
      return wrong(fmt::format("{} has the unknown dtype \"{}\"", tensor, printable(entry.dtype)));
    if (entry.offsets.size() != 2)
      return wrong(fmt::format("{} has {} data_offsets instead of 2", tensor, entry.offsets.size()));
    std::int64_t bits = dtype->bits;
    for (std::int64_t extent : entry.shape) {
      if (__builtin_mul_overflow(bits, extent, &bits))
        return wrong(fmt::format("{} has the shape [{}], whose size overflows", tensor, fmt::join(entry.shape, ", ")));
    }
    if (bits % 8 != 0) return wrong(fmt::format("{} has {} bits, which is no whole number of bytes", tensor, bits));
    const std::int64_t begin = entry.offsets[0], end = entry.offsets[1];
    if (begin > end) return wrong(fmt::format("{} ends at {} before it begins at {}", tensor, end, begin));
    if (static_cast<std::uint64_t>(end) > available) {
      return wrong(
          fmt::format("{} ends at byte {} of the data, the file has {}: it is truncated", tensor, end, available));
    }
    if (end - begin != bits / 8) {
      return wrong(fmt::format("{} of {} [{}] needs {} bytes, its offsets say {}", tensor, entry.dtype,
                               fmt::join(entry.shape, ", "), bits / 8, end - begin));
    }
    TensorInfo tensor_info{std::move(entry.name), dtype->ours.value_or(DType::u8), std::move(entry.shape), name_,
                           dtype->ours ? std::string() : std::string(dtype->name)};
    return SafetensorsEntry{std::move(tensor_info), static_cast<std::size_t>(begin), static_cast<std::size_t>(end)};
  }

  // The tensors must tile the data part: no byte twice, none unnamed, the last one at the end of the file.
  static std::optional<std::string> gap_in(const std::vector<SafetensorsEntry>& entries, std::size_t available) {
    std::vector<const SafetensorsEntry*> order;
    for (const SafetensorsEntry& entry : entries) order.push_back(&entry);
    std::sort(order.begin(), order.end(),
              [](auto* a, auto* b) { return std::pair(a->begin, a->end) < std::pair(b->begin, b->end); });
    std::size_t reached = 0;
    for (const SafetensorsEntry* entry : order) {
      if (entry->begin != reached) {
        return fmt::format("tensor \"{}\" begins at byte {} of the data, the one before ends at {}: they {}",
                           printable(entry->info.name), entry->begin, reached,
                           entry->begin < reached ? "overlap" : "leave a hole");
      }
      reached = entry->end;
    }
    if (reached == available) return std::nullopt;
    return fmt::format("the last tensor ends at byte {} of the data, the file has {}", reached, available);
  }

  std::span<const std::byte> file_;
  const std::string& name_;
};

}  // namespace

Result<SafetensorsHeader> parse_safetensors(std::span<const std::byte> file, const std::string& name) {
  return FileJudge(file, name).parse();
}

}  // namespace ftl
