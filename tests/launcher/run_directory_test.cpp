#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <thread>

#include <nlohmann/json.hpp>

#include "launcher/engines/process_table.h"
#include "launcher/run_directory.h"
#include "launcher/run_directory_state.h"
#include "launcher/run_files.h"
#include "tests/launcher/full_storage.h"

namespace ftl {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RunDirectoryTest : public ::testing::Test {
 protected:
  RunDirectoryTest() {
    std::string pattern = ::testing::TempDir() + "ftl-run-XXXXXX";
    root = ::mkdtemp(pattern.data());
    path = root + "/out";
  }
  ~RunDirectoryTest() override { fs::remove_all(root); }

  std::string text_of(const std::string& name) const {
    std::ifstream file(path + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path + "/" + name) << text; }

  static void write_owner(const std::string& state) {
    const auto self = process_stat(::getpid());
    std::ofstream(state + "/owner.json") << "{\"pid\":" << ::getpid() << ",\"start\":" << self->start_ticks << "}";
  }

  // In a process of its own, which then dies without cleaning up.
  template <class Act>
  pid_t dead_process(Act act) const {
    const pid_t child = ::fork();
    if (child == 0) {
      act();
      ::kill(::getpid(), SIGKILL);
    }
    ::waitpid(child, nullptr, 0);
    return child;
  }

  std::string root;
  std::string path;
};

RunStatus running_at(std::int64_t step) {
  RunStatus status;
  status.state = RunState::running;
  status.step = step;
  status.steps = 100;
  status.ranks = {{Rank{0}, "local-0", 11, 10, step, Phase::backward, 118, true}};
  return status;
}

TEST_F(RunDirectoryTest, HasOneOwnerAndNamesIt) {
  auto first = RunDirectory::open(path);
  ASSERT_TRUE(first) << first.error().what;
  const auto second = RunDirectory::open(path);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, FaultKind::run_directory_owned);
  EXPECT_THAT(second.error().what, HasSubstr("process " + std::to_string(::getpid()) + " on "));
  EXPECT_EQ(read_owner(path)->pid, ::getpid());
  { const RunDirectory gone = std::move(*first); }
  EXPECT_TRUE(RunDirectory::open(path));
}

TEST_F(RunDirectoryTest, TheLockOfADeadLauncherIsTakenOver) {
  dead_process([&] {
    auto directory = RunDirectory::open(path);
    if (directory) (void)directory->write_status(running_at(5));
  });
  EXPECT_FALSE(read_owner(path).has_value());
  EXPECT_TRUE(RunDirectory::open(path));
}

// A launcher of another host or container has a pid that means nothing here: its lock tells whether it lives.
TEST_F(RunDirectoryTest, TheLockTellsWhetherAnOwnerLivesWhoseProcessesCannotBeSeenFromHere) {
  ASSERT_TRUE(RunDirectory::open(path));
  const nlohmann::json here = nlohmann::json::parse(std::ifstream(path + "/.lock"));
  const auto owned_by_one_with = [&](const char* key, const std::string& value, std::int32_t pid) {
    nlohmann::json owner = here;
    owner[key] = value;
    owner["pid"] = pid;
    write(".lock", owner.dump());
    return read_owner(path).has_value();
  };
  for (const char* key : {"host", "pid_namespace"}) {
    EXPECT_FALSE(owned_by_one_with(key, "another", ::getpid())) << key << ": nobody holds the lock";
    const auto held = RunDirectory::open(path);
    ASSERT_TRUE(held);
    EXPECT_TRUE(owned_by_one_with(key, "another", dead_process([] {}))) << key << ": somebody holds the lock";
  }
  EXPECT_FALSE(owned_by_one_with("boot", "another", ::getpid())) << "the machine was started anew";
}

TEST_F(RunDirectoryTest, AnOwnerOnAnotherHostIsNamedWithBothHosts) {
  const auto held = RunDirectory::open(path);
  ASSERT_TRUE(held);
  nlohmann::json owner = nlohmann::json::parse(std::ifstream(path + "/.lock"));
  const std::string here = owner["host"];
  owner["host"] = "another-host";
  write(".lock", owner.dump());
  const auto second = RunDirectory::open(path);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().what, HasSubstr("on another-host (this is " + here + ")"));
}

TEST_F(RunDirectoryTest, AStatusWhoseLauncherIsDeadIsFailedAndNeverRunning) {
  const pid_t launcher = dead_process([&] {
    auto directory = RunDirectory::open(path);
    if (directory) (void)directory->write_status(running_at(5));
  });
  const auto stored = read_status(path);
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->status.state, RunState::failed);
  EXPECT_EQ(stored->launcher_pid, launcher);
  EXPECT_FALSE(stored->launcher_alive);
  EXPECT_EQ(stored->status.step, 5);
  EXPECT_FALSE(stored->status.ranks.at(0).healthy);
}

TEST_F(RunDirectoryTest, AStatusComesBackAsItWasWhileTheLauncherLives) {
  auto directory = RunDirectory::open(path);
  ASSERT_TRUE(directory->write_status(running_at(7)));
  const auto stored = read_status(path);
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->status.state, RunState::running);
  EXPECT_TRUE(stored->launcher_alive);
  ASSERT_THAT(stored->status.ranks, SizeIs(1));
  EXPECT_EQ(stored->status.ranks[0].phase, Phase::backward);
  EXPECT_EQ(stored->status.ranks[0].keeper_pid, 10);
  EXPECT_THAT(text_of("status.json"), HasSubstr("ftlaunch.status/1"));
}

TEST_F(RunDirectoryTest, AResumeDropsStepsBeyondTheRestoredOne) {
  auto directory = RunDirectory::open(path);
  for (std::int64_t step = 1; step <= 5; ++step) {
    ReportStep report;
    report.step = step;
    report.loss = 2.5;
    report.tokens = 10;
    report.seconds = 0.5;
    ASSERT_TRUE(directory->append_step(report));
  }
  ASSERT_TRUE(directory->append_evaluation({5, 1.25, 100, 0.1}));
  ASSERT_TRUE(directory->restore_metrics(3, {}));
  const std::string metrics = text_of("metrics.jsonl");
  EXPECT_EQ(std::count(metrics.begin(), metrics.end(), '\n'), 3);
  EXPECT_THAT(metrics, HasSubstr("\"step\":3"));
  EXPECT_THAT(metrics, ::testing::Not(HasSubstr("eval_loss")));
  EXPECT_THAT(metrics, HasSubstr("\"tokens_per_second\":20.0"));
}

TEST_F(RunDirectoryTest, EvaluationLinesNeverCarryALoss) {
  auto directory = RunDirectory::open(path);
  ASSERT_TRUE(directory->append_evaluation({5, 1.25, 100, 0.1}));
  EXPECT_THAT(text_of("metrics.jsonl"), HasSubstr("\"eval_loss\":1.25"));
  EXPECT_THAT(text_of("metrics.jsonl"), ::testing::Not(HasSubstr("\"loss\"")));
}

TEST_F(RunDirectoryTest, ALossThatIsNotFiniteIsStillALineOfJson) {
  auto directory = RunDirectory::open(path);
  ReportStep report;
  report.step = 1;
  report.loss = std::numeric_limits<double>::quiet_NaN();
  ASSERT_TRUE(directory->append_step(report));
  EXPECT_THAT(text_of("metrics.jsonl"), HasSubstr("\"loss\":null"));
}

TEST_F(RunDirectoryTest, ATornLastLineIsCutOffWhenTheDirectoryIsOpened) {
  fs::create_directories(path);
  write("metrics.jsonl", "{\"step\":1}\n{\"step\":2}\n{\"st");
  write("events.jsonl", "{\"half");
  auto directory = RunDirectory::open(path);
  ASSERT_TRUE(directory);
  EXPECT_EQ(text_of("metrics.jsonl"), "{\"step\":1}\n{\"step\":2}\n");
  EXPECT_EQ(text_of("events.jsonl"), "");
}

TEST_F(RunDirectoryTest, AttemptsAreNumberedThroughTheLifeOfTheDirectory) {
  {
    auto directory = RunDirectory::open(path);
    EXPECT_EQ(directory->next_attempt(), Attempt{1});
    ASSERT_TRUE(directory->append_log(Attempt{1}, Rank{0}, {"hello"}, 0));
    ASSERT_TRUE(directory->append_engine_log(Attempt{12}, "hello"));
  }
  fs::create_directories(path + "/logs/attempt-x");
  EXPECT_EQ(RunDirectory::open(path)->next_attempt(), Attempt{13});
}

TEST_F(RunDirectoryTest, LogsSayWhatWasDropped) {
  auto directory = RunDirectory::open(path);
  ASSERT_TRUE(directory->append_log(Attempt{2}, Rank{1}, {"one", "two"}, 7));
  EXPECT_EQ(text_of("logs/attempt-2/rank-1.log"),
            "one\ntwo\nftlaunch: 7 lines were dropped here, they came too fast\n");
}

TEST_F(RunDirectoryTest, FiredFaultsAreRemembered) {
  auto directory = RunDirectory::open(path);
  ASSERT_TRUE(directory->append_event("fault_fired", "fault=sigkill,rank=1,step=5", 1, Attempt{1}));
  ASSERT_TRUE(directory->append_event("checkpoint", "step 5", 0, Attempt{1}));
  write("garbage", "");
  std::ofstream(path + "/events.jsonl", std::ios::app) << "not json\n[1]\n{\"event\":\"fault_fired\",\"detail\":7}\n";
  EXPECT_THAT(fired_faults(path), ElementsAre("fault=sigkill,rank=1,step=5"));
}

TEST_F(RunDirectoryTest, ARunThatBeginsHasAnIdOfItsOwn) {
  std::string id;
  {
    auto directory = RunDirectory::open(path);
    id = directory->run_id();
    ASSERT_TRUE(directory->write_run("{}"));
    ASSERT_TRUE(directory->append_engine_log(Attempt{1}, "hello"));
  }
  EXPECT_EQ(run_id_in(path), id);
  for (const auto& entry : fs::directory_iterator(path)) {  // rm -rf out/*: what begins with a dot stays
    if (!entry.path().filename().string().starts_with(".")) fs::remove_all(entry.path());
  }
  EXPECT_FALSE(holds_a_run(path));
  EXPECT_EQ(run_id_in(path), "");
  EXPECT_NE(RunDirectory::open(path)->run_id(), id);
}

TEST_F(RunDirectoryTest, AnyOneTraceOfARunKeepsItsIdAndItsCountOfAttempts) {
  for (const char* trace : {"checkpoints/step-4", "logs/attempt-7", "flight/attempt-7"}) {
    std::string id;
    { id = RunDirectory::open(path)->run_id(); }
    fs::create_directories(path + "/" + trace);
    const auto directory = RunDirectory::open(path);
    EXPECT_EQ(directory->run_id(), id) << trace;
    EXPECT_EQ(directory->next_attempt(), Attempt{trace[0] == 'c' ? 1 : 8}) << trace;
    fs::remove_all(path + "/" + trace);
  }
}

TEST_F(RunDirectoryTest, TheRunIdStaysButNotInACopy) {
  std::string id;
  {
    auto directory = RunDirectory::open(path);
    id = directory->run_id();
    ASSERT_TRUE(directory->write_run("{}"));
  }
  EXPECT_THAT(id, SizeIs(16));
  { EXPECT_EQ(RunDirectory::open(path)->run_id(), id); }
  fs::copy(path, root + "/copy", fs::copy_options::recursive);
  EXPECT_NE(RunDirectory::open(root + "/copy")->run_id(), id);
  write(".run_id", R"({"id":"../../etc/passwd","path":")" + fs::canonical(path).string() + "\"}");
  EXPECT_THAT(RunDirectory::open(path)->run_id(), SizeIs(16));
}

TEST_F(RunDirectoryTest, NoEventIsGluedToAPartOfOneThatAFullStorageRefused) {
  auto directory = RunDirectory::open(path);
  ASSERT_TRUE(directory->append_event("first", "", -1, Attempt{1}));
  const auto bytes = fs::file_size(path + "/events.jsonl");
  {
    const FullStorage full(bytes + 10);  // a part of a line fits
    EXPECT_FALSE(directory->append_event("refused", "", -1, Attempt{1}));
  }
  EXPECT_EQ(fs::file_size(path + "/events.jsonl"), bytes);
  ASSERT_TRUE(directory->append_event("third", "", -1, Attempt{1}));
  std::vector<std::string> names;
  for_each_line(path + "/events.jsonl", [&](std::string_view line) {
    const nlohmann::json event = nlohmann::json::parse(line, nullptr, false);
    names.push_back(event.is_object() ? event.value("event", "") : "glued");
  });
  EXPECT_THAT(names, ElementsAre("first", "third"));
}

TEST_F(RunDirectoryTest, AFileThatCannotTakeItsNameLeavesNothingBehind) {
  fs::create_directories(path + "/taken/by-a-directory");
  const auto replaced = replace_file(path + "/taken", "text", true);
  ASSERT_FALSE(replaced);
  EXPECT_THAT(replaced.error().where, HasSubstr("/taken"));
  EXPECT_EQ(std::distance(fs::directory_iterator(path), {}), 1) << "only what was there";
}

TEST_F(RunDirectoryTest, ReadersSurviveGarbage) {
  fs::create_directories(path + "/verdicts");
  for (const char* text : {"", "{", "null", "[]", "{\"state\":7}", "{\"state\":\"dancing\"}", "\xff\xfe",
                           "{\"state\":\"running\",\"ranks\":[1,{\"rank\":\"x\"}]}"}) {
    write("status.json", text);
    write(".lock", text);
    write("events.jsonl", text);
    (void)read_status(path);
    EXPECT_FALSE(read_owner(path).has_value());
    EXPECT_THAT(fired_faults(path), IsEmpty());
  }
  write("verdicts/2.json", "");
  write("verdicts/10.json", "");
  write("verdicts/x.json", "");
  EXPECT_THAT(verdict_files(path), ElementsAre("verdicts/2.json", "verdicts/10.json"));
  EXPECT_FALSE(read_status(root + "/nowhere").has_value());
}

TEST_F(RunDirectoryTest, StateOfDeadRunsIsReclaimedAndThatOfLivingOnesIsNot) {
  const std::string base = root + "/shm";
  fs::create_directories(base);
  const auto living = claim_state_directory({base, "living", root + "/gone"});
  ASSERT_TRUE(living) << living.error().what;
  EXPECT_EQ(fs::status(*living).permissions(), fs::perms::owner_all);
  ASSERT_TRUE(prepare_attempt(*living, Attempt{1}));
  ASSERT_TRUE(prepare_attempt(*living, Attempt{2}));
  EXPECT_FALSE(fs::exists(*living + "/attempt-1"));
  EXPECT_TRUE(fs::exists(*living + "/attempt-2"));
  dead_process([&] {
    const auto dead = claim_state_directory({base, "dead", root + "/gone"});
    if (dead) (void)prepare_attempt(*dead, Attempt{1});
  });
  dead_process([&] {  // its launcher was killed in the middle: it may be resumed from its hot state
    auto directory = RunDirectory::open(path);
    if (directory) (void)directory->write_run("{}");
    const auto dead = claim_state_directory({base, directory->run_id(), path});
    if (dead) (void)prepare_attempt(*dead, Attempt{1});
  });
  const std::string home = fs::path(*living).parent_path().string();
  const std::string resumable = home + "/" + run_id_in(path);
  (void)reclaim_state(base, false);
  EXPECT_TRUE(fs::exists(*living + "/attempt-2"));
  EXPECT_FALSE(fs::exists(home + "/dead"));
  EXPECT_TRUE(fs::exists(resumable + "/hot")) << "without its status.json a run is one that was interrupted";
  EXPECT_FALSE(fs::exists(resumable + "/attempt-1"));
  fs::remove(path + "/run.json");
  EXPECT_THAT(reclaim_state(base, false, fs::path(resumable).filename()), IsEmpty());
  EXPECT_THAT(reclaim_state(base, false), ElementsAre(resumable)) << "the directory was emptied: nobody can use it";
}

// Containers that share /dev/shm do not see each other's processes.
TEST_F(RunDirectoryTest, StateOfProcessesThatCannotBeSeenFromHereIsNotReclaimed) {
  const std::string base = root + "/shm";
  dead_process([&] { (void)claim_state_directory({base, "dead", root + "/gone"}); });
  const std::string state = base + "/ftl-" + std::to_string(::getuid()) + "/dead", file = state + "/owner.json";
  const nlohmann::json here = nlohmann::json::parse(std::ifstream(file));
  const auto owned_by_one_with = [&](const nlohmann::json& scope, bool all) {
    nlohmann::json owner = here;
    owner.update(scope);
    std::ofstream(file) << owner;
    return reclaim_state(base, all);
  };
  EXPECT_THAT(owned_by_one_with({{"pid_namespace", "pid:[1]"}}, false), IsEmpty());
  EXPECT_THAT(owned_by_one_with({{"host", "another-host"}, {"boot", "its-boot"}}, false), IsEmpty());
  ASSERT_TRUE(fs::exists(state));
  // Of before this machine was started: dead, whoever has its pid now.
  EXPECT_THAT(owned_by_one_with({{"boot", "another-boot"}}, false), ElementsAre(state));
  fs::create_directories(state);
  EXPECT_THAT(owned_by_one_with({{"pid_namespace", "pid:[1]"}}, true), ElementsAre(state))
      << "who asks for all gets all";
}

TEST_F(RunDirectoryTest, StateThatIsBeingClaimedIsNotReclaimed) {
  const std::string base = root + "/shm";
  const auto first = claim_state_directory({base, "first", path});
  ASSERT_TRUE(first);
  const std::string home = fs::path(*first).parent_path().string();
  const int claiming = ::open(home.c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(::flock(claiming, LOCK_EX), 0);  // as a launcher between making its directory and marking it
  fs::create_directories(home + "/just-made");
  std::thread other([&] { reclaim_state(base, true); });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_TRUE(fs::exists(home + "/just-made"));
  write_owner(home + "/just-made");
  ::close(claiming);
  other.join();
  EXPECT_TRUE(fs::exists(home + "/just-made/owner.json"));
}

TEST_F(RunDirectoryTest, StateGoesToTheFirstPlaceWithRoomAndWhatTheRunHoldsThereCounts) {
  const StatePlace full{"/shm", 10, 0}, roomy{"/tmp", 1000, 0}, ours{"/shm", 10, 95}, barred{"/shm", -1, 0};
  EXPECT_EQ(*choose_state_place({full, roomy}, 5), "/shm");
  EXPECT_EQ(*choose_state_place({full, roomy}, 100), "/tmp");
  EXPECT_EQ(*choose_state_place({ours, roomy}, 100), "/shm");
  EXPECT_EQ(*choose_state_place({barred, roomy}, 0), "/tmp");
}

TEST_F(RunDirectoryTest, WhatARunHoldsIsTheHotStateOfItsRanksAndItsOldAttempts) {
  const std::string base = root + "/shm";
  EXPECT_GT(look_at_state_places(base, "run", 1).at(0).free, 0)
      << "a place that is not yet made is judged by its parent";
  const auto state = claim_state_directory({base, "run", path});
  ASSERT_TRUE(state && prepare_attempt(*state, Attempt{1}));
  EXPECT_EQ(look_at_state_places(base, "run", 2).at(0).held, 0);
  std::ofstream(*state + "/hot/rank-1.state") << std::string(8192, 'x') << std::flush;
  std::ofstream(*state + "/attempt-1/rank-0.ring") << std::string(4096, 'x') << std::flush;
  EXPECT_GE(look_at_state_places(base, "run", 2).at(0).held, 8192 + 4096);
  EXPECT_LT(look_at_state_places(base, "run", 1).at(0).held, 8192) << "rank 1 is no rank of a world of one";
}

TEST_F(RunDirectoryTest, StateThatDoesNotFitIsRefusedWithBothNumbers) {
  const auto chosen = choose_state_place({{"/shm", 64, 7}, {"/tmp", -1, 0}}, std::int64_t{1} << 60);
  ASSERT_FALSE(chosen);
  EXPECT_EQ(chosen.error().kind, FaultKind::node_state_too_small);
  EXPECT_THAT(chosen.error().what, HasSubstr("needs 1152921504606846976 bytes: /shm has 64 free and 7 of this run, "
                                             "/tmp cannot be written"));
}

TEST_F(RunDirectoryTest, StateBehindALinkIsRefused) {
  fs::create_directories(root + "/elsewhere");
  fs::create_directories(root + "/shm");
  fs::create_directory_symlink(root + "/elsewhere", root + "/shm/ftl-" + std::to_string(::getuid()));
  EXPECT_FALSE(claim_state_directory({root + "/shm", "run", path}));
}

}  // namespace
}  // namespace ftl
