// `strand show` names the worker that is slow, and nobody among equal ones.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "shared/base/text.h"
#include "tests/e2e/chaos.h"

namespace strand::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Lets a process run for a quarter of the time only.
class Brake {
 public:
  explicit Brake(Process* process)
      : thread_([this, process] {
          while (!stop_.load()) {
            process->signal(SIGSTOP);
            std::this_thread::sleep_for(milliseconds(15));
            process->signal(SIGCONT);
            std::this_thread::sleep_for(milliseconds(5));
          }
        }) {}
  ~Brake() {
    stop_.store(true);
    thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class StragglerTest : public ChaosTest {
 protected:
  // The stragglers' ids, in order.
  static std::vector<int> named(const Cluster& cluster) {
    std::vector<int> ids;
    const Json show = cluster.show();
    if (!show.is_object()) return ids;
    for (const Json& slow : show["stragglers"]) ids.push_back(slow["worker"].get<int>());
    return ids;
  }
};

TEST_F(StragglerTest, TheSlowOneIsNamedAndNobodyAmongEqualOnes) {
  write_group_job(folder_.path(), 100000);  // as many as there is time for
  Cluster cluster(folder_.path(), 1);
  cluster.start_workers(2);
  ASSERT_TRUE(cluster.submit({"parallel.replicas=2", "parallel.min_replicas=2", "train.micro_batch=4"}));
  ASSERT_TRUE(cluster.reaches(60)) << cluster.show().dump();
  // What the machine does meanwhile may slow one of them for a moment, but not again and again.
  std::map<int, int> times;
  for (int look = 0; look < 10; ++look) {
    for (const int id : named(cluster)) ++times[id];
    std::this_thread::sleep_for(milliseconds(200));
  }
  for (const auto& [id, count] : times) EXPECT_LE(count, 5) << "worker " << id << cluster.show().dump();

  const int slow = 2;
  {
    const Brake brake(&cluster.worker(slow));
    ASSERT_TRUE(within(seconds(30), [&] { return named(cluster) == std::vector{slow}; })) << cluster.show().dump();
    const Process shown = cluster.ask("show", {Cluster::kJob});
    EXPECT_NE(shown.out().find(concat("worker ", slow, " works ")), std::string::npos) << shown.out();
  }
  ASSERT_TRUE(within(seconds(30), [&] { return named(cluster).empty(); })) << "it is as fast as the others again";
  EXPECT_EQ(cluster.show()["generation"], 1) << "slow is not silent";
  EXPECT_EQ(cluster.ask("cancel", {Cluster::kJob}).exit_code(), 0);
}

}  // namespace
}  // namespace strand::e2e
