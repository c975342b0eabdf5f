// Ids of words seen lately. Each slot is one cache line, a newer word takes the slot of an older one, so the cache is
// bounded, never searched and never allocates after its first use. Belongs to one thread at a time.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace ftl {

class WordCache {
 public:
  static constexpr std::size_t longest_word = 26, most_ids = 9;

  // Appends the ids of `word` when they are known.
  bool append(std::string_view word, std::vector<std::int32_t>& ids) const {
    if (word.size() > longest_word || !slots_) return false;
    const Slot& slot = slots_[slot_of(word)];
    if (slot.length != word.size() || std::memcmp(slot.word, word.data(), word.size()) != 0) return false;
    ids.insert(ids.end(), slot.ids, slot.ids + slot.count);
    return true;
  }
  // Words and id lists that do not fit a slot are not kept; neither is the empty word.
  void keep(std::string_view word, std::span<const std::int32_t> ids) {
    if (word.empty() || word.size() > longest_word || ids.size() > most_ids) return;
    if (!slots_) slots_ = std::make_unique<Slot[]>(slots);
    Slot& slot = slots_[slot_of(word)];
    slot.length = static_cast<std::uint8_t>(word.size());
    slot.count = static_cast<std::uint8_t>(ids.size());
    std::memcpy(slot.word, word.data(), word.size());
    std::copy(ids.begin(), ids.end(), slot.ids);
  }

 private:
  struct alignas(64) Slot {
    std::uint8_t length = 0, count = 0;
    char word[longest_word];
    std::int32_t ids[most_ids];
  };
  static_assert(sizeof(Slot) == 64);
  static constexpr std::size_t slots = std::size_t{1} << 15;

  // At most 26 bytes as up to four overlapping words of eight, mixed by multiplication.
  static std::size_t slot_of(std::string_view word) {
    const auto load = [&](std::size_t at, std::size_t bytes) {
      std::uint64_t value = 0;
      std::memcpy(&value, word.data() + at, bytes);
      return value;
    };
    std::uint64_t mixed = word.size() * 0x9E3779B97F4A7C15u;
    const auto mix = [&](std::uint64_t value) {
      mixed = (mixed ^ value) * 0xD6E8FEB86659FD93u;
      mixed ^= mixed >> 32;
    };
    if (word.size() >= 8) {
      for (std::size_t at = 0; at + 8 < word.size(); at += 8) mix(load(at, 8));
      mix(load(word.size() - 8, 8));
    } else if (word.size() >= 4) {
      mix(load(0, 4) << 32 | load(word.size() - 4, 4));
    } else if (!word.empty()) {
      mix(load(0, 1) << 16 | load(word.size() / 2, 1) << 8 | load(word.size() - 1, 1));
    }
    return static_cast<std::size_t>(mixed >> 17) & (slots - 1);
  }

  std::unique_ptr<Slot[]> slots_;
};

}  // namespace ftl
