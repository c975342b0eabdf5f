// The vocabulary both ways: text to id by one probe of a flat hash table, id to text by an offset into one arena.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
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
  std::size_t entries() const { return used_; }

 private:
  struct Entry {
    std::uint32_t offset = absent;
    std::uint32_t length = 0;
  };
  struct Slot {
    std::int32_t id = -1;   // free
    std::uint32_t tag = 0;  // bits of the hash: other texts are seldom looked at
  };
  static constexpr std::uint32_t absent = 0xFFFFFFFF;
  void grow(std::size_t slots);
  struct Place {
    std::size_t slot;
    std::uint32_t tag;
  };
  Place place_of(std::string_view text) const;

  std::string arena_;
  std::vector<Entry> entries_;  // by id
  std::vector<Slot> slots_;     // power of two, at most half full
  std::size_t used_ = 0;
};

// A table is as long as its largest id says. What is wrong when that is out of proportion to its entries, as it is in
// no file that trains a model: 4 ids an entry and 65,536 besides are the limit.
std::optional<std::string> id_out_of_proportion(std::int32_t largest_id, std::size_t entries);

// A model's tokens together with those that are added beside it.
class TokenNames {
 public:
  // `model` outlives this; nothing has been added yet.
  void set_model(const TokenTable& model);
  TokenTable::Added add(std::string_view text, std::int32_t id);
  std::int32_t find(std::string_view text) const;  // -1: none
  bool has(std::int32_t id) const;
  std::string_view text(std::int32_t id) const;  // empty for a hole
  std::int32_t size() const { return size_; }    // largest id + 1
  std::size_t entries() const { return model_->entries() + added_ids_.size(); }

 private:
  static const TokenTable no_tokens;
  const TokenTable* model_ = &no_tokens;
  std::map<std::string, std::int32_t, std::less<>> added_ids_;
  std::unordered_map<std::int32_t, std::string_view> added_texts_;  // of the keys of added_ids_
  std::int32_t size_ = 0;
};

// (left id, right id) -> (rank, merged id), open addressing over 64-bit keys.
class MergeTable {
 public:
  static constexpr std::uint64_t none = ~std::uint64_t{0};
  explicit MergeTable(std::size_t merges = 0);
  // A pair given twice keeps the later rank, as the reference implementation does.
  void add(std::int32_t left, std::int32_t right, std::uint32_t rank, std::int32_t merged);
  // rank << 32 | merged id: smaller is sooner; `none` when the pair does not merge.
  std::uint64_t find(std::int32_t left, std::int32_t right) const {
    return slots_[slot_of(static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
                          static_cast<std::uint32_t>(right))]
        .value;
  }
  // Whether Predicate(rank << 32 | merged id) holds for every merge.
  template <class Predicate>
  bool all_of(Predicate holds) const {
    for (const Slot& slot : slots_) {
      if (slot.key != none && !holds(slot.value)) return false;
    }
    return true;
  }

 private:
  struct Slot {
    std::uint64_t key = none;
    std::uint64_t value = none;
  };
  std::size_t slot_of(std::uint64_t key) const {
    const std::size_t mask = slots_.size() - 1;
    std::uint64_t mixed = key * 0x9E3779B97F4A7C15u;
    mixed ^= mixed >> 32;
    std::size_t slot = mixed & mask;
    while (slots_[slot].key != key && slots_[slot].key != none) slot = (slot + 1) & mask;
    return slot;
  }
  std::vector<Slot> slots_;
};

}  // namespace ftl
