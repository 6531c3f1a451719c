// The pure core under every order of events: lost, doubled and reordered messages, killed coordinators and workers,
// commands at any time. The invariants are checked in simulated_cluster.cpp, action by action.
#include <gtest/gtest.h>

#include <algorithm>

#include "shared/base/text.h"
#include "tests/sim/seeds.h"
#include "tests/unit/coordinator/simulated_cluster.h"

namespace strand::testing {
namespace {

constexpr int kSeeds = 150;

// After any amount of chaos, a quiet cluster ends every job.
void finish_quietly(SimulatedCluster& cluster, uint64_t jobs) {
  for (size_t w = 0; w < cluster.workers().size(); ++w) {
    cluster.workers().at(w).paused = cluster.workers().at(w).cut_off = false;
  }
  for (int turn = 0; turn < 3000; ++turn) {
    bool done = true;
    for (uint64_t job = 1; job <= jobs; ++job) {
      const JobState state = cluster.record(job).state;
      done = done && state == JobState::kDone;
      if (job_is_at_rest(state) && state != JobState::kDone) cluster.ask("resume", {{"job", job}});
    }
    if (done) return;
    cluster.tick({});
  }
  for (uint64_t job = 1; job <= jobs; ++job) {
    EXPECT_STREQ(job_state_name(cluster.record(job).state), "done")
        << cluster.record(job).reason << "; " << dump_json(cluster.show(job)["waiting"]) << " "
        << dump_json(cluster.show(job)["history"], 1) << dump_json(cluster.show(job)["workers"], 1)
        << dump_json(cluster.show(job)["checkpoints"], 1);
  }
}

// Every second of the job's age has a named state.
void expect_accounted(SimulatedCluster& cluster, uint64_t job) {
  const Json show = cluster.show(job);
  double sum = 0;
  for (const auto& [state, value] : show.at("seconds").items()) sum += value.get<double>();
  EXPECT_NEAR(sum, static_cast<double>(cluster.now().nanoseconds) * 1e-9, 0.001) << "job " << job;
  EXPECT_GE(show.at("goodput").get<double>(), 0);
  EXPECT_LE(show.at("goodput").get<double>(), 1);
}

// One worker to eight, jobs of every shape that fits.
void submit_jobs(SimulatedCluster& cluster, int workers, uint64_t jobs) {
  for (uint64_t job = 1; job <= jobs; ++job) {
    JobShape shape;
    shape.stages = 1 + static_cast<int64_t>(cluster.pick(static_cast<uint64_t>(std::min(workers, 3))));
    shape.replicas = 1 + static_cast<int64_t>(cluster.pick(static_cast<uint64_t>(workers / shape.stages)));
    shape.min_replicas = 1 + static_cast<int64_t>(cluster.pick(static_cast<uint64_t>(shape.replicas)));
    shape.priority = static_cast<int64_t>(cluster.pick(2));
    const auto reply = cluster.ask("submit", {{"toml", job_text(concat("job", job), 40, 7, 2, 3, shape)}});
    ASSERT_EQ(reply.code, 255) << reply.json;
  }
}

Faults random_faults(SimulatedCluster& cluster) {
  Faults faults;
  faults.drop = 0.1 * static_cast<double>(cluster.pick(4));
  faults.duplicate = faults.reorder = 0.2;
  faults.linger = 0.02;
  faults.kill_coordinator = 0.005 * static_cast<double>(cluster.pick(4));
  faults.kill_worker = 0.01 * static_cast<double>(cluster.pick(3));
  faults.pause_worker = 0.005 * static_cast<double>(cluster.pick(3));
  faults.cut_worker = 0.005 * static_cast<double>(cluster.pick(3));
  faults.command = 0.05 * static_cast<double>(cluster.pick(3));
  faults.damage = 0.1 * static_cast<double>(cluster.pick(2));
  return faults;
}

// Every step is in the metrics and counted once, but for what nobody could tell of any more.
void expect_recorded(SimulatedCluster& cluster, uint64_t job, Step steps) {
  int64_t missing = 0;
  for (Step step = 1; step <= steps; ++step) {
    if (cluster.recorded(job).contains(step)) continue;
    ++missing;
    EXPECT_TRUE(cluster.workers().forgotten(JobId{job}).contains(step))
        << "step " << step << " is missing in the metrics of job " << job;
  }
  const auto tokens = cluster.show(job).at("tokens").get<int64_t>();
  EXPECT_LE(tokens, 10 * steps) << "job " << job;
  EXPECT_GE(tokens, 10 * (steps - missing)) << "job " << job;
}

TEST(Simulation, EveryJobEndsOnceTheFaultsStop) {
  const sim::Seeds seeds(kSeeds);
  for (uint64_t seed = seeds.first; seed < seeds.first + seeds.count; ++seed) {
    SCOPED_TRACE(sim::replay(seed, "coordinator_simulation_test", ""));
    const int workers = 1 + static_cast<int>(seed % 8);
    SimulatedCluster cluster(seed, workers);
    constexpr uint64_t kJobs = 3;
    submit_jobs(cluster, workers, kJobs);
    const Faults faults = random_faults(cluster);
    for (int turn = 0; turn < 300; ++turn) cluster.tick(faults);
    finish_quietly(cluster, kJobs);
    for (uint64_t job = 1; job <= kJobs; ++job) {
      expect_recorded(cluster, job, 40);
      EXPECT_EQ(job_exit_code(cluster.record(job)), 0);
      expect_accounted(cluster, job);
    }
    EXPECT_EQ(join(cluster.violations(), "; "), "");
    if (::testing::Test::HasFailure()) return;
  }
}

// The checkers themselves: a coordinator or worker without one of its rules is found out.
TEST(Simulation, PlantedDefectsAreFound) {
  for (const Planted bug : {Planted::kForgedGeneration, Planted::kEarlyReport}) {
    bool found = false;
    for (uint64_t seed = 1; seed <= 100 && !found; ++seed) {
      SimulatedCluster cluster(seed, 6);
      cluster.plant(bug);
      cluster.ask("submit", {{"toml", job_text("a", 100, 3, 2, 100, {3, 1, 2})}});
      Faults faults;
      faults.drop = faults.duplicate = faults.reorder = faults.linger = 0.2;
      faults.kill_worker = 0.01;
      for (int turn = 0; turn < 200 && !found; ++turn) {
        cluster.tick(faults);
        found = !cluster.violations().empty();
      }
    }
    EXPECT_TRUE(found) << "defect " << static_cast<int>(bug) << " went through a hundred seeds";
  }
}

// Killed at any moment, the coordinator comes back without anybody noticing: same generation, no restart.
TEST(Simulation, AKilledCoordinatorDisturbsNobody) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(concat("seed ", seed));
    const auto replicas = 1 + static_cast<int64_t>(seed % 3);
    SimulatedCluster cluster(seed, static_cast<int>(replicas) * 2);
    ASSERT_EQ(cluster.ask("submit", {{"toml", job_text("job", 30, 5, 2, 3, {replicas, 1, 2})}}).code, 255);
    Faults faults;
    faults.kill_coordinator = 0.02;
    for (int turn = 0; turn < 400 && !cluster.all_at_rest(); ++turn) cluster.tick(faults);
    EXPECT_EQ(cluster.record(1).state, JobState::kDone);
    EXPECT_EQ(cluster.record(1).restarts, 0);
    EXPECT_EQ(cluster.record(1).generation.value, 1u);
    EXPECT_EQ(join(cluster.violations(), "; "), "");
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace strand::testing
