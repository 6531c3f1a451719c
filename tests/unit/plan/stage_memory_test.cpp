// The memory of a group's workers: what the schedule keeps is what the simulator of schedules counts, and the largest
// stage decides.
#include "shared/plan/stage_memory.h"

#include <gtest/gtest.h>

#include "shared/job_spec/parameter_table.h"
#include "shared/plan/stage_cut.h"

namespace strand {
namespace {

JobSpec job(int64_t stages, const std::string& schedule, int64_t lanes = 8) {
  JobSpec spec;
  spec.model.config = preset_config("omni-dna-116m").value();
  spec.train.lanes = lanes;
  spec.train.micro_batches_per_lane = 1;
  spec.parallel.stages = stages;
  spec.parallel.schedule = schedule;
  return spec;
}

TEST(StageMemory, OneWorkerNeedsTheWholeModel) {
  for (const char* schedule : {"1f1b", "gpipe", "zb-h1"}) {
    const JobSpec spec = job(1, schedule);
    EXPECT_NEAR(static_cast<double>(worker_memory_bytes(spec)), static_cast<double>(memory_bytes(spec)), 1) << schedule;
  }
}

TEST(StageMemory, AStageNeedsLessThanTheWholeAndNoLessThanItsShare) {
  for (const int64_t stages : {2, 3, 4}) {
    const JobSpec spec = job(stages, "1f1b");
    EXPECT_LT(worker_memory_bytes(spec), memory_bytes(spec));
    EXPECT_GE(worker_memory_bytes(spec), memory_bytes(spec) / static_cast<uint64_t>(stages));
  }
}

TEST(StageMemory, GPipeKeepsEveryMicroBatchAndOtherSchedulesKeepAsManyAsStages) {
  const uint64_t few = worker_memory_bytes(job(4, "1f1b")), all = worker_memory_bytes(job(4, "gpipe"));
  EXPECT_GT(all, few);
  EXPECT_GE(worker_memory_bytes(job(4, "zb-h1")), few) << "every stage keeps as many as the first of 1f1b";
  for (const int64_t lanes : {8, 16, 32}) {
    // Beyond the lane tree's buffers, more micro batches cost 1f1b nothing.
    const double in_memory = micro_batches_in_memory(job(4, "1f1b", lanes).parallel, 0, lanes);
    EXPECT_EQ(in_memory, 4);
    EXPECT_EQ(micro_batches_in_memory(job(4, "gpipe", lanes).parallel, 0, lanes), static_cast<double>(lanes));
  }
}

TEST(StageMemory, ALargeEmbeddingCountsWhereItIs) {
  JobSpec spec = job(4, "1f1b");
  spec.model.config.vocabulary = 400'000;
  spec.model.config.tied = false;
  EXPECT_GT(worker_memory_bytes(spec), memory_bytes(spec) / 3)
      << "the embedding is most of the model, and in one stage";
}

TEST(StageMemory, FewerReplicasHaveMoreLanes) {
  JobSpec spec = job(2, "gpipe");
  spec.parallel.replicas = 4;
  spec.parallel.min_replicas = 4;
  const uint64_t together = worker_memory_bytes(spec);
  spec.parallel.min_replicas = 1;
  EXPECT_GT(worker_memory_bytes(spec), together) << "one replica alone must be able to go on";
}

}  // namespace
}  // namespace strand
