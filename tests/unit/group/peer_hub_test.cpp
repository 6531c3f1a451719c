// Hubs over real sockets: what the workers of a group give each other, and who hears it.
#include "worker/group/peer_hub.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <deque>
#include <filesystem>
#include <thread>

#include "shared/base/text.h"
#include "tests/unit/pipeline/fake_compute.h"
#include "worker/group/stage_mailbox.h"

namespace strand {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr JobId kJob{3};

GroupMember member(uint64_t worker, uint64_t incarnation, const std::string& endpoint) {
  return {{worker}, {incarnation}, 0, 0, endpoint};
}
ShardMessage message_of(uint64_t sender, uint64_t incarnation, uint64_t number) {
  Header header;
  header.job = kJob;
  header.sender = {sender};
  header.incarnation = {incarnation};
  return {header, StageData{0, 0, 0, 0, number}};
}
uint64_t number_of(const ShardMessage& message) {
  return std::get<StageData>(message.body).sequence;
}
// A bulk that tells its message; of every size class of the transport.
std::string bulk_of(uint64_t sender, uint64_t number) {
  const size_t sizes[] = {0, 1, 1000, 5000, 100'000};
  return std::string(sizes[number % 5], static_cast<char>('a' + (number + sender) % 26));
}

// Within ten seconds.
bool soon(const std::function<bool()>& condition) {
  for (int i = 0; i < 10'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return condition();
}

// Sends what it is given, again until the hub takes it, and keeps what it hears.
class Worker final : public PeerHub::Client {
 public:
  Worker(uint64_t id, uint64_t incarnation, const std::string& endpoint) : id_(id), incarnation_(incarnation) {
    auto hub = PeerHub::start(make_zmq_transport(), endpoint, {id}, {incarnation});
    EXPECT_TRUE(hub.ok()) << hub.error().message();
    hub_ = std::move(*hub);
    hub_->attach(this);
  }
  ~Worker() override { hub_->detach(); }

  PeerHub* hub() { return hub_.get(); }
  GroupMember self() const { return member(id_, incarnation_, hub_->endpoint()); }
  void know(const std::vector<GroupMember>& members) {
    const std::lock_guard lock(mutex_);
    members_ = members;
    hub_->wake();
  }
  void post(uint64_t to, uint64_t number) {
    const std::lock_guard lock(mutex_);
    to_send_.push_back({to, number});
    hub_->wake();
  }
  struct Heard {
    uint64_t sender = 0, incarnation = 0, number = 0;
    std::string bulk;
  };
  std::vector<Heard> heard() {
    const std::lock_guard lock(mutex_);
    return heard_;
  }
  bool all_sent() {
    const std::lock_guard lock(mutex_);
    return to_send_.empty();
  }
  int turns() {
    const std::lock_guard lock(mutex_);
    return turns_;
  }

  void on_message(const ShardMessage& message, Frame bulk) override {
    const std::lock_guard lock(mutex_);
    heard_.push_back({message.header.sender.value, message.header.incarnation.value, number_of(message),
                      std::string(bulk.data(), bulk.size())});
  }
  void on_turn() override {
    const std::lock_guard lock(mutex_);
    ++turns_;
    if (members_) hub_->set_peers(*std::exchange(members_, std::nullopt));
    while (!to_send_.empty()) {
      const auto [to, number] = to_send_.front();
      const std::string bulk = bulk_of(id_, number);
      if (!hub_->send({to}, message_of(id_, incarnation_, number), Frame::from_string(bulk))) return;
      to_send_.pop_front();
    }
  }

 private:
  uint64_t id_, incarnation_;
  std::unique_ptr<PeerHub> hub_;
  std::mutex mutex_;
  std::optional<std::vector<GroupMember>> members_;
  std::deque<std::pair<uint64_t, uint64_t>> to_send_;
  std::vector<Heard> heard_;
  int turns_ = 0;
};

// A folder for sockets, gone with the test.
class PeerHubTest : public testing::Test {
 protected:
  PeerHubTest() {
    char name[] = "/tmp/strand-hub-XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~PeerHubTest() override { std::filesystem::remove_all(folder_); }
  std::string ipc(const std::string& name) const { return "ipc://" + folder_ + "/" + name; }

  std::string folder_;
};

TEST_F(PeerHubTest, AThousandMessagesWithTheirBytesBothWays) {
  for (const bool tcp : {false, true}) {
    Worker a(1, 11, tcp ? "tcp://127.0.0.1:0" : ipc("a")), b(2, 22, tcp ? "tcp://127.0.0.1:0" : ipc("b"));
    a.know({a.self(), b.self()});
    b.know({a.self(), b.self()});
    for (uint64_t number = 0; number < 1000; ++number) {
      a.post(2, number);
      b.post(1, number);
    }
    for (Worker* worker : {&a, &b}) {
      const uint64_t sender = worker == &a ? 2 : 1;
      ASSERT_TRUE(soon([&] { return worker->heard().size() == 1000; })) << worker->heard().size();
      const auto heard = worker->heard();
      for (uint64_t number = 0; number < 1000; ++number) {
        EXPECT_EQ(heard[number].sender, sender);
        EXPECT_EQ(heard[number].number, number) << "in order";
        EXPECT_EQ(heard[number].bulk, bulk_of(sender, number));
      }
      EXPECT_EQ(worker->hub()->dropped(), 0u);
    }
  }
}

TEST_F(PeerHubTest, AWorkerThatCameBackIsHeardAndHears) {
  Worker a(1, 11, ipc("a"));
  std::vector<Worker::Heard> last;
  for (const uint64_t incarnation : {22, 23, 24}) {
    Worker b(2, incarnation, ipc("b"));
    a.know({a.self(), b.self()});
    b.know({a.self(), b.self()});
    a.post(2, incarnation);
    b.post(1, incarnation);
    ASSERT_TRUE(soon([&] { return b.heard().size() == 1; })) << incarnation;
    EXPECT_EQ(b.heard()[0].number, incarnation) << "nothing that was meant for the process before";
    ASSERT_TRUE(soon([&] { return a.heard().size() == incarnation - 21; })) << incarnation;
    EXPECT_EQ(a.heard().back().incarnation, incarnation);
  }
}

TEST_F(PeerHubTest, MessagesForNobodyAreNotSent) {
  Worker a(1, 11, ipc("a")), b(2, 22, ipc("b"));
  a.post(2, 1);
  a.post(1, 2);  // itself
  std::this_thread::sleep_for(milliseconds(30));
  EXPECT_FALSE(a.all_sent());
  a.know({a.self(), b.self()});
  ASSERT_TRUE(soon([&] { return b.heard().size() == 1; }));
  std::this_thread::sleep_for(milliseconds(30));
  EXPECT_FALSE(a.all_sent()) << "a hub does not connect to itself";
  // Left out of the group, and taken in again.
  Worker c(3, 33, ipc("c"));
  c.know({b.self()});
  c.post(2, 1);
  ASSERT_TRUE(soon([&] { return b.heard().size() == 2; }));
  const int turns = c.turns();
  c.know({});
  ASSERT_TRUE(soon([&] { return c.turns() >= turns + 2; }));
  c.post(2, 2);
  std::this_thread::sleep_for(milliseconds(30));
  EXPECT_FALSE(c.all_sent());
  c.know({b.self(), member(4, 44, "not an endpoint")});
  ASSERT_TRUE(soon([&] { return b.heard().size() == 3; }));
  EXPECT_EQ(b.heard().back().number, 2u);
}

TEST_F(PeerHubTest, WhatIsNotOfTheProtocolIsDroppedAndCounted) {
  Worker a(1, 11, ipc("a"));
  auto stranger = make_zmq_transport();
  const SocketId socket = *stranger->connect(a.hub()->endpoint(), "stranger");
  const auto say = [&](std::vector<Frame> frames) { EXPECT_TRUE(stranger->send(socket, "", std::move(frames)).ok()); };
  const auto encoded = [](const ShardMessage& message) { return Frame::from_string(encode_shard_message(message)); };
  const Frame good = encoded(message_of(2, 22, 5));
  ShardMessage no_job = message_of(2, 22, 0), no_sender = no_job;
  no_job.header.job = {};
  no_sender.header.sender = {};
  say({Frame::from_string("garbage")});
  say({Frame()});
  say({encoded(no_job)});
  say({encoded(no_sender)});
  say({good, good, good});
  say({Frame::from_string(encode_message({{}, Heartbeat{}}))});
  say({good});
  ASSERT_TRUE(soon([&] { return a.heard().size() == 1; }));
  EXPECT_EQ(a.heard()[0].number, 5u);
  EXPECT_EQ(a.hub()->dropped(), 6u);
}

// Under a flood, a client comes and goes: it is called only in between.
TEST_F(PeerHubTest, AClientIsCalledBetweenAttachAndDetachOnly) {
  struct Counter final : PeerHub::Client {
    void on_message(const ShardMessage&, Frame) override { count(); }
    void on_turn() override { count(); }
    void count() {
      EXPECT_TRUE(attached);
      ++calls;
    }
    std::atomic<bool> attached{false};
    std::atomic<int> calls{0};
  };
  auto hub = PeerHub::start(make_zmq_transport(), ipc("a"), {1}, {11});
  ASSERT_TRUE(hub.ok());
  std::atomic<bool> stop{false};
  std::thread flood([&] {
    auto transport = make_zmq_transport();
    const SocketId socket = *transport->connect((*hub)->endpoint(), "flood");
    while (!stop) {
      const auto sent = transport->send(socket, "", {Frame::from_string(encode_shard_message(message_of(2, 22, 0)))});
      if (!sent.ok()) std::this_thread::sleep_for(milliseconds(1));
    }
  });
  for (int i = 0; i < 50; ++i) {
    Counter client;
    client.attached = true;
    (*hub)->attach(&client);
    EXPECT_TRUE(soon([&] { return client.calls > 10; }));
    (*hub)->detach();
    client.attached = false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_TRUE(soon([&] { return (*hub)->dropped() > 0; }));
  stop = true;
  flood.join();
}

TEST_F(PeerHubTest, ATurnComesAlsoWhenNothingDoes) {
  Worker a(1, 11, ipc("a"));
  const int turns = a.turns();
  EXPECT_TRUE(soon([&] { return a.turns() > turns + 5; }));
}

TEST_F(PeerHubTest, AnEndpointInUseIsAConflict) {
  Worker a(1, 11, ipc("a"));
  const auto second = PeerHub::start(make_zmq_transport(), ipc("a"), {2}, {22});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), ErrorCode::kConflict);
}

// A stage of a pipeline over a hub, as a worker does it.
struct Stage final : PeerHub::Client {
  Stage(int stage, const std::string& endpoint) : self{static_cast<uint64_t>(stage) + 1} {
    auto started = PeerHub::start(make_zmq_transport(std::nullopt, kMaxPeerFrame), endpoint, self, {1});
    EXPECT_TRUE(started.ok()) << started.error().message();
    hub = std::move(*started);
    box = std::make_unique<StageMailbox>(kJob, self, Incarnation{1}, clock, [this] { hub->wake(); });
  }
  void on_message(const ShardMessage& message, Frame bulk) override {
    if (is_stage_message(message.body)) box->deliver(message, std::move(bulk), clock.now());
  }
  void on_turn() override {
    if (!connected) hub->set_peers(members);
    connected = true;
    for (const auto& out : box->flush(clock.now())) hub->send(out.to, out.message, out.bulk);
  }
  WorkerId self;
  SystemClock clock;
  std::vector<GroupMember> members;
  bool connected = false;
  std::unique_ptr<PeerHub> hub;
  std::unique_ptr<StageMailbox> box;
};

TEST_F(PeerHubTest, StagesTrainOverHubs) {
  const auto schedule = make_schedule(PipelineKind::kZeroBubbleH1, {3, 1, 12});
  ASSERT_TRUE(schedule.ok());
  std::deque<Stage> stages;
  std::vector<GroupMember> members;
  for (int stage = 0; stage < 3; ++stage) {
    stages.emplace_back(stage, ipc(concat("stage", stage)));
    members.push_back(member(stages.back().self.value, 1, stages.back().hub->endpoint()));
  }
  const auto expected = serial_gradients(3, 12);
  std::vector<std::thread> threads;
  for (int s = 0; s < 3; ++s) {
    Stage& mine = stages[static_cast<size_t>(s)];
    mine.members = members;
    mine.hub->attach(&mine);
    threads.emplace_back([&, s] {
      for (Step step = 1; step <= 20; ++step) {
        FakeCompute compute(schedule->shape, s);
        mine.box->open({{1}, step, 0}, schedule->shape, s, stages[static_cast<size_t>(s + 2) % 3].self,
                       stages[static_cast<size_t>(s + 1) % 3].self);
        const auto result = run_stage(*schedule, s, &compute, mine.box.get(), SystemClock(), {});
        EXPECT_TRUE(result.ok()) << result.error().message();
        EXPECT_EQ(compute.gradients().at(s), expected[static_cast<size_t>(s)]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (Stage& stage : stages) {
    EXPECT_TRUE(soon([&] { return stage.box->quiet(); }));
    EXPECT_EQ(stage.box->dropped(), 0u);
  }
  for (Stage& stage : stages) stage.hub->detach();
}

}  // namespace
}  // namespace strand
