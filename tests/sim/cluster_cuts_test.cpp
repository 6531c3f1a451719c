// Ways between workers that stay cut for minutes while the coordinator reaches everybody: whoever is cut off is
// accused, left out, and asked again later, while the others go on.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/sim/cluster_servers.h"
#include "tests/sim/seeds.h"

namespace strand::sim {
namespace {

using std::chrono::seconds;

// Within which a job must have ended once the ways are mended.
constexpr Duration kPatience = std::chrono::minutes(20);
// The longest time without a new step that one broken way may cost: a member's deadline (60 s), the pass that it is
// busy with meanwhile, the coordinator's judgement, a new generation, its first step.
constexpr Duration kOneRound = seconds(85);

struct Cut {
  uint64_t from = 0, to = 0;
  bool both = true;
};

struct CutRun {
  std::unique_ptr<Cluster> cluster;
  std::vector<Cut> cuts;
  bool only_cuts = true;  // nobody dies
  bool lossy = false;     // some messages are lost on whole ways as well
  Duration longest_stall{};
  uint64_t left_out = 0;     // times that a worker was
  uint64_t unheard = 0;      // leases that ran out
  bool asked_again = false;  // while the ways were still cut
};

ClusterShape random_shape(SimRandom& random) {
  ClusterShape shape;
  shape.job.stages = random.one_of({1, 1, 2});
  shape.job.replicas = shape.job.stages == 1 ? random.one_of({2, 3, 3}) : 2;
  shape.job.lanes = 4;
  shape.job.staleness = random.one_of({0, 0, 0, 1});
  shape.job.tied = random.chance(0.5);
  shape.job.steps = 30;
  shape.job.checkpoint_every = random.one_of({5, 10});
  shape.spares = static_cast<int>(random.pick(2));
  shape.lease = random.one_of({seconds(2), seconds(4)});
  shape.shortest_pass = seconds(1);
  shape.longest_pass = seconds(6);
  shape.slowness = 10;
  return shape;
}

// Between single workers, or between one and all the others.
std::vector<Cut> random_cuts(SimRandom& random, const Cluster& cluster) {
  const auto workers = static_cast<int64_t>(cluster.workers());
  std::vector<Cut> cuts;
  const bool one_machine = random.chance(0.3);
  const uint64_t machine = 1 + static_cast<uint64_t>(random.pick(workers));
  const bool both = random.chance(0.5), away = random.chance(0.5);
  for (uint64_t other = 1; one_machine && std::cmp_less_equal(other, workers); ++other) {
    if (other != machine) cuts.push_back({away ? machine : other, away ? other : machine, both});
  }
  while (!one_machine && (cuts.empty() || random.chance(0.4))) {
    const uint64_t a = 1 + static_cast<uint64_t>(random.pick(workers));
    const uint64_t b = 1 + static_cast<uint64_t>(random.pick(workers - 1));
    cuts.push_back({a, b < a ? b : b + 1, random.chance(0.5)});
  }
  return cuts;
}

size_t broken_ways(const std::vector<Cut>& cuts) {
  std::set<std::pair<uint64_t, uint64_t>> ways;
  for (const Cut& cut : cuts) ways.insert(std::minmax(cut.from, cut.to));
  return ways.size();
}

void schedule_cuts(Cluster& cluster, const std::vector<Cut>& cuts, Duration start, Time until) {
  cluster.queue.after(start, [&cluster, cuts, until] {
    for (const Cut& cut : cuts) {
      cluster.note(concat("cut from ", cut.from, cut.both ? " to and from " : " to ", cut.to, " until ",
                          to_seconds(until - Time{}), " s"));
      cluster.network.cut(cut.from, cut.to, until);
      if (cut.both) cluster.network.cut(cut.to, cut.from, until);
    }
  });
}

void schedule_deaths(Cluster& cluster, SimRandom& random, Duration within) {
  cluster.queue.after(random.between(Duration(0), within), [&cluster] {
    cluster.coordinator().die(false);
    cluster.queue.after(seconds(3), [&cluster] { cluster.coordinator().start(); });
  });
  SimWorker& worker = cluster.worker(static_cast<size_t>(random.pick(static_cast<int64_t>(cluster.workers()))));
  cluster.queue.after(random.between(Duration(0), within), [&cluster, &worker] {
    worker.die(false, true);
    cluster.queue.after(seconds(5), [&worker] { worker.start(); });
  });
}

// Watches how long the job stands still, and whether it has grown after somebody was left out.
void run_until(CutRun* run, Time end) {
  Cluster& cluster = *run->cluster;
  Step committed = 0;
  Time moved = cluster.now();
  size_t members = 0;
  while (cluster.violations().empty() && cluster.now() < end) {
    cluster.run_for(seconds(1));
    const JobRecord* record = cluster.record();
    const bool over = record != nullptr && record->state == JobState::kDone;
    if (over || cluster.checks->committed() != committed) moved = cluster.now();
    committed = cluster.checks->committed();
    run->longest_stall = std::max(run->longest_stall, cluster.now() - moved);
    if (const Coordinator* core = cluster.coordinator().core()) {
      run->left_out = core->counters().cut_off;
      run->unheard = core->counters().leases_expired;
    }
    if (record == nullptr) continue;
    run->asked_again = run->asked_again || (run->left_out > 0 && record->members.size() > members);
    members = record->members.size();
  }
}

CutRun run_seed(uint64_t seed) {
  SimRandom random(seed + (uint64_t{7} << 40));
  CutRun run;
  run.cluster = std::make_unique<Cluster>(random_shape(random), seed);
  Cluster& cluster = *run.cluster;
  cluster.network.faults.lose = random.one_of({0.0, 0.0, 0.02});
  run.lossy = cluster.network.faults.lose > 0;
  run.cuts = random_cuts(random, cluster);
  const Duration start = random.between(seconds(2), seconds(20)), lasts = random.between(seconds(70), seconds(400));
  schedule_cuts(cluster, run.cuts, start, cluster.now() + start + lasts);
  run.only_cuts = random.chance(0.7);
  if (!run.only_cuts) schedule_deaths(cluster, random, start + lasts);
  run_until(&run, cluster.now() + start + lasts);
  cluster.run_quietly(kPatience);
  return run;
}

TEST(ClusterCuts, WhoeverIsCutOffIsLeftOutAndTheOthersGoOn) {
  uint64_t left_out = 0, asked_again = 0;
  const Seeds seeds(100);
  for (uint64_t seed = seeds.first; seed < seeds.first + seeds.count; ++seed) {
    const CutRun run = run_seed(seed);
    const Cluster& cluster = *run.cluster;
    const auto ways = static_cast<int64_t>(broken_ways(run.cuts));
    ASSERT_TRUE(cluster.violations().empty()) << replay(seed, "cluster_sim_test", cluster.history());
    // With enough of them, whichever end of each broken way goes.
    const bool enough = static_cast<int64_t>(cluster.workers()) - ways >= cluster.shape.job.stages;
    if (run.only_cuts && !run.lossy) {
      ASSERT_EQ(run.unheard, 0u) << replay(seed, "cluster_sim_test", cluster.history());
    }
    if (run.only_cuts && enough) {
      ASSERT_LE(to_seconds(run.longest_stall), to_seconds(kOneRound * ways))
          << replay(seed, "cluster_sim_test", cluster.history());
    }
    left_out += run.left_out;
    asked_again += run.asked_again ? 1 : 0;
  }
  if (seeds.count < 50) return;
  EXPECT_GT(2 * left_out, seeds.count) << "the cuts must bite";
  EXPECT_GT(asked_again, seeds.count / 10) << "some must be asked again before the ways are mended";
}

}  // namespace
}  // namespace strand::sim
