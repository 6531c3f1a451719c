// A request to the coordinator by itself.
#include "coordinator/client/client_call.h"

#include <gtest/gtest.h>

namespace strand {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Time kStart{1000000000};

WireMessage reply_to(const WireMessage& request, uint8_t code, const std::string& text) {
  return {request.header, ClientReply{code, text}};
}

TEST(ClientCall, IsSaidAgainUnderItsNumberUntilItIsAnsweredOnce) {
  ClientCall call(seconds(10));
  const WireMessage first = call.begin("show", "{}", kStart);
  EXPECT_TRUE(call.waiting());
  int said = 0;
  for (Time now = kStart; now < kStart + seconds(5); now = now + milliseconds(100)) {
    const ClientCall::Due due = call.poll(now);
    EXPECT_FALSE(due.expired);
    if (!due.again) continue;
    ++said;
    EXPECT_EQ(call.request().header.request, first.header.request);
  }
  EXPECT_GE(said, 2);
  EXPECT_LE(said, 5) << "less and less often";
  const auto answer = call.on_message(reply_to(first, 255, "{\"step\": 3}"));
  ASSERT_TRUE(answer && answer->ok());
  EXPECT_EQ((**answer)["step"], 3);
  EXPECT_FALSE(call.on_message(reply_to(first, 255, "{}"))) << "an answer to a repetition";
  EXPECT_FALSE(call.waiting());
}

TEST(ClientCall, GivesUpInTimeAndHearsNoAnswerOfBefore) {
  ClientCall call(seconds(2));
  const WireMessage first = call.begin("show", "{}", kStart);
  EXPECT_FALSE(call.poll(kStart + milliseconds(1999)).expired);
  EXPECT_TRUE(call.poll(kStart + seconds(2)).expired);
  const WireMessage second = call.begin("pause", "{}", kStart + seconds(3));
  EXPECT_NE(second.header.request, first.header.request);
  EXPECT_FALSE(call.on_message(reply_to(first, 255, "{}")));
  const WireMessage third = call.begin("resume", "{}", kStart + seconds(3));
  EXPECT_FALSE(call.on_message(reply_to(second, 255, "{}"))) << "given up for the third";
  const auto refusal = call.on_message(reply_to(third, static_cast<uint8_t>(ErrorCode::kNotFound), "no job 7"));
  ASSERT_TRUE(refusal && !refusal->ok());
  EXPECT_EQ(refusal->error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(refusal->error().message(), "no job 7");
}

}  // namespace
}  // namespace strand
