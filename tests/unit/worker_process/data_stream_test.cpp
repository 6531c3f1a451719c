// The client side of the data stream: whatever is lost, repeated, restarted or refused, by one server or several, every
// row is asked for and taken once.
#include "worker/data_stream.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <set>

#include "shared/base/text.h"

namespace strand {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ServerState = DataStream::ServerState;

DatasetStatus ready_status(uint64_t fingerprint = 9) {
  DatasetStatus status;
  status.state = DatasetState::kReady;
  status.fingerprint = {0, fingerprint};
  status.fields = {{"bases", concat(fingerprint)}};
  status.segments = 1000;
  status.eval_rows = 64;
  return status;
}

DatasetStatus refused_status(ErrorCode code, const std::string& reason) {
  DatasetStatus status;
  status.state = DatasetState::kRefused;
  status.code = static_cast<uint8_t>(code);
  status.reason = reason;
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
  bool lossy = false;        // messages are lost and repeated, restarts come at random
  bool dead = false;         // says nothing, and has forgotten everything when it comes back
  bool open = false;         // the dataset
  uint64_t fingerprint = 9;  // of what it serves
  int fetches = 0;           // that it was sent
  bool asked_for_nothing = false;
  std::deque<WireMessage> to_client;

  bool by_chance(unsigned one_in) { return lossy && random() % one_in == 0; }

  void answer_open(uint64_t request, const OpenDataset& wanted) {
    if (!wanted.expected.empty() && wanted.expected != ready_status(fingerprint).fields) {
      to_client.push_back(reply(request, refused_status(ErrorCode::kBadInput, "dataset field 'bases' differs")));
      return;
    }
    open = true;
    to_client.push_back(reply(request, ready_status(fingerprint)));
  }
  void receive(const WireMessage& message) {
    if (std::holds_alternative<FetchRows>(message.body)) ++fetches;
    if (dead) open = false;
    if (dead || by_chance(4)) return;
    if (by_chance(50)) open = false;
    const int copies = by_chance(5) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      if (by_chance(5)) continue;  // the answer is lost
      if (const auto* wanted = std::get_if<OpenDataset>(&message.body)) {
        answer_open(message.header.request, *wanted);
      } else if (const auto* fetch = std::get_if<FetchRows>(&message.body)) {
        EXPECT_EQ(fetch->fingerprint, ready_status().fingerprint);
        asked_for_nothing |= fetch->rows == 0;
        if (open) {
          to_client.push_back(reply(message.header.request, Rows{fetch->first_row, fetch->rows, 10, 0, false, 0, {}}));
        } else {
          to_client.push_back(
              reply(message.header.request, DataRefused{static_cast<uint8_t>(ErrorCode::kNotFound), "not open"}));
        }
      }
    }
    if (to_client.size() > 1 && by_chance(3)) std::swap(to_client.front(), to_client.back());
  }
};

// A stream and its servers on a clock of their own, and a consumer that takes rows in order.
class Reader {
 public:
  Reader(size_t servers, uint32_t credits) : servers_(servers), stream_(OpenDataset{}, 1, credits, servers) {}

  void tick(Duration passed = milliseconds(20)) {
    now_ = now_ + passed;
    pump(stream_.poll(now_));
    for (size_t i = 0; i < servers_.size(); ++i) {
      while (!servers_[i].to_client.empty()) {
        const WireMessage message = servers_[i].to_client.front();
        servers_[i].to_client.pop_front();
        if (servers_[i].dead) continue;
        if (!std::holds_alternative<Rows>(message.body)) {
          pump(stream_.on_message(i, message, now_));
        } else if (const auto range = stream_.accept(i, message, now_)) {
          ++arrived_[*range];
        }
      }
    }
  }
  // Takes [first, first + rows) when it has come.
  bool take(const RowRange& range, uint64_t end) {
    if (stream_.ready()) pump(stream_.want(range, end, now_));
    most_held_ = std::max(most_held_, arrived_.size());
    const auto found = arrived_.find(range);
    if (found == arrived_.end()) return false;
    EXPECT_TRUE(found->second == 1 || dealt_anew_);
    arrived_.erase(found);
    stream_.taken(range);
    return true;
  }
  // How long it takes until these rows have been taken; gives up after a minute.
  Duration read(uint64_t first, uint64_t end, uint32_t rows, uint64_t stream_end) {
    const Time begin = now_;
    while (first < end && now_ - begin < seconds(60)) {
      tick();
      while (first < end && take({RowSet::kTraining, first, rows}, stream_end)) first += rows;
    }
    EXPECT_EQ(first, end);
    return now_ - begin;
  }

  std::vector<FakeServer> servers_;
  DataStream stream_;
  Time now_{};
  std::map<RowRange, int> arrived_;
  bool dealt_anew_ = false;  // then what was fetched ahead may be fetched again
  size_t most_held_ = 0;
  std::optional<Error> failed_;
  std::vector<DataStream::Change> changes_;

 private:
  void pump(const DataStream::Output& output) {
    if (output.failed && !failed_) failed_ = output.failed;
    changes_.insert(changes_.end(), output.changes.begin(), output.changes.end());
    for (const auto& letter : output.send) servers_[letter.server].receive(letter.message);
  }
};

TEST(DataStream, EveryRangeArrivesOnceWhateverIsLostRepeatedOrRestarted) {
  for (uint32_t seed = 0; seed < 150; ++seed) {
    Reader reader(1 + seed % 3, 4);
    for (size_t i = 0; i < reader.servers_.size(); ++i) {
      reader.servers_[i].random.seed(7 * seed + static_cast<uint32_t>(i));
      reader.servers_[i].lossy = true;
    }
    uint64_t next = 0;
    for (int i = 0; i < 20000 && next < 160; ++i) {
      reader.tick();
      if (reader.take({RowSet::kTraining, next, 8}, 160)) next += 8;
    }
    EXPECT_EQ(next, 160u) << "seed " << seed;
    EXPECT_FALSE(reader.failed_) << "seed " << seed << ": " << reader.failed_->message();
    EXPECT_TRUE(reader.arrived_.empty());
    EXPECT_LE(reader.most_held_, 4u) << "credits bound what waits";
  }
}

TEST(DataStream, RequestsAreSpreadOverAllServersByRowNumber) {
  Reader reader(3, 8);
  reader.read(0, 600, 10, 600);
  for (const FakeServer& server : reader.servers_) EXPECT_NEAR(server.fetches, 20, 6);
}

TEST(DataStream, ASilentServerCostsHalfASecondOnceAndIsUsedAgainWhenItComesBack) {
  Reader reader(2, 8);
  reader.read(0, 400, 10, 10000);
  reader.servers_[0].dead = true;
  EXPECT_LE(reader.read(400, 800, 10, 10000), DataStream::kSilence + milliseconds(700));
  EXPECT_EQ(reader.stream_.state(0), ServerState::kSilent);
  const int asked = reader.servers_[0].fetches;
  EXPECT_LE(reader.read(800, 1600, 10, 10000), milliseconds(400)) << "nobody waits for it any more";
  EXPECT_EQ(reader.servers_[0].fetches, asked);
  reader.servers_[0].dead = false;
  for (int i = 0; i < 100; ++i) reader.tick();
  EXPECT_EQ(reader.stream_.state(0), ServerState::kReady);
  reader.read(1600, 2000, 10, 10000);
  EXPECT_GT(reader.servers_[0].fetches, asked + 10);
  EXPECT_FALSE(reader.failed_);
}

TEST(DataStream, ARestartedServerIsOpenedAgainAndNothingWaitsForItsOldRequests) {
  Reader reader(1, 8);
  reader.read(0, 400, 10, 10000);
  reader.servers_[0].open = false;
  EXPECT_LE(reader.read(400, 800, 10, 10000), milliseconds(500));
  EXPECT_FALSE(reader.failed_);
}

TEST(DataStream, AServerWithAnotherDatasetIsRefusedByFieldAndTheOthersServe) {
  for (const size_t odd : {0, 1}) {
    Reader reader(2, 8);
    reader.servers_[odd].fingerprint = 10;
    reader.servers_[odd].dead = true;  // the other one is the first to answer, and decides
    reader.read(0, 100, 10, 10000);
    reader.servers_[odd].dead = false;
    for (int i = 0; i < 100; ++i) reader.tick();
    EXPECT_EQ(reader.stream_.state(odd), ServerState::kRefused);
    ASSERT_FALSE(reader.changes_.empty());
    EXPECT_NE(reader.changes_.back().reason.find("'bases'"), std::string::npos) << reader.changes_.back().reason;
    reader.read(100, 500, 10, 10000);
    EXPECT_EQ(reader.servers_[odd].fetches, 0);
    EXPECT_FALSE(reader.failed_) << reader.failed_->message();
  }
}

// Both answer before either has been told what to expect: one is asked again, and then names the field.
TEST(DataStream, TwoDatasetsAtTheBeginningEndWithOne) {
  Reader reader(2, 8);
  reader.servers_[1].fingerprint = 10;
  reader.read(0, 400, 10, 10000);
  EXPECT_EQ(reader.stream_.state(1), ServerState::kRefused);
  EXPECT_EQ(reader.servers_[1].fetches, 0);
}

TEST(DataStream, AnotherDatasetOfTheOnlyServerEndsTheJob) {
  Reader reader(1, 4);
  reader.read(0, 40, 10, 10000);
  reader.servers_[0].fingerprint = 10;
  reader.servers_[0].open = false;
  for (int i = 0; i < 100 && !reader.failed_; ++i) {
    reader.tick();
    reader.take({RowSet::kTraining, 1000, 10}, 10000);
  }
  ASSERT_TRUE(reader.failed_);
  EXPECT_EQ(reader.failed_->code(), ErrorCode::kBadInput);
  EXPECT_NE(reader.failed_->message().find("'bases'"), std::string::npos);
}

TEST(DataStream, WhatAllServersRefuseIsFinal) {
  DataStream stream(OpenDataset{}, 1, 4, 2);
  stream.poll(Time{});
  const auto refused = [](const std::string& reason, ErrorCode code) { return reply(1, refused_status(code, reason)); };
  EXPECT_FALSE(stream.on_message(0, refused("'stride' differs", ErrorCode::kBadInput), Time{}).failed);
  const auto output = stream.on_message(1, refused("another process has the store", ErrorCode::kConflict), Time{});
  ASSERT_TRUE(output.failed.has_value());
  EXPECT_EQ(output.failed->code(), ErrorCode::kConflict) << "what may pass is tried again";
}

TEST(DataStream, ARefusalIsFinalWhenTheOtherServersAreLongSilent) {
  DataStream stream(OpenDataset{}, 1, 4, 2);
  Time now{};
  stream.poll(now);
  now = now + seconds(1);
  const auto refused = reply(1, refused_status(ErrorCode::kBadInput, "line 3: not a letter"));
  EXPECT_FALSE(stream.on_message(0, refused, now).failed);
  EXPECT_FALSE(stream.poll(now + seconds(5)).failed);
  EXPECT_TRUE(stream.poll(now + DataStream::kPatience).failed);
}

TEST(DataStream, DamagedRowsAreAskedForAgainOfTheOtherServer) {
  Reader reader(2, 4);
  reader.read(0, 40, 10, 40);
  const RowRange range{RowSet::kTraining, 0, 10};
  reader.stream_.want(range, 10, reader.now_);
  EXPECT_TRUE(reader.stream_.holds(range));
  const auto again = reader.stream_.damaged(0, range, reader.now_);
  ASSERT_EQ(again.send.size(), 1u);
  EXPECT_EQ(again.send[0].server, 1u);
  EXPECT_EQ(std::get<FetchRows>(again.send[0].message.body).first_row, 0u);
}

// A replica's rows: some of each step. What is fetched ahead is what it will want, so it never waits for a round trip.
TEST(DataStream, ASliceIsFetchedAheadAcrossSteps) {
  Reader reader(2, 8);
  const RowSlice slice{64, 16, 40};
  reader.stream_.set_slice(slice);
  uint64_t row = slice.at_or_after(0);
  EXPECT_EQ(row, 16u);
  while (!reader.take({RowSet::kTraining, row, 8}, 6400)) reader.tick();
  int waits = 0;
  std::set<uint64_t> rows = {row};
  for (int i = 0; i < 100; ++i) {
    row = slice.at_or_after(row + 8);
    rows.insert(row);
    reader.tick();  // one round trip for eight credits
    while (!reader.take({RowSet::kTraining, row, 8}, 6400)) {
      reader.tick();
      ++waits;
    }
  }
  EXPECT_EQ(waits, 0);
  EXPECT_EQ(rows.size(), 101u);
  for (const uint64_t taken : rows) {
    EXPECT_GE(taken % 64, 16u);
    EXPECT_LT(taken % 64, 40u);
  }
  int fetches = 0;
  for (const FakeServer& server : reader.servers_) fetches += server.fetches;
  EXPECT_LE(fetches, 101 + 8) << "nothing else is fetched";
}

// Lanes are dealt anew in the midst of a step, and again: what is asked for is always rows of the slice at hand, at
// least one, and what is wanted comes.
TEST(DataStream, AnotherSliceInTheMidstOfAnyStepAsksForItsOwnRowsOnly) {
  std::mt19937 random(5);
  const auto below = [&](uint64_t n) { return random() % n; };
  for (int round = 0; round < 200; ++round) {
    Reader reader(1, 8);
    uint64_t step = below(5);
    for (int change = 0; change < 6; ++change) {
      const uint64_t begin = 8 * below(8), end = begin + 8 * (1 + below(8 - begin / 8));
      const RowSlice slice{64, begin, end};
      reader.stream_.set_slice(slice);
      reader.dealt_anew_ = change > 0;
      // What is under way when the lanes change is fetched on, until somebody wants something.
      for (const auto& letter : reader.stream_.poll(reader.now_).send) {
        const auto* fetch = std::get_if<FetchRows>(&letter.message.body);
        EXPECT_TRUE(fetch == nullptr || fetch->rows > 0);
      }
      uint64_t row = slice.at_or_after(64 * step);
      for (uint64_t taken = 0, count = 1 + below(12); taken < count; ++taken) {
        int ticks = 0;
        while (!reader.take({RowSet::kTraining, row, 8}, 64000)) {
          ASSERT_LT(++ticks, 50) << "round " << round << ", row " << row << " never comes";
          reader.tick();
        }
        row = slice.at_or_after(row + 8);
      }
      step = row / 64 + below(2);
    }
    for (const FakeServer& server : reader.servers_) EXPECT_FALSE(server.asked_for_nothing);
  }
}

}  // namespace
}  // namespace strand
