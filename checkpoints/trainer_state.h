// TrainerState as JSON (durable checkpoints) and as a fixed block of bytes (hot state, written without allocating).
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "checkpoints/training_state.h"

namespace ftl {

std::string to_json(const TrainerState& state);
std::optional<TrainerState> trainer_state_from_json(const std::string& text);  // nullopt: garbage

inline constexpr std::size_t state_block_bytes = 16384;
// False when the texts are too long for the block (some 2 kB each); the block is then unchanged.
bool pack(const TrainerState& state, std::span<std::byte, state_block_bytes> block) noexcept;
std::optional<TrainerState> unpack(std::span<const std::byte, state_block_bytes> block);  // nullopt: garbage

}  // namespace ftl
