#include "worker/params/lane_sums.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/worker/test_model.h"

namespace strand {
namespace {

using testing::draw;
using testing::Machine;

constexpr int64_t kElements = 1000;

void add_lane(float* to, int64_t lane) {
  for (int64_t e = 0; e < kElements; ++e) to[e] += draw(static_cast<uint64_t>(lane), static_cast<uint64_t>(e));
}

std::vector<Subtree> whole_tree(const Machine& machine, LaneTree* tree, LaneRun lanes) {
  tree->reset();
  for (int64_t lane = lanes.first; lane < lanes.first + lanes.count; ++lane) {
    add_lane(tree->open_lane(machine.context), lane);
    tree->close_lane(machine.context, lane);
  }
  return tree->subtrees();
}

// Pieces closed in any order among each other, several lanes open at a time.
TEST(LaneSums, GivesTheSubtreesOfTheLaneTree) {
  Machine machine(2, Backend::kCpu);
  LaneSums sums(kElements, {{0, 300}, {300, 1}, {301, 699}});
  LaneTree tree(kElements);
  for (const LaneRun lanes : {LaneRun{0, 8}, LaneRun{3, 5}, LaneRun{2, 1}, LaneRun{5, 6}, LaneRun{0, 1}}) {
    for (const int64_t behind : {0, 1, 3}) {  // lanes that piece 1 is behind piece 0, and piece 2 behind piece 1
      const std::vector<Subtree> expected = whole_tree(machine, &tree, lanes);
      sums.begin(lanes);
      int64_t ready = 0;
      for (int64_t at = 0; at < lanes.count + 2 * behind; ++at) {
        if (at < lanes.count) add_lane(sums.lane(machine.context, lanes.first + at), lanes.first + at);
        for (int64_t piece = 0; piece < 3; ++piece) {
          const int64_t lane = at - piece * behind;
          if (lane < 0 || lane >= lanes.count) continue;
          const bool last = sums.close(machine.context, lanes.first + lane, static_cast<size_t>(piece));
          EXPECT_EQ(last, lane + 1 == lanes.count);
          ready += last ? 1 : 0;
        }
      }
      EXPECT_EQ(ready, 3);
      for (size_t piece = 0; piece < 3; ++piece) {
        const std::vector<Subtree> found = sums.sums(piece);
        ASSERT_EQ(found.size(), expected.size());
        for (size_t i = 0; i < found.size(); ++i) {
          EXPECT_EQ(found[i].level, expected[i].level);
          EXPECT_EQ(found[i].index, expected[i].index);
          const int64_t first = sums.keys(piece).first_element;
          for (int64_t e = first; e < first + sums.keys(piece).elements; ++e) {
            ASSERT_EQ(found[i].sum->f32()[e], expected[i].sum->f32()[e]) << "piece " << piece << " element " << e;
          }
        }
      }
    }
  }
}

TEST(LaneSums, WhatWasGivenAwayStaysAndComesBack) {
  Machine machine(1, Backend::kCpu);
  auto sums = std::make_unique<LaneSums>(kElements, std::vector<KeyRange>{{0, kElements}});
  std::vector<Subtree> kept;
  for (int64_t step = 0; step < 3; ++step) {
    sums->begin({step, 1});
    add_lane(sums->lane(machine.context, step), step);
    EXPECT_TRUE(sums->close(machine.context, step, 0));
    kept.push_back(sums->sums(0).front());
  }
  EXPECT_EQ(sums->buffers(), 3) << "each is held by its reader";
  for (int64_t step = 0; step < 3; ++step) {
    EXPECT_EQ(kept[static_cast<size_t>(step)].sum->f32()[7], draw(static_cast<uint64_t>(step), 7));
  }
  sums->begin({0, 1});
  std::thread([&] { kept.resize(1); }).join();  // two come back, from another thread
  for (int64_t step = 0; step < 4; ++step) {
    sums->begin({0, 2});
    for (const int64_t lane : {0, 1}) {
      EXPECT_EQ(sums->lane(machine.context, lane)[kElements - 1], 0) << "zeroed";
      add_lane(sums->lane(machine.context, lane), lane);
      sums->close(machine.context, lane, 0);
    }
  }
  EXPECT_EQ(sums->buffers(), 3);
  sums.reset();
  EXPECT_EQ(kept.front().sum->f32()[7], draw(0, 7)) << "outlives the sums";
}

}  // namespace
}  // namespace strand
