#include "launcher/collective_evidence.h"

#include <algorithm>
#include <set>

namespace ftl {
namespace {

constexpr std::size_t remembered_calls = 64;
constexpr std::uint32_t world_group_number = 0;  // calls of smaller groups are numbered differently on each rank

Rank rank_number(std::size_t i) { return Rank{static_cast<std::int32_t>(i)}; }

std::uint64_t distance(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : b - a; }

// The signatures at one number with the ranks that used each.
std::vector<std::pair<CollectiveSignature, std::vector<Rank>>> camps_of(const CollectiveMismatch& mismatch) {
  std::vector<std::pair<CollectiveSignature, std::vector<Rank>>> camps;
  for (const auto& [rank, signature] : mismatch.signatures) {
    if (!signature) continue;
    auto camp = std::find_if(camps.begin(), camps.end(), [&s = *signature](const auto& c) { return c.first == s; });
    if (camp == camps.end()) camp = camps.insert(camps.end(), {*signature, {}});
    camp->second.push_back(rank);
  }
  std::stable_sort(camps.begin(), camps.end(),
                   [](const auto& a, const auto& b) { return a.second.size() > b.second.size(); });
  return camps;
}

std::vector<Rank> everybody_but(const CollectiveMismatch& mismatch, const std::vector<Rank>& right) {
  std::vector<Rank> odd;
  for (const auto& [rank, signature] : mismatch.signatures) {
    if (std::find(right.begin(), right.end(), rank) == right.end()) odd.push_back(rank);
  }
  return odd;
}

}  // namespace

CollectiveLog::CollectiveLog(WorldSize world) : ranks_(static_cast<std::size_t>(world.value)) {}

void CollectiveLog::clear() { std::fill(ranks_.begin(), ranks_.end(), Calls{}); }

void CollectiveLog::add(Rank rank, const RingSnapshot& ring) {
  Calls& calls = ranks_[static_cast<std::size_t>(rank.value)];
  calls.known = true;
  calls.newest_started = std::max(calls.newest_started, ring.collectives_started);
  calls.newest_completed = std::max(calls.newest_completed, ring.collectives_completed);
  calls.step = std::max(calls.step, ring.step);
  for (const RecordedEntry& entry : ring.recent) {
    if (entry.kind != EntryKind::collective_started || entry.signature.group != world_group_number) continue;
    calls.started[entry.collective] = entry.signature;
    if (calls.started.size() > remembered_calls) calls.started.erase(calls.started.begin());
  }
}

std::optional<CollectiveMismatch> CollectiveLog::find_mismatch(std::int64_t trainable) const {
  if (auto difference = find_difference(trainable)) return difference;
  return find_skipped();
}

std::optional<CollectiveMismatch> CollectiveLog::find_difference(std::int64_t trainable) const {
  std::set<std::uint64_t> numbers;
  for (const Calls& calls : ranks_) {
    for (const auto& [number, signature] : calls.started) numbers.insert(number);
  }
  for (const std::uint64_t number : numbers) {
    CollectiveMismatch mismatch;
    mismatch.collective = number;
    for (std::size_t i = 0; i < ranks_.size(); ++i) {
      if (const auto found = ranks_[i].started.find(number); found != ranks_[i].started.end()) {
        mismatch.signatures[rank_number(i)] = found->second;
      }
    }
    const auto camps = camps_of(mismatch);
    if (camps.size() < 2) continue;
    if (camps[0].second.size() > camps[1].second.size()) {
      mismatch.odd = everybody_but(mismatch, camps[0].second);
      mismatch.decided_by = CollectiveMismatch::DecidedBy::majority;
      return mismatch;
    }
    mismatch.odd = odd_by_plan(mismatch, trainable);
    mismatch.decided_by =
        mismatch.odd.empty() ? CollectiveMismatch::DecidedBy::nothing : CollectiveMismatch::DecidedBy::plan;
    if (mismatch.odd.empty()) mismatch.odd = everybody_but(mismatch, {});
    return mismatch;
  }
  return std::nullopt;
}

// Two camps of equal size: which one does what the program did before? Steps only go up by one, so of two steps at the
// same number the greater one belongs to the rank that left a call out. Otherwise the size that earlier calls had is
// right.
std::vector<Rank> CollectiveLog::odd_by_plan(const CollectiveMismatch& mismatch, std::int64_t trainable) const {
  const auto camps = camps_of(mismatch);
  const CollectiveSignature& a = camps[0].first;
  const CollectiveSignature& b = camps[1].first;
  if (a.step != b.step) return everybody_but(mismatch, a.step < b.step ? camps[0].second : camps[1].second);
  if (a.count == b.count) return {};
  if (const auto usual = count_in_earlier_calls(mismatch.collective, a.count, b.count)) {
    return everybody_but(mismatch, *usual == a.count ? camps[0].second : camps[1].second);
  }
  if (trainable <= 0) return {};
  const auto wanted = static_cast<std::uint64_t>(trainable);
  const std::uint64_t to_a = distance(a.count, wanted), to_b = distance(b.count, wanted);
  if (to_a == to_b) return {};
  return everybody_but(mismatch, to_a < to_b ? camps[0].second : camps[1].second);
}

// The newest call before `before` whose count is one of the two.
std::optional<std::uint64_t> CollectiveLog::count_in_earlier_calls(std::uint64_t before, std::uint64_t a,
                                                                   std::uint64_t b) const {
  std::optional<std::uint64_t> count;
  std::uint64_t newest = 0;
  for (const Calls& calls : ranks_) {
    for (const auto& [number, signature] : calls.started) {
      if (number >= before || number < newest || (signature.count != a && signature.count != b)) continue;
      newest = number;
      count = signature.count;
    }
  }
  return count;
}

// A rank of a later step has completed every call of the steps before. If a peer of an earlier step waits in a call
// that it has not completed, it went on without that call. True at whatever moments the two snapshots were taken.
std::optional<CollectiveMismatch> CollectiveLog::find_skipped() const {
  for (const Calls& waiting : ranks_) {
    if (!waiting.known || waiting.newest_started <= waiting.newest_completed) continue;
    CollectiveMismatch mismatch;
    mismatch.collective = waiting.newest_started;
    for (std::size_t i = 0; i < ranks_.size(); ++i) {
      const Calls& calls = ranks_[i];
      const auto found = calls.started.find(mismatch.collective);
      if (found != calls.started.end()) {
        mismatch.signatures[rank_number(i)] = found->second;
      } else if (calls.known && calls.step > waiting.step && calls.newest_started < mismatch.collective) {
        mismatch.signatures[rank_number(i)] = std::nullopt;
        mismatch.steps[rank_number(i)] = calls.step;
        mismatch.odd.push_back(rank_number(i));
      }
    }
    if (mismatch.odd.empty()) continue;
    mismatch.decided_by = CollectiveMismatch::DecidedBy::plan;
    return mismatch;
  }
  return std::nullopt;
}

}  // namespace ftl
