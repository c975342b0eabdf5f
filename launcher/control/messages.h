// What launcher and keepers say to each other: one JSON object a frame. Decoding is strict and bounded: a missing
// field, a value outside its range or a list longer than its limit is a failure, and the connection that sent it is
// dropped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "comm/rank.h"
#include "failures/result.h"
#include "launcher/rank_evidence.h"

namespace ftl {

// ---- upward ---------------------------------------------------------------------------------------------------------
struct Hello {
  Attempt attempt;
  Rank rank;
  std::string node;
  std::int32_t keeper_pid = 0;
  bool came_back = false;  // its connection had broken: it has killed its rank and delivers the evidence
};                         // the first message
struct RankUp {
  std::int32_t pid = 0;
};
struct ReportLine {
  std::string line;
};  // as the rank wrote it, without the newline
struct LogBatch {
  std::vector<std::string> lines;
  std::int64_t dropped = 0;
};  // dropped: lines lost before these, a flood
struct RingFile {
  std::string bytes;
};  // the ring as it lay there after the death, before ExitEvidence
using KeeperMessage = std::variant<Hello, RankUp, Pulse, ReportLine, LogBatch, RingFile, ExitEvidence>;

// ---- downward -------------------------------------------------------------------------------------------------------
enum class KeeperOrder : std::uint8_t {
  stop,     // SIGTERM to the rank: finish the step, checkpoint, leave
  kill,     // SIGKILL to the rank's process group, reap, confirm by ExitEvidence
  dismiss,  // the rank is dead: exit
};
std::string_view name_of(KeeperOrder order);

// Limits of what is decoded; encode() of a larger value cuts it.
inline constexpr std::size_t report_line_limit = 64 * 1024;
inline constexpr std::size_t log_line_limit = 8 * 1024;    // longer lines are cut by the keeper
inline constexpr std::size_t log_batch_limit = 512;        // lines
inline constexpr std::size_t log_batch_bytes = 64 * 1024;  // JSON may make six of one byte, and a frame holds 1 MiB
inline constexpr std::size_t last_lines_limit = 40;
inline constexpr std::size_t last_line_bytes = 2 * 1024;
inline constexpr std::size_t recent_entries_limit = 2048;
inline constexpr std::size_t ring_file_limit = 640 * 1024;

std::string encode(const KeeperMessage& message);  // at most payload_limit bytes
std::string encode(KeeperOrder order);
Result<KeeperMessage> decode_keeper_message(std::string_view payload);
Result<KeeperOrder> decode_keeper_order(std::string_view payload);

}  // namespace ftl
