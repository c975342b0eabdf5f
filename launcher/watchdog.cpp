#include "launcher/watchdog.h"

#include <algorithm>
#include <tuple>

namespace ftl {
namespace {

constexpr Duration stopped_limit = std::chrono::seconds(2);
// A longer pause between two ticks means that nobody watched: the machine slept, or the launcher was stopped.
constexpr Duration unwatched_gap = std::chrono::milliseconds(500);
constexpr std::size_t remembered_steps = 64;

Duration seconds(double value) { return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(value)); }
double in_seconds(Duration value) { return std::chrono::duration<double>(value).count(); }

auto progress_of(const Pulse& pulse) {
  const RingSnapshot& ring = pulse.ring;
  return std::tuple(pulse.ring_readable, ring.entries, ring.heartbeat, ring.phase, ring.collectives_started,
                    ring.collectives_completed);
}

bool is_slow_phase(Phase phase) {
  return phase == Phase::checkpoint || phase == Phase::evaluate || phase == Phase::finalize;
}

bool in_collective(const Pulse& pulse) {
  return pulse.ring_readable && pulse.ring.collectives_started > pulse.ring.collectives_completed;
}

}  // namespace

Watchdog::Watchdog(const WatchdogConfig& config, WorldSize world)
    : config_(config), ranks_(static_cast<std::size_t>(world.value)) {}

void Watchdog::begin_attempt(TimePoint now) {
  std::fill(ranks_.begin(), ranks_.end(), Watched{});
  for (Watched& rank : ranks_) rank.progress_at = rank.pulse_at = now;
  step_completed_in_attempt_ = false;
  last_tick_ = now;
}

void Watchdog::keeper_connected(Rank rank, TimePoint now) {
  Watched& watched = ranks_[static_cast<std::size_t>(rank.value)];
  watched.connected = true;
  watched.pulse_at = now;
}

void Watchdog::rank_started(Rank rank, TimePoint now) {
  Watched& watched = ranks_[static_cast<std::size_t>(rank.value)];
  watched.connected = watched.started = true;
  watched.progress_at = watched.pulse_at = now;
}

void Watchdog::pulse(Rank rank, const Pulse& pulse, TimePoint now) {
  Watched& watched = ranks_[static_cast<std::size_t>(rank.value)];
  if (!watched.has_pulse || progress_of(pulse) != progress_of(watched.pulse)) watched.progress_at = now;
  if (pulse.state != ProcessState::stopped) {
    watched.stopped_since.reset();
  } else if (!watched.stopped_since) {
    watched.stopped_since = now;
  }
  if (!watched.left_init_at && pulse.ring_readable && pulse.ring.phase != Phase::init) watched.left_init_at = now;
  watched.has_pulse = true;
  watched.pulse = pulse;
  watched.pulse_at = now;
}

void Watchdog::step_completed(double seconds_of_step) {
  step_completed_in_attempt_ = true;
  if (!(seconds_of_step >= 0)) return;  // a report is foreign input: a NaN would spoil the order
  step_seconds_.push_back(seconds_of_step);
  if (step_seconds_.size() > remembered_steps) step_seconds_.pop_front();
}

void Watchdog::finished(Rank rank, TimePoint now) {
  Watched& watched = ranks_[static_cast<std::size_t>(rank.value)];
  watched.finished = true;
  watched.progress_at = now;
}

void Watchdog::gone(Rank rank) { ranks_[static_cast<std::size_t>(rank.value)].gone = true; }

TimePoint Watchdog::last_progress(Rank rank) const { return ranks_[static_cast<std::size_t>(rank.value)].progress_at; }

Duration Watchdog::deadline() const {
  const Duration floor = seconds(config_.stuck_floor_seconds);
  if (step_seconds_.empty()) return floor;
  std::vector<double> sorted(step_seconds_.begin(), step_seconds_.end());
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return std::max(floor, seconds(std::min(config_.stuck_step_factor * *middle, 1e6)));
}

bool Watchdog::waits_for_a_peer(const Watched& rank) const {
  if (!in_collective(rank.pulse)) return false;
  // One that is gone owes nothing: waiting for it is in vain, and has the limit of everything else.
  return std::any_of(ranks_.begin(), ranks_.end(), [&](const Watched& peer) {
    if (peer.gone) return false;
    return !peer.has_pulse || !peer.pulse.ring_readable ||
           peer.pulse.ring.collectives_started < rank.pulse.ring.collectives_started;
  });
}

// Before a step's time is known, the peers tell how long the work takes: those who wait have done it.
Duration Watchdog::limit_of_first_step(const Watched& rank) const {
  const Duration start = seconds(config_.init_seconds);
  if (is_slow_phase(rank.pulse.ring.phase)) return start;
  std::optional<Duration> longest;
  for (const Watched& peer : ranks_) {
    if (peer.gone || !peer.left_init_at || !waits_for_a_peer(peer)) continue;
    longest = std::max(longest.value_or(Duration{}), peer.progress_at - *peer.left_init_at);
  }
  if (!longest) return start;
  return std::min(start, std::max(seconds(2 * config_.stuck_floor_seconds),
                                  seconds(config_.stuck_step_factor * in_seconds(*longest))));
}

Duration Watchdog::limit_of(const Watched& rank) const {
  if (!rank.pulse.ring_readable || rank.pulse.ring.phase == Phase::init) return seconds(config_.init_seconds);
  if (rank.finished) return deadline() + seconds(config_.checkpoint_seconds);
  Duration limit = step_completed_in_attempt_ ? deadline() : limit_of_first_step(rank);
  if (is_slow_phase(rank.pulse.ring.phase)) limit += seconds(config_.checkpoint_seconds);
  return limit;
}

std::optional<Alarm> Watchdog::judge(Rank number, const Watched& rank, TimePoint now) const {
  const Duration start = seconds(config_.init_seconds);
  const Duration floor = seconds(config_.stuck_floor_seconds);
  if (!rank.connected || !rank.started) {
    if (now - rank.progress_at <= start) return std::nullopt;
    return Alarm{number, AlarmCause::not_started, rank.progress_at, start};
  }
  if (now - rank.pulse_at > floor) return Alarm{number, AlarmCause::keeper_silent, rank.pulse_at, floor};
  if (rank.stopped_since && now - *rank.stopped_since >= stopped_limit) {
    return Alarm{number, AlarmCause::stopped, *rank.stopped_since, stopped_limit};
  }
  if (!rank.has_pulse || waits_for_a_peer(rank)) return std::nullopt;
  const Duration limit = limit_of(rank);
  const TimePoint since = rank.finished ? newest_progress() : rank.progress_at;
  if (now - since <= limit) return std::nullopt;
  const AlarmCause cause = rank.finished              ? AlarmCause::not_exited
                           : rank.pulse.ring_readable ? AlarmCause::no_progress
                                                      : AlarmCause::not_started;
  return Alarm{number, cause, since, limit};
}

// A rank that has finished only says good-bye to its peers: until they make no progress either, it waits for them.
TimePoint Watchdog::newest_progress() const {
  TimePoint newest;
  for (const Watched& rank : ranks_) {
    if (!rank.gone) newest = std::max(newest, rank.progress_at);
  }
  return newest;
}

void Watchdog::forgive_unwatched_time(TimePoint now) {
  const Duration gap = last_tick_ ? now - *last_tick_ : Duration{};
  last_tick_ = now;
  if (gap <= unwatched_gap) return;
  const auto forgive = [&](TimePoint& when) { when = std::min(now, when + gap); };
  for (Watched& rank : ranks_) {
    forgive(rank.progress_at);
    forgive(rank.pulse_at);
    if (rank.stopped_since) forgive(*rank.stopped_since);
  }
}

std::vector<Alarm> Watchdog::tick(TimePoint now) {
  forgive_unwatched_time(now);
  std::vector<Alarm> alarms;
  if (!config_.enabled) return alarms;
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    if (ranks_[i].gone) continue;
    if (auto alarm = judge(Rank{static_cast<std::int32_t>(i)}, ranks_[i], now)) alarms.push_back(*alarm);
  }
  // One that has finished waits for whoever else is called.
  const auto only_waits = [](const Alarm& alarm) { return alarm.cause == AlarmCause::not_exited; };
  if (!std::ranges::all_of(alarms, only_waits)) std::erase_if(alarms, only_waits);
  return alarms;
}

}  // namespace ftl
