// Links of the workers of a 2 x 2 job, to each other and to those who serve them, that delay, stall, drop and are cut,
// in one direction or both.
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <thread>

#include "shared/base/text.h"
#include "tests/e2e/chaos.h"
#include "tests/e2e/link_proxy.h"

namespace strand::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kWorkers = 4;

class LinksTest : public ChaosTest {
 protected:
  // All four workers behind proxies, before they know of each other.
  void start_behind_proxies(Cluster* cluster) {
    cluster->start_workers(kWorkers);
    for (int id = 1; id <= kWorkers; ++id) {
      const std::string socket = SocketSite(folder_.path()).path(concat("worker-", id));
      ASSERT_TRUE(within(seconds(20), [&] { return std::filesystem::exists(socket); }));
      proxies_.push_back(std::make_unique<LinkProxy>(socket));
    }
  }
  // What worker `from` sends to worker `to`.
  void set(Cluster& cluster, int from, int to, Fault fault, Way way) {
    proxies_[static_cast<size_t>(to - 1)]->set(cluster.worker(from).pid(), fault, way);
  }

  std::vector<std::unique_ptr<LinkProxy>> proxies_;
};

TEST_F(LinksTest, BadLinksCostTimeButNeitherBitsNorAGeneration) {
  const Digests expected = undisturbed(kManySteps);
  Cluster cluster(folder_.path(), 1);
  start_behind_proxies(&cluster);
  ASSERT_TRUE(cluster.submit(kTwoByTwo));
  ASSERT_TRUE(cluster.reaches(10));
  std::mt19937 random(3);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const Fault faults[] = {Fault::kDelay, Fault::kStall, Fault::kDrop, Fault::kCut};
  const Way ways[] = {Way::kThere, Way::kBack, Way::kBoth};
  for (int round = 0; round < 16; ++round) {
    const int from = 1 + below(kWorkers), to = 1 + (from + below(kWorkers - 1)) % kWorkers;
    const Fault fault = faults[round % 4];
    const Way way = ways[below(3)];
    const bool both = below(2) == 0;  // also what goes from `to` to `from`
    set(cluster, from, to, fault, way);
    if (both) set(cluster, to, from, fault, way);
    std::this_thread::sleep_for(milliseconds(100 + below(900)));
    set(cluster, from, to, Fault::kNone, way);
    set(cluster, to, from, Fault::kNone, way);
    const int at = newest_step(cluster.run_directory());
    ASSERT_TRUE(at + 3 >= kManySteps || cluster.reaches(at + 3))
        << "round " << round << ", fault " << static_cast<int>(fault) << ", way " << static_cast<int>(way) << ", from "
        << from << " to " << to << (both ? " and back" : "") << "\n"
        << cluster.show().dump();
  }
  EXPECT_EQ(cluster.end(), expected);
  EXPECT_EQ(cluster.show()["generation"], 1);
  for (const auto& proxy : proxies_) EXPECT_GT(proxy->passed(), 100000u) << "nothing went through it";
  const RecoveryLog log(cluster.logs(), cluster.run_directory(), 2);
  std::printf("median step %.3f s, longest %.3f s\n", log.median_step(), log.longest_step());
}

// Between the workers and those who serve them all: a coordinator that a worker cannot speak to, data that does not
// come.
TEST_F(LinksTest, BadLinksToTheCoordinatorAndTheDataServersCostNoBits) {
  const Digests expected = undisturbed(kManySteps);
  Cluster cluster(folder_.path(), 2);
  const Words servers = {"coordinator", "data-1", "data-2"};
  for (const std::string& server : servers) {
    const std::string socket = SocketSite(folder_.path()).path(server);
    ASSERT_TRUE(within(seconds(20), [&] { return std::filesystem::exists(socket); }));
    proxies_.push_back(std::make_unique<LinkProxy>(socket));
  }
  cluster.start_workers(kWorkers);
  ASSERT_TRUE(cluster.submit(kTwoByTwo));
  ASSERT_TRUE(cluster.reaches(10));
  const Fault faults[] = {Fault::kDelay, Fault::kStall, Fault::kDrop, Fault::kCut};
  const Way ways[] = {Way::kThere, Way::kBack, Way::kBoth};
  for (int round = 0; round < 8; ++round) {
    const Fault fault = faults[round % 4];
    const Way way = ways[round % 3];
    // First the coordinator, then both data servers, or nobody would notice. A worker of each replica, at last all.
    const bool data = round % 8 >= 4, all = round % 4 == 3;
    const auto set_all = [&](Fault now) {
      for (size_t i = data ? 1 : 0; i < (data ? servers.size() : 1); ++i) {
        for (const int id : all ? std::vector{1, 2, 3, 4} : std::vector{2, 3}) {
          proxies_[i]->set(cluster.worker(id).pid(), now, way);
        }
      }
    };
    ASSERT_LT(newest_step(cluster.run_directory()), kManySteps) << "over before round " << round;
    set_all(fault);
    std::this_thread::sleep_for(milliseconds(1000));
    set_all(Fault::kNone);
    const int at = newest_step(cluster.run_directory());
    ASSERT_TRUE(at + 3 >= kManySteps || cluster.reaches(at + 3))
        << "round " << round << ", fault " << static_cast<int>(fault) << ", way " << static_cast<int>(way)
        << (data ? ", data" : ", coordinator") << "\n"
        << cluster.show().dump();
  }
  EXPECT_EQ(cluster.end(), expected) << cluster.show().dump();
  EXPECT_GT(proxies_[0]->passed(), 10000u) << "nothing went through it";
  EXPECT_GT(proxies_[1]->passed() + proxies_[2]->passed(), 10000u) << "nothing went through them";
  const RecoveryLog log(cluster.logs(), cluster.run_directory(), 2);
  EXPECT_EQ(log.lost_steps({}), std::vector<std::string>{}) << log.story();
  std::printf("%zu generations, median step %.3f s, longest %.3f s\n", log.generations().size(), log.median_step(),
              log.longest_step());
}

// The coordinator reaches all of them; only their own word tells it. That takes longer than a silent worker.
TEST_F(LinksTest, AWorkerThatTheOthersDoNotReachIsLeftOut) {
  if (std::getenv("STRAND_CHAOS_LONG") == nullptr) GTEST_SKIP() << "long: set STRAND_CHAOS_LONG";
  const Digests expected = undisturbed(kManySteps);
  for (const bool both : {true, false}) {
    std::filesystem::remove_all(path("cluster"));
    std::filesystem::remove_all(path("run"));
    proxies_.clear();
    Cluster cluster(folder_.path(), 1);
    start_behind_proxies(&cluster);
    ASSERT_TRUE(cluster.submit(kTwoByTwo));
    ASSERT_TRUE(cluster.reaches(10));
    const int cut_off = 3;
    const auto for_all = [&](Fault fault) {
      for (int id = 1; id <= kWorkers; ++id) {
        if (id == cut_off) continue;
        set(cluster, id, cut_off, fault, Way::kBoth);
        if (both) set(cluster, cut_off, id, fault, Way::kBoth);
      }
    };
    for_all(Fault::kDrop);
    const double begin = wall_seconds();
    const int at = newest_step(cluster.run_directory());
    ASSERT_TRUE(within(std::chrono::minutes(4), [&] { return newest_step(cluster.run_directory()) > at + 20; }))
        << cluster.show().dump();
    std::printf("cut off %s: the others went on after %.1f s\n", both ? "in both directions" : "in one direction",
                wall_seconds() - begin);
    const std::string said = read_file(cluster.logs() + "/coordinator.log");
    EXPECT_NE(said.find(concat("the others do not reach worker ", cut_off)), std::string::npos) << said;
    for_all(Fault::kNone);  // it is asked again after a while
    EXPECT_EQ(cluster.end(), expected);
    const RecoveryLog log(cluster.logs(), cluster.run_directory(), 2);
    EXPECT_EQ(log.lost_steps({}), std::vector<std::string>{}) << log.story();
  }
}

}  // namespace
}  // namespace strand::e2e
