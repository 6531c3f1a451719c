// Decisions of the whole core, one at a time.
#include <gtest/gtest.h>

#include "shared/base/text.h"
#include "tests/unit/coordinator/simulated_cluster.h"

namespace strand {
namespace {

using testing::job_text;
using testing::SimulatedCluster;

TEST(Core, ASubmitThatIsRepeatedIsOneJob) {
  SimulatedCluster cluster(1, 0);
  const Json arguments = {{"toml", job_text("a", 5, 2, 2, 3)}, {"submission", "x"}};
  cluster.ask("submit", arguments);
  cluster.kill_coordinator();
  cluster.ask("submit", arguments);
  EXPECT_EQ(cluster.core().job_ids().size(), 1u);
}

TEST(Core, HigherPriorityGoesFirst) {
  SimulatedCluster cluster(1, 1);
  cluster.ask("submit", {{"toml", job_text("low", 5, 2, 2, 3)}});
  cluster.ask("submit", {{"toml", job_text("high", 5, 2, 2, 3)}});
  cluster.ask("priority", {{"job", "high"}, {"priority", 3}});
  for (int turn = 0; turn < 3; ++turn) cluster.tick({});
  EXPECT_EQ(cluster.record(1).state, JobState::kQueued);
  EXPECT_NE(cluster.record(2).state, JobState::kQueued);
}

TEST(Core, AWorkerThatFellSilentComesBackToItsGeneration) {
  SimulatedCluster cluster(1, 1);
  cluster.ask("submit", {{"toml", job_text("a", 200, 50, 2, 3)}});
  for (int turn = 0; turn < 10; ++turn) cluster.tick({});
  cluster.cut_off_worker(0, true);
  for (int turn = 0; turn < 60; ++turn) cluster.tick({});  // twelve seconds: two leases
  EXPECT_EQ(cluster.record(1).state, JobState::kQueued);
  EXPECT_TRUE(cluster.record(1).lost);
  cluster.cut_off_worker(0, false);
  for (int turn = 0; turn < 10; ++turn) cluster.tick({});
  EXPECT_EQ(cluster.record(1).state, JobState::kTraining);
  EXPECT_EQ(cluster.record(1).generation.value, 1u) << "it lost nothing, so nothing is computed again";
  EXPECT_GT(cluster.step_on_worker(0), 60);
}

TEST(Core, AReplacedWorkerIsFencedAndSentAway) {
  SimulatedCluster cluster(1, 2);
  cluster.ask("submit", {{"toml", job_text("a", 400, 50, 2, 3)}});
  for (int turn = 0; turn < 10; ++turn) cluster.tick({});
  const size_t first = cluster.step_on_worker(0) > 0 ? 0 : 1;
  cluster.cut_off_worker(first, true);
  for (int turn = 0; turn < 60; ++turn) cluster.tick({});
  EXPECT_EQ(cluster.record(1).generation.value, 2u);
  cluster.cut_off_worker(first, false);
  for (int turn = 0; turn < 10; ++turn) cluster.tick({});
  EXPECT_GT(cluster.core().counters().stale_generation, 0u);
  const Step step = cluster.step_on_worker(first);
  for (int turn = 0; turn < 10; ++turn) cluster.tick({});
  EXPECT_EQ(cluster.step_on_worker(first), step) << "the replaced worker still trains";
  EXPECT_EQ(cluster.record(1).state, JobState::kTraining);
}

TEST(Core, AResumeWithOtherSettingsTakesThemUp) {
  SimulatedCluster cluster(1, 1);
  const auto submit = [&](int64_t every) {
    return cluster.ask("submit",
                       {{"toml", job_text("a", 200, every, 2, 3)}, {"run_directory", "/r"}, {"resume", true}});
  };
  submit(50);
  for (int turn = 0; turn < 10; ++turn) cluster.tick({});
  submit(50);
  for (int turn = 0; turn < 10; ++turn) cluster.tick({});
  EXPECT_EQ(cluster.record(1).generation.value, 1u) << "nothing was changed";
  const Step before = cluster.step_on_worker(0);
  submit(20);
  for (int turn = 0; turn < 10; ++turn) cluster.tick({});
  EXPECT_EQ(cluster.record(1).generation.value, 2u);
  EXPECT_EQ(cluster.record(1).state, JobState::kTraining);
  EXPECT_GE(cluster.step_on_worker(0), before) << "it goes on from a checkpoint made for this";
  EXPECT_EQ(cluster.record(1).toml, job_text("a", 200, 20, 2, 3));
}

// Nobody of a group holds the whole model: the digests are made from the parts', and are the result's.
TEST(Core, TheResultOfAGroupHasTheDigestsOfItsLastCheckpoint) {
  std::set<Digest128> digests, states;
  for (const testing::JobShape& shape : {testing::JobShape{1, 1, 1}, {3, 1, 2}}) {
    SimulatedCluster cluster(1, 6);
    cluster.ask("submit", {{"toml", job_text("a", 20, 5, 2, 3, shape)}});
    for (int turn = 0; turn < 100 && !cluster.all_at_rest(); ++turn) cluster.tick({});
    ASSERT_EQ(cluster.record(1).state, JobState::kDone);
    const Manifest& last = cluster.disk(cluster.record(1).run_directory).at(20);
    EXPECT_EQ(last.parts.size(), static_cast<size_t>(shape.replicas * shape.stages));
    EXPECT_EQ(cluster.record(1).result->digest, last.digest);
    EXPECT_EQ(cluster.record(1).result->state_digest, last.state_digest);
    digests.insert(last.digest);
    states.insert(last.state_digest);
  }
  EXPECT_EQ(digests.size(), 1u) << "of any shape";
  EXPECT_EQ(states.size(), 1u);
  EXPECT_FALSE(digests.contains(Digest128{}));
}

TEST(Core, PartsThatDoNotMakeTheModelGetNoManifest) {
  SimulatedCluster cluster(1, 4);
  cluster.workers().lose_a_block = true;
  cluster.ask("submit", {{"toml", job_text("a", 20, 5, 2, 2, {2, 1, 2})}});
  for (int turn = 0; turn < 2000 && !cluster.all_at_rest(); ++turn) cluster.tick({});
  EXPECT_EQ(cluster.record(1).state, JobState::kFailed);
  EXPECT_NE(cluster.record(1).reason.find("are in none of 4 parts"), std::string::npos) << cluster.record(1).reason;
  EXPECT_TRUE(cluster.disk(cluster.record(1).run_directory).empty());
  EXPECT_GT(cluster.core().counters().contradicting_parts, 0u);
}

TEST(Core, UnknownCommandsAndJobsNameTheNearest) {
  SimulatedCluster cluster(1, 0);
  cluster.ask("submit", {{"toml", job_text("genome", 5, 2, 2, 3)}});
  EXPECT_NE(cluster.ask("cancle", {{"job", 1}}).json.find("cancel"), std::string::npos);
  EXPECT_NE(cluster.ask("show", {{"job", "genone"}}).json.find("genome"), std::string::npos);
  EXPECT_EQ(cluster.ask("show", {{"job", 9}}).code, static_cast<uint8_t>(ErrorCode::kNotFound));
  EXPECT_EQ(cluster.ask("submit", {{"toml", "nonsense = 1"}}).code, static_cast<uint8_t>(ErrorCode::kBadInput));
}

TEST(Core, EverySecondHasANamedState) {
  SimulatedCluster cluster(1, 1);
  cluster.ask("submit", {{"toml", job_text("a", 20, 5, 2, 3)}});
  for (int turn = 0; turn < 200; ++turn) cluster.tick({});
  const auto show = cluster.core().job_json(JobId{1}, cluster.now());
  ASSERT_TRUE(show.ok());
  double sum = 0, at_work = 0;
  for (const auto& [state, value] : show->at("seconds").items()) {
    sum += value.get<double>();
    if (state != "queued" && state != "done") at_work += value.get<double>();
  }
  EXPECT_NEAR(sum, static_cast<double>(cluster.now().nanoseconds) * 1e-9, 0.001);
  // Each of the 20 steps says that it took 0.1 s; it was never queued again, and has been at rest since it ended.
  ASSERT_EQ(cluster.record(1).state, JobState::kDone);
  EXPECT_GT(at_work, 2.0);
  EXPECT_NEAR(show->at("goodput").get<double>(), 20 * 0.1 / at_work, 1e-9);
}

}  // namespace
}  // namespace strand
