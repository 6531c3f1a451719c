#include "dataserver/examples/interval_finder.h"

#include <gtest/gtest.h>

#include <random>
#include <unordered_set>

#include "dataserver/examples/windows.h"
#include "dataserver/sampler/permutation.h"

namespace strand {
namespace {

TEST(IntervalFinder, FindsWhatASearchThroughAllFinds) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    std::vector<uint64_t> first = {0};
    const uint64_t intervals = random() % 60, scale = uint64_t{1} << random() % 40;
    for (uint64_t i = 0; i < intervals; ++i) {
      const uint64_t kind = random() % 4;  // some empty, one now and then far longer than the others
      const uint64_t length = kind == 0 ? 0 : kind == 1 ? 1 + random() % 3 : 1 + random() % scale;
      first.push_back(first.back() + length);
    }
    const IntervalFinder finder(first);
    ASSERT_EQ(finder.size(), first.back());
    std::vector<uint64_t> numbers;
    for (const uint64_t begin : first) numbers.insert(numbers.end(), {begin, begin + 1, begin - 1});
    for (int i = 0; i < 100; ++i) numbers.push_back(random() % (first.back() + 1));
    for (const uint64_t number : numbers) {
      if (number >= finder.size()) continue;
      const size_t found = finder.find(number);
      ASSERT_LE(first[found], number);
      ASSERT_GT(first[found + 1], number);
    }
  }
  EXPECT_EQ(IntervalFinder().size(), 0u);
}

// An index of 10^10 segments without a single base: every position of a pass leads to a window within its run, each to
// another one, and all parts of the data come equally often.
TEST(Windows, TenThousandMillionSegmentsInAnyOrder) {
  constexpr int64_t kWindow = 1000;
  std::mt19937_64 random(8);
  std::vector<BaseRun> runs;
  uint64_t segments = 0;
  for (uint64_t record = 0; segments < 10'000'000'000; ++record) {
    const auto windows = static_cast<int64_t>(1 + random() % 100'000);
    const auto begin = static_cast<int64_t>(random() % 1000);
    runs.push_back({record, begin, begin + windows * kWindow});
    segments += static_cast<uint64_t>(windows);
  }
  const WindowIndex index(runs, kWindow, kWindow);
  ASSERT_EQ(index.size(), segments);
  const KeyedPermutation order(3, 1, index.size());
  std::unordered_set<uint64_t> seen;
  std::vector<int> tenths(10, 0);
  constexpr int kPositions = 100'000;
  for (int i = 0; i < kPositions; ++i) {
    const uint64_t window = order(static_cast<uint64_t>(i) * (segments / kPositions));
    ASSERT_LT(window, segments);
    ASSERT_TRUE(seen.insert(window).second) << i;
    ++tenths[window / (segments / 10 + 1)];
    const BaseRun found = index.window(window);
    ASSERT_EQ(found.length(), kWindow);
    ASSERT_GE(found.begin, runs[found.record].begin);
    ASSERT_LE(found.end, runs[found.record].end);
    ASSERT_EQ((found.begin - runs[found.record].begin) % kWindow, 0);
    ASSERT_EQ(index.window(window + 1 < segments ? window + 1 : 0) == found, false);
  }
  // A binomial count of mean 10,000 and deviation 95.
  for (const int count : tenths) EXPECT_NEAR(count, kPositions / 10, 600);
}

}  // namespace
}  // namespace strand
