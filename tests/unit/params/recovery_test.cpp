// Where a generation goes on, case by case: the table of docs/parameter_shards.md.
#include "worker/params/recovery.h"

#include <gtest/gtest.h>

#include <limits>

#include "worker/params/step_record.h"

namespace strand {
namespace {

// One stage, two replicas (workers 1 and 2, or 3 in place of a lost one), two ranges of one block, two lanes.
struct Case {
  Case() {
    plan.generation.value = 5;
    plan.replicas = 2;
    plan.lanes = 2;
    plan.members = {{{1}, {1}, 0, 0, "a"}, {{2}, {1}, 1, 0, "b"}};
    ranges = {{{0, 10}, {0, -1}, 1}, {{10, 10}, {0, -1}, 1}};
  }

  static HeldSum sum(Step step, uint64_t made_in, uint32_t range) {
    HeldSum held{step, {made_in}, {1.5 + range}, {}};
    if (range == 0) held.numbers = {{0, {0.25}, 3, 4, 7}, {1, {0.5}, 5, 6, 8}};
    return held;
  }
  static RangeHolding holding(uint32_t range, Step version, std::vector<HeldSum> sums = {}) {
    return {range, version, true, std::move(sums)};
  }
  void report(uint64_t worker, std::vector<RangeHolding> holdings, std::vector<StepRecord> records = {}) {
    reports[{worker}] = {{4}, {4}, false, std::move(holdings), std::move(records)};
  }
  RecoveryOutcome decide() const {
    return decide_recovery(plan, ranges, assign_holders(ranges, plan.replicas, plan.backup), reports);
  }

  GroupPlan plan;
  std::vector<PlannedRange> ranges;
  std::map<WorkerId, HoldingsReport> reports;
};

TEST(Recovery, NobodyHoldsAnything) {
  Case c;
  c.report(1, {});
  c.report(2, {});
  EXPECT_TRUE(c.decide().decision.reload);
}

TEST(Recovery, EverybodyIsAtOneVersion) {
  Case c;
  c.report(1, {c.holding(0, 7), c.holding(1, 7)});
  c.report(2, {c.holding(0, 7), c.holding(1, 7)});
  const RecoveryOutcome out = c.decide();
  EXPECT_FALSE(out.decision.reload);
  EXPECT_EQ(out.decision.base, 7);
  EXPECT_FALSE(out.rolled_forward);
  EXPECT_TRUE(out.decision.sources.empty()) << "both have both";
}

TEST(Recovery, AllSummedOnEveryHolderIsCommitted) {
  Case c;
  for (const uint64_t worker : {1, 2}) {
    c.report(worker, {c.holding(0, 7, {c.sum(8, 4, 0)}), c.holding(1, 7, {c.sum(8, 4, 1)})});
  }
  const RecoveryOutcome out = c.decide();
  EXPECT_EQ(out.decision.base, 8);
  EXPECT_TRUE(out.rolled_forward);
  ASSERT_EQ(out.decision.records.size(), 1u);
  EXPECT_EQ(out.decision.records[0], (StepRecord{8, {4}, 4.0, 0.75, 8, 10, 15}));
}

TEST(Recovery, ASumThatIsNowhereDropsTheStep) {
  Case c;
  c.report(1, {c.holding(0, 7, {c.sum(8, 4, 0)}), c.holding(1, 7)});
  c.report(2, {c.holding(0, 7, {c.sum(8, 4, 0)}), c.holding(1, 7)});
  EXPECT_EQ(c.decide().decision.base, 7);
}

// The norm cannot have been sent: the other holder had not acknowledged. Rolling forward would leave one copy.
TEST(Recovery, ALiveHolderWithoutTheSumDropsTheStep) {
  Case c;
  c.report(1, {c.holding(0, 7, {c.sum(8, 4, 0)}), c.holding(1, 7, {c.sum(8, 4, 1)})});
  c.report(2, {c.holding(0, 7), c.holding(1, 7, {c.sum(8, 4, 1)})});
  EXPECT_EQ(c.decide().decision.base, 7);
}

TEST(Recovery, WhatAnyoneAppliedIsApplied) {
  Case c;
  const StepRecord record{8, {4}, 4.0, 0.75, 8, 10, 15};
  c.report(1, {c.holding(0, 8), c.holding(1, 8)}, {record});
  c.report(2, {c.holding(0, 7, {c.sum(8, 4, 0)}), c.holding(1, 7, {c.sum(8, 4, 1)})});
  const RecoveryOutcome out = c.decide();
  EXPECT_EQ(out.decision.base, 8);
  EXPECT_FALSE(out.rolled_forward);
  EXPECT_EQ(out.decision.records, std::vector<StepRecord>{record});
  EXPECT_TRUE(out.decision.sources.empty()) << "worker 2 comes to 8 by itself";
}

TEST(Recovery, SumsOfAnotherAttemptDoNotCount) {
  Case c;
  c.report(1, {c.holding(0, 7, {c.sum(8, 4, 0)}), c.holding(1, 7, {c.sum(8, 3, 1)})});
  c.report(2, {c.holding(0, 7, {c.sum(8, 4, 0)}), c.holding(1, 7, {c.sum(8, 3, 1)})});
  EXPECT_EQ(c.decide().decision.base, 7);
}

TEST(Recovery, TheSurvivorGivesItsRangesToANewMember) {
  Case c;
  c.plan.members[0].worker.value = 3;
  c.report(3, {});
  c.reports[{3}].joined = c.reports[{3}].decided = {};
  c.report(2, {c.holding(0, 7), c.holding(1, 7)});
  const RecoveryDecision d = c.decide().decision;
  EXPECT_FALSE(d.reload);
  EXPECT_EQ(d.base, 7);
  EXPECT_EQ(d.sources, (std::vector<RangeSource>{{0, {2}}, {1, {2}}}));
}

TEST(Recovery, ALeavingWorkerIsASource) {
  Case c;
  c.plan.leaving = {{{9}, {1}, 0, 0, "c"}};
  c.report(1, {c.holding(0, 7)});
  c.report(2, {});
  c.report(9, {c.holding(1, 7)});
  const RecoveryDecision d = c.decide().decision;
  EXPECT_FALSE(d.reload);
  EXPECT_EQ(d.sources, (std::vector<RangeSource>{{0, {1}}, {1, {9}}}));
}

TEST(Recovery, BothHoldersOfARangeGoneReloads) {
  Case c;
  c.report(1, {c.holding(0, 7)});
  c.report(2, {c.holding(0, 7)});
  EXPECT_TRUE(c.decide().decision.reload);
  c.report(2, {c.holding(0, 7), c.holding(1, 6)});  // one behind and without the sum is as good as gone
  EXPECT_TRUE(c.decide().decision.reload);
}

TEST(Recovery, WhoMissedADecisionHoldsNothingOfWorth) {
  Case c;
  c.report(1, {c.holding(0, 7), c.holding(1, 7)});
  c.report(2, {c.holding(0, 9), c.holding(1, 9)});
  c.reports[{2}].joined.value = c.reports[{2}].decided.value = 3;  // was left out of generation 4
  const RecoveryDecision d = c.decide().decision;
  EXPECT_EQ(d.base, 7);
  EXPECT_EQ(d.stale, std::vector<WorkerId>{{2}});
  EXPECT_EQ(d.sources.size(), 2u);
}

TEST(Recovery, AReloadThatOnlySomeHeardVoidsWhatTheOthersHold) {
  Case c;
  c.report(1, {c.holding(0, 4)});
  c.reports[{1}].reloaded = true;
  c.report(2, {c.holding(0, 7), c.holding(1, 7)});
  c.reports[{2}].decided.value = 3;
  const RecoveryDecision d = c.decide().decision;
  EXPECT_TRUE(d.reload);
  EXPECT_EQ(d.stale, std::vector<WorkerId>{{2}});
}

// Worker 2 missed a reload long ago, was named stale by the decision after it, and has heard of neither.
TEST(Recovery, WhoWasNamedStaleStaysSoUntilItHears) {
  Case c;
  c.report(1, {c.holding(0, 4), c.holding(1, 4)});
  c.reports[{1}].stale = {{2}};
  c.report(2, {c.holding(0, 7)});
  c.reports[{2}].decided.value = 2;
  const RecoveryDecision d = c.decide().decision;
  EXPECT_FALSE(d.reload);
  EXPECT_EQ(d.base, 4);
  EXPECT_EQ(d.stale, std::vector<WorkerId>{{2}});
  c.reports[{2}].decided.value = 4;  // has heard, and what it holds is of after that
  EXPECT_TRUE(c.decide().decision.stale.empty());
}

TEST(Recovery, AStepThatIsNotFiniteIsNeverRolledForward) {
  Case c;
  HeldSum bad = c.sum(8, 4, 1);
  bad.partials = {std::numeric_limits<double>::infinity()};
  for (const uint64_t worker : {1, 2}) c.report(worker, {c.holding(0, 7, {c.sum(8, 4, 0)}), c.holding(1, 7, {bad})});
  EXPECT_EQ(c.decide().decision.base, 7);
}

}  // namespace
}  // namespace strand
