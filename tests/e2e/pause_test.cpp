// Processes that stop (SIGSTOP) and wake up, and a coordinator that is away: who is replaced meanwhile changes nothing
// when it comes back, and who is not missed costs nothing.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <thread>

#include "shared/base/text.h"
#include "tests/e2e/chaos.h"

namespace strand::e2e {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

class PauseTest : public ChaosTest {
 protected:
  // Of the generation at work: the worker at that place; 0 when the coordinator cannot say.
  static int worker_at(const Cluster& cluster, int replica, int stage) {
    const Json show = cluster.show();
    if (!show.is_object()) return 0;
    for (const Json& worker : show["workers"]) {
      if (worker["replica"] == replica && worker["stage"] == stage) return worker["worker"].get<int>();
    }
    return 0;
  }
  static int generation(const Cluster& cluster) {
    const Json show = cluster.show();
    return show.is_object() ? show.value("generation", 0) : 0;
  }
  // Every file of finished checkpoints.
  std::map<std::string, std::string> checkpoints(const Cluster& cluster) const {
    std::map<std::string, std::string> files;
    std::error_code gone;  // old ones are removed while we look
    for (const auto& folder : fs::directory_iterator(cluster.run_directory() + "/checkpoints", gone)) {
      const std::string manifest = read_file((folder.path() / "manifest").string());
      for (const auto& file : fs::directory_iterator(folder.path(), gone)) {
        const std::string name = file.path().filename().string();
        // A part of a try that came to nothing may still be written by the worker that was stopped amidst: nobody reads
        // it.
        if (name != "manifest" && manifest.find(name) == std::string::npos) continue;
        files[file.path().string()] = read_file(file.path().string());
      }
    }
    return files;
  }
  void expect_each_step_once(const Cluster& cluster, size_t steps) const {
    std::vector<size_t> seen;  // those that nobody was there to hear of come a little later
    for (const Json& record : step_records(cluster.run_directory())) seen.push_back(record["step"].get<size_t>());
    std::ranges::sort(seen);
    ASSERT_EQ(seen.size(), steps);
    for (size_t i = 0; i < steps; ++i) ASSERT_EQ(seen[i], i + 1);
  }
};

TEST_F(PauseTest, AStoppedWorkerIsReplacedAndChangesNothingWhenItWakes) {
  const Digests expected = undisturbed(kManySteps);
  Cluster cluster(folder_.path(), 1);
  cluster.start_workers(5);  // one of them is a spare
  ASSERT_TRUE(cluster.submit(kTwoByTwo));
  std::vector<Kill> stops;
  // The one that decides and commits, and one that does not.
  for (const auto& [replica, stage] : {std::pair{0, 1}, {1, 0}}) {
    ASSERT_TRUE(cluster.reaches(newest_step(cluster.run_directory()) + 15));
    const int victim = worker_at(cluster, replica, stage), before = generation(cluster);
    ASSERT_NE(victim, 0);
    stops.push_back({wall_seconds(), concat("worker-", victim)});
    cluster.worker(victim).signal(SIGSTOP);
    ASSERT_TRUE(within(seconds(20), [&] { return generation(cluster) > before; })) << cluster.show().dump();
    const int at = newest_step(cluster.run_directory());
    ASSERT_TRUE(cluster.reaches(at + 10)) << "the others go on while it sleeps";
    EXPECT_EQ(cluster.show()["replicas"], 2) << "the spare has its place";
    const int replaced = generation(cluster);
    const auto kept = checkpoints(cluster);
    ASSERT_LT(newest_step(cluster.run_directory()), kManySteps) << "over too soon to see it wake";
    cluster.worker(victim).signal(SIGCONT);
    std::this_thread::sleep_for(milliseconds(700));
    EXPECT_EQ(generation(cluster), replaced) << "it comes back as a spare";
    for (const auto& [file, bytes] : checkpoints(cluster)) {
      const auto found = kept.find(file);
      if (found == kept.end()) continue;
      EXPECT_TRUE(found->second == bytes) << file << " was changed";
    }
  }
  EXPECT_EQ(cluster.end(), expected) << cluster.show().dump();
  expect_each_step_once(cluster, kManySteps);
  const Process verified = run(folder_.path(), "verify", {"checkpoint", "verify", "run"});
  EXPECT_EQ(verified.exit_code(), 0) << verified.out() << verified.err();

  const RecoveryLog log(cluster.logs(), cluster.run_directory(), 2);
  EXPECT_EQ(log.lost_steps(stops), std::vector<std::string>{}) << log.story();
  std::vector<Recovery> recoveries;
  for (const Kill& stop : stops) {
    const auto recovery = log.recovery_after(stop, stops);
    ASSERT_TRUE(recovery) << stop.name << "\n" << log.story();
    EXPECT_LE(recovery->detect, 5.0);
    EXPECT_LE(recovery->total() - recovery->detect, 3 + 2 * log.median_step());
    recoveries.push_back(*recovery);
  }
  std::printf("%s", recovery_table(recoveries).c_str());
}

TEST_F(PauseTest, AStoppedCoordinatorOrDataServerIsNotMissed) {
  const Digests expected = undisturbed(kManySteps);
  Cluster cluster(folder_.path(), 2);
  cluster.start_workers(4);
  ASSERT_TRUE(cluster.submit(kTwoByTwo));
  ASSERT_TRUE(cluster.reaches(20));
  cluster.data(1).signal(SIGSTOP);
  ASSERT_TRUE(cluster.reaches(newest_step(cluster.run_directory()) + 60));
  cluster.data(1).signal(SIGCONT);
  cluster.coordinator().signal(SIGSTOP);  // longer than a lease
  std::this_thread::sleep_for(milliseconds(5500));
  cluster.coordinator().signal(SIGCONT);
  EXPECT_EQ(cluster.end(), expected) << cluster.show().dump();
  EXPECT_EQ(cluster.show()["generation"], 1) << "nobody was thought dead";
  expect_each_step_once(cluster, kManySteps);
  const RecoveryLog log(cluster.logs(), cluster.run_directory(), 2);
  std::printf("median step %.3f s, longest %.3f s\n", log.median_step(), log.longest_step());
  EXPECT_LT(log.longest_step(), log.median_step() + 2);
}

TEST_F(PauseTest, ACoordinatorKilledAndAwayForTwentySecondsCostsNoStepTwoSeconds) {
  write_group_job(folder_.path(), 100000);  // as many as there is time for
  Cluster cluster(folder_.path(), 2);
  cluster.start_workers(4);
  ASSERT_TRUE(cluster.submit(kTwoByTwo));
  ASSERT_TRUE(cluster.reaches(50));
  cluster.coordinator().signal(SIGKILL);
  cluster.data(2).signal(SIGKILL);  // at the worst time: nobody is there to say where the others are
  ASSERT_TRUE(cluster.coordinator().wait(seconds(5)));
  const size_t before = step_records(cluster.run_directory()).size();
  std::this_thread::sleep_for(seconds(20));
  EXPECT_EQ(step_records(cluster.run_directory()).size(), before) << "nobody records";
  cluster.start_coordinator();
  ASSERT_TRUE(within(seconds(20), [&] { return step_records(cluster.run_directory()).size() > before + 100; }))
      << "what was trained meanwhile is told: " << cluster.show().dump();
  ASSERT_TRUE(cluster.reaches(newest_step(cluster.run_directory()) + 50));
  EXPECT_EQ(cluster.show()["generation"], 1);
  const Process cancelled = cluster.ask("cancel", {"small"});
  EXPECT_EQ(cancelled.exit_code(), 0) << cancelled.err();
  std::this_thread::sleep_for(milliseconds(500));
  const size_t recorded = step_records(cluster.run_directory()).size();
  expect_each_step_once(cluster, recorded);
  const RecoveryLog log(cluster.logs(), cluster.run_directory(), 2);
  std::printf("%zu steps, median %.3f s, longest %.3f s\n", recorded, log.median_step(), log.longest_step());
  EXPECT_LT(log.longest_step(), log.median_step() + 2);
}

}  // namespace
}  // namespace strand::e2e
