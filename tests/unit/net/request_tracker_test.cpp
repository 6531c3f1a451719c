// The request tracker against a plain model of it, in any order of events.
#include "shared/net/request_tracker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <set>

namespace strand {
namespace {

using std::chrono::milliseconds;

constexpr Time kNever{std::numeric_limits<int64_t>::max()};
constexpr Time at(int64_t ms) {
  return Time{ms * 1'000'000};
}

RetryPolicy policy(int first, int max, int deadline) {
  return {milliseconds(first), milliseconds(max), milliseconds(deadline)};
}

TEST(RequestTrackerTest, ResendsAtDoublingIntervalsUpToTheLimitUntilTheDeadline) {
  RequestTracker tracker(policy(100, 400, 2000));
  EXPECT_EQ(tracker.next_event(kNever), kNever);
  const uint64_t request = tracker.begin(at(0));
  std::vector<int64_t> resent;
  int64_t expired = -1;
  for (int64_t now = 0; now <= 3000; ++now) {
    const RequestTracker::Due due = tracker.poll(at(now));
    if (!due.resend.empty()) resent.push_back(now);
    if (!due.expired.empty()) expired = now;
  }
  EXPECT_EQ(request, 1u);
  EXPECT_EQ(resent, (std::vector<int64_t>{100, 300, 700, 1100, 1500, 1900}));
  EXPECT_EQ(expired, 2000);
  EXPECT_EQ(tracker.waiting(), 0u);
  EXPECT_FALSE(tracker.complete(request)) << "an answer after the deadline is a stranger";
}

TEST(RequestTrackerTest, WithoutADeadlineItAsksForEver) {
  RequestTracker tracker(policy(100, 1000, 0));
  const uint64_t request = tracker.begin(at(0));
  Time now = at(0);
  for (int i = 0; i < 10'000; ++i) {
    now = tracker.next_event(kNever);
    EXPECT_EQ(tracker.poll(now).resend, std::vector<uint64_t>{request});
  }
  EXPECT_GE(now, at(9'000'000));
  EXPECT_TRUE(tracker.complete(request));
}

TEST(RequestTrackerTest, ALatePollResendsOnce) {
  RequestTracker tracker(policy(100, 400, 0));
  tracker.begin(at(0));
  EXPECT_EQ(tracker.poll(at(60'000)).resend.size(), 1u) << "a stopped process must not flood when it goes on";
  EXPECT_EQ(tracker.poll(at(60'000)).resend.size(), 0u);
}

// Any order of begins, answers (also doubled, late and made up) and polls.
TEST(RequestTrackerTest, EachRequestEndsExactlyOnceInAnyOrderOfEvents) {
  for (uint32_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const RetryPolicy rules =
        policy(1 + random() % 300, 300 + random() % 2000, random() % 3 == 0 ? 0 : 500 + random() % 5000);
    RequestTracker tracker(rules);
    std::map<uint64_t, Time> open;  // the model: when each began
    std::map<uint64_t, Time> last_sent;
    std::set<uint64_t> ended;
    Time now = at(random() % 1000);
    uint64_t last = 0;
    for (int i = 0; i < 400; ++i) {
      now = now + milliseconds(random() % 200);
      const uint32_t event = random() % 10;
      if (event < 3) {
        const uint64_t request = tracker.begin(now);
        ASSERT_EQ(request, ++last) << "numbers rise and are never reused";
        open[request] = last_sent[request] = now;
      } else if (event < 6) {
        const uint64_t request = random() % (last + 3);
        ASSERT_EQ(tracker.complete(request), open.erase(request) == 1);
        ended.insert(request);
      } else {
        const RequestTracker::Due due = tracker.poll(now);
        for (uint64_t request : due.expired) {
          ASSERT_TRUE(open.contains(request));
          ASSERT_GT(rules.deadline.count(), 0);
          ASSERT_GE(now - open[request], rules.deadline);
          open.erase(request);
        }
        for (uint64_t request : due.resend) {
          ASSERT_TRUE(open.contains(request)) << "never asks again for what has ended";
          ASSERT_GE(now - last_sent[request], std::min(rules.first_retry, rules.max_retry));
          last_sent[request] = now;
        }
        for (const auto& [request, begun] : open) {
          ASSERT_TRUE(rules.deadline.count() <= 0 || now - begun < rules.deadline) << "nobody waits past the deadline";
          ASSERT_LT(now - last_sent[request], std::max(rules.first_retry, rules.max_retry)) << "nobody is forgotten";
        }
      }
      ASSERT_EQ(tracker.waiting(), open.size());
      if (open.empty()) {
        ASSERT_EQ(tracker.next_event(kNever), kNever);
      }
    }
    // Polling exactly when told misses nothing.
    while (tracker.waiting() > 0) {
      const Time next = std::max(now, tracker.next_event(kNever));
      now = next;
      const RequestTracker::Due due = tracker.poll(now);
      ASSERT_FALSE(due.resend.empty() && due.expired.empty()) << "next_event must tell of something";
      if (rules.deadline.count() <= 0) {
        for (uint64_t request : due.resend) ASSERT_TRUE(tracker.complete(request));
      }
    }
  }
}

}  // namespace
}  // namespace strand
