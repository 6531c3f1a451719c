// Which seeds a test of a simulation runs, and how a failing one is seen again.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "shared/base/text.h"

namespace strand::sim {

// STRAND_SIM_SEED=n runs that seed only, STRAND_SIM_SEEDS=n as many from 1.
struct Seeds {
  uint64_t first = 1, count = 1000;
  explicit Seeds(uint64_t usual) : count(usual) {
    if (const char* many = std::getenv("STRAND_SIM_SEEDS")) count = std::strtoull(many, nullptr, 10);
    if (const char* one = std::getenv("STRAND_SIM_SEED")) {
      first = std::strtoull(one, nullptr, 10);
      count = 1;
    }
  }
};

inline std::string replay(uint64_t seed, const std::string& program, const std::string& history) {
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  return concat("replay: STRAND_SIM_SEED=", seed, " build/release/tests/", program,
                " --gtest_filter=", test->test_suite_name(), ".", test->name(), "\n", history);
}

}  // namespace strand::sim
