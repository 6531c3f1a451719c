// Real groups in the queue: one gives its workers to a job of higher priority, with a checkpoint, and goes on later;
// one is paused and resumed.
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "shared/base/text.h"
#include "tests/e2e/chaos.h"

namespace strand::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const Words kOneByTwo = {"parallel.replicas=2", "parallel.min_replicas=2", "train.micro_batch=4"};

class QueueTest : public ChaosTest {
 protected:
  // The newest step in the run that has a manifest.
  static int newest_checkpoint(const std::string& run_directory) {
    int newest = 0;
    for (const auto& entry : std::filesystem::directory_iterator(run_directory + "/checkpoints")) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with("step-") || !std::filesystem::exists(entry.path() / "manifest")) continue;
      newest = std::max(newest, std::atoi(name.c_str() + 5));
    }
    return newest;
  }
  static bool becomes(const Cluster& cluster, const std::string& job, const std::string& state) {
    return within(seconds(20), [&] { return cluster.state(job) == state; });
  }
  static void expect_each_step_once(const Cluster& cluster, const std::string& job, size_t steps) {
    const std::vector<Json> records = step_records(cluster.run_directory(job));
    ASSERT_EQ(records.size(), steps) << job;
    for (size_t i = 0; i < steps; ++i) ASSERT_EQ(records[i]["step"], i + 1) << job;
  }
};

TEST_F(QueueTest, AGroupGivesWayIsPausedAndResumedAndEndsInTheSameBits) {
  constexpr int kUrgentSteps = 40;
  const Digests expected = undisturbed(kSteps);
  const Words urgent = {"train.seed=9", concat("train.steps=", kUrgentSteps)};
  Words alone = {"run", "job.toml", "--json", "--dir", "alone", "--set", "train.micro_batch=4"};
  for (const std::string& option : urgent) alone = alone + Words{"--set", option};
  const Digests expected_urgent = digests_of(run(folder_.path(), "alone", alone));
  ASSERT_EQ(expected_urgent.digest.size(), 32u);

  Cluster cluster(folder_.path(), 1);
  cluster.start_workers(2);
  ASSERT_TRUE(cluster.submit(kOneByTwo));
  ASSERT_TRUE(cluster.reaches(25)) << cluster.show().dump();
  ASSERT_TRUE(cluster.submit(kOneByTwo + urgent + Words{"job.priority=5"}, "urgent"));
  ASSERT_TRUE(cluster.reaches(1, "urgent")) << cluster.show("urgent").dump() << cluster.show().dump();
  const Json waiting = cluster.show();
  EXPECT_EQ(waiting["state"], "queued") << waiting.dump();
  EXPECT_NE(waiting.dump().find("waits for 2 workers"), std::string::npos) << waiting.dump();
  EXPECT_NE(waiting.dump().find("makes room for job 2 of priority 5"), std::string::npos) << waiting.dump();
  const int given_way = newest_step(cluster.run_directory());
  EXPECT_EQ(newest_checkpoint(cluster.run_directory()), given_way) << "nothing of what was done is lost";
  EXPECT_EQ(cluster.end("urgent"), expected_urgent) << cluster.show("urgent").dump();

  ASSERT_TRUE(cluster.reaches(given_way + 10)) << "it goes on by itself: " << cluster.show().dump();
  const Process paused = cluster.ask("pause", {Cluster::kJob});
  EXPECT_EQ(paused.exit_code(), 0) << paused.err();
  ASSERT_TRUE(becomes(cluster, Cluster::kJob, "paused")) << cluster.show().dump();
  const int at = newest_step(cluster.run_directory());
  ASSERT_LT(at, kSteps) << "over too soon to be paused";
  EXPECT_EQ(newest_checkpoint(cluster.run_directory()), at);
  std::this_thread::sleep_for(milliseconds(500));
  EXPECT_EQ(newest_step(cluster.run_directory()), at);
  const Process idle = cluster.ask("workers", {"--json"});
  ASSERT_EQ(idle.exit_code(), 0) << idle.err();
  const Json workers = idle.json()["workers"];
  EXPECT_EQ(workers.size(), 2u) << workers.dump();
  for (const Json& worker : workers) EXPECT_EQ(worker["state"], "idle") << workers.dump();
  const Process resumed = cluster.ask("resume", {Cluster::kJob});
  EXPECT_EQ(resumed.exit_code(), 0) << resumed.err();
  EXPECT_EQ(cluster.end(), expected) << cluster.show().dump();
  expect_each_step_once(cluster, Cluster::kJob, kSteps);
  expect_each_step_once(cluster, "urgent", kUrgentSteps);
  EXPECT_EQ(cluster.show()["restarts"], 0) << "nothing of this was a failure";
}

}  // namespace
}  // namespace strand::e2e
