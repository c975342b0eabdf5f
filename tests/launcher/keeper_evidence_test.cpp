#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launcher/engines/process_table.h"
#include "launcher/keeper/line_splitter.h"
#include "launcher/keeper/oom_evidence.h"

namespace ftl {
namespace {

struct CgroupCase {
  const char* name;
  const char* cgroup;
  const char* mountinfo;
  std::optional<MemoryCgroup> expected;
};

class MemoryCgroupOf : public ::testing::TestWithParam<CgroupCase> {};
TEST_P(MemoryCgroupOf, FindsTheDirectory) {
  EXPECT_EQ(memory_cgroup_of(GetParam().cgroup, GetParam().mountinfo), GetParam().expected);
}
INSTANTIATE_TEST_SUITE_P(
    Cases, MemoryCgroupOf,
    ::testing::Values(CgroupCase{"Version1", "9:name=systemd:/\n4:memory:/job/7\n0::/\n",
                                 "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n",
                                 MemoryCgroup{1, "/sys/fs/cgroup/memory/job/7"}},
                      CgroupCase{"Version1WithOtherControllers", "4:cpu,memory:/a\n",
                                 "35 31 0:32 / /cg rw shared:9 - cgroup cgroup rw,cpu,memory\n",
                                 MemoryCgroup{1, "/cg/a"}},
                      CgroupCase{"Version1InAContainer", "4:memory:/docker/abc/inner\n",
                                 "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
                                 MemoryCgroup{1, "/sys/fs/cgroup/memory/inner"}},
                      CgroupCase{"Version2", "0::/user.slice/session-1.scope\n",
                                 "30 24 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
                                 MemoryCgroup{2, "/sys/fs/cgroup/user.slice/session-1.scope"}},
                      CgroupCase{"Version2Root", "0::/\n", "30 24 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
                                 MemoryCgroup{2, "/sys/fs/cgroup"}},
                      CgroupCase{"Version2AboveTheMount", "0::/../other\n",
                                 "30 24 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
                                 MemoryCgroup{2, "/sys/fs/cgroup"}},
                      CgroupCase{"HybridKeepsMemoryInVersion1", "4:memory:/m\n0::/u\n",
                                 "40 31 0:40 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n35 31 0:32 / "
                                 "/sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
                                 MemoryCgroup{1, "/sys/fs/cgroup/memory/m"}},
                      CgroupCase{"Nothing", "", "", std::nullopt},
                      CgroupCase{"Garbage", "::::\n:\n0", "- - -\n a - b\n - \n", std::nullopt}),
    [](const auto& each) { return std::string(each.param.name); });

TEST(OomCounters, AreReadInBothVersions) {
  EXPECT_EQ(oom_kills_in("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), 3);
  EXPECT_EQ(oom_kills_in("low 0\nhigh 0\nmax 12\noom 2\noom_kill 1\noom_group_kill 0\n"), 1);
  EXPECT_EQ(oom_kills_in("oom_kill_disable 0\nunder_oom 0\n"), std::nullopt);  // kernels before 4.13
  EXPECT_EQ(oom_kills_in("oom_kill x\n"), std::nullopt);
}

TEST(MemoryLimit, IsZeroWhenThereIsNone) {
  EXPECT_EQ(memory_limit_in("1073741824\n"), 1073741824);
  EXPECT_EQ(memory_limit_in("max\n"), 0);
  EXPECT_EQ(memory_limit_in("9223372036854771712\n"), 0);
  EXPECT_EQ(memory_limit_in(""), 0);
}

TEST(KernelLog, NamesTheVictimOfTheOomKiller) {
  const std::string memcg =
      "3,1234,570266525,-;Memory cgroup out of memory: Killed process 4711 (fttrain) total-vm:8kB, anon-rss:4kB\n";
  const std::string chosen =
      "6,1235,570266525,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),task=fttrain,pid=4711,uid=0\n "
      "SUBSYSTEM=x\n";
  EXPECT_EQ(oom_message(memcg, 4711),
            "Memory cgroup out of memory: Killed process 4711 (fttrain) total-vm:8kB, anon-rss:4kB");
  EXPECT_TRUE(oom_message(chosen, 4711).has_value());
  EXPECT_TRUE(oom_message("3,1,2,-;Out of memory: Killed process 4711 (fttrain)", 4711).has_value());
  for (const pid_t other : {471, 47110, 711, 1}) {
    EXPECT_FALSE(oom_message(memcg, other)) << other;
    EXPECT_FALSE(oom_message(chosen, other)) << other;
  }
  EXPECT_FALSE(oom_message("6,1,2,-;fttrain[4711]: segfault at 0 ip 0", 4711));
  EXPECT_FALSE(oom_message("Killed process 4711 (no record)", 4711));
}

TEST(ProcessStatOf, ReadsNamesWithSpacesAndParentheses) {
  const auto stat =
      parse_process_stat("77 (a ) R (b) D 5 77 77 0 -1 4194304 98 0 0 0 11 22 0 0 20 0 1 0 179598 3133440 391\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->pid, 77);
  EXPECT_EQ(stat->state, ProcessState::uninterruptible);
  EXPECT_EQ(stat->parent, 5);
  EXPECT_EQ(stat->group, 77);
  EXPECT_EQ(stat->cpu_ticks, 33u);
  EXPECT_EQ(stat->start_ticks, 179598u);
}

TEST(ProcessStatOf, RefusesGarbage) {
  for (const char* text :
       {"", "77", "77 (x", ") 77 (x", "77 (x) R 1 2", "x (y) R 5 77 77 0 -1 4194304 98 0 0 0 11 22 0 0 20 0 1 0 1"}) {
    EXPECT_FALSE(parse_process_stat(text)) << text;
  }
}

TEST(LineSplitter, CutsLongLinesAndKeepsTheNextWhole) {
  LineSplitter splitter(4);
  std::vector<std::string> seen;
  for (const char* piece : {"ab", "c\nlong", "er than that\n", "\nx", "y"}) {
    for (const auto& line : splitter.feed(piece)) seen.push_back(line.text + (line.cut ? "!" : ""));
  }
  for (const auto& line : splitter.finish()) seen.push_back(line.text);
  EXPECT_THAT(seen, ::testing::ElementsAre("abc", "long!", "", "xy"));
}

}  // namespace
}  // namespace ftl
