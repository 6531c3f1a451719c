// Checkpoints that cannot be read, workers that the others do not reach, and those that cannot take part: the job goes
// on without them, or says why it cannot.
#include <gtest/gtest.h>

#include "shared/base/text.h"
#include "tests/unit/coordinator/elastic_job.h"

namespace strand::testing {
namespace {

// --- damage ---------------------------------------------------------------------------------------------------------

// The step that generation `number` goes on from.
Step base_of_generation(SimulatedCluster& cluster, uint64_t number) {
  for (int turn = 0; turn < 3 * kLease; ++turn) {
    const Step reached = cluster.workers().reached(JobId{1}, Generation{number});
    if (reached > 0) return reached;
    cluster.tick({});
  }
  ADD_FAILURE() << "generation " << number << " does not begin: " << cluster.record(1).reason;
  return -1;
}

// A worker that leaves a part of the model out: no such checkpoint comes to be, and what it holds is not trusted
// either.
TEST(Reload, PartsThatDoNotMakeTheModelAreRefusedAndAnOlderCheckpointIsGoneBackTo) {
  SimulatedCluster cluster(1, 2);
  cluster.ask("submit", {{"toml", job_text("a", 60, 10, 3, 3, {2, 2, 1})}});
  while (cluster.workers().committed(JobId{1}) < 25) cluster.tick({});
  cluster.workers().lose_a_block = true;
  while (cluster.core().counters().contradicting_parts == 0) cluster.tick({});
  EXPECT_NE(cluster.record(1).reason.find("the parts of checkpoint 30 do not make the model"), std::string::npos)
      << cluster.record(1).reason;
  cluster.workers().lose_a_block = false;
  EXPECT_FALSE(cluster.disk(cluster.record(1).run_directory).contains(30));
  EXPECT_EQ(base_of_generation(cluster, 2), 20) << "not what its members held, which was newer";
  run_to_the_end(cluster, 1, 60);
  EXPECT_EQ(cluster.record(1).generation.value, 2u);
  EXPECT_EQ(cluster.record(1).restarts, 1);
  const auto& disk = cluster.disk(cluster.record(1).run_directory);
  EXPECT_EQ(disk.rbegin()->first, 60);
  EXPECT_TRUE(disk.contains(50)) << "written again, whole";
}

// A worker finds the newest checkpoint damaged, and so does the coordinator: from the one before.
TEST(Reload, AMemberThatReadsDamageGoesBackToTheNewestValidCheckpoint) {
  SimulatedCluster cluster(1, 2);
  cluster.ask("submit", {{"toml", job_text("a", 60, 10, 3, 3, {2, 2, 1})}});
  while (cluster.workers().committed(JobId{1}) < 18) cluster.tick({});
  Faults damage;
  damage.damage = 1;
  while (cluster.core().counters().damaged_checkpoints == 0) cluster.tick(damage);
  cluster.workers().at(1).failure = ErrorCode::kCorrupt;
  EXPECT_EQ(base_of_generation(cluster, 2), 10) << "20 is damaged, and 10 is not";
  EXPECT_NE(cluster.record(1).reason.find("told to fail"), std::string::npos) << cluster.record(1).reason;
  run_to_the_end(cluster, 1, 60);
  EXPECT_EQ(cluster.record(1).restarts, 1);
}

// Where parts never make the model, the job is given up with the reason; what was there before stays.
TEST(Reload, PartsThatNeverMakeTheModelGiveTheJobUp) {
  SimulatedCluster cluster(1, 2);
  cluster.ask("submit", {{"toml", job_text("a", 60, 10, 3, 3, {2, 2, 1})}});
  while (cluster.workers().committed(JobId{1}) < 15) cluster.tick({});
  cluster.workers().lose_a_block = true;
  for (int turn = 0; turn < 3000 && !cluster.all_at_rest(); ++turn) cluster.tick({});
  ASSERT_EQ(cluster.record(1).state, JobState::kFailed);
  EXPECT_EQ(job_exit_code(cluster.record(1)), 4);
  EXPECT_NE(cluster.record(1).reason.find("do not make the model"), std::string::npos) << cluster.record(1).reason;
  EXPECT_EQ(cluster.disk(cluster.record(1).run_directory).rbegin()->first, 10);
  EXPECT_EQ(join(cluster.violations(), "; "), "");
}

// --- cuts between workers -------------------------------------------------------------------------------------------

TEST(CutOff, AWorkerThatItsPeersDoNotReachIsLeftOutAndTheJobGoesOn) {
  SimulatedCluster cluster(1, 6);
  cluster.ask("submit", job("a", 300, {3, 1, 2}));
  cluster.ticks(20);
  const WorkerId lonely{worker_at(cluster, 1, 1, 0) + 1};
  for (uint64_t other = 1; other <= 6; ++other) {
    if (WorkerId{other} != lonely) cluster.workers().cut(lonely, WorkerId{other});
  }
  cluster.ticks(kLease);
  EXPECT_EQ(replicas_of(cluster.record(1)), 2);
  for (const GroupMember& m : cluster.record(1).members) EXPECT_NE(m.worker, lonely);
  EXPECT_EQ(cluster.core().counters().cut_off, 1u);
  EXPECT_NE(cluster.record(1).reason.find(concat("worker ", lonely.value)), std::string::npos);
  run_to_the_end(cluster, 1, 300);
  EXPECT_EQ(cluster.workers().lost_steps(), 0);
}

TEST(CutOff, OneOfTwoGoesOnAloneAndASpareIsTaken) {
  SimulatedCluster cluster(1, 2);
  cluster.ask("submit", job("a", 300, {2, 1, 1}));
  cluster.ticks(20);
  cluster.workers().cut(WorkerId{1}, WorkerId{2});
  cluster.ticks(kLease);
  EXPECT_EQ(replicas_of(cluster.record(1)), 1);
  cluster.add_worker("spare");
  cluster.ticks(kLease);
  EXPECT_EQ(replicas_of(cluster.record(1)), 2);
  run_to_the_end(cluster, 1, 300);
  EXPECT_EQ(cluster.workers().lost_steps(), 0);
}

TEST(CutOff, WithNobodyElseTheJobIsGivenUpWithTheReason) {
  SimulatedCluster cluster(1, 2);
  cluster.ask("submit", job("a", 300, {1, 1, 2}));
  cluster.ticks(20);
  cluster.workers().cut(WorkerId{1}, WorkerId{2});
  for (int turn = 0; turn < 2000 && !cluster.all_at_rest(); ++turn) cluster.tick({});
  EXPECT_EQ(cluster.record(1).state, JobState::kFailed);
  EXPECT_EQ(job_exit_code(cluster.record(1)), 4);
  EXPECT_NE(cluster.record(1).reason.find("do not reach worker"), std::string::npos) << cluster.record(1).reason;
}

// --- joiners that are refused while the job goes on -----------------------------------------------------------------

TEST(Joiner, OfAnotherVersionTooSmallOrWithATakenIdIsRefused) {
  SimulatedCluster cluster(1, 1);
  cluster.ask("submit", job("a", 300, {2, 1, 1}));
  cluster.ticks(2 * kLease);
  ASSERT_EQ(cluster.record(1).state, JobState::kTraining);
  SimulatedWorker& small = cluster.add_worker("small");
  small.identity.hello.memory_bytes = 1 << 20;
  small.lifecycle = std::make_unique<WorkerLifecycle>(small.identity, cluster.now());
  SimulatedWorker& old = cluster.add_worker("old");
  old.identity.hello.version = "0";
  old.lifecycle = std::make_unique<WorkerLifecycle>(old.identity, cluster.now());
  old.removed = true;  // once it has ended
  SimulatedWorker& twin = cluster.add_worker("twin");
  twin.identity.id = WorkerId{1};
  twin.lifecycle = std::make_unique<WorkerLifecycle>(twin.identity, cluster.now());
  twin.removed = true;
  cluster.ticks(2 * kLease);
  EXPECT_TRUE(old.dead);
  EXPECT_TRUE(twin.dead) << "the first of that id is alive";
  EXPECT_EQ(cluster.core().counters().refused_workers, 2u);
  EXPECT_EQ(cluster.record(1).generation.value, 1u) << "the job was disturbed";
  EXPECT_EQ(cluster.record(1).members.size(), 1u);
  const Json workers = cluster.core().workers_json();
  EXPECT_EQ(workers["workers"].size(), 2u);
  const std::string waiting = cluster.show(1)["waiting"];
  EXPECT_TRUE(waiting.starts_with("to grow, waits for 1 worker: 0 are free, 1 too small (needs ")) << waiting;
  run_to_the_end(cluster, 1, 300);
}

TEST(Joiner, ThatCannotTakePartIsLeftOutAndTheJobGoesOn) {
  SimulatedCluster cluster(1, 1);
  cluster.ask("submit", job("a", 300, {2, 1, 1}));
  cluster.ticks(2 * kLease);
  cluster.add_worker("elsewhere").unfit = true;
  cluster.ticks(2 * kLease);
  EXPECT_EQ(cluster.record(1).state, JobState::kTraining);
  EXPECT_EQ(replicas_of(cluster.record(1)), 1);
  EXPECT_EQ(cluster.record(1).generation.value, 3u) << "asked once, and not again";
  cluster.add_worker("here");
  cluster.ticks(kLease);
  EXPECT_EQ(replicas_of(cluster.record(1)), 2);
  run_to_the_end(cluster, 1, 300);
  EXPECT_EQ(cluster.workers().lost_steps(), 0);
}

TEST(Joiner, AsTheOnlyOneThatCannotTakePartFailsTheJobWithItsReason) {
  SimulatedCluster cluster(1, 0);
  cluster.add_worker("elsewhere").unfit = true;
  cluster.ask("submit", job("a", 30, {1, 1, 1}));
  cluster.ticks(20);
  EXPECT_EQ(cluster.record(1).state, JobState::kFailed);
  EXPECT_EQ(job_exit_code(cluster.record(1)), 2);
  EXPECT_NE(cluster.record(1).reason.find("another file system"), std::string::npos);
}

}  // namespace
}  // namespace strand::testing
