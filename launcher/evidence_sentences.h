// Facts about an attempt as full sentences with numbers, each with its source: what a verdict shows to people.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "failures/verdict.h"
#include "launcher/evidence.h"

namespace ftl {

// "SIGKILL"; "signal 70" for one without a name here.
std::string signal_name(int signal);
// "in an uninterruptible wait (state D)"
std::string_view in_words(ProcessState state);
// "ended by signal 11 (SIGSEGV)", "exited with code 3"
std::string in_words(const ExitStatus& status);

EvidenceFact how_it_ended(const RankFacts& rank);
EvidenceFact what_it_was_doing(const RankFacts& rank, TimePoint now);
// The rank's own words: its last log lines, at most three facts.
std::vector<EvidenceFact> last_words(const RankFacts& rank);
// Cgroup counter and kernel log, as far as they speak of memory.
std::vector<EvidenceFact> memory_facts(const RankFacts& rank);
EvidenceFact why_alarmed(const Alarm& alarm, const RankFacts& rank, TimePoint now);
std::vector<EvidenceFact> signatures_in_words(const CollectiveMismatch& mismatch);
// "rank 2" / "ranks 0, 1 and 3"
std::string in_words(const std::vector<Rank>& ranks);

}  // namespace ftl
