#include "dataserver/stream.h"

#include <gtest/gtest.h>

namespace strand {
namespace {

Time at(double seconds) {
  return {static_cast<int64_t>(seconds * 1e9)};
}

Asker asker(uint64_t request) {
  Asker one;
  one.peer = "w1";
  one.header.request = request;
  return one;
}

DatasetSummary summary(uint64_t number) {
  DatasetSummary made;
  made.fingerprint = {number, 1};
  made.fields = {{"bases", "aa"}, {"stride", "250"}};
  made.segments = 100 + number;
  made.segment = 10;
  return made;
}

template <class T>
size_t count(const DataActions& actions) {
  size_t n = 0;
  for (const DataAction& action : actions) n += std::holds_alternative<T>(action) ? 1 : 0;
  return n;
}

DatasetStatus status(const DataActions& actions) {
  for (const DataAction& action : actions) {
    if (const auto* reply = std::get_if<SendReply>(&action)) return std::get<DatasetStatus>(reply->body);
  }
  ADD_FAILURE() << "no reply";
  return {};
}

TEST(DataStreamServer, BuildsOnceForAllWhoAsk) {
  DataStreamServer server;
  const auto first = server.on_open(asker(1), "a", {}, at(0));
  EXPECT_EQ(count<BuildDataset>(first), 1u);
  EXPECT_EQ(status(first).state, DatasetState::kBuilding);
  server.on_progress("a", 0.25);
  const auto second = server.on_open(asker(2), "a", {}, at(1));
  EXPECT_EQ(count<BuildDataset>(second), 0u);
  EXPECT_EQ(status(second).progress, 0.25);
  EXPECT_EQ(count<ComputeMarkov>(server.on_built("a", summary(1), at(2))), 1u);
  const auto ready = status(server.on_open(asker(3), "a", {}, at(3)));
  EXPECT_EQ(ready.state, DatasetState::kReady);
  EXPECT_EQ(ready.segments, 101u);
  EXPECT_FALSE(ready.markov_ready);
  server.on_markov("a", std::vector<double>{1.9, 1.8});
  EXPECT_EQ(status(server.on_open(asker(4), "a", {}, at(4))).markov_bits.size(), 2u);
}

TEST(DataStreamServer, RefusesAnotherDatasetNamingTheFirstFieldThatDiffers) {
  DataStreamServer server;
  server.on_open(asker(1), "a", {}, at(0));
  server.on_built("a", summary(1), at(1));
  EXPECT_EQ(status(server.on_open(asker(2), "a", summary(1).fields, at(2))).state, DatasetState::kReady);
  auto expected = summary(1).fields;
  expected[1].value = "125";
  const auto refused = status(server.on_open(asker(3), "a", expected, at(2)));
  EXPECT_EQ(refused.state, DatasetState::kRefused);
  EXPECT_EQ(refused.code, static_cast<uint8_t>(ErrorCode::kBadInput));
  EXPECT_EQ(refused.reason.find("dataset field 'stride' differs: expected 125, found 250"), 0u) << refused.reason;
  expected.pop_back();
  EXPECT_EQ(status(server.on_open(asker(4), "a", expected, at(2))).state, DatasetState::kRefused);
}

TEST(DataStreamServer, AnswersEveryFetchOfAnOpenDatasetAlsoTwice) {
  DataStreamServer server;
  FetchRows fetch;
  fetch.fingerprint = {1, 1};
  const auto refused = server.on_fetch(asker(5), fetch, at(0));
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_EQ(std::get<DataRefused>(std::get<SendReply>(refused[0]).body).code,
            static_cast<uint8_t>(ErrorCode::kNotFound));
  server.on_open(asker(1), "a", {}, at(0));
  EXPECT_EQ(count<ServeRows>(server.on_fetch(asker(6), fetch, at(0))), 0u) << "still building";
  server.on_built("a", summary(1), at(1));
  for (int i = 0; i < 2; ++i) {
    const auto served = server.on_fetch(asker(7), fetch, at(2));
    ASSERT_EQ(count<ServeRows>(served), 1u);
    EXPECT_EQ(std::get<ServeRows>(served[0]).to.header.request, 7u);
  }
}

TEST(DataStreamServer, ARefusalIsKeptBrieflyThenLookedAtAgain) {
  DataStreamServer server;
  server.on_open(asker(1), "a", {}, at(0));
  server.on_built("a", bad_input("line 3"), at(1));
  const auto refused = server.on_open(asker(2), "a", {}, at(1.5));
  EXPECT_EQ(status(refused).reason, "line 3");
  EXPECT_EQ(count<BuildDataset>(refused), 0u);
  const auto again = server.on_open(asker(3), "a", {}, at(4));
  EXPECT_EQ(count<BuildDataset>(again), 1u);
  EXPECT_EQ(status(again).state, DatasetState::kBuilding);
}

TEST(DataStreamServer, AStoreHeldByADyingProcessIsWaitedForButNotForEver) {
  DataStreamServer server;
  const Error held(ErrorCode::kConflict, "locked");
  server.on_open(asker(1), "a", {}, at(0));
  server.on_built("a", held, at(0));
  int builds = 0;
  double now = 0;
  DatasetStatus last;
  while (now < 60) {
    now += 0.2;
    const auto actions = server.on_open(asker(2), "a", {}, at(now));
    last = status(actions);
    if (last.state == DatasetState::kRefused) break;
    if (count<BuildDataset>(actions) == 0) continue;
    ++builds;
    server.on_built("a", held, at(now));
  }
  EXPECT_EQ(last.code, static_cast<uint8_t>(ErrorCode::kConflict));
  EXPECT_NEAR(now, 20, 2);
  EXPECT_NEAR(builds, 34, 8);
}

TEST(DataStreamServer, KeepsAFewDatasetsAndNeverDropsOneUnderWay) {
  DataStreamServer server;
  for (size_t i = 0; i < DataStreamServer::kMostDatasets; ++i) server.on_open(asker(i), std::to_string(i), {}, at(1));
  EXPECT_EQ(status(server.on_open(asker(99), "x", {}, at(2))).code, static_cast<uint8_t>(ErrorCode::kUnavailable));
  for (const uint64_t i : {2, 5}) {
    server.on_built(std::to_string(i), summary(i), at(3));
    server.on_markov(std::to_string(i), std::vector<double>{});
  }
  FetchRows fetch;
  fetch.fingerprint = summary(2).fingerprint;
  server.on_fetch(asker(7), fetch, at(4));  // 5 is now the one unused for longest
  const auto actions = server.on_open(asker(100), "x", {}, at(5));
  ASSERT_EQ(count<CloseDataset>(actions), 1u);
  EXPECT_EQ(std::get<CloseDataset>(actions[0]).key, "5");
  EXPECT_EQ(count<BuildDataset>(actions), 1u);
}

}  // namespace
}  // namespace strand
