// The protocol's single rules; tests/sim has its behaviour as a whole.
#include "worker/params/commit_protocol.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <random>

#include "tests/sim/symbolic_store.h"
#include "worker/params/step_record.h"

namespace strand {
namespace {

using sim::bulk_of;
using sim::SerialRun;
using sim::SymbolicStore;
using sim::value_of;

constexpr uint64_t kSeed = 20240614;

sim::SerialJob job_of(int64_t lanes) {
  sim::SerialJob job;
  job.lanes = lanes;
  job.ranges = {{{0, kRangeBlockElements}, {0, -1}, 1}, {{kRangeBlockElements, kRangeBlockElements}, {0, -1}, 1}};
  return job;
}

// --- piece trees ----------------------------------------------------------------------------------------------------

TEST(PieceTree, AnyOrderAndAnyRepetitionGivesOneSum) {
  std::mt19937_64 random(kSeed);
  SerialRun serial(job_of(8));
  SymbolicStore store(&serial, [](const std::string&) {});
  for (int trial = 0; trial < 200; ++trial) {
    const int uses = 1 + trial % 2;
    const int replicas = 1 + static_cast<int>(random() % 8);
    std::vector<std::pair<int, LaneSubtree>> pieces;
    for (int use = 0; use < uses; ++use) {
      for (const LaneRun& run : deal_lanes(8, replicas, {})) {
        for (const LaneSubtree& subtree : largest_subtrees(run)) pieces.emplace_back(use, subtree);
      }
    }
    const size_t distinct = pieces.size();
    for (size_t i = 0; i < distinct; i += 2) pieces.push_back(pieces[i]);
    std::shuffle(pieces.begin(), pieces.end(), random);
    PieceTree tree(0, 8, uses);
    std::set<std::pair<int, LaneSubtree>> seen;
    for (const auto& [use, subtree] : pieces) {
      EXPECT_EQ(tree.complete(), seen.size() == distinct) << "closed on the set, not on a count";
      const uint64_t sum = serial.subtree_gradient(3, subtree, 0, static_cast<uint32_t>(use), {1, 2});
      EXPECT_EQ(tree.add(store, use, subtree, bulk_of(sum), {}), seen.insert({use, subtree}).second);
    }
    uint64_t expected = serial.subtree_gradient(3, {3, 0}, 0, 0, {1, 2});
    if (uses == 2) expected = SerialRun::add_uses(expected, serial.subtree_gradient(3, {3, 0}, 0, 1, {1, 2}));
    ASSERT_TRUE(tree.complete());
    EXPECT_EQ(value_of(tree.sum()), expected) << "trial " << trial;
  }
}

// --- records --------------------------------------------------------------------------------------------------------

TEST(StepRecords, NothingIsMadeFromAnIncompleteSet) {
  const std::vector<PlannedRange> ranges = job_of(2).ranges;
  const std::vector<LaneNumbers> first = {{0, {}, 0, 0, 5}, {1, {}, 0, 0, 6}};
  const std::vector<LaneNumbers> last = {{0, {0.5, 0.25}, 3, 4, 0}, {1, {1.0}, 1, 2, 0}};
  std::vector<LaneNumbers> all = last;
  all.insert(all.end(), first.begin(), first.end());
  const auto record = make_record(4, {2}, 2, ranges, {{0, {1.0}}, {1, {2.0}}}, all);
  ASSERT_TRUE(record);
  EXPECT_EQ(*record, (StepRecord{4, {2}, 3.0, 1.75, 4, 6, 11}));
  EXPECT_TRUE(can_commit(*record));
  EXPECT_FALSE(make_record(4, {2}, 2, ranges, {{0, {1.0}}}, all)) << "a range is missing";
  EXPECT_FALSE(make_record(4, {2}, 2, ranges, {{0, {1.0}}, {1, {2.0, 3.0}}}, all)) << "a block too many";
  EXPECT_FALSE(make_record(4, {2}, 2, ranges, {{0, {1.0}}, {1, {2.0}}}, first)) << "no losses";
  EXPECT_FALSE(can_commit({4, {2}, std::numeric_limits<double>::quiet_NaN(), 1, 1, 1, 0}));
  EXPECT_FALSE(can_commit({4, {2}, 1, std::numeric_limits<double>::infinity(), 1, 1, 0}));
  EXPECT_FALSE(can_commit({4, {2}, 1, 1, 0, 1, 0})) << "nothing was predicted";
}

// --- one worker of a group ------------------------------------------------------------------------------------------

class TwoWorkers : public ::testing::Test {
 protected:
  TwoWorkers() : serial(job_of(2)), store(&serial, [](const std::string& text) { ADD_FAILURE() << text; }) {
    options.job.value = 1;
    options.self.value = 1;
    options.incarnation.value = 11;
    options.ranges = serial.job().ranges;
    options.last_step = 5;
    protocol = std::make_unique<CommitProtocol>(options, &store);
    plan.generation.value = 3;
    plan.replicas = 2;
    plan.lanes = 2;
    plan.members = {{{1}, {11}, 0, 0, "a"}, {{2}, {22}, 1, 0, "b"}};
  }

  std::vector<ProtocolAction> handle(const ProtocolEvent& event, Duration after = {}) {
    now = now + after;
    return protocol->handle(event, now);
  }
  ShardMail from_other(ShardBody body, Step step, uint64_t generation = 3, uint64_t incarnation = 22) {
    Header header{++request, {1}, {generation}, {2}, {incarnation}, step};
    return {{header, std::move(body)}, bulk_of(1)};
  }
  ShardMail from_other(ShardBody body, Step step, uint64_t bulk_value, int) {
    ShardMail mail = from_other(std::move(body), step);
    mail.bulk = bulk_of(bulk_value);
    return mail;
  }
  // All of a step that makes its record, by this worker (lane 0, leads range 0) and the other (lane 1, leads range 1).
  std::vector<ProtocolAction> commit(Step step) {
    const std::vector<uint64_t> read = {SerialRun::weights(serial.state(0, step - 1)),
                                        SerialRun::weights(serial.state(1, step - 1))};
    const auto lane = [&](int64_t index, uint32_t range) {
      return serial.subtree_gradient(step, {0, index}, range, 0, read);
    };
    const LaneNumbers mine = serial.numbers(step, 0, true, true), its = serial.numbers(step, 1, true, true);
    handle(from_other(GradientPiece{0, 0, 0, 1, {its}}, step, lane(1, 0), 0));
    handle(GradientReady{{3}, step, 1, 0, {{{0, 0}, bulk_of(lane(0, 1)), {}}}});
    for (const ProtocolAction& action :
         handle(GradientReady{{3}, step, 0, 0, {{{0, 0}, bulk_of(lane(0, 0)), {mine}}}})) {
      const auto* sent = std::get_if<SendToWorker>(&action);
      if (sent == nullptr || !std::holds_alternative<GradientSum>(sent->message.message.body)) continue;
      ShardMail ack = from_other(ShardAck{}, step);
      ack.message.header.request = sent->message.message.header.request;
      handle(ack);
    }
    const uint64_t sum = SerialRun::add(lane(0, 1), lane(1, 1));
    handle(from_other(GradientSum{1, serial.squares(1, sum), {}}, step, sum, 0));
    return handle(from_other(PartialNorms{{{1, serial.squares(1, sum)}}, {}}, step));
  }
  template <class T>
  static std::optional<T> find(const std::vector<ProtocolAction>& actions) {
    for (const ProtocolAction& action : actions) {
      if (const T* found = std::get_if<T>(&action)) return *found;
    }
    return {};
  }
  template <class T>
  static bool says(const std::vector<ProtocolAction>& actions) {
    for (const ProtocolAction& action : actions) {
      const auto* sent = std::get_if<SendToWorker>(&action);
      if (sent != nullptr && std::holds_alternative<T>(sent->message.message.body)) return true;
    }
    return false;
  }
  // Through the recovery of a fresh group, up to step 1.
  void begin() {
    handle(NewPlan{plan});
    ASSERT_TRUE(find<ChooseCheckpoint>(handle(from_other(HoldingsReport{}, 0))));
    const auto load = find<LoadCheckpoint>(handle(CheckpointChosen{{3}, 0}));
    ASSERT_TRUE(load);
    for (const uint32_t range : {0u, 1u}) store.load(range, 0);
    ASSERT_TRUE(find<StartStep>(handle(CheckpointLoaded{{3}, 0})));
  }

  SerialRun serial;
  SymbolicStore store;
  ProtocolOptions options;
  std::unique_ptr<CommitProtocol> protocol;
  GroupPlan plan;
  Time now{};
  uint64_t request = 100;
};

TEST_F(TwoWorkers, OnlyTheRightProcessOfTheRightGenerationIsHeard) {
  begin();
  const auto norm = [&] { return GlobalNorm{StepRecord{1, {3}, 1, 1, 1, 1, 0}}; };
  const auto ignored = [&](const ShardMail& mail) {
    const uint64_t before = protocol->dropped();
    return handle(mail).empty() && protocol->dropped() == before + 1;
  };
  EXPECT_TRUE(ignored(from_other(norm(), 1, 2))) << "an older generation";
  EXPECT_TRUE(ignored(from_other(norm(), 1, 4))) << "a newer one";
  EXPECT_TRUE(ignored(from_other(norm(), 1, 3, 21))) << "a process that was replaced";
  EXPECT_TRUE(ignored(from_other(norm(), 1))) << "not the norm worker";
  ShardMail stranger = from_other(norm(), 1);
  stranger.message.header.sender.value = 9;
  EXPECT_TRUE(ignored(stranger));
  ShardMail other_job = from_other(norm(), 1);
  other_job.message.header.job.value = 2;
  EXPECT_TRUE(ignored(other_job));
  EXPECT_EQ(protocol->committed(), 0);
}

TEST_F(TwoWorkers, WhatIsNotAskedForIsRefused) {
  begin();
  const LaneNumbers lane{1, {1.0}, 1, 1, 0};
  const std::vector<GradientPiece> wrong = {
      {0, 0, 0, 0, {}},    // the lane of the other replica
      {0, 0, 1, 0, {}},    // a subtree that nobody was dealt
      {0, 1, 0, 1, {}},    // a use that the range has not
      {7, 0, 0, 1, {}},    // no such range
      {0, 0, 200, 1, {}},  // no such level
      {1, 0, 0, 1, {}},    // this worker is not its primary
      {0, 0, 0, 1, {lane, lane}},
  };
  for (const GradientPiece& piece : wrong) EXPECT_FALSE(says<ShardAck>(handle(from_other(piece, 1))));
  EXPECT_FALSE(says<ShardAck>(handle(from_other(GradientPiece{0, 0, 0, 1, {}}, 4)))) << "too far ahead";
  EXPECT_TRUE(says<ShardAck>(handle(from_other(GradientPiece{0, 0, 0, 1, {lane}}, 1))));
}

TEST_F(TwoWorkers, WhatIsNotAnsweredIsSaidAgainAndThenTheWorkerIsNamed) {
  begin();
  GradientReady ready{{3}, 1, 1, 0, {{{0, 0}, bulk_of(5), {}}}};
  ASSERT_TRUE(says<GradientPiece>(handle(ready))) << "range 1 is worker 2's";
  int repeated = 0;
  std::optional<Suspect> suspect;
  for (int i = 0; i < 250; ++i) {
    const auto actions = handle(ProtocolTick{}, std::chrono::milliseconds(100));
    repeated += says<GradientPiece>(actions);
    if (find<Suspect>(actions) && !suspect) {
      suspect = find<Suspect>(actions);
      EXPECT_EQ(suspect->worker.value, 2u);
      EXPECT_GE(now - Time{}, options.deadline);
    }
  }
  EXPECT_TRUE(suspect);
  EXPECT_GE(repeated, 4);
  EXPECT_LE(repeated, 12) << "less and less often";
}

// ssp = K: the next step starts while K before it are not committed yet, and no earlier than its own gradients are
// given.
TEST_F(TwoWorkers, StalenessIsHowManyStepsMayBeAhead) {
  for (const int64_t staleness : {0, 1, 2}) {
    now = {};
    options.staleness = staleness;
    protocol = std::make_unique<CommitProtocol>(options, &store);
    begin();
    for (Step step = 1; step <= 1 + staleness; ++step) {
      EXPECT_FALSE(find<StartStep>(handle(GradientReady{{3}, step, 0, 0, {{{0, 0}, bulk_of(5), {}}}})));
      const auto next = find<StartStep>(handle(GradientReady{{3}, step, 1, 0, {{{0, 0}, bulk_of(5), {}}}}));
      ASSERT_EQ(next.has_value(), step <= staleness) << "step " << step << " of ssp = " << staleness;
      if (next) {
        EXPECT_EQ(next->step, step + 1);
      }
    }
    EXPECT_EQ(protocol->committed(), 0);
  }
}

template <class T>
std::vector<T> all(const std::vector<ProtocolAction>& actions) {
  std::vector<T> found;
  for (const ProtocolAction& action : actions) {
    if (const T* one = std::get_if<T>(&action)) found.push_back(*one);
  }
  return found;
}

// The next step starts with the record; each range is readable when it is updated, in order, and nothing that needs
// the whole version is said before the last one is.
TEST_F(TwoWorkers, RangesFollowTheRecordOneByOne) {
  begin();
  const auto committed = commit(1);
  ASSERT_TRUE(find<StepCommitted>(committed));
  ASSERT_TRUE(find<StartStep>(committed));
  EXPECT_EQ(find<StartStep>(committed)->step, 2);
  EXPECT_TRUE(all<RangeReadable>(committed).empty());
  EXPECT_EQ(protocol->committed(), 1);
  EXPECT_EQ(protocol->updates_left(), 2u);
  for (const uint32_t range : {0u, 1u}) {
    EXPECT_EQ(protocol->version(range), 0);
    EXPECT_FALSE(says<RangeData>(handle(from_other(PullRange{range, 1, false}, 1)))) << "not updated yet";
    const auto updated = handle(UpdateNext{});
    const auto readable = all<RangeReadable>(updated);
    ASSERT_EQ(readable.size(), 1u);
    EXPECT_EQ(readable[0].range, range);
    EXPECT_EQ(readable[0].version, 1);
    EXPECT_EQ(protocol->version(range), 1);
    EXPECT_EQ(value_of(store.state(range)), serial.state(range, 1));
    EXPECT_TRUE(says<RangeData>(updated)) << "what was asked for before";
  }
  EXPECT_EQ(protocol->updates_left(), 0u);
  EXPECT_TRUE(handle(UpdateNext{}).empty());
  ASSERT_TRUE(find<StepCommitted>(commit(2)));
}

// Whoever hears a norm drops the sums of the step before: it must not be made while somebody still needs them.
TEST_F(TwoWorkers, NoNormIsMadeOnTopOfUpdatesThatWait) {
  begin();
  commit(1);
  handle(UpdateNext{});
  EXPECT_FALSE(find<StepCommitted>(commit(2))) << "range 1 is at version 0";
  EXPECT_EQ(protocol->committed(), 1);
  EXPECT_TRUE(protocol->holds_sum(1, 1));
  EXPECT_TRUE(find<StepCommitted>(handle(UpdateNext{}))) << "all was there but this";
  EXPECT_EQ(protocol->committed(), 2);
}

TEST_F(TwoWorkers, ANewPlanFindsWhatWasCommittedUpdated) {
  begin();
  commit(1);
  handle(UpdateNext{});
  plan.generation.value = 4;
  handle(NewPlan{plan});
  for (const uint32_t range : {0u, 1u}) {
    EXPECT_EQ(protocol->version(range), 1);
    EXPECT_EQ(value_of(store.state(range)), serial.state(range, 1));
  }
}

TEST_F(TwoWorkers, StaleReadersFindWholeVersions) {
  options.staleness = 1;
  protocol = std::make_unique<CommitProtocol>(options, &store);
  begin();
  commit(1);
  EXPECT_EQ(protocol->updates_left(), 0u);
  EXPECT_EQ(protocol->fresh(), 1);
}

TEST_F(TwoWorkers, SaysWhatItLeadsAndWhatItReads) {
  EXPECT_EQ(protocol->fresh(), -1);
  begin();
  EXPECT_EQ(protocol->plan(), plan);
  EXPECT_EQ(protocol->led(), (std::vector<uint32_t>{0}));
  EXPECT_EQ(protocol->needed(), (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(protocol->fresh(), 0);
}

TEST_F(TwoWorkers, WithoutAPlaceInTheNewPlanNothingIsHeld) {
  begin();
  EXPECT_EQ(store.ranges_held(), 2u);
  plan.generation.value = 4;
  plan.members[0].worker.value = 3;
  EXPECT_TRUE(find<Released>(handle(NewPlan{plan})));
  EXPECT_EQ(store.ranges_held(), 0u);
  EXPECT_TRUE(handle(NewPlan{plan}).empty()) << "heard before";
}

}  // namespace
}  // namespace strand
