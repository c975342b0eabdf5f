#include "trainer/training_loop.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "comm/exact_sum.h"
#include "lora/peft_files.h"
#include "trainer/data/data_order.h"
#include "trainer/final_files.h"
#include "trainer/lanes.h"
#include "trainer/loss_guard.h"
#include "trainer/optimizer/schedule.h"
#include "trainer/planted_faults.h"
#include "trainer/resume.h"
#include "trainer/trainable_state.h"

namespace ftl {
namespace {

double seconds_between(TimePoint from, TimePoint to) { return std::chrono::duration<double>(to - from).count(); }

// Between 1 and a number that keeps the sum over all leaves an exact float32 integer.
float step_tag(std::int64_t step, std::int64_t leaves) {
  const std::int64_t different = std::clamp<std::int64_t>((std::int64_t{1} << 22) / leaves, 2, 4096);
  return static_cast<float>(step % different + 1);
}

class TrainingRun {
 public:
  TrainingRun(RankContext& context, const ProcessSpec& spec, const RunConfig& config, RunInputs& inputs, Llama& model,
              TrainableState state, Lanes lanes, ScheduleKind schedule)
      : context_(context),
        spec_(spec),
        config_(config),
        inputs_(inputs),
        model_(model),
        state_(std::move(state)),
        lanes_(std::move(lanes)),
        rank_(context.communicator.rank()),
        world_(context.communicator.world()),
        own_(leaves_of(rank_, world_, config.global_batch_size)),
        sum_(rank_, world_, config.global_batch_size, state_.parameters() + exact_sum_passengers),
        faults_(context, spec.faults, spec.attempt),
        order_(config.seed, static_cast<std::int64_t>(inputs.examples.train.size())),
        steps_(steps_of_run(config, static_cast<std::int64_t>(inputs.examples.train.size()))),
        schedule_{schedule, warmup_of(config.warmup_steps, config.warmup_ratio, steps_), steps_} {
    limits_.give_up_after =
        std::chrono::duration_cast<Duration>(std::chrono::duration<double>(config.watchdog.collective_give_up_seconds));
  }

  Result<TrainingOutcome> run();

 private:
  Result<Done> resume();
  Result<Done> step();
  Result<Done> accumulate_leaves(std::span<const std::int64_t> indices);
  Result<std::span<float>> exchange();
  Result<Done> wrong_sum(std::int64_t count, std::int64_t step);
  Result<Done> check_tag(std::span<const float> total) const;
  std::optional<Failure> judge_loss(double loss, std::int64_t own_tokens) const;
  Failure about_the_sum(Failure failure, bool own_part_is_bad) const;
  Result<Done> save_durable();
  Result<Done> evaluate();
  Result<Done> between_steps();
  Result<Done> finish(bool stopped);
  void enter(Phase phase);
  struct BatchTokens {
    std::int64_t all = 0;
    std::int64_t supervised = 0;  // what the loss is divided by
  };
  BatchTokens tokens_of(std::span<const std::int64_t> indices) const;
  std::int64_t tokens_in_a_row(std::span<const std::int64_t> indices) const;
  bool writes_files() const { return rank_ == Rank{0}; }
  std::int64_t computing() const { return completed_ + 1; }
  TrainerState trainer_state() const {
    return {completed_, best_eval_loss_, spec_.run_identity, context_.platform, recent_};
  }

  RankContext& context_;
  const ProcessSpec& spec_;
  const RunConfig& config_;
  RunInputs& inputs_;
  Llama& model_;
  TrainableState state_;
  Lanes lanes_;
  Rank rank_;
  WorldSize world_;
  LeafRange own_;
  ExactSum sum_;
  PlantedFaults faults_;
  DataOrder order_;
  std::int64_t steps_;
  Schedule schedule_;
  AwaitLimits limits_{};
  const SignOfLife sign_of_life_ = [this] { context_.recorder.heartbeat(context_.clock.now()); };
  std::optional<HotState> hot_;
  std::int64_t completed_ = 0;  // optimizer steps
  std::int64_t saved_ = -1;     // step of the last durable checkpoint
  double best_eval_loss_ = 0;
  std::vector<MetricsRecord> recent_;  // for whoever resumes: the launcher may not live to write these lines
  bool stop_agreed_ = false;
  struct OwnPart {  // of the step's sum
    double loss = 0;
    bool finite = true;  // losses and gradients
  } own_part_;
};

void TrainingRun::enter(Phase phase) {
  context_.recorder.enter(phase, Step{completed_}, context_.clock.now());
  // What follows a step belongs to that step; everything else to the one being computed.
  const bool follows_a_step = phase == Phase::checkpoint || phase == Phase::evaluate || phase == Phase::finalize;
  faults_.at(phase, follows_a_step ? completed_ : computing());
}

TrainingRun::BatchTokens TrainingRun::tokens_of(std::span<const std::int64_t> indices) const {
  BatchTokens tokens;
  for (const std::int64_t index : indices) {
    const Example& example = inputs_.examples.train[static_cast<std::size_t>(index)];
    tokens.all += static_cast<std::int64_t>(example.ids.size());
    tokens.supervised += example.supervised_count();
  }
  return tokens;
}

// What a rank's own time grows with: lanes work side by side, a group of sequences after another.
std::int64_t TrainingRun::tokens_in_a_row(std::span<const std::int64_t> indices) const {
  std::int64_t tokens = 0;
  while (!indices.empty()) {
    const std::size_t group = std::min(lanes_.count(), indices.size());
    std::size_t longest = 0;
    for (const std::int64_t index : indices.first(group))
      longest = std::max(longest, inputs_.examples.train[static_cast<std::size_t>(index)].ids.size());
    tokens += static_cast<std::int64_t>(longest);
    indices = indices.subspan(group);
  }
  return tokens;
}

Result<Done> TrainingRun::resume() {
  enter(Phase::init);
  Result<TrainerState> restored = restore(context_, spec_, state_.views());
  if (!restored) return restored.error();
  completed_ = restored->step;
  best_eval_loss_ = restored->best_eval_loss;
  recent_ = std::move(restored->recent);
  if (Result<Done> uploaded = state_.upload(lanes_.first_stream()); !uploaded) return uploaded;
  Result<HotState> hot =
      HotState::open(spec_.hot_state_path(rank_), spec_.attempt.value, state_.views(), sign_of_life_);
  if (!hot) return hot.error();
  hot_.emplace(std::move(*hot));
  return Done{};
}

Result<Done> TrainingRun::accumulate_leaves(std::span<const std::int64_t> indices) {
  const auto own =
      indices.subspan(static_cast<std::size_t>(own_.begin), static_cast<std::size_t>(own_.end - own_.begin));
  const std::size_t parameters = static_cast<std::size_t>(state_.parameters());
  // The first of each way is an entry of the recorder, and the place of planted faults; the others are heartbeats.
  bool backward_entered = false;
  const auto progress = [&](Direction direction) {
    const Phase phase = direction == Direction::forward ? Phase::forward : Phase::backward;
    if (phase == Phase::backward && !std::exchange(backward_entered, true)) return enter(Phase::backward);
    context_.recorder.heartbeat(phase, context_.clock.now());
  };
  const auto elsewhere = [this](Direction) { context_.recorder.heartbeat(); };
  enter(Phase::forward);
  own_part_ = {};
  auto consume = [&](std::size_t position, const Lanes::LeafResult& leaf) -> Result<Done> {
    std::span<float> buffer = sum_.next_leaf();
    if (Result<Done> copied = state_.download_gradient(lanes_.first_stream(), leaf.gradient, buffer.first(parameters));
        !copied)
      return copied;
    double loss = leaf.loss.loss;
    if (position == 0) faults_.spoil(computing(), loss, buffer.first(parameters));
    own_part_.loss += loss;
    own_part_.finite = own_part_.finite && std::isfinite(loss) && all_finite(buffer.first(parameters));
    buffer[parameters] = static_cast<float>(loss);
    buffer[parameters + 1] = position == 0 && context_.stop_requested() ? 1.0F : 0.0F;
    buffer[parameters + 2] = step_tag(computing(), config_.global_batch_size);
    sum_.add_leaf(own_.begin + static_cast<std::int64_t>(position));
    context_.recorder.heartbeat(context_.clock.now());
    return Done{};
  };
  Result<Done> computed =
      lanes_.run(inputs_.examples.train, own, Lanes::Work::loss_and_gradient, progress, elsewhere, consume);
  // A rank without leaves, or whose lanes left nothing to this thread, passes through the phase all the same.
  if (computed && !backward_entered) enter(Phase::backward);
  return computed;
}

// What a faulty program would call instead: an exact sum of another size or for another step.
Result<Done> TrainingRun::wrong_sum(std::int64_t count, std::int64_t step) {
  ExactSum sum(rank_, world_, config_.global_batch_size, count);
  for (std::int64_t leaf = own_.begin; leaf < own_.end; ++leaf) {
    const std::span<float> values = sum.next_leaf();
    std::ranges::fill(values, 0.0F);
    values.back() = step_tag(step, config_.global_batch_size);
    sum.add_leaf(leaf);
  }
  Result<std::span<float>> total =
      sum.finish(context_.communicator, context_.recorder, context_.clock, limits_, Step{step});
  if (!total) return total.error();
  return check_tag(*total);
}

// Every leaf carries the tag of its step, so the total is known beforehand: small integers, added exactly.
Result<Done> TrainingRun::check_tag(std::span<const float> total) const {
  const auto leaves = config_.global_batch_size;
  const float expected = step_tag(computing(), leaves) * static_cast<float>(leaves);
  if (total.back() == expected) return Done{};
  return Failure{FaultKind::collective_mismatch,
                 fmt::format("the sum of step {} has parts of other calls: its tag is {}, must be {}", computing(),
                             total.back(), expected),
                 fmt::format("rank {}, step {}", rank_.value, computing()), ""};
}

// The sum over all ranks, or what a planted fault makes of the call.
Result<std::span<float>> TrainingRun::exchange() {
  enter(Phase::reduce);
  const std::int64_t count = state_.parameters() + exact_sum_passengers;
  const CollectiveSabotage sabotage = faults_.collective_sabotage(computing());
  if (sabotage == CollectiveSabotage::skip) {
    if (Result<Done> skipped = wrong_sum(count, computing() + 1); !skipped) return skipped.error();
  } else if (sabotage == CollectiveSabotage::mismatch) {
    if (Result<Done> mismatched = wrong_sum(count / 2, computing()); !mismatched) return mismatched.error();
  } else if (sabotage == CollectiveSabotage::library_error) {
    return faults_.library_error();
  }
  Result<std::span<float>> total =
      sum_.finish(context_.communicator, context_.recorder, context_.clock, limits_, Step{computing()});
  if (!total) return total;
  if (Result<Done> checked = check_tag(*total); !checked) return checked.error();
  return total;
}

// Every rank sees the same sum, so all of them give up; those whose own part of it is bad name themselves.
Failure TrainingRun::about_the_sum(Failure failure, bool own_part_is_bad) const {
  failure.where = fmt::format("step {}", computing());
  if (own_part_is_bad) failure.where = fmt::format("rank {}, ", rank_.value) + failure.where;
  return failure;
}

// A spike is replayed once; one that comes again is accepted or not by the launcher.
std::optional<Failure> TrainingRun::judge_loss(double loss, std::int64_t own_tokens) const {
  if (!std::isfinite(loss)) {
    return about_the_sum(
        {FaultKind::loss_not_finite, fmt::format("the loss of step {} is {}", computing(), loss), "", ""},
        !own_part_.finite);
  }
  const std::optional<SpikeLimit> known = spike_limit(recent_);
  if (!known || loss <= known->limit || spec_.accepted_spike == computing()) return std::nullopt;
  return about_the_sum(
      {FaultKind::loss_spike,
       fmt::format("the loss of step {} is {:.6g}; the median of the {} before it is {:.6g}, the limit {:.6g}",
                   computing(), loss, known->losses, known->median, known->limit),
       "", ""},
      own_part_.loss > known->limit * static_cast<double>(own_tokens));
}

Result<Done> TrainingRun::step() {
  const TimePoint began = context_.clock.now();
  enter(Phase::data);
  const std::vector<std::int64_t> indices = order_.of_step(config_.global_batch_size, completed_);
  const BatchTokens tokens = tokens_of(indices);  // of all ranks: every rank knows the whole plan
  if (Result<Done> computed = accumulate_leaves(indices); !computed) return computed;
  const double own_seconds = seconds_between(began, context_.clock.now());
  const auto own =
      std::span(indices).subspan(static_cast<std::size_t>(own_.begin), static_cast<std::size_t>(own_.end - own_.begin));
  const BatchTokens own_tokens = tokens_of(own);
  Result<std::span<float>> total = exchange();
  if (!total) return total.error();

  enter(Phase::optimizer);
  const std::size_t parameters = static_cast<std::size_t>(state_.parameters());
  const double loss = static_cast<double>((*total)[parameters]) / static_cast<double>(tokens.supervised);
  stop_agreed_ = (*total)[parameters + 1] > 0;
  if (auto bad = judge_loss(loss, own_tokens.supervised)) return *bad;
  const double rate = config_.learning_rate * learning_rate_multiplier(schedule_, completed_);
  Result<double> norm = state_.apply(lanes_.first_stream(), total->first(parameters),
                                     1.0 / static_cast<double>(tokens.supervised), rate, computing(), sign_of_life_);
  if (!norm) {
    const bool is_own = norm.error().kind != FaultKind::loss_not_finite || !own_part_.finite;
    return about_the_sum(norm.error(), is_own);
  }
  ++completed_;
  if (Result<Done> downloaded = state_.download(lanes_.first_stream()); !downloaded) return downloaded;
  const ReportStep report{
      completed_,          loss, *norm, rate, tokens.all, seconds_between(began, context_.clock.now()), own_seconds,
      tokens_in_a_row(own)};
  remember(recent_, {report.step, false, loss, *norm, rate, report.tokens, report.seconds});
  hot_->save(state_.views(), trainer_state(), sign_of_life_);
  context_.report(report);
  return Done{};
}

Result<Done> TrainingRun::save_durable() {
  if (saved_ == completed_) return Done{};
  const TimePoint began = context_.clock.now();
  enter(Phase::checkpoint);
  saved_ = completed_;
  if (!writes_files()) return Done{};
  const std::string directory = spec_.run_directory + "/checkpoints";
  std::vector<std::pair<std::string, std::string>> extra;
  if (inputs_.adapter_shape)
    extra.emplace_back("adapter_config.json", adapter_config_json(*inputs_.adapter_shape, config_.model_name_or_path));
  Result<DurableCheckpoint> written =
      write_checkpoint(faults_.files_for_checkpoint(completed_), directory, spec_.attempt.value,
                       inputs_.adapter_shape ? "adapter" : "model", state_.views(), trainer_state(), extra);
  if (!written) return written.error();
  if (Result<Done> damaged = faults_.damage_checkpoint(completed_, written->directory); !damaged) return damaged;
  // Read back before older ones are let go: a checkpoint that cannot be read is none.
  if (Result<TrainerState> verified = verify_checkpoint(context_.files, written->directory); !verified) {
    (void)context_.files.remove_all(written->directory);
    return verified.error();
  }
  if (config_.save_total_limit > 0) {
    if (Result<Done> kept =
            retain_checkpoints(context_.files, directory, config_.save_total_limit, spec_.attempt.value);
        !kept)
      return kept;
  }
  context_.report(ReportCheckpoint{completed_, written->directory, seconds_between(began, context_.clock.now())});
  return Done{};
}

// The validation loss: every rank computes its share, the sum is exact, so it too has the same bits for any number of
// ranks.
Result<Done> TrainingRun::evaluate() {
  const auto leaves = static_cast<std::int64_t>(inputs_.examples.validation.size());
  if (leaves == 0) return Done{};
  const TimePoint began = context_.clock.now();
  enter(Phase::evaluate);
  const LeafRange own = leaves_of(rank_, world_, leaves);
  ExactSum sum(rank_, world_, leaves, 1);
  std::vector<std::int64_t> indices(static_cast<std::size_t>(own.end - own.begin));
  std::iota(indices.begin(), indices.end(), own.begin);
  const auto progress = [this](Direction) { context_.recorder.heartbeat(context_.clock.now()); };
  const auto elsewhere = [this](Direction) { context_.recorder.heartbeat(); };
  auto consume = [&](std::size_t position, const Lanes::LeafResult& leaf) -> Result<Done> {
    sum.next_leaf()[0] = static_cast<float>(leaf.loss.loss);
    sum.add_leaf(own.begin + static_cast<std::int64_t>(position));
    return Done{};
  };
  if (Result<Done> computed =
          lanes_.run(inputs_.examples.validation, indices, Lanes::Work::loss, progress, elsewhere, consume);
      !computed)
    return computed;
  Result<std::span<float>> total =
      sum.finish(context_.communicator, context_.recorder, context_.clock, limits_, Step{completed_});
  if (!total) return total.error();
  std::int64_t tokens = 0;
  for (const Example& example : inputs_.examples.validation) tokens += example.supervised_count();
  const double loss = static_cast<double>((*total)[0]) / static_cast<double>(tokens);
  if (best_eval_loss_ == 0 || loss < best_eval_loss_) best_eval_loss_ = loss;
  const ReportEvaluation report{completed_, loss, tokens, seconds_between(began, context_.clock.now())};
  remember(recent_, {report.step, true, loss, 0, 0, tokens, report.seconds});
  context_.report(report);
  return Done{};
}

Result<Done> TrainingRun::finish(bool stopped) {
  if (Result<Done> saved = save_durable(); !saved) return saved;
  enter(Phase::finalize);
  if (!stopped && writes_files()) {
    Result<Done> written =
        state_.adapter()
            ? write_final_adapter(context_.files, spec_.run_directory, *state_.adapter(), config_, spec_.attempt.value)
            : write_final_model(context_.files, spec_.run_directory, model_, config_, spec_.attempt.value);
    if (!written) return written;
  }
  context_.report(ReportFinished{completed_, stopped});
  return Done{};
}

Result<Done> TrainingRun::between_steps() {
  const bool at_an_end = completed_ == 0 || completed_ == steps_;
  if (at_an_end || (config_.eval_steps > 0 && completed_ % config_.eval_steps == 0)) {
    if (Result<Done> evaluated = evaluate(); !evaluated) return evaluated;
  }
  if (!at_an_end && config_.save_steps > 0 && completed_ % config_.save_steps == 0) return save_durable();
  return Done{};
}

Result<TrainingOutcome> TrainingRun::run() {
  if (Result<Done> resumed = resume(); !resumed) return resumed.error();
  context_.report(ReportStarted{context_.pid, context_.platform, context_.communicator.traits().version, steps_,
                                completed_, state_.parameters(), parameters_of(model_.config())});
  // What is due after a step may have been cut short before a resume at that step, so it is done again: both are
  // idempotent.
  if (Result<Done> done = between_steps(); !done) return done.error();
  while (completed_ < steps_ && !stop_agreed_) {
    if (Result<Done> stepped = step(); !stepped) return stepped.error();
    if (Result<Done> done = between_steps(); !done) return done.error();
  }
  const bool stopped = completed_ < steps_;
  if (Result<Done> finished = finish(stopped); !finished) return finished.error();
  return TrainingOutcome{completed_, stopped};
}

}  // namespace

Result<TrainingOutcome> train(RankContext& context, const ProcessSpec& spec, const RunConfig& config, RunInputs& inputs,
                              Llama& model) {
  context.recorder.enter(Phase::init, Step{0}, context.clock.now());
  Result<TrainableState> state = TrainableState::make(context.device, config, inputs, model);
  if (!state) return state.error();
  const LeafRange own = leaves_of(context.communicator.rank(), context.communicator.world(), config.global_batch_size);
  const int lanes =
      static_cast<int>(std::clamp<std::int64_t>(spec.micro_batch, 1, std::max<std::int64_t>(1, own.end - own.begin)));
  Result<Lanes> planned = Lanes::plan(context.device, model, state->adapter(), lanes, spec.threads_per_rank,
                                      longest_example(inputs.examples), state->parameters());
  if (!planned) return planned.error();
  planned->report_pieces_to([&recorder = context.recorder] { recorder.heartbeat(); });
  Result<ScheduleKind> schedule = schedule_named(config.lr_scheduler_type);
  if (!schedule) return schedule.error();
  return TrainingRun(context, spec, config, inputs, model, std::move(*state), std::move(*planned), *schedule).run();
}

}  // namespace ftl
