// Where a rank continues: hot state or a durable checkpoint, as the launcher chose (ProcessSpec::resume_from).
#pragma once

#include <span>
#include <string>

#include "checkpoints/training_state.h"
#include "trainer/rank_context.h"

namespace ftl {

// Fills the views and returns where the run stands; step 0 and untouched views when there is nothing to resume from.
// run_identity_changed when the state belongs to another run. By which arithmetic it was made, the launcher has judged.
Result<TrainerState> restore(RankContext& context, const ProcessSpec& spec, std::span<const TrainableView> views);

}  // namespace ftl
