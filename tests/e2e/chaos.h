// What the chaos tests share: one job, and what it ends in when nobody disturbs it.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/e2e/cluster.h"
#include "tests/e2e/recovery_log.h"

namespace strand::e2e {

// Some tests need a run that lasts longer.
inline constexpr int kSteps = 300, kManySteps = 600;
// For Cluster::submit.
inline const Words kTwoByTwo = {"parallel.stages=2", "parallel.replicas=2", "train.micro_batch=4"};

class ChaosTest : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }
  // `strand run` of the job at 2 x 2.
  Process start(const std::string& directory, const Words& more = {}) const {
    Words arguments = {"run", "job.toml", "--json", "--dir", directory};
    for (const std::string& option : kTwoByTwo) arguments = arguments + Words{"--set", option};
    return Process(folder_.path(), directory, arguments + more);
  }
  // Writes the job; what it ends in, of one run for all tests.
  Digests undisturbed(int steps) {
    static std::map<int, Digests> known;
    write_group_job(folder_.path(), steps);
    if (known.contains(steps)) return known.at(steps);
    Process process = start("undisturbed");
    EXPECT_TRUE(process.wait(std::chrono::minutes(20)));
    EXPECT_EQ(process.exit_code(), 0) << process.err();
    EXPECT_EQ(digests_of(process).digest.size(), 32u);
    return known[steps] = digests_of(process);
  }

  TemporaryFolder folder_;
};

}  // namespace strand::e2e
