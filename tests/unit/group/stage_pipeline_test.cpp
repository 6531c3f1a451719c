// Whole pipelines over mailboxes and a network with faults: the same results as without any network.
#include <gtest/gtest.h>

#include <deque>
#include <thread>

#include "shared/base/text.h"
#include "tests/support/stage_ring.h"
#include "tests/unit/group/faulty_channel.h"
#include "tests/unit/pipeline/fake_compute.h"
#include "tests/unit/pipeline/shapes.h"
#include "worker/pipeline/executor.h"

namespace strand {
namespace {

using std::chrono::milliseconds;

using StageResult = Result<std::vector<InstructionTrace>>;

// An evaluation: the forwards alone.
PipelineSchedule forwards_of(const PipelineSchedule& schedule) {
  PipelineSchedule forwards = schedule;
  for (auto& list : forwards.stages) {
    std::erase_if(list, [](const Instruction& i) { return i.kind != InstructionKind::kForward; });
  }
  return forwards;
}

// What one stage does in one pass.
struct PassRun {
  PassRun(const PipelineShape& shape, int stage) : compute(shape, stage) {}
  FakeCompute compute;
  StageResult result = internal_error("did not run");
};
// [stage][pass]
using Runs = std::vector<std::deque<PassRun>>;

// Trains, evaluates and trains again, each stage at its own pace, as a job does.
Runs run_passes(const PipelineSchedule& schedule, FaultyChannel* channel) {
  const PipelineShape& shape = schedule.shape;
  const PipelineSchedule forwards = forwards_of(schedule);
  const std::pair<PassStamp, const PipelineSchedule*> passes[] = {
      {{{1}, 5, 0}, &schedule}, {{{1}, 5, 1}, &forwards}, {{{1}, 6, 0}, &schedule}};
  Runs runs(schedule.stages.size());
  std::vector<std::thread> threads;
  for (int stage = 0; stage < shape.stages; ++stage) {
    threads.emplace_back([&, stage] {
      auto& mine = runs[static_cast<size_t>(stage)];
      for (const auto& [stamp, list] : passes) {
        PassRun& run = mine.emplace_back(shape, stage);
        channel->open(stage, stamp, shape);
        run.result = run_stage(*list, stage, &run.compute, channel->box(stage), SystemClock(), {});
      }
      channel->box(stage)->close();
    });
  }
  for (std::thread& thread : threads) thread.join();
  return runs;
}

// The weights' gradients of every stage, computed over links in memory.
std::vector<std::map<int, uint64_t>> gradients_over_a_ring(const PipelineSchedule& schedule) {
  StageRing ring(schedule.shape, kLinkBuffers);
  std::deque<FakeCompute> computes;
  std::vector<std::thread> threads;
  for (int stage = 0; stage < schedule.shape.stages; ++stage) {
    FakeCompute& compute = computes.emplace_back(schedule.shape, stage);
    threads.emplace_back(
        [&, stage] { EXPECT_TRUE(run_stage(schedule, stage, &compute, ring.link(stage), SystemClock(), {}).ok()); });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<std::map<int, uint64_t>> gradients;
  for (const FakeCompute& compute : computes) gradients.push_back(compute.gradients());
  return gradients;
}

void expect_results_of_a_ring(const PipelineSchedule& schedule, const Runs& runs) {
  const auto expected = gradients_over_a_ring(schedule);
  for (size_t stage = 0; stage < runs.size(); ++stage) {
    for (const PassRun& run : runs[stage]) {
      ASSERT_TRUE(run.result.ok()) << run.result.error().message();
    }
    for (const size_t training : {0, 2}) {
      EXPECT_EQ(runs[stage][training].compute.calls(), schedule.stages[stage]);
      EXPECT_EQ(runs[stage][training].compute.gradients(), expected[stage]) << "stage " << stage;
    }
    EXPECT_TRUE(runs[stage][1].compute.gradients().empty());
    EXPECT_EQ(runs[stage][1].compute.all_inputs(), runs[stage][0].compute.all_inputs()) << "stage " << stage;
  }
}

void expect_nothing_changes(const ChannelFaults& faults, int micro_batches) {
  int seen = 0;
  uint64_t lost = 0;
  for_each_schedule(4, micro_batches, [&](PipelineKind kind, const PipelineSchedule& schedule) {
    if (schedule.shape.stages == 1) return;
    SCOPED_TRACE(name_of(kind, schedule.shape));
    FaultyChannel channel(schedule.shape.stages, faults, static_cast<uint64_t>(++seen));
    expect_results_of_a_ring(schedule, run_passes(schedule, &channel));
    EXPECT_TRUE(channel.settles());
    lost += channel.lost();
  });
  EXPECT_EQ(seen, count_schedules(4, micro_batches) - count_schedules(1, micro_batches));
  EXPECT_EQ(lost > 100, faults.loss > 0);
}

TEST(StagePipeline, EverySchedulesResultsOverAGoodNetwork) {
  expect_nothing_changes({}, 8);
}
TEST(StagePipeline, EverySchedulesResultsOverALossyNetwork) {
  expect_nothing_changes({.loss = 0.2, .duplicate = 0, .longest_delay = {}}, 4);
}
TEST(StagePipeline, EverySchedulesResultsWhenMessagesAreRepeatedLateAndOutOfOrder) {
  expect_nothing_changes({.loss = 0, .duplicate = 0.5, .longest_delay = milliseconds(900)}, 4);
}
TEST(StagePipeline, EverySchedulesResultsUnderAllOfIt) {
  expect_nothing_changes({.loss = 0.1, .duplicate = 0.2, .longest_delay = milliseconds(300)}, 4);
}

// Whoever had not ended its list when it happened ends with the reason.
TEST(StagePipeline, AFailureOfAnyStageEndsAllWithTheReason) {
  int others_told = 0;
  uint64_t seed = 0;
  for (const PipelineKind kind : kPipelineKinds) {
    const auto schedule = make_schedule(kind, {3, kind == PipelineKind::kInterleaved ? 2 : 1, 3});
    ASSERT_TRUE(schedule.ok());
    for (size_t failing = 0; failing < 3; ++failing) {
      for (size_t call = 0; call < schedule->stages[failing].size(); call += 3) {
        SCOPED_TRACE(concat(pipeline_kind_name(kind), " stage ", failing, " call ", call));
        FaultyChannel channel(3, {.loss = 0.05, .duplicate = 0.2, .longest_delay = milliseconds(50)}, ++seed);
        std::deque<PassRun> runs;
        std::vector<std::thread> threads;
        for (int stage = 0; stage < 3; ++stage) runs.emplace_back(schedule->shape, stage);
        runs[failing].compute.fail_at(call);
        for (int stage = 0; stage < 3; ++stage) {
          threads.emplace_back([&, stage] {
            PassRun& run = runs[static_cast<size_t>(stage)];
            channel.open(stage, {{1}, 1, 0}, schedule->shape);
            run.result = run_stage(*schedule, stage, &run.compute, channel.box(stage), SystemClock(), {});
          });
        }
        for (std::thread& thread : threads) thread.join();
        for (size_t stage = 0; stage < 3; ++stage) {
          if (runs[stage].result.ok()) {
            EXPECT_NE(stage, failing);
            EXPECT_EQ(runs[stage].compute.calls(), schedule->stages[stage]) << "ended its list before";
            continue;
          }
          const Error& error = runs[stage].result.error();
          EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
          EXPECT_NE(error.message().find(concat("pipeline stage ", failing, ", ")), std::string::npos);
          EXPECT_NE(error.message().find("the planted failure"), std::string::npos) << error.message();
          if (stage != failing) ++others_told;
        }
      }
    }
  }
  EXPECT_GT(others_told, 30);
}

// Stages that wait for one that never comes: a newer plan frees them, and they train on in its generation.
TEST(StagePipeline, ANewPlanEndsAllWaits) {
  const auto schedule = make_schedule(PipelineKind::kOneForwardOneBackward, {3, 1, 4});
  ASSERT_TRUE(schedule.ok());
  FaultyChannel channel(3, {}, 1);
  const Error reason(ErrorCode::kConflict, "generation 2 has begun");
  for (const int absent : {0, 1, 2}) {  // and the others wait for this one
    const Generation old{2 * static_cast<uint64_t>(absent) + 1}, newer{old.value + 1};
    std::vector<StageResult> results(3, internal_error("did not run"));
    std::deque<FakeCompute> computes;
    std::vector<std::thread> threads;
    for (int stage = 0; stage < 3; ++stage) {
      FakeCompute& compute = computes.emplace_back(schedule->shape, stage);
      if (stage == absent) continue;
      threads.emplace_back([&, stage] {
        channel.open(stage, {old, 1, 0}, schedule->shape);
        results[static_cast<size_t>(stage)] =
            run_stage(*schedule, stage, &compute, channel.box(stage), SystemClock(), {});
      });
    }
    std::this_thread::sleep_for(milliseconds(20));
    for (int stage = 0; stage < 3; ++stage) channel.box(stage)->interrupt(newer, reason);
    for (std::thread& thread : threads) thread.join();
    for (int stage = 0; stage < 3; ++stage) {
      if (stage == absent) continue;
      const StageResult& result = results[static_cast<size_t>(stage)];
      ASSERT_FALSE(result.ok());
      EXPECT_EQ(result.error().code(), ErrorCode::kConflict);
      EXPECT_EQ(result.error().message(), reason.message());
    }
    threads.clear();
    for (int stage = 0; stage < 3; ++stage) {
      threads.emplace_back([&, stage] {
        FakeCompute compute(schedule->shape, stage);
        channel.open(stage, {newer, 1, 0}, schedule->shape);
        EXPECT_TRUE(run_stage(*schedule, stage, &compute, channel.box(stage), SystemClock(), {}).ok());
        EXPECT_EQ(compute.gradients().at(stage), serial_gradients(3, 4)[static_cast<size_t>(stage)]);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
}

}  // namespace
}  // namespace strand
