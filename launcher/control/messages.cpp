#include "launcher/control/messages.h"

#include <openssl/evp.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace ftl {
namespace {

using nlohmann::json;

constexpr std::int64_t most_cpu_milliseconds = std::int64_t{1} << 48;  // of a process: exact as seconds, too

// Thrown and caught within this file: the shortest way out of a nested document.
struct Malformed {
  std::string what;
};

const json& member(const json& object, const char* name) {
  if (!object.is_object()) throw Malformed{"an object was expected"};
  const auto found = object.find(name);
  if (found == object.end()) throw Malformed{std::string("`") + name + "` is missing"};
  return *found;
}

template <class Number>
Number number_in(const json& value, const char* name, Number least = std::numeric_limits<Number>::min(),
                 Number most = std::numeric_limits<Number>::max()) {
  if (!value.is_number_integer()) throw Malformed{std::string("`") + name + "` is not an integer"};
  if constexpr (std::is_unsigned_v<Number>) {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > most || value.get<std::uint64_t>() < least) {
      throw Malformed{std::string("`") + name + "` is out of range"};
    }
  } else {
    const bool too_large = value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(most);
    if (too_large || value.get<std::int64_t>() < least) throw Malformed{std::string("`") + name + "` is out of range"};
  }
  return value.get<Number>();
}

template <class Number>
Number number(const json& object, const char* name, Number least = std::numeric_limits<Number>::min(),
              Number most = std::numeric_limits<Number>::max()) {
  return number_in<Number>(member(object, name), name, least, most);
}

template <class Enum>
Enum enumerator_in(const json& value, const char* name, Enum last) {
  return static_cast<Enum>(number_in<std::uint32_t>(value, name, 0, static_cast<std::uint32_t>(last)));
}

template <class Enum>
Enum enumerator(const json& object, const char* name, Enum last) {
  return enumerator_in(member(object, name), name, last);
}

bool boolean(const json& object, const char* name) {
  const json& value = member(object, name);
  if (!value.is_boolean()) throw Malformed{std::string("`") + name + "` is not true or false"};
  return value.get<bool>();
}

std::string text(const json& object, const char* name, std::size_t limit) {
  const json& value = member(object, name);
  if (!value.is_string()) throw Malformed{std::string("`") + name + "` is not a string"};
  const auto& string = value.get_ref<const std::string&>();
  if (string.size() > limit) throw Malformed{std::string("`") + name + "` is too long"};
  return string;
}

std::vector<std::string> lines(const json& object, const char* name, std::size_t limit, std::size_t bytes_each) {
  const json& list = member(object, name);
  if (!list.is_array() || list.size() > limit)
    throw Malformed{std::string("`") + name + "` is not a list within its limit"};
  std::vector<std::string> out;
  for (const json& line : list) {
    if (!line.is_string()) throw Malformed{std::string("`") + name + "` has an entry that is not a string"};
    // Replaced bytes of invalid UTF-8 are three times as long as they were.
    if (line.get_ref<const std::string&>().size() > 3 * bytes_each)
      throw Malformed{std::string("`") + name + "` is too long"};
    out.push_back(line.get<std::string>());
  }
  return out;
}

// ---- rings ----------------------------------------------------------------------------------------------------------
json to_json(const RecordedEntry& entry) {
  return json::array({entry.sequence, entry.when.since_start.count(), static_cast<int>(entry.kind),
                      static_cast<int>(entry.phase), entry.step, entry.collective,
                      static_cast<int>(entry.signature.operation), static_cast<int>(entry.signature.dtype),
                      entry.signature.count, entry.signature.group, entry.signature.step});
}

RecordedEntry entry_from(const json& row) {
  if (!row.is_array() || row.size() != 11) throw Malformed{"a ring entry does not have 11 fields"};
  // Read where they are: a copy of a field recurses as deep as a stranger has nested it.
  RecordedEntry entry;
  entry.sequence = number_in<std::uint64_t>(row[0], "sequence");
  entry.when = {Duration(number_in<std::int64_t>(row[1], "when"))};
  entry.kind = enumerator_in(row[2], "kind", EntryKind::fault_fired);
  entry.phase = enumerator_in(row[3], "phase", Phase::finalize);
  entry.step = number_in<std::int64_t>(row[4], "step");
  entry.collective = number_in<std::uint64_t>(row[5], "collective");
  entry.signature.operation = enumerator_in(row[6], "operation", Operation::barrier);
  entry.signature.dtype = enumerator_in(row[7], "dtype", DType::u8);
  entry.signature.count = number_in<std::uint64_t>(row[8], "count");
  entry.signature.group = number_in<std::uint32_t>(row[9], "group");
  entry.signature.step = number_in<std::int64_t>(row[10], "of");
  return entry;
}

json to_json(const RingSnapshot& ring) {
  json recent = json::array();
  const std::size_t skip = ring.recent.size() > recent_entries_limit ? ring.recent.size() - recent_entries_limit : 0;
  for (std::size_t i = skip; i < ring.recent.size(); ++i) recent.push_back(to_json(ring.recent[i]));
  return {{"rank", ring.rank.value},
          {"attempt", ring.attempt.value},
          {"pid", ring.pid},
          {"entries", ring.entries},
          {"phase", static_cast<int>(ring.phase)},
          {"step", ring.step},
          {"started", ring.collectives_started},
          {"completed", ring.collectives_completed},
          {"heartbeat", ring.heartbeat},
          {"last_progress", ring.last_progress.since_start.count()},
          {"recent", recent}};
}

RingSnapshot ring_from(const json& object) {
  RingSnapshot ring;
  ring.rank = Rank{number<std::int32_t>(object, "rank")};
  ring.attempt = Attempt{number<std::int32_t>(object, "attempt")};
  ring.pid = number<std::int32_t>(object, "pid");
  ring.entries = number<std::uint64_t>(object, "entries");
  ring.phase = enumerator(object, "phase", Phase::finalize);
  ring.step = number<std::int64_t>(object, "step");
  ring.collectives_started = number<std::uint64_t>(object, "started");
  ring.collectives_completed = number<std::uint64_t>(object, "completed");
  ring.heartbeat = number<std::uint64_t>(object, "heartbeat");
  ring.last_progress = {Duration(number<std::int64_t>(object, "last_progress"))};
  const json& recent = member(object, "recent");
  if (!recent.is_array() || recent.size() > recent_entries_limit)
    throw Malformed{"`recent` is not a list within its limit"};
  for (const json& row : recent) ring.recent.push_back(entry_from(row));
  return ring;
}

// ---- bytes ----------------------------------------------------------------------------------------------------------
std::string to_base64(std::string_view bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(length));
  return out;
}

std::string from_base64(const std::string& encoded) {
  if (encoded.size() % 4 != 0) throw Malformed{"`bytes` is not base64"};
  if (encoded.empty()) return {};
  std::string out(encoded.size() / 4 * 3, '\0');
  if (EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(encoded.data()), static_cast<int>(encoded.size())) < 0) {
    throw Malformed{"`bytes` is not base64"};
  }
  for (std::size_t i = encoded.size(); i > encoded.size() - 2 && encoded[i - 1] == '='; --i) out.pop_back();
  return out;
}

// ---- messages -------------------------------------------------------------------------------------------------------
json body(const Hello& m) {
  return {{"type", "hello"}, {"attempt", m.attempt.value}, {"rank", m.rank.value},
          {"node", m.node},  {"keeper_pid", m.keeper_pid}, {"came_back", m.came_back}};
}
json body(const RankUp& m) { return {{"type", "rank_up"}, {"pid", m.pid}}; }
json body(const ReportLine& m) { return {{"type", "report"}, {"line", m.line.substr(0, report_line_limit)}}; }
json body(const LogBatch& m) {
  json list = json::array();
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < m.lines.size() && i < log_batch_limit && bytes < log_batch_bytes; ++i) {
    list.push_back(m.lines[i].substr(0, log_line_limit));
    bytes += m.lines[i].size();
  }
  const auto cut = static_cast<std::int64_t>(m.lines.size() - list.size());
  return {{"type", "log"}, {"lines", list}, {"dropped", m.dropped + cut}};
}
json body(const RingFile& m) {
  return {{"type", "ring_file"}, {"bytes", to_base64(std::string_view(m.bytes).substr(0, ring_file_limit))}};
}
json body(const Pulse& m) {
  return {{"type", "pulse"},
          {"state", static_cast<int>(m.state)},
          {"ring_readable", m.ring_readable},
          {"ring", to_json(m.ring)},
          {"at", m.at.since_start.count()},
          {"cpu_milliseconds", std::llround(m.cpu_seconds * 1000)}};
}
json body(const ExitEvidence& m) {
  json last = json::array();
  const std::size_t skip = m.last_lines.size() > last_lines_limit ? m.last_lines.size() - last_lines_limit : 0;
  for (std::size_t i = skip; i < m.last_lines.size(); ++i) last.push_back(m.last_lines[i].substr(0, last_line_bytes));
  return {{"type", "exit"},
          {"signalled", m.status.signalled},
          {"code", m.status.code},
          {"core_dumped", m.status.core_dumped},
          {"pid", m.pid},
          {"killed_by_keeper", m.killed_by_keeper},
          {"ring", m.ring ? to_json(*m.ring) : json()},
          {"last_lines", last},
          {"cgroup_kills", m.oom.cgroup_kills},
          {"kernel_line", m.oom.kernel_line.substr(0, log_line_limit)},
          {"limit_bytes", m.oom.limit_bytes},
          {"peak_resident_bytes", m.peak_resident_bytes}};
}

ExitEvidence exit_from(const json& object) {
  ExitEvidence evidence;
  evidence.status.signalled = boolean(object, "signalled");
  evidence.status.code = number<std::int32_t>(object, "code", 0, 255);
  evidence.status.core_dumped = boolean(object, "core_dumped");
  evidence.pid = number<std::int32_t>(object, "pid", 0);
  evidence.killed_by_keeper = boolean(object, "killed_by_keeper");
  if (const json& ring = member(object, "ring"); !ring.is_null()) evidence.ring = ring_from(ring);
  evidence.last_lines = lines(object, "last_lines", last_lines_limit, last_line_bytes);
  evidence.oom.cgroup_kills = number<std::int64_t>(object, "cgroup_kills", 0);
  evidence.oom.kernel_line = text(object, "kernel_line", 3 * log_line_limit);
  evidence.oom.limit_bytes = number<std::int64_t>(object, "limit_bytes", 0);
  evidence.peak_resident_bytes = number<std::int64_t>(object, "peak_resident_bytes", 0);
  return evidence;
}

KeeperMessage message_from(const json& object) {
  const std::string type = text(object, "type", 32);
  if (type == "hello") {
    return Hello{Attempt{number<std::int32_t>(object, "attempt", 1)}, Rank{number<std::int32_t>(object, "rank", 0)},
                 text(object, "node", 256), number<std::int32_t>(object, "keeper_pid", 1),
                 boolean(object, "came_back")};
  }
  if (type == "rank_up") return RankUp{number<std::int32_t>(object, "pid", 1)};
  if (type == "report") return ReportLine{text(object, "line", 3 * report_line_limit)};
  if (type == "log") {
    return LogBatch{lines(object, "lines", log_batch_limit, log_line_limit),
                    number<std::int64_t>(object, "dropped", 0)};
  }
  if (type == "ring_file") return RingFile{from_base64(text(object, "bytes", 4 * (ring_file_limit / 3 + 1)))};
  if (type == "pulse") {
    Pulse pulse;
    pulse.state = enumerator(object, "state", ProcessState::gone);
    pulse.ring_readable = boolean(object, "ring_readable");
    pulse.ring = ring_from(member(object, "ring"));
    pulse.at = {Duration(number<std::int64_t>(object, "at"))};
    pulse.cpu_seconds =
        static_cast<double>(number<std::int64_t>(object, "cpu_milliseconds", 0, most_cpu_milliseconds)) / 1000.0;
    return pulse;
  }
  if (type == "exit") return exit_from(object);
  throw Malformed{"messages of type `" + type + "` are not known"};
}

template <class T, class Read>
Result<T> decoded(std::string_view payload, Read read) {
  const json object = json::parse(payload, nullptr, false);
  try {
    if (object.is_discarded()) throw Malformed{"it is not JSON"};
    return T(read(object));
  } catch (const Malformed& malformed) {
    return Failure{FaultKind::communication_failure, "a control message is malformed: " + malformed.what,
                   "control connection", ""};
  }
}

std::string dumped(const json& object) { return object.dump(-1, ' ', false, json::error_handler_t::replace); }

}  // namespace

std::string_view name_of(KeeperOrder order) {
  switch (order) {
    case KeeperOrder::stop: return "stop";
    case KeeperOrder::kill: return "kill";
    case KeeperOrder::dismiss: return "dismiss";
  }
  return "";
}

std::string encode(const KeeperMessage& message) {
  return dumped(std::visit([](const auto& m) { return body(m); }, message));
}

std::string encode(KeeperOrder order) { return dumped({{"order", name_of(order)}}); }

Result<KeeperMessage> decode_keeper_message(std::string_view payload) {
  return decoded<KeeperMessage>(payload, [](const json& object) { return message_from(object); });
}

Result<KeeperOrder> decode_keeper_order(std::string_view payload) {
  return decoded<KeeperOrder>(payload, [](const json& object) {
    const std::string name = text(object, "order", 16);
    for (const KeeperOrder order : {KeeperOrder::stop, KeeperOrder::kill, KeeperOrder::dismiss}) {
      if (name == name_of(order)) return order;
    }
    throw Malformed{"orders named `" + name + "` are not known"};
  });
}

}  // namespace ftl
