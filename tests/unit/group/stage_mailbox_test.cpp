// One mailbox, message by message, in virtual time.
#include "worker/group/stage_mailbox.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/sim_clock.h"
#include "worker/pipeline/schedule.h"

namespace strand {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr WorkerId kSelf{10}, kPrevious{11}, kNext{12}, kStranger{13};
constexpr PipelineShape kShape{3, 1, 8};
constexpr Duration kNoWait = Duration::zero();

Frame text(const std::string& bytes) {
  return Frame::from_string(bytes);
}
std::string text_of(const Frame& frame) {
  return {frame.data(), frame.size()};
}
MessageTag activation(int micro_batch) {
  return {MessageKind::kActivation, 0, micro_batch};
}
MessageTag gradient(int micro_batch) {
  return {MessageKind::kGradient, 0, micro_batch};
}

class StageMailboxTest : public testing::Test {
 protected:
  void open(const PassStamp& stamp) {
    stamp_ = stamp;
    box_.open(stamp, kShape, 1, kPrevious, kNext);
  }
  // What `from` says in the pass of this stamp.
  void say(WorkerId from, const PassStamp& stamp, ShardBody body, const std::string& bulk = "") {
    Header header;
    header.job = {5};
    header.generation = stamp.generation;
    header.sender = from;
    header.incarnation = {from.value * 100};
    header.step = stamp.step;
    box_.deliver({header, std::move(body)}, bulk.empty() ? Frame() : text(bulk), clock_.now());
  }
  void say_activation(const PassStamp& stamp, uint64_t sequence, const std::string& bulk) {
    say(kPrevious, stamp, StageData{stamp.pass, 0, 0, static_cast<uint32_t>(sequence), sequence}, bulk);
  }
  void say_taken(uint64_t taken, uint64_t arrived) { say(kNext, stamp_, StageTaken{stamp_.pass, 0, taken, arrived}); }
  std::vector<StageMailbox::Outgoing> flush() { return box_.flush(clock_.now()); }
  // What flush() says after `time`; nothing else than one such message.
  template <class Body>
  std::optional<Body> only(Duration time = kNoWait, size_t* bulk_bytes = nullptr) {
    clock_.advance(time);
    const auto out = flush();
    EXPECT_EQ(out.size(), 1u);
    if (out.size() != 1) return std::nullopt;
    const Header& header = out[0].message.header;
    EXPECT_EQ(header.job, JobId{5});
    EXPECT_EQ(header.sender, kSelf);
    EXPECT_EQ(header.incarnation, Incarnation{1000});
    EXPECT_TRUE(is_stage_message(out[0].message.body));
    EXPECT_TRUE(std::holds_alternative<Body>(out[0].message.body)) << shard_message_name(out[0].message.body);
    if (bulk_bytes != nullptr) *bulk_bytes = out[0].bulk.size();
    const Body* body = std::get_if<Body>(&out[0].message.body);
    return body == nullptr ? std::nullopt : std::optional<Body>(*body);
  }
  std::string received(const MessageTag& tag) {
    const auto result = box_.receive(tag, kNoWait);
    if (!result.ok()) return "error: " + result.error().message();
    return result->has_value() ? text_of(**result) : "nothing";
  }

  SimClock clock_;
  int wakes_ = 0;
  StageMailbox box_{JobId{5}, kSelf, Incarnation{1000}, clock_, [this] { ++wakes_; }};
  PassStamp stamp_;
};

TEST_F(StageMailboxTest, RoomComesBackWhenMessagesAreTakenNotWhenTheyArrive) {
  open({{1}, 4, 0});
  for (int i = 0; i < kLinkBuffers; ++i) {
    const int wakes = wakes_;
    EXPECT_TRUE(*box_.send(activation(i), text("a"), kNoWait));
    EXPECT_GT(wakes_, wakes) << "it leaves at once";
  }
  EXPECT_FALSE(*box_.send(activation(9), text("a"), kNoWait));
  EXPECT_TRUE(*box_.send(gradient(0), text("g"), kNoWait)) << "the other kind has room of its own";
  std::vector<WorkerId> to;
  for (const auto& out : flush()) to.push_back(out.to);
  EXPECT_EQ(to, (std::vector<WorkerId>{kNext, kNext, kPrevious}));
  say_taken(0, 2);
  EXPECT_FALSE(*box_.send(activation(9), text("a"), kNoWait));
  say_taken(1, 2);
  EXPECT_TRUE(*box_.send(activation(9), text("a"), kNoWait));
  EXPECT_FALSE(*box_.send(activation(9), text("a"), kNoWait));
  say_taken(1, 1);  // late
  EXPECT_FALSE(*box_.send(activation(9), text("a"), kNoWait));
  say_taken(3, 3);
  EXPECT_FALSE(box_.quiet()) << "a gradient is on its way";
  say(kPrevious, stamp_, StageTaken{0, 1, 1, 1});
  EXPECT_TRUE(box_.quiet());
}

TEST_F(StageMailboxTest, WhatIsNotTakenIsSaidAgainLessAndLessOftenAndWithoutItsBytesOnceItHasArrived) {
  open({{1}, 4, 0});
  ASSERT_TRUE(*box_.send(activation(3), text("bytes"), kNoWait));
  size_t bytes = 0;
  const StageData data{0, 0, 0, 3, 0};
  EXPECT_EQ(only<StageData>(kNoWait, &bytes), data);
  EXPECT_EQ(bytes, 5u);
  for (const Duration wait : {milliseconds(500), milliseconds(1000), milliseconds(2000), milliseconds(4000)}) {
    clock_.advance(wait - milliseconds(1));
    EXPECT_TRUE(flush().empty());
    EXPECT_EQ(only<StageData>(milliseconds(1), &bytes), data);
    EXPECT_EQ(bytes, 5u);
  }
  say_taken(0, 1);
  EXPECT_EQ(only<StageData>(milliseconds(4000), &bytes), data);
  EXPECT_EQ(bytes, 0u);
  say_taken(1, 1);
  clock_.advance(seconds(100));
  EXPECT_TRUE(flush().empty());
}

TEST_F(StageMailboxTest, MessagesAreTakenInTheirOrderWhateverTheOrderOfArrival) {
  open({{1}, 4, 0});
  say_activation(stamp_, 1, "one");
  EXPECT_EQ(received(activation(0)), "nothing");
  say_activation(stamp_, 1, "other bytes");
  say_activation(stamp_, 0, "zero");
  say_activation(stamp_, 0, "other bytes");
  EXPECT_EQ(received(activation(0)), "zero");
  say_activation(stamp_, 0, "other bytes");
  EXPECT_EQ(received(activation(1)), "one");
  EXPECT_EQ(received(activation(2)), "nothing");
  say_activation(stamp_, 2, "two");
  EXPECT_NE(received(activation(7)).find("takes the activation of micro batch 7"), std::string::npos);
}

// One answer for a message that is taken at once; two for one that waits.
TEST_F(StageMailboxTest, TheSenderIsToldOfArrivalAndTaking) {
  open({{1}, 4, 0});
  say_activation(stamp_, 0, "zero");
  EXPECT_TRUE(flush().empty());
  EXPECT_EQ(received(activation(0)), "zero");
  EXPECT_EQ(only<StageTaken>(), (StageTaken{0, 0, 1, 1}));
  say_activation(stamp_, 2, "two");
  EXPECT_EQ(only<StageTaken>(milliseconds(100)), (StageTaken{0, 0, 1, 1})) << "1 is missing";
  say_activation(stamp_, 1, "one");
  EXPECT_EQ(only<StageTaken>(milliseconds(100)), (StageTaken{0, 0, 1, 3}));
  EXPECT_EQ(received(activation(1)), "one");
  EXPECT_EQ(only<StageTaken>(), (StageTaken{0, 0, 2, 3}));
  say_activation(stamp_, 2, "");  // asks
  EXPECT_EQ(only<StageTaken>(), (StageTaken{0, 0, 2, 3}));
}

TEST_F(StageMailboxTest, ANewPassSeesWhatCameEarlyForItAndNothingOfTheOldOne) {
  const PassStamp first{{1}, 4, 0}, second{{1}, 4, 1}, third{{1}, 5, 0};
  open(first);
  ASSERT_TRUE(*box_.send(activation(0), text("of the first"), kNoWait));
  EXPECT_EQ(flush().size(), 1u);
  say_activation(second, 0, "early");
  EXPECT_EQ(received(activation(0)), "nothing");
  EXPECT_EQ(only<StageTaken>(milliseconds(100)), (StageTaken{1, 0, 0, 1})) << "it is kept";
  say_activation(first, 0, "left");
  open(second);
  EXPECT_EQ(only<StageTaken>(), (StageTaken{0, 0, 1, 1})) << "nobody will take it";
  EXPECT_EQ(received(activation(0)), "early");
  say_activation(first, 1, "late");
  EXPECT_EQ(received(activation(1)), "nothing");
  const auto answers = flush();
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(std::get<StageTaken>(answers[0].message.body), (StageTaken{0, 0, 2, 2}));
  EXPECT_EQ(answers[0].message.header.step, 4);
  // What the first pass sent last is still under way, and counts.
  ASSERT_TRUE(*box_.send(activation(0), text("of the second"), kNoWait));
  EXPECT_FALSE(*box_.send(activation(1), text("of the second"), kNoWait));
  say(kNext, first, StageTaken{0, 0, 1, 1});
  EXPECT_TRUE(*box_.send(activation(1), text("of the second"), kNoWait));
  box_.close();
  EXPECT_EQ(received(activation(1)), "error: the link between stages is used while no pass is open");
  open(third);
  EXPECT_EQ(received(activation(0)), "nothing");
}

TEST_F(StageMailboxTest, OfPassesThatAreNotOpenOnlyABoundedNumberIsKept) {
  open({{1}, 1, 0});
  for (Step step = 2; step < 100; ++step) say_activation({{1}, step, 0}, 0, "early");
  clock_.advance(milliseconds(100));
  const size_t kept = flush().size();
  EXPECT_GE(kept, 2u * kLinkBuffers);
  EXPECT_LT(kept, 10u);
  EXPECT_EQ(box_.dropped(), 98 - kept);
  say_activation({{2}, 1, 0}, 0, "of a newer plan");
  EXPECT_EQ(box_.dropped(), 98 - kept) << "its room is that of an older plan's";
  for (uint64_t sequence = 0; sequence < 100; ++sequence) say_activation(stamp_, sequence, "at once");
  EXPECT_EQ(box_.dropped(), 98 - kept + 100 - kLinkBuffers);
}

TEST_F(StageMailboxTest, WhatIsMalformedOrOfNobodyInTheRingIsDropped) {
  const PassStamp stamp{{3}, 4, 0};
  say(kStranger, stamp, StageData{0, 0, 0, 0, 0}, "early");
  open(stamp);
  say(kPrevious, stamp, StageData{0, 2, 0, 0, 0}, "of no kind");
  say(kPrevious, stamp, StageTaken{0, 200, 0, 0});
  say(kStranger, stamp, StageData{0, 0, 0, 0, 0}, "a stranger's");
  say(kNext, stamp, StageData{0, 0, 0, 0, 0}, "from the wrong side");
  say(kStranger, stamp, StageAbort{0, 1, "a stranger's"});
  EXPECT_EQ(box_.dropped(), 5u);
  EXPECT_EQ(received(activation(0)), "nothing");
  ASSERT_TRUE(*box_.send(activation(0), text("a"), kNoWait));
  say(kStranger, stamp, StageTaken{0, 0, 1, 1});
  say(kPrevious, stamp, StageTaken{0, 0, 1, 1});
  EXPECT_FALSE(box_.quiet());
  say_activation(stamp, 0, "right");
  EXPECT_EQ(received(activation(0)), "right");
}

TEST_F(StageMailboxTest, AnAbortIsToldToBothNeighboursAFewTimesAndEndsWhatWasSent) {
  open({{1}, 4, 0});
  ASSERT_TRUE(*box_.send(activation(0), text("a"), kNoWait));
  box_.abort(unavailable("the reason"));
  EXPECT_FALSE(box_.quiet());
  EXPECT_EQ(received(activation(0)), "error: the reason");
  size_t told = 0;
  for (int i = 0; i < 10; ++i, clock_.advance(seconds(10))) {
    for (const auto& out : flush()) {
      EXPECT_EQ(out.to, told % 2 == 0 ? kNext : kPrevious);
      EXPECT_EQ(std::get<StageAbort>(out.message.body),
                (StageAbort{0, static_cast<uint8_t>(ErrorCode::kUnavailable), "the reason"}));
      ++told;
    }
    EXPECT_TRUE(box_.quiet());
  }
  EXPECT_EQ(told, 10u);
}

TEST_F(StageMailboxTest, AnAbortOfANeighbourEndsItsPassAlsoWhenItComesBeforeIt) {
  const PassStamp first{{1}, 4, 0}, second{{1}, 5, 0}, third{{1}, 6, 0};
  open(first);
  say(kNext, second, StageAbort{0, static_cast<uint8_t>(ErrorCode::kStopped), "early"});
  EXPECT_EQ(received(activation(0)), "nothing");
  say(kPrevious, first, StageAbort{0, 250, "of an unknown class"});
  EXPECT_EQ(box_.receive(activation(0), kNoWait).error().code(), ErrorCode::kInternal);
  EXPECT_FALSE(box_.send(activation(0), text("a"), kNoWait).ok());
  open(second);
  EXPECT_EQ(box_.receive(activation(0), kNoWait).error().code(), ErrorCode::kStopped);
  open(third);
  say(kNext, second, StageAbort{0, 1, "late"});
  EXPECT_EQ(received(activation(0)), "nothing");
}

TEST_F(StageMailboxTest, ANewerPlanEndsOlderPassesForGood) {
  open({{3}, 4, 0});
  ASSERT_TRUE(*box_.send(activation(0), text("a"), kNoWait));
  box_.interrupt({5}, unavailable("plan 5"));
  box_.interrupt({4}, unavailable("an older plan"));
  EXPECT_EQ(received(activation(0)), "error: plan 5");
  box_.abort(unavailable("plan 5"));
  EXPECT_TRUE(flush().empty()) << "nobody is told, nothing is said again";
  EXPECT_TRUE(box_.quiet());
  say_activation({{4}, 4, 0}, 0, "of a plan that is over as well");
  open({{4}, 4, 0});
  EXPECT_EQ(received(activation(0)), "error: plan 5");
  say_activation({{5}, 2, 0}, 0, "of plan 5");
  open({{5}, 2, 0});
  EXPECT_EQ(received(activation(0)), "of plan 5");
}

// One stage with several chunks: every schedule's messages, taken by itself in the order of its list, without a
// network.
TEST_F(StageMailboxTest, AStageThatIsAloneHandsOverToItself) {
  Step step = 0;
  for (const int chunks : {2, 3, 4}) {
    const auto schedule = make_schedule(PipelineKind::kInterleaved, {1, chunks, 5});
    ASSERT_TRUE(schedule.ok());
    box_.open({{1}, ++step, 0}, schedule->shape, 0, kSelf, kSelf);
    int handed = 0;
    for (const Instruction& instruction : schedule->stages[0]) {
      const auto takes = input_of(schedule->shape, 0, instruction), gives = output_of(schedule->shape, 0, instruction);
      if (takes) {
        EXPECT_EQ(received(*takes), to_text(*takes));
      }
      if (!gives) continue;
      EXPECT_TRUE(*box_.send(*gives, text(to_text(*gives)), kNoWait));
      ++handed;
    }
    EXPECT_EQ(handed, 2 * 5 * (chunks - 1));
    EXPECT_TRUE(flush().empty());
    EXPECT_TRUE(box_.quiet());
  }
}

}  // namespace
}  // namespace strand
