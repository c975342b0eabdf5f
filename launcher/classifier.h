// From evidence to a verdict. The rules are tried by the strength of their evidence, never by the order in which things
// were noticed: what the kernel says beats what a rank says of itself, that beats how it ended, that beats what its
// peers saw, and whatever was done by the teardown says nothing. Pure.
#pragma once

#include "failures/verdict.h"
#include "launcher/evidence.h"
#include "launcher/stragglers.h"

namespace ftl {

// Kind, culprits, victims, evidence, rejected alternatives, confidence, step, attempt and delay; action is the kind's
// default and is decided by recovery. Call it only when something is wrong: evidence of nothing is an internal_error.
Verdict classify(const Evidence& evidence);

// The verdict about a rank that is only slow; the run goes on.
Verdict classify(const Evidence& evidence, const Straggler& straggler);

// Whether the rank's end needs no explanation: it finished, or teardown or the loss of engine or another keeper ended
// it.
bool is_victim_of_teardown(const Evidence& evidence, const RankFacts& rank);

}  // namespace ftl
