#include "trainer/tokenizer/token_table.h"

#include <algorithm>
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
  slots_.assign(slots, {});
  for (std::int32_t id = 0; id < size(); ++id) {
    if (!has(id)) continue;
    const Place place = place_of(text(id));
    slots_[place.slot] = {id, place.tag};
  }
}

// Where `text` is, or the free slot where it belongs.
TokenTable::Place TokenTable::place_of(std::string_view text) const {
  const std::size_t mask = slots_.size() - 1;
  const std::uint64_t hash = XXH3_64bits(text.data(), text.size());
  const auto tag = static_cast<std::uint32_t>(hash >> 32);
  std::size_t slot = hash & mask;
  while (slots_[slot].id >= 0 && (slots_[slot].tag != tag || this->text(slots_[slot].id) != text))
    slot = (slot + 1) & mask;
  return {slot, tag};
}

TokenTable::Added TokenTable::add(std::string_view text, std::int32_t id) {
  assert(id >= 0);
  if ((used_ + 1) * 2 > slots_.size()) grow(std::bit_ceil((used_ + 8) * 4));
  const auto [slot, tag] = place_of(text);
  if (slots_[slot].id >= 0) return slots_[slot].id == id ? Added::same : Added::text_taken;
  if (has(id)) return Added::id_taken;
  if (id >= size()) entries_.resize(static_cast<std::size_t>(id) + 1);
  assert(arena_.size() + text.size() < absent);
  entries_[static_cast<std::size_t>(id)] = {static_cast<std::uint32_t>(arena_.size()),
                                            static_cast<std::uint32_t>(text.size())};
  arena_ += text;
  slots_[slot] = {id, tag};
  ++used_;
  return Added::fresh;
}

std::int32_t TokenTable::find(std::string_view text) const {
  return slots_.empty() ? -1 : slots_[place_of(text).slot].id;
}

bool TokenTable::has(std::int32_t id) const {
  return id >= 0 && id < size() && entries_[static_cast<std::size_t>(id)].offset != absent;
}

std::string_view TokenTable::text(std::int32_t id) const {
  if (!has(id)) return {};
  const Entry& entry = entries_[static_cast<std::size_t>(id)];
  return std::string_view(arena_).substr(entry.offset, entry.length);
}

std::optional<std::string> id_out_of_proportion(std::int32_t largest_id, std::size_t entries) {
  if (static_cast<std::size_t>(largest_id) < 4 * entries + 65'536) return std::nullopt;
  return "the largest id is " + std::to_string(largest_id) + ", but there are only " + std::to_string(entries) +
         " tokens";
}

const TokenTable TokenNames::no_tokens;

void TokenNames::set_model(const TokenTable& model) {
  assert(added_ids_.empty());
  model_ = &model;
  size_ = model.size();
}

TokenTable::Added TokenNames::add(std::string_view text, std::int32_t id) {
  assert(id >= 0);
  if (const std::int32_t known = find(text); known >= 0)
    return known == id ? TokenTable::Added::same : TokenTable::Added::text_taken;
  if (has(id)) return TokenTable::Added::id_taken;
  added_texts_[id] = added_ids_.emplace(text, id).first->first;
  size_ = std::max(size_, id + 1);
  return TokenTable::Added::fresh;
}

std::int32_t TokenNames::find(std::string_view text) const {
  if (const std::int32_t id = model_->find(text); id >= 0) return id;
  const auto found = added_ids_.find(text);
  return found == added_ids_.end() ? -1 : found->second;
}

bool TokenNames::has(std::int32_t id) const { return model_->has(id) || added_texts_.contains(id); }

std::string_view TokenNames::text(std::int32_t id) const {
  const auto found = added_texts_.find(id);
  return found == added_texts_.end() ? model_->text(id) : found->second;
}

MergeTable::MergeTable(std::size_t merges) : slots_(std::bit_ceil(merges * 2 + 2)) {}

void MergeTable::add(std::int32_t left, std::int32_t right, std::uint32_t rank, std::int32_t merged) {
  const std::uint64_t key =
      static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
  slots_[slot_of(key)] = {key, static_cast<std::uint64_t>(rank) << 32 | static_cast<std::uint32_t>(merged)};
}

}  // namespace ftl
