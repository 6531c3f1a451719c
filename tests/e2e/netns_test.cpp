// A 2 x 2 job over tcp with keys, each process on a host of its own in a network of namespaces: cables pulled, and
// links that lose in one direction only.
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <thread>

#include "shared/base/text.h"
#include "tests/e2e/chaos.h"
#include "tests/e2e/network.h"

namespace strand::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kWorkers = 4;

class NetworkTest : public ChaosTest {
 protected:
  void start(int steps) {
    steps_ = steps;
    write_group_job(folder_.path(), steps);
    alone_ = std::make_unique<Process>(folder_.path(), "alone", Words{"run", "job.toml", "--json", "--dir", "alone"});
    Words names = {"client", "coordinator", "data-1"};
    for (int id = 1; id <= kWorkers; ++id) names.push_back(worker(id));
    network_ = std::make_unique<Network>(folder_.path(), static_cast<int>(names.size()) - 1);
    site_ = std::make_shared<NetworkSite>(folder_.path(), network_.get(), names);
    cluster_ = std::make_unique<Cluster>(folder_.path(), 1, site_);
    cluster_->start_workers(kWorkers);
    ASSERT_TRUE(within(seconds(20), [&] { return cluster_->submit({"parallel.stages=2", "parallel.replicas=2"}); }));
    ASSERT_TRUE(cluster_->reaches(5)) << cluster_->show().dump();
  }
  void expect_the_bits_of_one_process() {
    EXPECT_TRUE(alone_->wait(std::chrono::minutes(5)));
    EXPECT_EQ(digests_of(*alone_).digest.size(), 32u) << alone_->err();
    EXPECT_EQ(cluster_->end(), digests_of(*alone_)) << cluster_->show().dump();
    const RecoveryLog log(cluster_->logs(), cluster_->run_directory(), 2);
    EXPECT_EQ(log.lost_steps({}), std::vector<std::string>{}) << log.story();
    std::printf("%zu generations, median step %.3f s, longest %.3f s\n", log.generations().size(), log.median_step(),
                log.longest_step());
  }
  int newest() const { return newest_step(cluster_->run_directory()); }
  static std::string worker(int id) { return concat("worker-", id); }
  int host(const std::string& name) const { return site_->host(name); }
  // Three more steps, or the end.
  void expect_to_go_on(const std::string& after) {
    const int at = newest();
    ASSERT_TRUE(at + 3 >= steps_ || cluster_->reaches(at + 3)) << after << "\n" << cluster_->show().dump();
  }
  // The others go on without the worker, whose links `cut` has cut, and with it when they are whole again.
  void expect_to_do_without(int id, seconds away, const std::function<void()>& cut, const std::function<void()>& mend) {
    const double begin = wall_seconds();
    const int generation = cluster_->show()["generation"].get<int>();
    cut();
    ASSERT_TRUE(within(seconds(20), [&] { return cluster_->show()["generation"] > generation; }))
        << cluster_->show().dump();
    expect_to_go_on("while it is away");
    const Json without = cluster_->show();
    EXPECT_EQ(without["replicas"], 1) << without.dump();
    for (const Json& member : without["workers"]) EXPECT_NE(member["worker"], id) << without.dump();
    const double went_on = wall_seconds();
    while (wall_seconds() < begin + static_cast<double>(away.count())) std::this_thread::sleep_for(milliseconds(50));
    mend();
    const double mended = wall_seconds();
    ASSERT_TRUE(within(seconds(10), [&] { return cluster_->show()["replicas"] == 2; })) << cluster_->show().dump();
    std::printf("the others went on %.1f s after the cut, with it %.1f s after its end\n", went_on - begin,
                wall_seconds() - mended);
  }

  int steps_ = 0;
  std::unique_ptr<Process> alone_;
  std::unique_ptr<Network> network_;
  std::shared_ptr<NetworkSite> site_;
  std::unique_ptr<Cluster> cluster_;
};

int cuts_wanted(int otherwise) {
  const char* said = std::getenv("STRAND_NETWORK_CUTS");
  return said == nullptr ? otherwise : std::atoi(said);
}

// STRAND_NETWORK_CUTS says how many.
TEST_F(NetworkTest, CutsInBothDirectionsAndInOneEndInTheSameBits) {
  const std::string why = Network::impossible(folder_.path());
  if (!why.empty()) GTEST_SKIP() << why;
  const int cuts = cuts_wanted(4);
  ASSERT_NO_FATAL_FAILURE(start(120 + 50 * cuts));
  const int third = host(worker(3));
  ASSERT_NO_FATAL_FAILURE(expect_to_do_without(
      3, seconds(0), [&] { network_->plug(third, false); }, [&] { network_->plug(third, true); }));
  std::mt19937 random(11);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (int cut = 0; cut < cuts; ++cut) {
    const int id = 1 + below(kWorkers), other = 1 + (id + below(kWorkers - 1)) % kWorkers;
    const int length = 400 + below(1100);
    const Loss loss = below(2) == 0 ? Loss::kOnTheWay : Loss::kAtTheSender;
    int from = host(worker(id)), to = host(worker(other));
    if (cut % 4 == 2) to = host("coordinator");
    if (cut % 4 == 3) from = host("data-1");
    const bool cable = cut % 4 == 0;
    ASSERT_LT(newest(), steps_) << "over before cut " << cut;
    cable ? network_->plug(from, false) : network_->lose(from, to, loss);
    std::this_thread::sleep_for(milliseconds(100));  // what was under way has come
    const int before = newest();
    std::this_thread::sleep_for(milliseconds(length));
    EXPECT_TRUE(!cable || newest() <= before + 1) << "steps without one of their workers";
    cable ? network_->plug(from, true) : network_->mend(from, to, loss);
    ASSERT_NO_FATAL_FAILURE(expect_to_go_on(
        concat("cut ", cut, cable ? ": cable of host " : ": from host ", from, " to host ", to, ", ", length, " ms")));
  }
  expect_the_bits_of_one_process();
}

// The coordinator's own cable, for longer than a lease: the workers train on, and are found again.
TEST_F(NetworkTest, ACoordinatorThatReachesNobodyForAWhileCostsNothing) {
  if (cuts_wanted(0) == 0) GTEST_SKIP() << "long: set STRAND_NETWORK_CUTS";
  const std::string why = Network::impossible(folder_.path());
  if (!why.empty()) GTEST_SKIP() << why;
  ASSERT_NO_FATAL_FAILURE(start(1500));
  const int before = newest();
  network_->plug(host("coordinator"), false);
  std::this_thread::sleep_for(seconds(10));
  EXPECT_LE(newest(), before + 3) << "nobody is there to record";
  network_->plug(host("coordinator"), true);
  ASSERT_TRUE(cluster_->reaches(before + 100)) << "what was trained meanwhile is told: " << cluster_->show().dump();
  EXPECT_EQ(cluster_->show()["generation"], 1) << cluster_->show().dump();
  expect_the_bits_of_one_process();
  EXPECT_EQ(step_records(cluster_->run_directory()).size(), 1500u);
}

// Long enough for the system to say only seldom what is not acknowledged. Nobody hears it; it hears all the others.
TEST_F(NetworkTest, AWorkerThatIsNotHeardForHalfAMinuteIsBackWithinTenSeconds) {
  if (cuts_wanted(0) == 0) GTEST_SKIP() << "long: set STRAND_NETWORK_CUTS";
  const std::string why = Network::impossible(folder_.path());
  if (!why.empty()) GTEST_SKIP() << why;
  ASSERT_NO_FATAL_FAILURE(start(2500));
  const int unheard = host(worker(2));
  Words others = {"coordinator", "data-1", worker(1), worker(3), worker(4)};
  const auto for_all = [&](bool cut) {
    for (const std::string& other : others) {
      cut ? network_->lose(unheard, host(other), Loss::kOnTheWay)
          : network_->mend(unheard, host(other), Loss::kOnTheWay);
    }
  };
  expect_to_do_without(
      2, seconds(30), [&] { for_all(true); }, [&] { for_all(false); });
  expect_the_bits_of_one_process();
}

}  // namespace
}  // namespace strand::e2e
