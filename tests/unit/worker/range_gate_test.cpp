// One thread that writes ranges and one that reads them.
#include "worker/member/range_gate.h"

#include <gtest/gtest.h>

#include <numeric>
#include <thread>

#include "shared/base/clock.h"

namespace strand {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Plain numbers, written and read without any other care: a reader who comes too early, or is not told, finds others.
TEST(RangeGate, WhoIsLetInReadsTheWholeVersion) {
  constexpr uint32_t kRanges = 6;
  constexpr size_t kNumbers = 2000;
  constexpr Step kVersions = 300;
  RangeGate gate(kRanges);
  std::vector<std::vector<Step>> ranges(kRanges, std::vector<Step>(kNumbers, -1));
  std::atomic<Step> done{-1};
  std::thread writer([&] {
    for (Step version = 0; version < kVersions; ++version) {
      while (done.load() < version - 1) std::this_thread::yield();
      for (uint32_t r = 0; r < kRanges; ++r) {
        for (Step& number : ranges[r]) number = version;
        gate.open(r, version);
      }
    }
  });
  for (Step version = 0; version < kVersions; ++version) {
    for (uint32_t r = 0; r + 1 < kRanges; ++r) {  // the last two are asked for together
      const std::vector<uint32_t> asked = r + 2 < kRanges ? std::vector<uint32_t>{r} : std::vector<uint32_t>{r, r + 1};
      while (!gate.wait(asked, version, seconds(10))) {
      }
      for (const uint32_t range : asked) {
        const Step sum = std::accumulate(ranges[range].begin(), ranges[range].end(), Step{0});
        ASSERT_EQ(sum, version * static_cast<Step>(kNumbers)) << "range " << range;
      }
    }
    done.store(version);
  }
  writer.join();
}

TEST(RangeGate, WaitsNoLongerThanItIsTold) {
  RangeGate gate(2);
  const SystemClock clock;
  const Time begin = clock.now();
  EXPECT_FALSE(gate.wait({0}, 0, milliseconds(20)));
  EXPECT_GE(clock.now() - begin, milliseconds(20));
  gate.open(0, 0);
  EXPECT_TRUE(gate.wait({0}, 0, seconds(1000)));
  EXPECT_FALSE(gate.wait({0}, 1, milliseconds(1))) << "an older version";
  EXPECT_FALSE(gate.wait({0, 1}, 0, milliseconds(1))) << "one of two";
  EXPECT_TRUE(gate.wait({}, 7, Duration::zero()));
  gate.open(0, -1);
  EXPECT_FALSE(gate.wait({0}, 0, milliseconds(1))) << "gone again";
}

// A stop or a new plan: long before the wait is over.
TEST(RangeGate, WhoWaitsIsWokenToLookAround) {
  RangeGate gate(1);
  std::atomic<bool> over{false};
  std::thread waker([&] {
    while (!over.load()) {
      gate.wake();
      std::this_thread::yield();
    }
  });
  const SystemClock clock;
  const Time begin = clock.now();
  EXPECT_FALSE(gate.wait({0}, 0, seconds(1000)));
  over.store(true);
  waker.join();
  EXPECT_LT(clock.now() - begin, seconds(60));
}

TEST(RangeGateDeathTest, ALaterVersionThanTheReadersIsADefect) {
  RangeGate gate(1);
  gate.open(0, 5);
  EXPECT_DEATH((void)gate.wait({0}, 4, milliseconds(1)), "version 4 is still to be read");
}

}  // namespace
}  // namespace strand
