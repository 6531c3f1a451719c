// Shards that hold ranges: together they are, bit for bit, the shard that holds all.
#include <gtest/gtest.h>

#include <random>

#include "tests/unit/worker/test_model.h"
#include "worker/params/digest.h"
#include "worker/params/param_shard.h"

namespace strand {
namespace {

using testing::Machine;

constexpr uint64_t kSeed = 20240613;

std::vector<ParameterInfo> table_of(std::mt19937_64& random) {
  std::vector<ParameterInfo> table;
  int64_t first = 0;
  for (int i = 0; i < 9; ++i) {
    const auto elements = static_cast<int64_t>(1 + random() % (i % 3 == 0 ? 300'000 : 5'000));
    const auto decay = static_cast<DecayGroup>(i % 3);
    table.push_back(
        {concat("blocks.", i / 2, ".t", i), {elements}, InitRule::kTruncatedNormal, 0.02, decay, first, elements});
    first += elements;
  }
  return table;
}

struct Group {
  std::vector<ParameterInfo> table;
  std::vector<PlannedRange> ranges;
  std::vector<ParamShard> shards;
  std::vector<size_t> holder;  // by range
};

Group make_group(std::mt19937_64& random, const TrainSpec& train, bool bf16, size_t shards) {
  Group group;
  group.table = table_of(random);
  group.ranges = cut_ranges(group.table, std::vector<TensorPlace>(group.table.size()));
  for (size_t s = 0; s < shards; ++s) group.shards.emplace_back(group.table, train, bf16, std::vector<KeyRange>{});
  for (const PlannedRange& range : group.ranges) {
    group.holder.push_back(random() % shards);
    group.shards[group.holder.back()].hold(range.keys);
  }
  return group;
}

TEST(RangeShard, HoldersOfRangesMakeTheBitsOfTheShardThatHoldsAll) {
  for (const bool bf16 : {false, true}) {
    std::mt19937_64 random(kSeed);
    const Machine machine;
    const OpContext& context = machine.context;
    TrainSpec train;
    train.clip = 0.5;
    Group group = make_group(random, train, bf16, 3);
    ParamShard whole(group.table, train, bf16);
    whole.init(context, 5);
    for (ParamShard& shard : group.shards) shard.init(context, 5);
    ASSERT_GT(group.ranges.size(), 10u);

    std::vector<float> gradient(static_cast<size_t>(whole.elements()));
    for (Step step = 1; step <= 3; ++step) {
      for (size_t e = 0; e < gradient.size(); ++e) {
        gradient[e] = 3 * testing::draw(static_cast<uint64_t>(step), e % 50'000) * static_cast<float>(1 + e % 13);
      }
      whole.push({0, whole.elements()}, gradient.data());
      const double expected = whole.squared_norm(context);
      double norm = 0;
      for (size_t r = 0; r < group.ranges.size(); ++r) {
        const KeyRange keys = group.ranges[r].keys;
        const ParamShard& shard = group.shards[group.holder[r]];
        for (const double p : shard.norm_partials(context, keys, gradient.data() + keys.first_element)) norm += p;
      }
      EXPECT_EQ(norm, expected);
      whole.commit(context, expected, 77, 1e-2);
      for (size_t r = 0; r < group.ranges.size(); ++r) {
        const KeyRange keys = group.ranges[r].keys;
        group.shards[group.holder[r]].update(context, keys, gradient.data() + keys.first_element,
                                             {step, norm, 77, 1e-2});
        if (step == 2) {  // ranges move between the steps
          std::vector<float> state(static_cast<size_t>(3 * keys.elements));
          group.shards[group.holder[r]].copy_state(keys, state.data());
          group.shards[group.holder[r]].drop(keys);
          EXPECT_FALSE(group.shards[group.holder[r]].holds(keys));
          group.holder[r] = (group.holder[r] + 1) % 3;
          group.shards[group.holder[r]].hold(keys);
          group.shards[group.holder[r]].take_state(context, keys, state.data());
        }
      }
    }

    std::array<std::vector<Digest128>, 3> blocks;
    for (size_t r = 0; r < group.ranges.size(); ++r) {
      const KeyRange keys = group.ranges[r].keys;
      const ParamShard& shard = group.shards[group.holder[r]];
      const auto part = shard.digests(keys);
      for (size_t a = 0; a < 3; ++a) blocks[a].insert(blocks[a].end(), part[a].begin(), part[a].end());
      if (bf16) {
        for (int64_t e = 0; e < keys.elements; e += 97) {
          ASSERT_EQ(shard.pull_bf16(keys)[e].bits, whole.pull_bf16(keys)[e].bits);
        }
      }
    }
    EXPECT_EQ(digest_of_blocks(group.table, blocks[0]), whole.digest());
    const Digest128 digests[] = {digest_of_blocks(group.table, blocks[0]), digest_of_blocks(group.table, blocks[1]),
                                 digest_of_blocks(group.table, blocks[2])};
    EXPECT_EQ(state_digest_of(digests, 3, 12), whole.state_digest(12));
  }
}

TEST(RangeShard, WeightsOfARangeThatIsNotHeldCanBeRead) {
  std::mt19937_64 random(kSeed);
  const Machine machine;
  Group group = make_group(random, {}, false, 2);
  for (ParamShard& shard : group.shards) shard.init(machine.context, 5);
  const KeyRange keys = group.ranges.front().keys;
  ParamShard& other = group.shards[1 - group.holder[0]];
  EXPECT_FALSE(other.holds(keys));
  const std::vector<float> weights(static_cast<size_t>(keys.elements), 2.5f);
  other.take_weights(machine.context, keys, weights.data());
  EXPECT_EQ(other.pull(keys)[keys.elements - 1], 2.5f);
}

}  // namespace
}  // namespace strand
