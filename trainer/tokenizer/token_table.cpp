#include "trainer/tokenizer/token_table.h"

#include <bit>
#include <cassert>

#include <xxhash.h>

namespace ftl {

void TokenTable::reserve(std::size_t tokens) {
  entries_.reserve(tokens);
  grow(std::bit_ceil(tokens * 2 + 16));
}

void TokenTable::grow(std::size_t slots) {
  if (slots <= slots_.size()) return;
  slots_.assign(slots, -1);
  for (std::int32_t id = 0; id < size(); ++id) {
    if (has(id)) slots_[slot_of(text(id))] = id;
  }
}

std::size_t TokenTable::slot_of(std::string_view text) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = XXH3_64bits(text.data(), text.size()) & mask;
  while (slots_[slot] >= 0 && this->text(slots_[slot]) != text) slot = (slot + 1) & mask;
  return slot;
}

TokenTable::Added TokenTable::add(std::string_view text, std::int32_t id) {
  assert(id >= 0);
  if ((used_ + 1) * 2 > slots_.size()) grow(std::bit_ceil((used_ + 8) * 4));
  const std::size_t slot = slot_of(text);
  if (slots_[slot] >= 0) return slots_[slot] == id ? Added::same : Added::text_taken;
  if (has(id)) return Added::id_taken;
  if (id >= size()) entries_.resize(static_cast<std::size_t>(id) + 1);
  assert(arena_.size() + text.size() < absent);
  entries_[static_cast<std::size_t>(id)] = {static_cast<std::uint32_t>(arena_.size()),
                                            static_cast<std::uint32_t>(text.size())};
  arena_ += text;
  slots_[slot] = id;
  ++used_;
  return Added::fresh;
}

std::int32_t TokenTable::find(std::string_view text) const { return slots_.empty() ? -1 : slots_[slot_of(text)]; }

bool TokenTable::has(std::int32_t id) const {
  return id >= 0 && id < size() && entries_[static_cast<std::size_t>(id)].offset != absent;
}

std::string_view TokenTable::text(std::int32_t id) const {
  if (!has(id)) return {};
  const Entry& entry = entries_[static_cast<std::size_t>(id)];
  return std::string_view(arena_).substr(entry.offset, entry.length);
}

namespace {

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
}

}  // namespace

MergeTable::MergeTable(std::size_t merges) : slots_(std::bit_ceil(merges * 2 + 2)) {}

std::size_t MergeTable::slot_of(std::uint64_t key) const {
  const std::size_t mask = slots_.size() - 1;
  std::uint64_t mixed = key * 0x9E3779B97F4A7C15u;
  mixed ^= mixed >> 32;
  std::size_t slot = mixed & mask;
  while (slots_[slot].key != key && slots_[slot].key != none) slot = (slot + 1) & mask;
  return slot;
}

void MergeTable::add(std::int32_t left, std::int32_t right, std::uint32_t rank, std::int32_t merged) {
  const std::uint64_t key = pair_key(left, right);
  slots_[slot_of(key)] = {key, static_cast<std::uint64_t>(rank) << 32 | static_cast<std::uint32_t>(merged)};
}

std::uint64_t MergeTable::find(std::int32_t left, std::int32_t right) const {
  return slots_[slot_of(pair_key(left, right))].value;
}

}  // namespace ftl
