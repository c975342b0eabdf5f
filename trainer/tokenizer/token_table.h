// The vocabulary both ways: text to id by one probe of a flat hash table, id to text by an offset into one arena.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ftl {

class TokenTable {
 public:
  enum class Added { fresh, same, text_taken, id_taken };
  void reserve(std::size_t tokens);
  // `same`: the pair was there already. On text_taken and id_taken nothing is changed. Ids are at least 0; holes are
  // allowed.
  Added add(std::string_view text, std::int32_t id);
  std::int32_t find(std::string_view text) const;  // -1: none
  bool has(std::int32_t id) const;
  std::string_view text(std::int32_t id) const;  // empty for a hole; valid until the next add
  std::int32_t size() const { return static_cast<std::int32_t>(entries_.size()); }  // largest id + 1

 private:
  struct Entry {
    std::uint32_t offset = absent;
    std::uint32_t length = 0;
  };
  static constexpr std::uint32_t absent = 0xFFFFFFFF;
  void grow(std::size_t slots);
  std::size_t slot_of(std::string_view text) const;

  std::string arena_;
  std::vector<Entry> entries_;       // by id
  std::vector<std::int32_t> slots_;  // power of two, -1 = free, at most half full
  std::size_t used_ = 0;
};

// (left id, right id) -> (rank, merged id), open addressing over 64-bit keys.
class MergeTable {
 public:
  static constexpr std::uint64_t none = ~std::uint64_t{0};
  explicit MergeTable(std::size_t merges = 0);
  // A pair given twice keeps the later rank, as the reference implementation does.
  void add(std::int32_t left, std::int32_t right, std::uint32_t rank, std::int32_t merged);
  // rank << 32 | merged id: smaller is sooner; `none` when the pair does not merge.
  std::uint64_t find(std::int32_t left, std::int32_t right) const;

 private:
  struct Slot {
    std::uint64_t key = none;
    std::uint64_t value = none;
  };
  std::size_t slot_of(std::uint64_t key) const;
  std::vector<Slot> slots_;
};

}  // namespace ftl
