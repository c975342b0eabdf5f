// A world of ranks for stories about the supervisor: it obeys the supervisor's commands as the shell would, and its
// ranks train in simulated time (a step is 0.4 s: data, forward, backward, one collective) until something planned
// happens to one of them.
#pragma once

#include <csignal>
#include <functional>
#include <string>
#include <vector>

#include "launcher/supervisor.h"

namespace ftl {

class SupervisedWorld {
 public:
  using Deed = std::function<void(SupervisedWorld&, Rank)>;

  explicit SupervisedWorld(int world, SupervisorOptions options = {});

  // While `rank` computes the step with this number (1 = the first), in its backward phase; once.
  SupervisedWorld& plan(std::int64_t step, int rank, Deed deed);
  SupervisedWorld& train_for(std::int64_t steps) {
    steps_ = steps;
    return *this;
  }
  void run(double seconds);
  void run_until_finished(double at_most_seconds = 200);
  void signal(int count, const std::string& reason = "SIGINT");

  // Deeds.
  static Deed is_killed_by(int signal, OomEvidence oom = {});
  static Deed exits_with(int code, std::vector<std::string> last_lines = {});
  static Deed stops();
  static Deed hangs_before_collective();
  static Deed skips_collective();
  static Deed goes_on_without_collective();
  static Deed calls_with_count(std::uint64_t count);
  static Deed reports(FaultKind kind, const std::string& what, const std::string& where = "");
  static Deed everyone_reports(FaultKind kind, const std::string& what);  // and names itself
  static Deed everyone_sees(FaultKind kind, const std::string& what);     // but only the rank itself is named
  static Deed loses_its_keeper();
  static Deed becomes_slow();          // from this step on, until the end of the attempt
  static Deed loses_its_connection();  // the keeper lives, kills its rank and comes back
  static Deed keeper_is_stopped();
  static Deed engine_is_killed();
  static Deed outlives_every_signal();  // but works
  static Deed cannot_be_ended();        // it hangs, and no signal reaches it any more
  static Deed announces(const std::string& spec, Deed then);
  // Ranks stay in their process after their work until they are killed.
  SupervisedWorld& linger_after_finishing() {
    linger_ = true;
    return *this;
  }
  SupervisedWorld& never_begins(int rank) {
    never_begins_ = rank;
    return *this;
  }
  // The next launches fail: the engine ends at once, with this line and its pid.
  SupervisedWorld& launches_fail(int times, const std::string& line) {
    failing_launches_ = times;
    launch_error_ = line;
    return *this;
  }

  // What happened.
  bool finished() const { return supervisor_.finished(); }
  int exit_code() const { return exit_code_; }
  const std::vector<Verdict>& verdicts() const { return verdicts_; }
  const std::vector<StartAttempt>& attempts() const { return attempts_; }
  const std::vector<std::int64_t>& published_steps() const { return published_; }
  bool has_event(const std::string& name) const;
  int named_survivors() const { return named_survivors_; }  // how often
  RunStatus status() const { return supervisor_.status(); }
  double seconds() const { return std::chrono::duration<double>(now_.since_start).count(); }
  void suspend(double seconds);  // nobody runs, launcher and ranks alike
  void tell(const Event& event);
  Attempt attempt() const { return attempt_; }

 private:
  struct SimulatedRank {
    bool alive = false, stopped = false, hung = false, keeper_lives = true, keeper_silent = false, finished = false,
         failed = false, unkillable = false;
    double own_seconds = 0.1;  // of a step, before its collective
    int moment = 0;            // within the step, in ticks of 50 ms
    bool skip = false, omit = false;
    std::uint64_t count = 1000;
    RingSnapshot ring;
    double cpu = 0;
  };
  struct Planned {
    std::int64_t step;
    int rank;
    Deed deed;
    bool done = false;
  };

  void obey(std::vector<Command> commands);
  void start_attempt(const StartAttempt& command);
  void kill_all();
  void tick_ranks();
  void step_rank(int number);
  void enter(SimulatedRank& rank, Phase phase);
  void start_collective(SimulatedRank& rank, std::int64_t step);
  bool may_complete(const SimulatedRank& rank) const;
  void complete_step(int number);
  void finish_rank(int number, bool stopped);
  void end(int number, ExitStatus status, bool by_keeper, OomEvidence oom = {}, std::vector<std::string> lines = {});
  void report(int number, RankReport what);
  void do_planned(int number);

  SupervisorOptions options_;
  Supervisor supervisor_;
  TimePoint now_;
  std::vector<SimulatedRank> ranks_;
  std::vector<Planned> planned_;
  std::int64_t steps_ = 20;
  std::int64_t saved_ = 0;  // newest step whose state survives
  Attempt attempt_{0};
  bool stopping_ = false, engine_lives_ = false;
  bool linger_ = false;
  int never_begins_ = -1, named_survivors_ = 0;
  int failing_launches_ = 0;
  std::string launch_error_;
  int ticks_ = 0;

  std::vector<Verdict> verdicts_;
  std::vector<StartAttempt> attempts_;
  std::vector<std::int64_t> published_;
  std::vector<PublishEvent> events_;
  int exit_code_ = -1;
};

}  // namespace ftl
