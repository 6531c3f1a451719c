// The simulator against the formulas of the publications, and every schedule against deadlock.
#include "worker/pipeline/simulator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

#include "shared/base/text.h"
#include "tests/unit/pipeline/shapes.h"

namespace strand {
namespace {

using enum InstructionKind;

// Forward, input and weight gradient of a whole stage; a chunk takes its share.
Simulation simulated(const PipelineSchedule& schedule, double f, double b, double w, const LinkModel& link = {}) {
  const double v = schedule.shape.chunks;
  const auto result = simulate(schedule, uniform_seconds(schedule, {f / v, (b + w) / v, b / v, w / v}), link);
  EXPECT_TRUE(result.ok());
  EXPECT_EQ(result->deadlock_text(), "");
  return *result;
}

// Published bubble / work for F = B = W.
double published_bubble(PipelineKind kind, const PipelineShape& shape) {
  const double p = shape.stages, m = shape.micro_batches, v = shape.chunks;
  switch (kind) {
    case PipelineKind::kGPipe:
    case PipelineKind::kOneForwardOneBackward: return (p - 1) / m;
    case PipelineKind::kInterleaved: return (p - 1) / (m * v);
    case PipelineKind::kZeroBubbleH1: return (p - 1) / (3 * m);
  }
  return -1;
}

TEST(SimulatorTest, BubbleIsThePublishedOne) {
  int compared = 0;
  for_each_schedule(8, 33, [&](PipelineKind kind, const PipelineSchedule& schedule) {
    const PipelineShape& shape = schedule.shape;
    if (kind == PipelineKind::kZeroBubbleH1 && shape.micro_batches < shape.stages) return;
    ++compared;
    EXPECT_NEAR(simulated(schedule, 1, 1, 1).bubble_of_work(), published_bubble(kind, shape), 1e-9)
        << name_of(kind, shape);
  });
  EXPECT_EQ(compared, count_schedules(8, 33) - 28);
}

// With other times than equal ones, and micro batches enough to fill the pipeline.
TEST(SimulatorTest, BubbleSecondsForUnequalKinds) {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> seconds(0.1, 3);
  for_each_schedule(6, 24, [&](PipelineKind kind, const PipelineSchedule& schedule) {
    const double p = schedule.shape.stages, v = schedule.shape.chunks;
    const double w = seconds(random), f = w + seconds(random), b = w + seconds(random);
    double expected = (p - 1) * (f + b + w) / v;
    if (kind == PipelineKind::kZeroBubbleH1) {
      if (schedule.shape.micro_batches < schedule.shape.stages) return;
      expected = (p - 1) * (f + b - w);
    }
    EXPECT_NEAR(simulated(schedule, f, b, w, {0, 1000}).bubble_seconds(), expected, 1e-9)
        << name_of(kind, schedule.shape) << " F " << f << " B " << b << " W " << w;
  });
}

TEST(SimulatorTest, ZeroBubbleIsAtMostTwoFifthsOf1F1BAtEqualMemory) {
  const auto plain = make_schedule(PipelineKind::kOneForwardOneBackward, {4, 1, 16});
  const auto split = make_schedule(PipelineKind::kZeroBubbleH1, {4, 1, 16});
  ASSERT_TRUE(plain.ok() && split.ok());
  const Simulation a = simulated(*plain, 1, 1, 1), b = simulated(*split, 1, 1, 1);
  EXPECT_LE(b.bubble_seconds(), 0.4 * a.bubble_seconds());
  EXPECT_NEAR(b.bubble_seconds(), a.bubble_seconds() / 3, 1e-9);
  const auto by_live = [](const StageCost& x, const StageCost& y) { return x.peak_live < y.peak_live; };
  EXPECT_EQ(std::max_element(a.stages.begin(), a.stages.end(), by_live)->peak_live, 4);
  EXPECT_EQ(std::max_element(b.stages.begin(), b.stages.end(), by_live)->peak_live, 4);
}

TEST(SimulatorTest, MemoryIsThePublishedOne) {
  for_each_schedule(8, 33, [&](PipelineKind kind, const PipelineSchedule& schedule) {
    SCOPED_TRACE(name_of(kind, schedule.shape));
    const int p = schedule.shape.stages, v = schedule.shape.chunks, m = schedule.shape.micro_batches;
    const Simulation result = simulated(schedule, 1, 1, 1);
    for (int s = 0; s < p; ++s) {
      const StageCost& cost = result.stages[static_cast<size_t>(s)];
      int live = 0, awaiting = -1;
      switch (kind) {
        case PipelineKind::kGPipe: live = m; break;
        case PipelineKind::kOneForwardOneBackward: live = std::min(m, p - s); break;
        case PipelineKind::kInterleaved: live = std::min(m * v, 2 * (p - s - 1) + (v - 1) * p + 1); break;
        case PipelineKind::kZeroBubbleH1:
          live = std::min(m, p);  // on every stage what 1F1B keeps on its first
          awaiting = std::min(m, p - s);
          break;
      }
      EXPECT_EQ(cost.peak_live, live) << "stage " << s;
      EXPECT_EQ(cost.peak_awaiting_input_gradient, awaiting < 0 ? live : awaiting) << "stage " << s;
    }
  });
}

// One buffer is the fewest there can be. Deadlock does not depend on times (Kahn), so the random ones look at the rest:
// no stage idles less than nothing, none starts before what it needs.
TEST(SimulatorTest, NoDeadlockWithOneBufferAndRandomTimes) {
  constexpr unsigned kSeed = 4;
  std::mt19937 random(kSeed);
  std::exponential_distribution<double> seconds(1.0);
  int seen = 0;
  for_each_schedule(8, 33, [&](PipelineKind kind, const PipelineSchedule& schedule) {
    SCOPED_TRACE(concat(name_of(kind, schedule.shape), " seed ", kSeed));
    ++seen;
    const InstructionSeconds times = spread_seconds(schedule, [&](int, const Instruction&) { return seconds(random); });
    const auto tight = simulate(schedule, times, {.seconds = seconds(random), .buffers = 1});
    const auto wide = simulate(schedule, times, {.seconds = 0, .buffers = std::numeric_limits<int>::max()});
    ASSERT_TRUE(tight.ok() && wide.ok());
    ASSERT_EQ(tight->deadlock_text(), "");
    ASSERT_GE(tight->makespan, wide->makespan - 1e-9) << "room and a faster link never slow a pipeline down";
    for (size_t stage = 0; stage < tight->stages.size(); ++stage) {
      ASSERT_GE(tight->stages[stage].idle, -1e-9);
      for (size_t i = 1; i < times[stage].size(); ++i) {
        ASSERT_GE(tight->starts[stage][i], tight->starts[stage][i - 1] + times[stage][i - 1] - 1e-9);
      }
    }
  });
  EXPECT_EQ(seen, count_schedules(8, 33));
}

TEST(SimulatorTest, TheLinksBuffersAreAsGoodAsAnyNumberForEqualStages) {
  constexpr int kAll = std::numeric_limits<int>::max();
  for_each_schedule(8, 24, [&](PipelineKind kind, const PipelineSchedule& schedule) {
    SCOPED_TRACE(name_of(kind, schedule.shape));
    EXPECT_NEAR(simulated(schedule, 1, 1, 1, {0, 1}).makespan, simulated(schedule, 1, 1, 1, {0, kAll}).makespan, 1e-9);
    const double forward = 1.0 / schedule.shape.chunks;
    for (const double link : {0.05, 0.5, 1.0}) {
      EXPECT_NEAR(simulated(schedule, 1, 1, 1, {link * forward, kLinkBuffers}).makespan,
                  simulated(schedule, 1, 1, 1, {link * forward, kAll}).makespan, 1e-9)
          << "a message takes " << link << " of a forward";
    }
  });
}

TEST(SimulatorTest, ALinkDelaysTheFirstAndTheLastMicroBatch) {
  for (int p = 1; p <= 8; ++p) {
    const auto schedule = make_schedule(PipelineKind::kGPipe, {p, 1, 5});
    ASSERT_TRUE(schedule.ok());
    EXPECT_NEAR(simulated(*schedule, 1, 1, 1, {0.25, 100}).makespan, 3 * (5 + p - 1) + 2 * 0.25 * (p - 1), 1e-9);
  }
}

TEST(SimulatorTest, AStageOfItsOwnTimesSetsThePace) {
  const auto schedule = make_schedule(PipelineKind::kOneForwardOneBackward, {3, 1, 10});
  ASSERT_TRUE(schedule.ok());
  const auto times = spread_seconds(*schedule, [](int stage, const Instruction& i) {
    return (stage == 1 ? 10.0 : 1.0) * (i.kind == kForward ? 1 : 2);
  });
  const auto result = simulate(*schedule, times, {});
  ASSERT_TRUE(result.ok());
  EXPECT_NEAR(result->stages[1].busy, 300, 1e-9);
  // Stage 1 waits for the first forward of stage 0 and the first round of stage 2; stage 0 ends with a backward.
  EXPECT_NEAR(result->makespan, 300 + 1 + 2, 1e-9);
  EXPECT_NEAR(result->bubble_of_work(), 3.0 / 300, 1e-9);
}

PipelineSchedule two_stages(const std::vector<Instruction>& first, const std::vector<Instruction>& last) {
  return {{2, 1, 2}, {first, last}};
}

TEST(SimulatorTest, ADeadlockNamesWhatEachStageWaitsFor) {
  // The first stage wants a gradient before its second forward; the last wants both activations first.
  const PipelineSchedule schedule =
      two_stages({{kForward, 0, 0}, {kBackward, 0, 0}, {kForward, 0, 1}, {kBackward, 0, 1}},
                 {{kForward, 0, 0}, {kForward, 0, 1}, {kBackward, 0, 0}, {kBackward, 0, 1}});
  ASSERT_TRUE(check_schedule(schedule).ok());
  const auto result = simulate(schedule, uniform_seconds(schedule, {}), {.seconds = 0, .buffers = 100});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->deadlock_text(),
            "stage 0: backward of micro batch 0 (chunk 0) waits for the gradient of micro batch 0 (chunk 0); "
            "stage 1: forward of micro batch 1 (chunk 0) waits for the activation of micro batch 1 (chunk 0)");
}

// Two chunks on two stages, all of the first chunk's forwards before any of the second's. With b buffers the last stage
// takes b + 1 activations before it waits for room, and b more wait at its door: too few for eight when b is three.
TEST(SimulatorTest, TooFewBuffersAreADeadlockToo) {
  PipelineSchedule schedule{{2, 2, 8}, {{}, {}}};
  for (auto& list : schedule.stages) {
    for (int i = 0; i < 16; ++i) list.push_back({kForward, i / 8, i % 8});
    for (int i = 0; i < 16; ++i) list.push_back({kBackward, 1 - i / 8, i % 8});
  }
  ASSERT_TRUE(check_schedule(schedule).ok());
  for (int buffers = 1; buffers <= 6; ++buffers) {
    const auto result = simulate(schedule, uniform_seconds(schedule, {}), {.seconds = 0, .buffers = buffers});
    ASSERT_TRUE(result.ok());
    if (buffers > 3) {
      EXPECT_EQ(result->deadlock_text(), "") << buffers;
    } else {
      EXPECT_NE(result->deadlock_text().find("waits for room to send"), std::string::npos) << buffers;
    }
  }
}

TEST(SimulatorTest, RefusesWhatMakesNoSense) {
  const auto schedule = make_schedule(PipelineKind::kGPipe, {2, 1, 2});
  ASSERT_TRUE(schedule.ok());
  const InstructionSeconds good = uniform_seconds(*schedule, {});
  const auto code_of = [&](const InstructionSeconds& times, const LinkModel& link) {
    const auto result = simulate(*schedule, times, link);
    return result.ok() ? "ok" : std::string(error_code_name(result.error().code()));
  };
  EXPECT_EQ(code_of(good, {}), "ok");
  EXPECT_EQ(code_of(good, {0, 0}), "bad_input");
  EXPECT_EQ(code_of(good, {-1, 1}), "bad_input");
  InstructionSeconds times = good;
  times[1][2] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(code_of(times, {}), "bad_input");
  times[1].pop_back();
  EXPECT_EQ(code_of(times, {}), "internal");
  PipelineSchedule half = *schedule;
  half.stages[0].pop_back();
  EXPECT_FALSE(simulate(half, good, {}).ok());
}

}  // namespace
}  // namespace strand
