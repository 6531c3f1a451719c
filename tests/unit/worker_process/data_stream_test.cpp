// The client side of the data stream: whatever is lost, repeated or restarted, every row is asked for and taken once.
#include "worker/data_stream.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace strand {
namespace {

using std::chrono::milliseconds;

DatasetStatus ready_status(uint64_t fingerprint = 9) {
  DatasetStatus status;
  status.state = DatasetState::kReady;
  status.fingerprint = {0, fingerprint};
  status.segments = 1000;
  status.eval_rows = 64;
  return status;
}

WireMessage reply(uint64_t request, Body body) {
  WireMessage message;
  message.header.request = request;
  message.body = std::move(body);
  return message;
}

// A server that may be restarted: it then refuses rows until the dataset has been opened again.
struct FakeServer {
  std::mt19937 random;
  bool open = false;
  std::deque<WireMessage> to_client;
  void receive(const WireMessage& message) {
    if (random() % 4 == 0) return;  // lost
    if (random() % 50 == 0) open = false;
    const int copies = random() % 5 == 0 ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      if (random() % 5 == 0) continue;  // the answer is lost
      if (std::holds_alternative<OpenDataset>(message.body)) {
        open = true;
        to_client.push_back(reply(message.header.request, ready_status()));
      } else if (const auto* fetch = std::get_if<FetchRows>(&message.body)) {
        if (open) {
          to_client.push_back(reply(message.header.request, Rows{fetch->first_row, fetch->rows, 10, 0}));
        } else {
          to_client.push_back(
              reply(message.header.request, DataRefused{static_cast<uint8_t>(ErrorCode::kNotFound), "not open"}));
        }
      }
    }
    if (to_client.size() > 1 && random() % 3 == 0) std::swap(to_client.front(), to_client.back());
  }
};

TEST(DataStream, EveryRangeArrivesOnceWhateverIsLostRepeatedOrRestarted) {
  for (uint32_t seed = 0; seed < 100; ++seed) {
    FakeServer server;
    server.random.seed(seed);
    DataStream stream(OpenDataset{}, 1, 4);
    Time now{};
    std::map<RowRange, int> arrived;
    uint64_t next = 0;
    const auto pump = [&](const DataStream::Output& output) {
      ASSERT_FALSE(output.failed.has_value());
      for (const auto& message : output.send) server.receive(message);
    };
    size_t most_held = 0;
    for (int i = 0; i < 20000 && next < 160; ++i) {
      now = now + milliseconds(20);
      pump(stream.poll(now));
      while (!server.to_client.empty()) {
        const WireMessage message = server.to_client.front();
        server.to_client.pop_front();
        if (std::holds_alternative<Rows>(message.body)) {
          if (const auto range = stream.accept(message)) ++arrived[*range];
        } else {
          pump(stream.on_message(message, now));
        }
      }
      const RowRange wanted{RowSet::kTraining, next, 8};
      if (stream.ready()) pump(stream.want(wanted, 160, now));
      most_held = std::max(most_held, arrived.size());
      if (arrived.contains(wanted)) {
        ASSERT_EQ(arrived[wanted], 1) << "seed " << seed;
        arrived.erase(wanted);
        stream.taken(wanted);
        next += 8;
      }
    }
    EXPECT_EQ(next, 160u) << "seed " << seed;
    EXPECT_TRUE(arrived.empty());
    EXPECT_LE(most_held, 4u) << "credits bound what waits";
  }
}

TEST(DataStream, AnotherDatasetIsRefusedEvenAfterARestart) {
  DataStream stream(OpenDataset{}, 1, 4);
  stream.on_message(reply(1, ready_status(9)), Time{});
  ASSERT_TRUE(stream.ready());
  const auto output = stream.on_message(reply(2, ready_status(10)), Time{});
  ASSERT_TRUE(output.failed.has_value());
  EXPECT_EQ(output.failed->code(), ErrorCode::kBadInput);
}

TEST(DataStream, ARefusalOfTheServerIsFinal) {
  DataStream stream(OpenDataset{}, 1, 4);
  DatasetStatus refused;
  refused.state = DatasetState::kRefused;
  refused.code = static_cast<uint8_t>(ErrorCode::kBadInput);
  refused.reason = "fingerprint differs in \"stride\"";
  const auto output = stream.on_message(reply(1, refused), Time{});
  ASSERT_TRUE(output.failed.has_value());
  EXPECT_NE(output.failed->message().find("stride"), std::string::npos);
}

}  // namespace
}  // namespace strand
