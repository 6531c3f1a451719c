// What the tests of elastic jobs share: a job of some shape, and who is where.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "shared/base/text.h"
#include "tests/unit/coordinator/simulated_cluster.h"

namespace strand::testing {

inline constexpr int kLease = 20;  // ticks

inline Json job(const std::string& name, int64_t steps, const JobShape& shape) {
  return {{"toml", job_text(name, steps, 50, 3, 3, shape)}};
}

inline int64_t replicas_of(const JobRecord& record) {
  return record.members.empty() ? 0 : record.members.back().replica + 1;
}

// Index of the worker at a place.
inline size_t worker_at(const SimulatedCluster& cluster, uint64_t id, int32_t replica, int32_t stage) {
  for (const GroupMember& m : cluster.record(id).members) {
    if (m.replica == replica && m.stage == stage) return m.worker.value - 1;
  }
  ADD_FAILURE() << "nobody is replica " << replica << ", stage " << stage;
  return 0;
}

inline void run_to_the_end(SimulatedCluster& cluster, uint64_t id, int64_t steps) {
  for (int turn = 0; turn < 3000 && !job_is_at_rest(cluster.record(id).state); ++turn) cluster.tick({});
  EXPECT_STREQ(job_state_name(cluster.record(id).state), "done") << cluster.record(id).reason;
  EXPECT_EQ(cluster.recorded(id).size(), static_cast<size_t>(steps)) << "a committed step is missing in the metrics";
  EXPECT_EQ(join(cluster.violations(), "; "), "");
}

}  // namespace strand::testing
