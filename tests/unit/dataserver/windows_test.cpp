#include "dataserver/examples/windows.h"

#include <gtest/gtest.h>

#include <random>

namespace strand {
namespace {

TEST(Windows, CoverEveryBaseOfRunsThatCanTrain) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<BaseRun> runs;
    int64_t at = 0;
    for (int i = 0; i < 20; ++i) {
      const int64_t begin = at + 1 + static_cast<int64_t>(random() % 5);
      at = begin + 1 + static_cast<int64_t>(random() % 90);
      runs.push_back({0, begin, at});
    }
    const auto bases = static_cast<int64_t>(2 + random() % 30);
    const auto stride = static_cast<int64_t>(1 + random() % static_cast<uint64_t>(bases));
    const WindowIndex windows(runs, bases, stride);
    std::vector<int> covered(static_cast<size_t>(at), 0);
    BaseRun previous;
    for (uint64_t i = 0; i < windows.size(); ++i) {
      const BaseRun window = windows.window(i);
      EXPECT_FALSE(window == previous) << "no window twice";
      previous = window;
      bool inside = false;
      for (const BaseRun& run : runs) {
        if (window.begin < run.begin || window.end > run.end) continue;
        inside = true;
        EXPECT_EQ(window.length(), std::min(bases, run.length()));
      }
      EXPECT_TRUE(inside) << "within one run";
      for (int64_t b = window.begin; b < window.end; ++b) ++covered[static_cast<size_t>(b)];
    }
    for (const BaseRun& run : runs) {
      for (int64_t b = run.begin; b < run.end; ++b) {
        EXPECT_EQ(covered[static_cast<size_t>(b)] > 0, run.length() >= 2) << "seed " << seed << " base " << b;
      }
    }
  }
}

TEST(Windows, KnownLayout) {
  const WindowIndex windows({{0, 0, 1}, {0, 10, 20}, {1, 5, 9}, {1, 50, 54}}, 4, 4);
  const std::vector<BaseRun> expected = {{0, 10, 14}, {0, 14, 18}, {0, 16, 20}, {1, 5, 9}, {1, 50, 54}};
  ASSERT_EQ(windows.size(), expected.size());
  for (uint64_t i = 0; i < expected.size(); ++i) EXPECT_EQ(windows.window(i), expected[i]) << i;
}

}  // namespace
}  // namespace strand
