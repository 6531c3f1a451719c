// Gangs, losses, growth, preemption and exclusion, one at a time, over the production life cycle of workers. The
// invariants are checked in simulated_cluster.cpp, action by action.
#include <gtest/gtest.h>

#include <array>

#include "shared/base/text.h"
#include "tests/unit/coordinator/elastic_job.h"

namespace strand::testing {
namespace {

TEST(Elastic, AGangIsAllOrNothingAndSaysWhatItWaitsFor) {
  SimulatedCluster cluster(1, 3);
  cluster.ask("submit", job("a", 30, {2, 2, 2}));
  cluster.ticks(3 * kLease);
  EXPECT_EQ(cluster.record(1).state, JobState::kQueued);
  EXPECT_EQ(cluster.show(1)["waiting"], "waits for 4 workers: 3 are free");
  cluster.add_worker("host9");
  cluster.ticks(10);
  EXPECT_EQ(cluster.record(1).state, JobState::kTraining);
  EXPECT_EQ(cluster.show(1)["waiting"], "");
  EXPECT_EQ(cluster.show(1)["workers"].size(), 4u);
  run_to_the_end(cluster, 1, 30);
}

TEST(Elastic, FewerReplicasStartOnlyAfterALease) {
  SimulatedCluster cluster(1, 3);
  cluster.ask("submit", job("a", 300, {2, 1, 2}));
  cluster.ticks(kLease / 2);
  EXPECT_EQ(cluster.record(1).state, JobState::kQueued) << "the fourth may be on its way";
  cluster.ticks(2 * kLease);
  EXPECT_EQ(cluster.record(1).state, JobState::kTraining);
  EXPECT_EQ(cluster.record(1).members.size(), 2u);
  run_to_the_end(cluster, 1, 300);
}

TEST(Elastic, SmallJobsDoNotStarveALargeGang) {
  SimulatedCluster cluster(1, 4);
  cluster.ask("submit", job("long", 400, {1, 1, 1}));
  cluster.ticks(10);
  cluster.ask("submit", job("large", 20, {4, 4, 1}));
  for (int i = 0; i < 6; ++i) cluster.ask("submit", job(concat("small", i), 20, {1, 1, 1}));
  cluster.ticks(100);
  for (uint64_t small = 3; small <= 8; ++small) EXPECT_EQ(cluster.record(small).state, JobState::kQueued) << small;
  for (int turn = 0; turn < 1000 && !cluster.all_at_rest(); ++turn) cluster.tick({});
  EXPECT_TRUE(cluster.all_at_rest());
  EXPECT_EQ(join(cluster.violations(), "; "), "");
}

// 2 x 2 without a spare: the other replica goes on at once; the widowed worker waits as a spare and is used again.
TEST(Elastic, SurvivorsGoOnWithoutWaitingAndNothingIsLost) {
  SimulatedCluster cluster(1, 4);
  cluster.ask("submit", job("a", 400, {2, 1, 2}));
  cluster.ticks(20);
  ASSERT_EQ(cluster.record(1).members.size(), 4u);
  const Step before = cluster.workers().committed(JobId{1});
  cluster.remove_worker(worker_at(cluster, 1, 1, 0));
  cluster.ticks(4);  // two thirds of a second
  EXPECT_EQ(cluster.record(1).generation.value, 2u) << "gone, and noticed by its connection";
  EXPECT_EQ(replicas_of(cluster.record(1)), 1);
  cluster.ticks(10);
  EXPECT_GT(cluster.workers().committed(JobId{1}), before + 3);
  EXPECT_EQ(cluster.workers().lost_steps(), 0);
  EXPECT_TRUE(cluster.record(1).leaving.empty()) << "after the first step nobody needs it";
  const Json show = cluster.show(1);
  EXPECT_EQ(show["replicas"], 1);
  EXPECT_NE(show["backup"].get<std::string>().find("none"), std::string::npos);
  cluster.add_worker("host9");
  cluster.ticks(20);
  EXPECT_EQ(replicas_of(cluster.record(1)), 2) << "a spare and the widowed worker make a replica";
  run_to_the_end(cluster, 1, 400);
  EXPECT_EQ(cluster.workers().lost_steps(), 0);
  EXPECT_EQ(cluster.record(1).restarts, 1);
}

// It is the coordinator's own links that are cut, for longer than a lease: the workers train on, and are found again.
TEST(Elastic, ACoordinatorThatReachesNobodyForAWhileCostsNothing) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(concat("seed ", seed));
    SimulatedCluster cluster(seed, 4);
    cluster.ask("submit", job("a", 400, {2, 1, 2}));
    cluster.ticks(20 + static_cast<int>(cluster.pick(20)));
    for (size_t i = 0; i < 4; ++i) cluster.cut_off_worker(i, true);
    const Step before = cluster.workers().committed(JobId{1});
    cluster.ticks(kLease + static_cast<int>(cluster.pick(2 * kLease)));
    EXPECT_GT(cluster.workers().committed(JobId{1}), before + 3);
    for (size_t i = 0; i < 4; ++i) cluster.cut_off_worker(i, false);
    cluster.ticks(kLease);
    EXPECT_EQ(cluster.record(1).state, JobState::kTraining);
    run_to_the_end(cluster, 1, 400);
    EXPECT_EQ(cluster.record(1).generation.value, 1u);
    EXPECT_EQ(cluster.workers().lost_steps(), 0);
  }
}

// Its process is starved, or its link is: it comes back every time, and nothing had to be done again.
TEST(Elastic, AWorkerThatIsSlowToSpeakCostsNoRestart) {
  SimulatedCluster cluster(1, 1);
  cluster.ask("submit", job("a", 400, {1, 1, 1}));
  cluster.ticks(20);
  for (int silence = 0; silence < 6; ++silence) {
    cluster.cut_off_worker(0, true);
    cluster.ticks(2 * kLease);
    EXPECT_EQ(cluster.record(1).state, JobState::kQueued);
    cluster.cut_off_worker(0, false);
    cluster.ticks(5);
    EXPECT_EQ(cluster.record(1).state, JobState::kTraining);
    EXPECT_EQ(cluster.record(1).restarts, 0);
    EXPECT_EQ(cluster.record(1).attempts, 0);
  }
  run_to_the_end(cluster, 1, 400);
  EXPECT_EQ(cluster.record(1).generation.value, 1u);
}

TEST(Elastic, ASpareTakesThePlaceAtOnce) {
  SimulatedCluster cluster(1, 5);
  cluster.ask("submit", job("a", 200, {2, 1, 2}));
  cluster.ticks(20);
  const size_t victim = worker_at(cluster, 1, 0, 1);  // the one that reports
  cluster.remove_worker(victim);
  cluster.ticks(6);
  EXPECT_EQ(cluster.record(1).generation.value, 2u);
  EXPECT_EQ(replicas_of(cluster.record(1)), 2);
  run_to_the_end(cluster, 1, 200);
  EXPECT_EQ(cluster.workers().lost_steps(), 0);
}

// Whoever is killed, whenever, one at a time: with two replicas no committed step is lost, and every step is recorded.
TEST(Elastic, TheLossOfAnyOneWorkerLosesNoCommittedStep) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(concat("seed ", seed));
    const int stages = 1 + static_cast<int>(seed % 3);
    SimulatedCluster cluster(seed, 2 * stages + static_cast<int>(seed % 2));
    cluster.ask("submit", job("a", 150, {2, 1, stages}));
    cluster.ticks(30);
    for (int kill = 0; kill < 5; ++kill) {
      cluster.kill_worker(cluster.pick(cluster.workers().size()));
      cluster.ticks(15 + static_cast<int>(cluster.pick(10)));
    }
    run_to_the_end(cluster, 1, 150);
    EXPECT_EQ(cluster.workers().lost_steps(), 0);
    if (::testing::Test::HasFailure()) return;
  }
}

// One worker of each replica, of different stages, falls silent, not in the same moment, and is heard again later:
// those who are left have every stage, whoever of them had a place in the generation between.
TEST(Elastic, NoCommittedStepIsLostWhileEveryStageLives) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(concat("seed ", seed));
    SimulatedCluster cluster(seed, 4);
    cluster.ask("submit", job("a", 150, {2, 1, 2}));
    cluster.ticks(65 + static_cast<int>(cluster.pick(20)));  // beyond the first checkpoint
    ASSERT_EQ(cluster.record(1).members.size(), 4u);
    const auto stage = static_cast<int32_t>(cluster.pick(2));
    const size_t first = worker_at(cluster, 1, 0, stage), second = worker_at(cluster, 1, 1, 1 - stage);
    cluster.cut_off_worker(first, true);
    cluster.ticks(static_cast<int>(cluster.pick(4)));
    cluster.cut_off_worker(second, true);
    const int back = kLease + static_cast<int>(cluster.pick(10));
    Step newest = cluster.workers().committed(JobId{1});
    for (int turn = 0; turn < 400 && !job_is_at_rest(cluster.record(1).state); ++turn) {
      for (const size_t i : {first, second}) cluster.cut_off_worker(i, turn < back);
      cluster.tick({});
      const Step reached = cluster.workers().reached(JobId{1}, cluster.record(1).generation);
      if (reached == 0) continue;  // the generation has not begun
      ASSERT_GE(reached, newest) << "generation " << cluster.record(1).generation.value;
      newest = reached;
    }
    run_to_the_end(cluster, 1, 150);
    if (::testing::Test::HasFailure()) return;
  }
}

// The coordinator's links to the workers break, one after the other, and are made anew within a lease: whoever had to
// be left out meanwhile still holds what the job has come to.
TEST(Elastic, LinksThatBreakAndComeBackCostNoCommittedStep) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(concat("seed ", seed));
    SimulatedCluster cluster(seed, 4);
    cluster.ask("submit", job("a", 150, {2, 1, 2}));
    cluster.ticks(65 + static_cast<int>(cluster.pick(20)));  // beyond the first checkpoint
    ASSERT_EQ(cluster.record(1).members.size(), 4u);
    std::array<int, 4> breaks, back;
    for (size_t i = 0; i < 4; ++i) {
      breaks[i] = static_cast<int>(cluster.pick(kLease / 2));
      back[i] = breaks[i] + 1 + static_cast<int>(cluster.pick(kLease / 2));
    }
    uint64_t generation = 1;
    for (int turn = 0; turn < 400 && !job_is_at_rest(cluster.record(1).state); ++turn) {
      const Step heard_of = *cluster.recorded(1).rbegin();
      for (size_t i = 0; i < 4; ++i) cluster.unlink_worker(i, turn >= breaks[i] && turn < back[i]);
      cluster.tick({});
      const Generation now = cluster.record(1).generation;
      const Step reached = cluster.workers().reached(JobId{1}, now);
      if (reached == 0 || now.value == generation) continue;  // the generation has not begun, or has before
      ASSERT_GE(reached, heard_of) << "generation " << now.value;
      generation = now.value;
    }
    run_to_the_end(cluster, 1, 150);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(Elastic, APausedWorkerIsReplacedAndChangesNothingWhenItWakes) {
  SimulatedCluster cluster(1, 4);
  cluster.ask("submit", job("a", 300, {2, 1, 2}));
  cluster.ticks(20);
  SimulatedWorker& sleeper = cluster.workers().at(worker_at(cluster, 1, 0, 1));
  sleeper.paused = true;
  cluster.ticks(kLease + 3);
  EXPECT_EQ(cluster.record(1).generation.value, 2u) << "silent for a lease";
  cluster.ticks(10);
  sleeper.paused = false;
  cluster.ticks(20);
  EXPECT_EQ(replicas_of(cluster.record(1)), 2) << "it is a spare like any other";
  run_to_the_end(cluster, 1, 300);
  EXPECT_EQ(cluster.workers().lost_steps(), 0);
}

TEST(Elastic, ACompleteGenerationTrainsOnWithoutACoordinator) {
  SimulatedCluster cluster(1, 4);
  cluster.ask("submit", job("a", 400, {2, 1, 2}));
  cluster.ticks(20);
  const Step before = cluster.workers().committed(JobId{1});
  cluster.stop_coordinator();
  cluster.ticks(100);
  EXPECT_EQ(cluster.workers().committed(JobId{1}), before + 100);
  cluster.start_coordinator();
  cluster.ticks(2 * kLease);
  EXPECT_EQ(cluster.record(1).generation.value, 1u) << "nobody was counted silent before one full lease";
  EXPECT_EQ(cluster.record(1).restarts, 0);
  run_to_the_end(cluster, 1, 400);
}

TEST(Elastic, HigherPriorityTakesTheWorkersAndGivesThemBack) {
  SimulatedCluster cluster(1, 4);
  cluster.ask("submit", job("low", 200, {4, 4, 1}));
  cluster.ticks(30);
  ASSERT_EQ(cluster.record(1).state, JobState::kTraining);
  const Step before = cluster.workers().committed(JobId{1});
  cluster.ask("submit", job("high", 40, {2, 2, 2, 5}));
  cluster.ticks(10);
  EXPECT_EQ(cluster.record(1).state, JobState::kQueued);
  EXPECT_EQ(cluster.record(2).state, JobState::kTraining);
  EXPECT_EQ(cluster.record(1).restarts, 0) << "it did nothing wrong";
  EXPECT_EQ(cluster.core().counters().preemptions, 1u);
  run_to_the_end(cluster, 2, 40);
  EXPECT_GE(cluster.disk(cluster.record(1).run_directory).rbegin()->first, before) << "with a checkpoint";
  run_to_the_end(cluster, 1, 200);
}

TEST(Elastic, NobodyIsPreemptedInVain) {
  SimulatedCluster cluster(1, 4);
  cluster.ask("submit", job("low", 400, {4, 4, 1}));
  cluster.ticks(30);
  cluster.ask("submit", job("high", 20, {8, 8, 1, 5}));
  cluster.ticks(50);
  EXPECT_EQ(cluster.record(1).state, JobState::kTraining);
  cluster.ask("submit", job("equal", 20, {1, 1, 1, 0}));
  cluster.ticks(20);
  EXPECT_EQ(cluster.record(1).state, JobState::kTraining);
  EXPECT_EQ(cluster.core().counters().preemptions, 0u);
}

TEST(Elastic, PauseSavesAndResumeGoesOn) {
  SimulatedCluster cluster(1, 4);
  cluster.ask("submit", job("a", 100, {2, 1, 2}));
  cluster.ticks(30);
  cluster.ask("pause", {{"job", 1}});
  cluster.ticks(10);
  EXPECT_EQ(cluster.record(1).state, JobState::kPaused);
  const Step paused = cluster.workers().committed(JobId{1});
  EXPECT_EQ(cluster.disk(cluster.record(1).run_directory).rbegin()->first, paused);
  cluster.ticks(20);
  EXPECT_EQ(cluster.workers().committed(JobId{1}), paused);
  cluster.ask("resume", {{"job", 1}});
  run_to_the_end(cluster, 1, 100);
}

// A worker that dies again and again is left out for a while, since the others can do without it.
TEST(Elastic, AWorkerThatKeepsFailingIsLeftOutForAWhile) {
  SimulatedCluster cluster(1, 2);
  cluster.ask("submit", job("a", 900, {2, 1, 1}));
  cluster.ticks(20);
  const size_t bad = worker_at(cluster, 1, 1, 0);
  for (int failure = 1; failure <= 3; ++failure) {
    EXPECT_EQ(replicas_of(cluster.record(1)), 2) << failure;
    cluster.kill_worker(bad);
    cluster.ticks(2 * kLease);
  }
  EXPECT_EQ(replicas_of(cluster.record(1)), 1);
  EXPECT_LE(cluster.record(1).attempts, 1) << "steps were committed in between";
  cluster.ticks(15 * kLease);
  EXPECT_EQ(replicas_of(cluster.record(1)), 2) << "its failures are long ago";
  run_to_the_end(cluster, 1, 900);
}

TEST(Elastic, AWorkerThatKeepsFailingIsBetterThanNobody) {
  SimulatedCluster cluster(1, 1);
  cluster.ask("submit", {{"toml", job_text("a", 300, 5, 3, 3, {1, 1, 1})}});  // each attempt gets a little further
  cluster.ticks(20);
  for (int failure = 0; failure < 5; ++failure) {
    cluster.kill_worker(0);
    cluster.ticks(2 * kLease);
    EXPECT_EQ(cluster.record(1).state, JobState::kTraining) << failure;
  }
  run_to_the_end(cluster, 1, 300);
}

TEST(Elastic, GivenUpWithoutProgressWithItsHistoryKept) {
  SimulatedCluster cluster(1, 2);
  cluster.ask("submit", job("a", 100, {2, 2, 1}));
  for (int turn = 0; turn < 2000 && !cluster.all_at_rest(); ++turn) {
    cluster.tick({});
    // Both die whenever they are about to begin.
    if (cluster.record(1).state == JobState::kStarting) {
      cluster.kill_worker(0);
      cluster.kill_worker(1);
    }
  }
  ASSERT_EQ(cluster.record(1).state, JobState::kFailed);
  EXPECT_EQ(job_exit_code(cluster.record(1)), 4);
  EXPECT_NE(cluster.record(1).reason.find("without a new step"), std::string::npos);
  const Json before = cluster.show(1)["history"];
  EXPECT_GE(before.size(), 6u);
  cluster.kill_coordinator();
  EXPECT_EQ(cluster.show(1)["history"], before) << "the history is durable";
}

// Many die within a lease of each other: one failure, not many.
TEST(Elastic, ABurstOfLossesIsOneFailure) {
  SimulatedCluster cluster(1, 8);
  cluster.ask("submit", job("a", 200, {8, 1, 1}));
  cluster.ticks(30);
  for (size_t i = 0; i < 6; ++i) {
    cluster.remove_worker(i);
    cluster.tick({});
    cluster.tick({});
  }
  cluster.ticks(20);
  EXPECT_EQ(cluster.record(1).state, JobState::kTraining);
  EXPECT_EQ(replicas_of(cluster.record(1)), 2);
  EXPECT_LE(cluster.record(1).restarts, 2);
  run_to_the_end(cluster, 1, 200);
  EXPECT_EQ(cluster.workers().lost_steps(), 0);
}

TEST(Elastic, AStragglerIsNamed) {
  SimulatedCluster cluster(1, 4);
  cluster.workers().at(2).slow = 3;
  cluster.ask("submit", job("a", 200, {4, 1, 1}));
  cluster.ticks(40);
  const Json show = cluster.show(1);
  ASSERT_EQ(show["stragglers"].size(), 1u) << dump_json(show["workers"], 1);
  EXPECT_EQ(show["stragglers"][0]["worker"], 3);
  EXPECT_NEAR(show["stragglers"][0]["work_seconds"].get<double>(), 0.15, 1e-6);
  EXPECT_NEAR(show["stragglers"][0]["median_of_others"].get<double>(), 0.05, 1e-6);
  for (const Json& worker : show["workers"]) {
    EXPECT_EQ(worker["generation"], 1);
    EXPECT_EQ(worker["stage"], 0);
    EXPECT_GT(worker["step"].get<Step>(), 0);
  }
}

// Equal machines: four lanes over three replicas are 2, 1, 1, and the first takes twice as long for twice as much.
TEST(Elastic, WhoHasMoreLanesIsNoStraggler) {
  SimulatedCluster cluster(1, 3);
  cluster.workers().at(0).slow = 2;
  cluster.ask("submit", {{"toml", job_text("a", 200, 50, 3, 3, {.replicas = 3, .lanes = 4})}});
  cluster.ticks(40);
  EXPECT_EQ(replicas_of(cluster.record(1)), 3);
  EXPECT_EQ(cluster.show(1)["stragglers"].size(), 0u) << dump_json(cluster.show(1)["stragglers"]);
  cluster.ask("submit", {{"toml", job_text("b", 200, 50, 3, 3, {.replicas = 2, .lanes = 4, .lane_shares = {3, 1}})}});
  cluster.add_worker("fast").slow = 1;
  cluster.add_worker("slow").slow = 2;
  cluster.ticks(40);
  ASSERT_EQ(cluster.show(2)["stragglers"].size(), 1u) << "its shares are to make the times equal";
  EXPECT_EQ(cluster.show(2)["stragglers"][0]["worker"], 5);
}

}  // namespace
}  // namespace strand::testing
