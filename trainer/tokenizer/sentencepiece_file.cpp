#include "trainer/tokenizer/sentencepiece_file.h"

#include <cmath>
#include <cstring>
#include <optional>

#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

constexpr std::size_t max_pieces = 10'000'000;

struct Field {
  std::uint32_t number = 0;
  std::uint32_t wire = 0;
  std::uint64_t value = 0;  // of a varint or a fixed-size field
  std::string_view bytes;   // of a length-delimited field
};

// One message's fields in order. `broken` once a field does not end inside the message.
class WireReader {
 public:
  explicit WireReader(std::string_view message) : rest_(message) {}

  bool next(Field& field) {
    if (rest_.empty() || broken_) return false;
    const std::uint64_t key = varint();
    field = {static_cast<std::uint32_t>(key >> 3), static_cast<std::uint32_t>(key & 7), 0, {}};
    if (key >> 3 == 0 || key >> 3 > 0x1FFFFFFF) broken_ = true;
    switch (field.wire) {
      case 0: field.value = varint(); break;
      case 1: field.value = fixed(8); break;
      case 2: field.bytes = take(varint()); break;
      case 5: field.value = fixed(4); break;
      default: broken_ = true;  // groups were never used in this message
    }
    return !broken_;
  }
  bool broken() const { return broken_; }

 private:
  std::string_view take(std::uint64_t size) {
    if (size > rest_.size()) broken_ = true;
    const std::string_view taken = broken_ ? std::string_view() : rest_.substr(0, size);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
      const std::string_view byte = take(1);
      if (broken_) return 0;
      const auto bits = static_cast<unsigned char>(byte[0]);
      if (shift < 64) value |= static_cast<std::uint64_t>(bits & 0x7F) << shift;
      if (bits < 0x80) return value;
    }
    broken_ = true;
    return 0;
  }
  std::uint64_t fixed(std::size_t size) {
    const std::string_view bytes = take(size);
    std::uint64_t value = 0;
    for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
  }

  std::string_view rest_;
  bool broken_ = false;
};

Failure refuse(std::string what) { return Failure{FaultKind::tokenizer_invalid, std::move(what), "", ""}; }

Failure not_a_model() { return refuse("this is neither a SentencePiece model nor a tiktoken file"); }

std::optional<Failure> read_piece(std::string_view message, SentencePieceFile& file) {
  SentencePieceFile::Piece piece;
  WireReader reader(message);
  for (Field field; reader.next(field);) {
    if (field.number == 1 && field.wire == 2) piece.text = field.bytes;
    if (field.number == 2 && field.wire == 5) {
      const auto bits = static_cast<std::uint32_t>(field.value);
      std::memcpy(&piece.score, &bits, sizeof piece.score);
    }
    if (field.number == 3 && field.wire == 0) {
      if (field.value < 1 || field.value > 6)
        return refuse("piece " + std::to_string(file.pieces.size()) + " is of the unknown type " +
                      std::to_string(field.value));
      piece.type = static_cast<SentencePieceFile::Type>(field.value);
    }
  }
  const std::string name = "piece " + std::to_string(file.pieces.size());
  if (reader.broken()) return not_a_model();
  if (piece.text.empty() || !is_valid_utf8(piece.text)) return refuse(name + " is empty or not UTF-8");
  if (!std::isfinite(piece.score)) return refuse(name + " has a score that is no finite number");
  if (file.pieces.size() == max_pieces) return refuse("there are more than 10000000 pieces");
  file.pieces.push_back(std::move(piece));
  return std::nullopt;
}

std::optional<Failure> read_trainer(std::string_view message, SentencePieceFile& file) {
  WireReader reader(message);
  for (Field field; reader.next(field);) {
    if (field.wire == 0) {
      if (field.number == 3 && (field.value < 1 || field.value > 4))
        return refuse("the model is of the unknown type " + std::to_string(field.value));
      if (field.number == 3) file.algorithm = static_cast<SentencePieceFile::Algorithm>(field.value);
      if (field.number == 24) file.white_space_is_suffix = field.value != 0;
      if (field.number == 35) file.byte_fallback = field.value != 0;
    } else if (field.wire == 2) {
      if (field.number == 44) file.unknown_surface = field.bytes;
      if (field.number == 46 && !field.bytes.empty()) file.bos_piece = field.bytes;
      if (field.number == 47 && !field.bytes.empty()) file.eos_piece = field.bytes;
    }
  }
  return reader.broken() ? std::optional(not_a_model()) : std::nullopt;
}

std::optional<Failure> read_normalizer(std::string_view message, SentencePieceFile& file) {
  WireReader reader(message);
  for (Field field; reader.next(field);) {
    if (field.number == 2 && field.wire == 2) file.character_map = field.bytes;
    if (field.wire != 0) continue;
    if (field.number == 3) file.add_dummy_prefix = field.value != 0;
    if (field.number == 4) file.remove_extra_white_space = field.value != 0;
    if (field.number == 5) file.escape_white_space = field.value != 0;
  }
  return reader.broken() ? std::optional(not_a_model()) : std::nullopt;
}

bool has_character_map(std::string_view message) {
  WireReader reader(message);
  bool has = false;
  for (Field field; reader.next(field);) has = has || (field.number == 2 && field.wire == 2 && !field.bytes.empty());
  return has;
}

}  // namespace

Result<SentencePieceFile> read_sentencepiece(std::string_view bytes) {
  SentencePieceFile file;
  WireReader reader(bytes);
  for (Field field; reader.next(field);) {
    if (field.wire != 2) continue;
    std::optional<Failure> failure;
    if (field.number == 1) failure = read_piece(field.bytes, file);
    if (field.number == 2) failure = read_trainer(field.bytes, file);
    if (field.number == 3) failure = read_normalizer(field.bytes, file);
    if (field.number == 5) file.denormalizes = has_character_map(field.bytes);
    if (failure) return *failure;
  }
  if (reader.broken() || file.pieces.empty()) return not_a_model();
  return file;
}

}  // namespace ftl
