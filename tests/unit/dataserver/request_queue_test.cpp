#include "dataserver/request_queue.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "dataserver/answer_sender.h"
#include "shared/base/text.h"

namespace strand {
namespace {

Time at(double seconds) {
  return {static_cast<int64_t>(seconds * 1e9)};
}

ServeRows request(const std::string& client, uint64_t number) {
  ServeRows made;
  made.to.peer = client;
  made.to.header.request = number;
  made.fetch.first_row = number;
  return made;
}

bool anybody(const std::string&) {
  return true;
}

// Whatever the clients ask for and whatever it costs: each in its own order, and none that waits falls behind another
// by more than the largest two answers.
TEST(RequestQueue, EachClientInOrderAndNoneBehindTheOthers) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    RequestQueue queue;
    const size_t clients = 2 + random() % 5;
    std::map<std::string, uint64_t> asked, answered, had, cost;
    for (size_t i = 0; i < clients; ++i) cost[concat("c", i)] = 1 + random() % 1000;
    for (int turn = 0; turn < 3000; ++turn) {
      for (const auto& [client, one] : cost) {
        while (asked[client] - answered[client] < 8) ASSERT_TRUE(queue.add(request(client, ++asked[client]), at(turn)));
      }
      const auto next = queue.next(anybody);
      ASSERT_TRUE(next);
      const std::string& client = next->request.to.peer;
      ASSERT_EQ(next->request.fetch.first_row, ++answered[client]);
      queue.charge(client, cost[client]);
      had[client] += cost[client];
      for (const auto& [other, theirs] : had) ASSERT_LE(had[client], theirs + 2000) << client << " " << other;
    }
    EXPECT_EQ(queue.clients(), clients);
  }
}

TEST(RequestQueue, WhoComesBackAfterAPauseHasSavedNothingUp) {
  RequestQueue queue;
  queue.add(request("idle", 1), at(0));
  ASSERT_TRUE(queue.next(anybody));
  queue.charge("idle", 1);
  uint64_t number = 0;
  for (int i = 0; i < 100; ++i) {
    queue.add(request("busy", ++number), at(1));
    ASSERT_TRUE(queue.next(anybody));
    queue.charge("busy", 10);
  }
  for (uint64_t i = 2; i < 52; ++i) {
    queue.add(request("idle", i), at(2));
    queue.add(request("busy", ++number), at(2));
  }
  size_t idle = 0;
  for (int i = 0; i < 40; ++i) {
    const auto next = queue.next(anybody);
    idle += next->request.to.peer == "idle" ? 1 : 0;
    queue.charge(next->request.to.peer, 10);
  }
  EXPECT_GE(idle, 18u);
  EXPECT_LE(idle, 22u);
}

TEST(RequestQueue, ARepeatedRequestIsAnsweredOnceAndOneThatIsNotRepeatedExpires) {
  RequestQueue queue;
  const double deadline = to_seconds(RequestQueue::kDeadline);
  queue.add(request("a", 1), at(0));
  queue.add(request("a", 2), at(0));
  for (int i = 0; i < 5; ++i) queue.add(request("a", 1), at(deadline - 1));
  EXPECT_EQ(queue.waiting(), 2u);
  EXPECT_EQ(queue.forget(at(deadline + 1)), 1u);
  const auto next = queue.next(anybody);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->request.fetch.first_row, 1u);
  EXPECT_EQ(next->since, at(0)) << "since it was first asked for";
  EXPECT_FALSE(queue.next(anybody));
  EXPECT_EQ(queue.forget(at(deadline - 1 + to_seconds(RequestQueue::kRemembered))), 0u);
  EXPECT_EQ(queue.clients(), 0u);
}

TEST(RequestQueue, TooManyAreRefusedAndWhoMayNotHaveAnyIsPassedOver) {
  RequestQueue queue;
  for (uint64_t i = 0; i < RequestQueue::kMostWaiting; ++i) ASSERT_TRUE(queue.add(request("a", i), at(0)));
  EXPECT_FALSE(queue.add(request("a", 1 << 20), at(0)));
  EXPECT_TRUE(queue.add(request("a", 5), at(0))) << "it waits already";
  EXPECT_TRUE(queue.add(request("b", 1), at(1)));
  const auto not_a = [](const std::string& client) { return client != "a"; };
  EXPECT_EQ(queue.next(not_a)->request.to.peer, "b");
  EXPECT_FALSE(queue.next(not_a));
  EXPECT_EQ(queue.next(anybody)->request.to.peer, "a");
}

// A transport with room for so many messages of each peer.
class NarrowTransport final : public Transport {
 public:
  Result<SocketId> bind(const std::string&) override { return 1; }
  Result<SocketId> connect(const std::string&, const std::string&) override { return 1; }
  std::string endpoint_of(SocketId) override { return ""; }
  void close(SocketId) override {}
  Status send(SocketId, const std::string& peer, std::vector<Frame> frames) override {
    if (queues[peer].size() >= room[peer]) return unavailable("full");
    queues[peer].push_back(std::move(frames));
    return {};
  }
  Result<std::optional<Incoming>> receive(Duration) override { return std::optional<Incoming>(); }
  void wake() override {}
  std::map<std::string, std::deque<std::vector<Frame>>> queues;
  std::map<std::string, size_t> room;
};

std::vector<Frame> answer(uint64_t number, size_t bytes) {
  std::vector<Frame> frames;
  frames.push_back(Frame::from_string(concat(number)));
  frames.push_back(Frame::from_string(std::string(bytes, 'x')));
  return frames;
}

// Nothing is lost or overtaken, however narrow the queue.
TEST(AnswerSender, WhatDoesNotFitIsHeldAndArrivesInOrder) {
  std::mt19937_64 random(3);
  NarrowTransport transport;
  AnswerSender sender(&transport, 1);
  uint64_t sent = 0, arrived = 0;
  for (int turn = 0; turn < 5000; ++turn) {
    transport.room["a"] = random() % 4;
    if (random() % 2 == 0 && sender.may_have("a")) sender.send("a", answer(++sent, 2000), at(turn * 1e-3));
    sender.retry(at(turn * 1e-3));
    auto& queue = transport.queues["a"];
    for (uint64_t i = random() % 3; i > 0 && !queue.empty(); --i) {
      EXPECT_EQ(std::string(queue.front()[0].data(), queue.front()[0].size()), concat(++arrived));
      queue.pop_front();
    }
  }
  EXPECT_GT(sent, 500u);
  EXPECT_LE(sent - arrived - transport.queues["a"].size(), sender.held());
}

TEST(AnswerSender, AClientThatDoesNotReadIsBoundedAndTheOthersGoOn) {
  NarrowTransport transport;
  transport.room = {{"asleep", 1000}, {"gone", 0}, {"awake", 1000}};
  AnswerSender sender(&transport, 1);
  constexpr size_t kBytes = size_t{3} << 20;
  size_t sent = 0;
  while (sender.may_have("asleep")) sender.send("asleep", answer(++sent, kBytes), at(0));
  EXPECT_EQ(sent, (AnswerSender::kMostUnsent + kBytes - 1) / kBytes);
  EXPECT_TRUE(sender.waits());
  EXPECT_FALSE(sender.send("gone", answer(1, 10), at(0)));
  EXPECT_FALSE(sender.may_have("gone"));
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(sender.may_have("awake"));
    EXPECT_TRUE(sender.send("awake", answer(1, kBytes), at(1)));
    transport.queues["awake"].clear();
  }
  const double late = to_seconds(AnswerSender::kHeldFor);
  EXPECT_EQ(sender.retry(at(late - 1)).dropped, 0u);
  EXPECT_EQ(sender.retry(at(late)).dropped, 1u);
  EXPECT_EQ(sender.held(), 0u);
  EXPECT_FALSE(sender.may_have("asleep"));
  transport.queues.clear();
  EXPECT_TRUE(sender.may_have("asleep")) << "it has read";
  sender.retry(at(late));
  EXPECT_FALSE(sender.waits());
}

}  // namespace
}  // namespace strand
