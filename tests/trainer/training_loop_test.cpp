// The real training loop of every rank, in one process: fibers under virtual time, a fake world for links, real files
// and hot state.
#include "trainer/training_loop.h"

#include <cstring>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "configs/config_reader.h"
#include "simulation/dry_run.h"
#include "simulation/world.h"
#include "trainer/resume.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;

const fs::path golden = fs::path(FTL_SOURCE_DIR) / "tests/golden/data/gqa_untied/model";

// A character-level tokenizer small enough for the golden model's 101 rows.
std::string tiny_tokenizer() {
  std::string vocabulary;
  const std::string letters = "abcdefghijklmnopqrstuvwxyz";
  for (std::size_t i = 0; i < letters.size(); ++i)
    vocabulary += std::string(i ? "," : "") + "\"" + letters[i] + "\":" + std::to_string(i + 1);
  return "{\"added_tokens\":[{\"id\":0,\"content\":\"<end>\",\"special\":true}],\"pre_tokenizer\":{\"type\":"
         "\"ByteLevel\",\"add_prefix_space\":false,"
         "\"use_regex\":true},\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{" +
         vocabulary + ",\"<end>\":0},\"merges\":[]}}";
}

// What a story needs of the outside: a directory with model, data and run; the ranks' reports.
class TrainingWorld : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "ftl-loop-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    fs::create_directories(root_ / "model");
    fs::copy(golden, root_ / "model", fs::copy_options::recursive);
    std::ofstream(root_ / "model/tokenizer.json") << tiny_tokenizer();
    std::ofstream data(root_ / "data.jsonl");
    for (int i = 0; i < 14; ++i) {
      data << R"({"text": ")" << std::string(static_cast<std::size_t>(3 + i * 2 % 11), static_cast<char>('a' + i))
           << "ftl\"}\n";
    }
  }
  void TearDown() override { fs::remove_all(root_); }

  RunConfig config() const {
    RunConfig config;
    config.model_name_or_path = (root_ / "model").string();
    config.datasets = {DatasetConfig{}};
    config.datasets[0].path = (root_ / "data.jsonl").string();
    config.val_set_size = 3;
    config.cutoff_len = 32;
    config.lora_rank = 2;
    config.lora_alpha = 4;
    config.global_batch_size = 6;
    config.max_steps = 5;
    config.save_steps = 2;
    config.save_total_limit = 0;
    config.learning_rate = 1e-2;
    return config;
  }

  struct Ended {
    std::vector<Result<TrainingOutcome>> outcomes;  // by rank
    std::vector<std::vector<RankReport>> reports;   // by rank
    std::vector<RingSnapshot> rings;
    std::string adapter;  // bytes of the final adapter; empty when there is none
  };

  struct Options {
    int world = 1;
    int micro_batch = 1;
    int attempt = 1;
    std::string name = "run";  // of the run directory
    std::string resume_from = {};
    std::vector<std::string> faults = {};
    std::int64_t stop_at = -1;  // rank 0 is asked to stop once it has completed this step
  };

  Ended train_all(const RunConfig& run, const Options& options) {
    ProcessSpec spec;
    spec.attempt = Attempt{options.attempt};
    spec.world = WorldSize{options.world};
    spec.run_directory = (root_ / options.name).string();
    spec.state_directory = (root_ / options.name / "state").string();
    spec.resume_from = options.resume_from;
    spec.run_identity = "the same run";
    spec.micro_batch = options.micro_batch;
    for (const std::string& fault : options.faults) spec.faults.push_back(*parse_fault(fault));
    fs::create_directories(spec.state_directory + "/hot");

    Ended ended;
    ended.outcomes.assign(static_cast<std::size_t>(options.world),
                          Failure{FaultKind::internal_error, "never ended", "", ""});
    ended.reports.resize(static_cast<std::size_t>(options.world));
    ended.rings.resize(static_cast<std::size_t>(options.world));
    simulation::World world(spec.world);
    world.run([&](simulation::Place place) {
      const auto index = static_cast<std::size_t>(place.rank.value);
      ended.outcomes[index] = train_one(place, spec, run, options, ended.reports[index], ended.rings[index]);
    });
    std::ifstream file(root_ / options.name / "adapter/adapter_model.safetensors", std::ios::binary);
    ended.adapter.assign(std::istreambuf_iterator<char>(file), {});
    return ended;
  }

  Result<TrainingOutcome> train_one(simulation::Place place, const ProcessSpec& spec, const RunConfig& run,
                                    const Options& options, std::vector<RankReport>& reports, RingSnapshot& ring) {
    PosixFiles files;
    Result<std::unique_ptr<Device>> device = make_cpu_device();
    if (!device) return device.error();
    Result<RunInputs> inputs = load_inputs(files, run, 1);
    if (!inputs) return inputs.error();
    Result<Llama> model = load_model(**device, run, *inputs);
    if (!model) return model.error();
    FlightRecorder recorder = FlightRecorder::in_memory(place.rank, spec.attempt);
    std::int64_t completed = 0;
    RankContext context{place.clock,
                        place.communicator,
                        **device,
                        files,
                        recorder,
                        [&](const RankReport& report) {
                          reports.push_back(report);
                          if (const auto* step = std::get_if<ReportStep>(&report)) completed = step->step;
                        },
                        [&] { return place.rank == Rank{0} && options.stop_at >= 0 && completed >= options.stop_at; },
                        1};
    Result<TrainingOutcome> outcome = train(context, spec, run, *inputs, *model);
    ring = recorder.snapshot();
    return outcome;
  }

  fs::path root_;
};

template <class Report>
std::vector<Report> only(const std::vector<RankReport>& reports) {
  std::vector<Report> found;
  for (const RankReport& report : reports) {
    if (const auto* one = std::get_if<Report>(&report)) found.push_back(*one);
  }
  return found;
}

TEST_F(TrainingWorld, EndsWithTheSameBytesForAnyNumberOfRanksAndLanes) {
  const Ended alone = train_all(config(), {.world = 1, .name = "alone"});
  ASSERT_TRUE(alone.outcomes[0]) << alone.outcomes[0].error().what;
  ASSERT_FALSE(alone.adapter.empty());
  for (int world = 2; world <= 6; ++world) {
    const Ended many = train_all(config(), {.world = world, .name = "world-" + std::to_string(world)});
    for (const auto& outcome : many.outcomes) ASSERT_TRUE(outcome) << outcome.error().what;
    EXPECT_EQ(many.adapter, alone.adapter) << world << " ranks";
  }
  EXPECT_EQ(train_all(config(), {.world = 2, .micro_batch = 3, .name = "lanes"}).adapter, alone.adapter);
}

// However the leaves fall to threads: else a rank whose first lane is done early would seem stuck.
TEST_F(TrainingWorld, GivesAsManySignsOfLifeWithSeveralLanesAsWithOne) {
  const Ended one = train_all(config(), {.name = "one"}),
              three = train_all(config(), {.micro_batch = 3, .name = "three"});
  ASSERT_TRUE(one.outcomes[0] && three.outcomes[0]);
  // In each step one call of a pass is an entry of its own where the first thread is the one that makes it.
  EXPECT_GT(one.rings[0].heartbeat, 100U);
  EXPECT_NEAR(static_cast<double>(three.rings[0].heartbeat), static_cast<double>(one.rings[0].heartbeat), 5);
}

// A layer of a long sequence takes longer than the watchdog waits: the layers' own signs are not enough.
TEST_F(TrainingWorld, GivesSignsOfLifeWithinALayer) {
  const Ended ended = train_all(config(), {});
  ASSERT_TRUE(ended.outcomes[0]) << ended.outcomes[0].error().what;
  constexpr std::uint64_t steps = 5, leaves = 6, layers = 2, ways = 2, products = 7;
  EXPECT_GT(ended.rings[0].heartbeat, steps * leaves * layers * ways * products);
}

TEST_F(TrainingWorld, ReportsEveryStepOnEveryRankWithTheSameLoss) {
  const Ended ended = train_all(config(), {.world = 3});
  const auto first = only<ReportStep>(ended.reports[0]);
  ASSERT_EQ(first.size(), 5U);
  for (const auto& reports : ended.reports) {
    const auto steps = only<ReportStep>(reports);
    ASSERT_EQ(steps.size(), first.size());
    for (std::size_t i = 0; i < steps.size(); ++i) {
      EXPECT_EQ(steps[i].step, static_cast<std::int64_t>(i + 1));
      EXPECT_EQ(steps[i].loss, first[i].loss);
      EXPECT_EQ(steps[i].grad_norm, first[i].grad_norm);
    }
  }
  EXPECT_LT(first.back().loss, first.front().loss);
}

TEST_F(TrainingWorld, AnEmptySecondHalfOfTheWorldStillTakesPart) {
  RunConfig small = config();
  small.global_batch_size = 2;
  const Ended ended = train_all(small, {.world = 4});
  for (const auto& outcome : ended.outcomes) ASSERT_TRUE(outcome) << outcome.error().what;
  EXPECT_EQ(ended.adapter, train_all(small, {.world = 1, .name = "alone"}).adapter);
}

TEST_F(TrainingWorld, ContinuesFromACheckpointWithTheSameBytesAndAnotherWorld) {
  const Ended undisturbed = train_all(config(), {.world = 2, .name = "undisturbed"});
  RunConfig half = config();
  const Ended stopped = train_all(half, {.world = 3, .stop_at = 2});
  ASSERT_TRUE(stopped.outcomes[1]);
  EXPECT_TRUE(stopped.outcomes[1]->stopped);
  const std::int64_t step = stopped.outcomes[0]->step;
  EXPECT_EQ(step, 3) << "all ranks finish the step in which the first of them was asked";
  EXPECT_EQ(stopped.outcomes[2]->step, step);
  const std::string checkpoint = (root_ / "run/checkpoints/step-3").string();
  const Ended resumed = train_all(config(), {.world = 1, .attempt = 2, .resume_from = checkpoint});
  ASSERT_TRUE(resumed.outcomes[0]) << resumed.outcomes[0].error().what;
  EXPECT_EQ(resumed.adapter, undisturbed.adapter);
  EXPECT_EQ(only<ReportStep>(resumed.reports[0]).front().step, 4);
}

TEST_F(TrainingWorld, ContinuesFromHotStateOfAnyRank) {
  const Ended undisturbed = train_all(config(), {.world = 2, .name = "undisturbed"});
  ASSERT_TRUE(train_all(config(), {.world = 2, .stop_at = 1}).outcomes[0]);
  fs::remove(root_ / "run/state/hot/rank-0.state");  // only the other rank's is left
  fs::remove_all(root_ / "run/checkpoints");
  const Ended resumed = train_all(config(), {.world = 2, .attempt = 2, .resume_from = "hot:2"});
  ASSERT_TRUE(resumed.outcomes[0]) << resumed.outcomes[0].error().what;
  EXPECT_EQ(resumed.adapter, undisturbed.adapter);
}

TEST_F(TrainingWorld, RefusesStateOfAnotherRun) {
  ASSERT_TRUE(train_all(config(), {.world = 1, .stop_at = 1}).outcomes[0]);
  PosixFiles files;
  Result<std::string> text = files.read((root_ / "run/checkpoints/step-2/trainer_state.json").string(), 1 << 20);
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, testing::HasSubstr("the same run"));
  RunConfig wider = config();
  wider.lora_rank = 3;
  const Ended other =
      train_all(wider, {.world = 1, .attempt = 2, .resume_from = (root_ / "run/checkpoints/step-2").string()});
  ASSERT_FALSE(other.outcomes[0]);
  EXPECT_EQ(other.outcomes[0].error().kind, FaultKind::checkpoint_corrupt);
}

TEST_F(TrainingWorld, StopsAtALossThatIsNotFiniteAndChangesNothing) {
  const Ended ended = train_all(config(), {.world = 2, .faults = {"fault=nan_loss,rank=1,step=3"}});
  for (const auto& outcome : ended.outcomes) {
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind, FaultKind::loss_not_finite);
  }
  EXPECT_EQ(ended.outcomes[0].error().where, "step 3") << "its own part was sound";
  EXPECT_EQ(ended.outcomes[1].error().where, "rank 1, step 3");
  EXPECT_EQ(only<ReportStep>(ended.reports[0]).size(), 2U);
  EXPECT_EQ(only<ReportFaultFired>(ended.reports[1]).size(), 1U);
}

TEST_F(TrainingWorld, NamesTheTensorWhoseGradientIsNotFinite) {
  const Ended ended = train_all(config(), {.world = 2, .faults = {"fault=nan_grad,rank=0,step=2"}});
  ASSERT_FALSE(ended.outcomes[1]);
  EXPECT_EQ(ended.outcomes[1].error().kind, FaultKind::loss_not_finite);
  EXPECT_THAT(ended.outcomes[1].error().what, testing::HasSubstr("lora_"));
  EXPECT_EQ(ended.outcomes[0].error().where, "rank 0, step 2");
  EXPECT_EQ(ended.outcomes[1].error().where, "step 2") << "its own part was sound";
}

TEST_F(TrainingWorld, AWrongCollectiveIsRecordedWithItsOwnSignature) {
  const Ended ended = train_all(config(), {.world = 2, .faults = {"fault=mismatch_collective,rank=1,step=2"}});
  ASSERT_FALSE(ended.outcomes[0]);
  ASSERT_FALSE(ended.outcomes[1]);
  auto last_started = [](const RingSnapshot& ring) {
    CollectiveSignature signature;
    for (const RecordedEntry& entry : ring.recent) {
      if (entry.kind == EntryKind::collective_started) signature = entry.signature;
    }
    return signature;
  };
  EXPECT_NE(last_started(ended.rings[0]), last_started(ended.rings[1]));
}

TEST_F(TrainingWorld, ASkippedCollectiveSpoilsNoSumUnseen) {
  const Ended ended = train_all(config(), {.world = 3, .faults = {"fault=skip_collective,rank=1,step=3"}});
  for (std::size_t rank = 0; rank < 3; ++rank) {
    ASSERT_FALSE(ended.outcomes[rank]);
    EXPECT_EQ(ended.outcomes[rank].error().kind, FaultKind::collective_mismatch) << ended.outcomes[rank].error().what;
    EXPECT_EQ(only<ReportStep>(ended.reports[rank]).size(), 2U) << "step 3 must not be completed by rank " << rank;
  }
}

TEST_F(TrainingWorld, MakesTheCollectivesThatTheDryRunShows) {
  const Ended ended = train_all(config(), {.world = 3});
  const auto trainable = only<ReportStarted>(ended.reports[0]).front().trainable;
  const StepPlan plan = plan_step(WorldSize{3}, 1, config().global_batch_size, trainable + exact_sum_passengers);
  for (const RingSnapshot& ring : ended.rings) {
    std::vector<std::uint64_t> counts;
    for (const RecordedEntry& entry : ring.recent) {
      if (entry.kind == EntryKind::collective_started && entry.signature.count > 1)
        counts.push_back(entry.signature.count);
    }
    EXPECT_THAT(counts,
                testing::ElementsAreArray(std::vector<std::uint64_t>(5, static_cast<std::uint64_t>(plan.count))));
  }
}

TEST_F(TrainingWorld, FullParameterModeTrainsEveryWeightWithTheSameBytes) {
  RunConfig full = config();
  full.adapter = "none";
  full.max_steps = 2;
  auto model_bytes = [&](const std::string& name) {
    std::ifstream file(root_ / name / "model/model.safetensors", std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  ASSERT_TRUE(train_all(full, {.world = 1, .name = "full-1"}).outcomes[0]);
  ASSERT_TRUE(train_all(full, {.world = 3, .name = "full-3"}).outcomes[0]);
  EXPECT_FALSE(model_bytes("full-1").empty());
  EXPECT_EQ(model_bytes("full-1"), model_bytes("full-3"));
}

}  // namespace
}  // namespace ftl
