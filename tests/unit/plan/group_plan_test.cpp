#include "shared/plan/group_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "shared/base/text.h"

namespace strand {
namespace {

constexpr uint64_t kSeed = 20240611;

GroupPlan plan_of(int replicas, int stages, int64_t lanes) {
  GroupPlan plan;
  plan.generation.value = 1;
  plan.replicas = replicas;
  plan.stages = stages;
  plan.lanes = lanes;
  for (int r = 0; r < replicas; ++r) {
    for (int s = 0; s < stages; ++s) {
      const auto id = static_cast<uint64_t>(1 + r * stages + s);
      plan.members.push_back({{id}, {7}, r, s, concat("inproc://", id)});
    }
  }
  return plan;
}

TEST(GroupPlan, IsMadeFromTheJobAndItsMembers) {
  JobSpec spec;
  spec.train.lanes = 8;
  spec.parallel.replicas = 3;
  spec.parallel.stages = 2;
  spec.parallel.lane_shares = {4, 2, 1};
  spec.parallel.backup = false;
  const GroupPlan expected = plan_of(2, 2, 8);  // one replica fewer than wanted
  GroupPlan plan = plan_of(spec, Generation{5}, expected.members, {});
  EXPECT_TRUE(check_plan(plan).ok());
  EXPECT_EQ(plan.generation, Generation{5});
  EXPECT_EQ(plan.replicas, 2);
  EXPECT_EQ(plan.stages, 2);
  EXPECT_EQ(plan.lanes, 8);
  EXPECT_FALSE(plan.backup);
  EXPECT_EQ(deal_lanes(plan.lanes, plan.replicas, plan.lane_shares), (std::vector<LaneRun>{{0, 5}, {5, 3}}));
  plan.members.pop_back();
  EXPECT_FALSE(check_plan(plan).ok());
}

// --- lanes ----------------------------------------------------------------------------------------------------------

TEST(GroupPlan, LanesAreDealtInContiguousRunsThatDifferByAtMostOne) {
  EXPECT_EQ(deal_lanes(4, 3, {}), (std::vector<LaneRun>{{0, 2}, {2, 1}, {3, 1}}));
  for (int64_t lanes = 1; lanes <= 64; lanes *= 2) {
    for (int replicas = 1; replicas <= lanes; ++replicas) {
      const std::vector<LaneRun> runs = deal_lanes(lanes, replicas, {});
      int64_t next = 0;
      for (const LaneRun& run : runs) {
        EXPECT_EQ(run.first, next);
        EXPECT_LE(runs.front().count - run.count, 1) << "larger ones first, differing by at most one";
        EXPECT_GE(runs.front().count, run.count);
        next += run.count;
      }
      EXPECT_EQ(next, lanes);
    }
  }
}

TEST(GroupPlan, SharesAreMetWithinOneLaneAndEveryReplicaHasOne) {
  EXPECT_EQ(deal_lanes(8, 3, {5, 2, 1}), (std::vector<LaneRun>{{0, 5}, {5, 2}, {7, 1}}));
  EXPECT_EQ(deal_lanes(8, 2, {3, 1, 9}), (std::vector<LaneRun>{{0, 6}, {6, 2}})) << "of those who are there";
  std::mt19937_64 random(kSeed);
  for (int trial = 0; trial < 500; ++trial) {
    const int64_t lanes = int64_t{1} << (random() % 7);
    const int replicas = 1 + static_cast<int>(random() % static_cast<uint64_t>(lanes));
    std::vector<int64_t> shares;
    for (int r = 0; r < replicas; ++r) shares.push_back(1 + static_cast<int64_t>(random() % 9));
    int64_t total = 0, next = 0;
    for (const int64_t share : shares) total += share;
    const std::vector<LaneRun> runs = deal_lanes(lanes, replicas, shares);
    bool some_raised = false;
    for (size_t r = 0; r < runs.size(); ++r) some_raised |= lanes * shares[r] < total;
    for (size_t r = 0; r < runs.size(); ++r) {
      EXPECT_EQ(runs[r].first, next);
      EXPECT_GE(runs[r].count, 1);
      next += runs[r].count;
      if (!some_raised) {
        EXPECT_LT(std::abs(runs[r].count * total - lanes * shares[r]), total) << "trial " << trial << ", replica " << r;
      }
    }
    EXPECT_EQ(next, lanes);
  }
}

TEST(GroupPlan, ARunIsMadeOfTheFewestCompleteSubtrees) {
  for (int64_t first = 0; first < 32; ++first) {
    for (int64_t count = 1; first + count <= 32; ++count) {
      int64_t next = first;
      const std::vector<LaneSubtree> subtrees = largest_subtrees({first, count});
      for (const LaneSubtree& t : subtrees) {
        EXPECT_EQ(t.index << t.level, next) << "in lane order, without a gap";
        next += int64_t{1} << t.level;
      }
      EXPECT_EQ(next, first + count);
      for (size_t i = 0; i + 1 < subtrees.size(); ++i) {
        const bool siblings = subtrees[i].level == subtrees[i + 1].level && subtrees[i].index % 2 == 0 &&
                              subtrees[i].index + 1 == subtrees[i + 1].index;
        EXPECT_FALSE(siblings) << "two of them make a larger one";
      }
    }
  }
}

// --- ranges ---------------------------------------------------------------------------------------------------------

std::vector<ParameterInfo> random_table(std::mt19937_64& random) {
  std::vector<ParameterInfo> table;
  int64_t first = 0;
  const auto add = [&](const std::string& name) {
    const auto elements = static_cast<int64_t>(1 + random() % (random() % 3 == 0 ? 900'000 : 3'000));
    table.push_back({name, {elements}, {}, 0, {}, first, elements});
    first += elements;
  };
  add("embedding.weight");
  for (uint64_t b = 0, blocks = 1 + random() % 12; b < blocks; ++b) {
    for (uint64_t t = 0, tensors = 1 + random() % 4; t < tensors; ++t) add(concat("blocks.", b, ".t", t, ".weight"));
  }
  add("final_norm.weight");
  return table;
}

std::vector<TensorPlace> random_places(std::mt19937_64& random, const std::vector<ParameterInfo>& table, int stages) {
  std::vector<TensorPlace> places;
  for (size_t i = 0; i < table.size(); ++i) {  // two runs of each stage, as with chunks = 2
    places.push_back({static_cast<int>(i * 2 * static_cast<size_t>(stages) / table.size()) % stages, -1});
  }
  if (random() % 2 == 0) places.front().second_use = stages - 1;
  return places;
}

TEST(GroupPlan, RangesCoverTheTableInWholeBlocksOfOnePlace) {
  std::mt19937_64 random(kSeed);
  for (int trial = 0; trial < 100; ++trial) {
    const std::vector<ParameterInfo> table = random_table(random);
    const std::vector<TensorPlace> places = random_places(random, table, 1 + static_cast<int>(random() % 4));
    std::set<int64_t> borders = {0};
    for (const ParameterInfo& tensor : table) {
      for (int64_t b = 0; b < tensor.elements; b += kRangeBlockElements) borders.insert(tensor.first_element + b);
    }
    int64_t next = 0;
    size_t tensor = 0;
    for (const PlannedRange& range : cut_ranges(table, places)) {
      EXPECT_EQ(range.keys.first_element, next);
      EXPECT_TRUE(borders.contains(next)) << "a range begins inside a block";
      next += range.keys.elements;
      EXPECT_EQ(range.blocks, range_blocks(table, range.keys));
      std::set<std::string> blocks;
      while (tensor < table.size() && table[tensor].first_element < next) {
        EXPECT_EQ(range.place, places[tensor]) << table[tensor].name;
        const std::string& name = table[tensor].name;
        blocks.insert(name.substr(0, name.find('.', 7)).substr(0, name.starts_with("blocks.") ? 99 : 0));
        if (table[tensor].first_element + table[tensor].elements > next) break;
        ++tensor;
      }
      EXPECT_EQ(blocks.size(), 1u) << "of one block of the model";
    }
    EXPECT_EQ(next, table.back().first_element + table.back().elements);
  }
}

TEST(GroupPlan, EveryRangeHasAPrimaryAndABackupElsewhereAndTheLoadIsEven) {
  std::mt19937_64 random(kSeed);
  for (int trial = 0; trial < 200; ++trial) {
    const std::vector<ParameterInfo> table = random_table(random);
    const int stages = 1 + static_cast<int>(random() % 4), replicas = 1 + static_cast<int>(random() % 5);
    const std::vector<PlannedRange> ranges = cut_ranges(table, random_places(random, table, stages));
    const bool backup = random() % 4 != 0;
    const std::vector<RangeHolders> holders = assign_holders(ranges, replicas, backup);
    ASSERT_EQ(holders.size(), ranges.size());
    std::map<int, std::vector<int64_t>> primary, second;
    std::map<int, int64_t> largest;
    for (size_t i = 0; i < ranges.size(); ++i) {
      const int stage = ranges[i].place.stage;
      primary[stage].resize(static_cast<size_t>(replicas));
      second[stage].resize(static_cast<size_t>(replicas));
      primary[stage].at(static_cast<size_t>(holders[i].primary)) += ranges[i].keys.elements;
      largest[stage] = std::max(largest[stage], ranges[i].keys.elements);
      EXPECT_EQ(holders[i].backup >= 0, backup && replicas > 1);
      EXPECT_NE(holders[i].backup, holders[i].primary);
      if (holders[i].backup >= 0) {
        second[stage].at(static_cast<size_t>(holders[i].backup)) += ranges[i].keys.elements;
      }
    }
    for (const auto& [stage, loads] : primary) {
      EXPECT_LE(*std::max_element(loads.begin(), loads.end()) - *std::min_element(loads.begin(), loads.end()),
                largest[stage]);
      const std::vector<int64_t>& b = second[stage];
      EXPECT_LE(*std::max_element(b.begin(), b.end()) - *std::min_element(b.begin(), b.end()), 2 * largest[stage]);
    }
  }
}

// --- members --------------------------------------------------------------------------------------------------------

TEST(GroupPlan, AWholeGroupIsAcceptedAndKnowsItsMembers) {
  for (const auto& [replicas, stages] : {std::pair{1, 1}, {2, 1}, {2, 2}, {3, 4}}) {
    GroupPlan plan = plan_of(replicas, stages, 4);
    std::mt19937_64 random(kSeed);
    std::shuffle(plan.members.begin(), plan.members.end(), random);
    plan.leaving.push_back({{99}, {1}, 0, 0, "inproc://99"});
    ASSERT_TRUE(check_plan(plan).ok()) << check_plan(plan).error().message();
    for (const GroupMember& m : plan.members) {
      EXPECT_EQ(member_at(plan, m.replica, m.stage), m);
      EXPECT_EQ(*find_member(plan, m.worker), m);
      EXPECT_FALSE(is_leaving(plan, m.worker));
    }
    EXPECT_TRUE(is_leaving(plan, {99}));
    EXPECT_NE(find_member(plan, {99}), nullptr);
    EXPECT_EQ(find_member(plan, {98}), nullptr);
    EXPECT_EQ(norm_member(plan).stage, stages - 1);
  }
}

TEST(GroupPlan, WhatIsNotAGroupIsRefusedWithTheReason) {
  struct Case {
    const char* word;
    void (*spoil)(GroupPlan&);
  };
  const Case cases[] = {
      {"generation", [](GroupPlan& p) { p.generation.value = 0; }},
      {"replicas", [](GroupPlan& p) { p.replicas = 0; }},
      {"power of two", [](GroupPlan& p) { p.lanes = 6; }},
      {"train.lanes", [](GroupPlan& p) { p.lanes = 1; }},
      {"lane shares for", [](GroupPlan& p) { p.lane_shares = {1}; }},
      {"lane share of",
       [](GroupPlan& p) {
         p.lane_shares = {1, 0};
       }},
      {"need 4", [](GroupPlan& p) { p.members.pop_back(); }},
      {"two workers are replica 0, stage 0", [](GroupPlan& p) { p.members[1].stage = 0; }},
      {"stage 2 of", [](GroupPlan& p) { p.members[1].stage = 2; }},
      {"worker 1 is there twice", [](GroupPlan& p) { p.members[1].worker.value = 1; }},
      {"worker 2 is there twice", [](GroupPlan& p) { p.leaving.push_back(p.members[1]); }},
      {"without a worker id", [](GroupPlan& p) { p.members[2].worker.value = 0; }},
      {"no endpoint", [](GroupPlan& p) { p.members[3].endpoint.clear(); }},
  };
  for (const Case& c : cases) {
    GroupPlan plan = plan_of(2, 2, 4);
    ASSERT_TRUE(check_plan(plan).ok());
    c.spoil(plan);
    const Status status = check_plan(plan);
    ASSERT_FALSE(status.ok()) << c.word;
    EXPECT_EQ(status.error().code(), ErrorCode::kBadInput);
    EXPECT_NE(status.error().message().find(c.word), std::string::npos) << status.error().message();
  }
}

}  // namespace
}  // namespace strand
