// Processes of a 2 x 2 job killed at random moments: the run ends in the bits of the undisturbed one, and no committed
// step is lost as long as somebody holds it. How long a recovery takes, part by part.
#include "tests/e2e/chaos.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <thread>

#include "shared/base/text.h"

namespace strand::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

int from_environment(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoi(text);
}

class KillTest : public ChaosTest {
 protected:
  // Waits until the victim lives; false when the job ended first.
  bool kill_one(Process& job, const std::string& victim, std::vector<Kill>* kills) {
    const bool worker = victim.starts_with("worker");
    pid_t pid = 0;
    within(seconds(30), [&] {
      pid = worker ? job.child_named(victim) : job.child(victim);
      return pid != 0 || job.wait(milliseconds(0));
    });
    if (pid == 0) return false;
    kills->push_back({wall_seconds(), victim});
    kill(pid, SIGKILL);
    within(seconds(5), [&] { return kill(pid, 0) != 0; });  // so that it is not killed twice
    return true;
  }
};

// STRAND_CHAOS_KILLS says how many, STRAND_CHAOS_SEED which.
TEST_F(KillTest, AnyProcessKilledAtAnyMomentEndsInTheSameBits) {
  const int count = from_environment("STRAND_CHAOS_KILLS", 5), seed = from_environment("STRAND_CHAOS_SEED", 1);
  const int steps = std::max(kSteps, 36 * count);
  const Digests expected = undisturbed(steps);

  std::mt19937 random(static_cast<unsigned>(seed));
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  std::vector<int> moments;
  for (int i = 0; i < count; ++i) moments.push_back(below(steps * 3 / 5));
  std::ranges::sort(moments);
  Process job = start("run");
  std::vector<Kill> kills;
  for (const int moment : moments) {
    if (moment > 0) {
      // One that the recoveries have not brought there within a minute is stuck.
      ASSERT_TRUE(reaches(job, path("run"), moment)) << "seed " << seed << ", step " << moment << ": " << job.err();
    }
    std::this_thread::sleep_for(milliseconds(below(2) == 0 ? below(50) : below(1500)));
    const char* victims[] = {"coordinator", "dataserver", "worker", "worker-2", "worker-3", "worker-4"};
    const std::string victim = victims[below(3) == 0 ? below(2) : 2 + below(4)];
    ASSERT_TRUE(kill_one(job, victim, &kills)) << "seed " << seed << ": over before " << victim << " was killed";
    std::printf("at step %d: %s\n", newest_step(path("run")), victim.c_str());
  }
  ASSERT_TRUE(job.wait(std::chrono::minutes(20))) << "seed " << seed;
  ASSERT_EQ(job.exit_code(), 0) << "seed " << seed << ": " << job.err();
  EXPECT_EQ(digests_of(job), expected) << "seed " << seed;

  const RecoveryLog log(path("run/logs"), path("run"), 2);
  EXPECT_EQ(log.lost_steps(kills), std::vector<std::string>{}) << "seed " << seed << "\n" << log.story();
  std::vector<Recovery> recoveries;
  for (const Kill& kill : kills) {
    if (const auto recovery = log.recovery_after(kill, kills)) recoveries.push_back(*recovery);
  }
  std::printf("%zu kills, %zu generations, median step %.3f s\n%s", kills.size(), log.generations().size(),
              log.median_step(), recovery_table(recoveries).c_str());
  const Process audit = run(folder_.path(), "audit", {"data", "audit", "run", "--json"});
  EXPECT_EQ(audit.exit_code(), 0) << audit.out() << audit.err();
}

// Workers that nobody starts again: how soon the others notice, agree and go on.
TEST_F(KillTest, SurvivorsGoOnWithoutWaitingForAReplacement) {
  const Digests expected = undisturbed(kManySteps);
  Cluster cluster(folder_.path(), 1);
  cluster.start_workers(4);
  ASSERT_TRUE(cluster.submit(kTwoByTwo));
  std::vector<Kill> kills;
  std::mt19937 random(7);
  for (const int id : {3, 2, 4, 1}) {
    // All four are at work, and have been for a while.
    ASSERT_TRUE(within(seconds(30), [&] {
      const Json show = cluster.show();
      return show.is_object() && show.value("state", "") == "training" && show.value("replicas", 0) == 2;
    })) << cluster.show().dump();
    ASSERT_TRUE(cluster.reaches(newest_step(cluster.run_directory()) + 10));
    std::this_thread::sleep_for(milliseconds(random() % 100));
    kills.push_back({wall_seconds(), concat("worker-", id)});
    cluster.worker(id).signal(SIGKILL);
    const int at = newest_step(cluster.run_directory());
    ASSERT_TRUE(cluster.reaches(at + 5)) << "nobody has started worker " << id << " again, and nobody has to";
    cluster.start_worker(id);
  }
  EXPECT_EQ(cluster.end(), expected) << cluster.show().dump();

  const RecoveryLog log(cluster.logs(), cluster.run_directory(), 2);
  EXPECT_EQ(log.lost_steps(kills), std::vector<std::string>{}) << log.story();
  std::vector<Recovery> recoveries;
  for (const Kill& kill : kills) {
    const auto recovery = log.recovery_after(kill, kills);
    ASSERT_TRUE(recovery) << kill.name << " at " << format_number(kill.time, 13) << "\n" << log.story();
    EXPECT_LE(recovery->detect, 1.0) << kill.name;
    EXPECT_LE(recovery->total() - recovery->detect, 3 + 2 * log.median_step()) << kill.name;
    recoveries.push_back(*recovery);
  }
  std::printf("median step %.3f s\n%s", log.median_step(), recovery_table(recoveries).c_str());
}

}  // namespace
}  // namespace strand::e2e
