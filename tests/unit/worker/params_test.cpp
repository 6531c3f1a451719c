#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>

#include "ops/reduce/reduce.h"
#include "tests/unit/worker/test_model.h"
#include "worker/params/initial_weights.h"
#include "worker/params/lane_tree.h"
#include "worker/params/optimizer.h"
#include "worker/params/param_shard.h"
#include "worker/params/schedules.h"

namespace strand {
namespace {

using testing::Machine;

// --- lane tree ------------------------------------------------------------------------------------------------------

constexpr int64_t kElements = 37;

void fill_lane(int64_t lane, float* out) {
  for (int64_t e = 0; e < kElements; ++e) {
    // Magnitudes far apart, so that another order of adding gives other bits.
    out[e] = testing::draw(static_cast<uint64_t>(lane), static_cast<uint64_t>(e)) *
             std::pow(10.0f, static_cast<float>((lane * 7 + e) % 5));
  }
}

LaneTree sum_run(const OpContext& context, int64_t first, int64_t count) {
  LaneTree tree(kElements);
  for (int64_t lane = first; lane < first + count; ++lane) {
    fill_lane(lane, tree.open_lane(context));
    tree.close_lane(context, lane);
  }
  return tree;
}

std::vector<float> total_of(const LaneTree& tree) {
  STRAND_CHECK(tree.subtrees().size() == 1);
  const float* sum = tree.subtrees()[0].sum->f32();
  return {sum, sum + kElements};
}

TEST(LaneTree, AnyDealOfContiguousRunsGivesTheSameBits) {
  const Machine machine;
  std::mt19937_64 random(testing::kSeed);
  for (const int64_t lanes : {1, 2, 4, 8, 16, 32}) {
    const std::vector<float> alone = total_of(sum_run(machine.context, 0, lanes));
    for (int trial = 0; trial < 40; ++trial) {
      std::vector<int64_t> cuts = {0, lanes};
      for (uint64_t replicas = random() % 4; replicas > 0; --replicas) {
        cuts.push_back(static_cast<int64_t>(random() % static_cast<uint64_t>(lanes + 1)));
      }
      std::sort(cuts.begin(), cuts.end());
      LaneTree owner(kElements);
      for (size_t i = 0; i + 1 < cuts.size(); ++i) {
        const LaneTree part = sum_run(machine.context, cuts[i], cuts[i + 1] - cuts[i]);
        for (const Subtree& subtree : part.subtrees()) owner.append(machine.context, subtree);
      }
      EXPECT_EQ(total_of(owner), alone) << lanes << " lanes, trial " << trial;
    }
  }
}

TEST(LaneTree, BuffersAreAtMostLog2PlusOneAndReused) {
  const Machine machine;
  for (const int64_t lanes : {1, 2, 4, 8, 64}) {
    LaneTree tree(kElements);
    std::vector<float> first;
    for (int round = 0; round < 3; ++round) {
      tree.reset();
      for (int64_t lane = 0; lane < lanes; ++lane) {
        float* open = tree.open_lane(machine.context);
        for (int64_t e = 0; e < kElements; ++e) ASSERT_EQ(open[e], 0.0f);
        fill_lane(lane, open);
        tree.close_lane(machine.context, lane);
      }
      if (round == 0) first = total_of(tree);
      EXPECT_EQ(total_of(tree), first);
    }
    EXPECT_LE(tree.buffers(), std::lround(std::log2(lanes)) + 1);
  }
}

// --- schedules ------------------------------------------------------------------------------------------------------

TrainSpec schedule_spec(ScheduleKind kind) {
  TrainSpec train;
  train.schedule = kind;
  train.steps = 1000;
  train.warmup = 100;
  train.learning_rate = 4e-4;
  train.final_fraction = 0.1;
  return train;
}

TEST(Schedules, WarmUpIsLinearFromZero) {
  for (const ScheduleKind kind :
       {ScheduleKind::kConstant, ScheduleKind::kLinear, ScheduleKind::kCosine, ScheduleKind::kInverseSqrt}) {
    const TrainSpec train = schedule_spec(kind);
    EXPECT_NEAR(learning_rate(train, 1), 4e-6, 1e-15);
    EXPECT_NEAR(learning_rate(train, 50), 2e-4, 1e-15);
    EXPECT_NEAR(learning_rate(train, 100), 4e-4, 1e-15);
  }
}

// omni-dna.md section 3: eta = alpha_f lr + (lr - alpha_f lr) (1 + cos(pi (s - W) / (S - W))) / 2.
TEST(Schedules, FollowOlmosFormulas) {
  const TrainSpec cosine = schedule_spec(ScheduleKind::kCosine);
  EXPECT_NEAR(learning_rate(cosine, 550), 2.2e-4, 1e-15);
  EXPECT_NEAR(learning_rate(cosine, 325), 4e-5 + 3.6e-4 * (1 + std::numbers::sqrt2 / 2) / 2, 1e-15);
  EXPECT_NEAR(learning_rate(cosine, 1000), 4e-5, 1e-15);
  EXPECT_NEAR(learning_rate(cosine, 2000), 4e-5, 1e-15);
  const TrainSpec linear = schedule_spec(ScheduleKind::kLinear);
  EXPECT_NEAR(learning_rate(linear, 550), 2.2e-4, 1e-15);
  EXPECT_NEAR(learning_rate(linear, 325), 3.1e-4, 1e-15);
  EXPECT_NEAR(learning_rate(linear, 1500), 4e-5, 1e-15);
  const TrainSpec root = schedule_spec(ScheduleKind::kInverseSqrt);
  EXPECT_NEAR(learning_rate(root, 400), 2e-4, 1e-15);
  EXPECT_NEAR(learning_rate(root, 900), 4e-4 / 3, 1e-15);
  EXPECT_EQ(learning_rate(schedule_spec(ScheduleKind::kConstant), 1000), 4e-4);
}

TEST(Schedules, WithoutWarmUpOrDecayStayFinite) {
  for (const ScheduleKind kind :
       {ScheduleKind::kConstant, ScheduleKind::kLinear, ScheduleKind::kCosine, ScheduleKind::kInverseSqrt}) {
    TrainSpec train = schedule_spec(kind);
    train.warmup = 0;
    train.steps = 1;
    EXPECT_TRUE(std::isfinite(learning_rate(train, 1)));
    train.warmup = 10;
    train.steps = 10;
    EXPECT_TRUE(std::isfinite(learning_rate(train, 10)));
  }
}

TEST(Optimizer, ClipCoefficientNeverEnlarges) {
  EXPECT_EQ(clip_coefficient(1.0, 0.5), 1.0);
  EXPECT_NEAR(clip_coefficient(1.0, 4.0), 0.25, 1e-6);
  EXPECT_EQ(clip_coefficient(0, 1e9), 1.0);
}

TEST(Optimizer, DecayGroups) {
  TrainSpec train;
  train.weight_decay = 0.1;
  train.decay_embeddings = false;
  train.decay_norm_and_bias = true;
  EXPECT_EQ(weight_decay(train, DecayGroup::kMatrix), 0.1);
  EXPECT_EQ(weight_decay(train, DecayGroup::kEmbedding), 0);
  EXPECT_EQ(weight_decay(train, DecayGroup::kNormOrBias), 0.1);
}

// --- initial weights ------------------------------------------------------------------------------------------------

ParameterInfo tensor(const std::string& name, int64_t elements) {
  ParameterInfo info;
  info.name = name;
  info.shape = {elements};
  info.elements = elements;
  info.init_std = 0.02;
  return info;
}

TEST(InitialWeights, AreTruncatedNormal) {
  const Machine machine;
  const int64_t n = 400001;
  std::vector<float> w(static_cast<size_t>(n));
  fill_initial_weights(machine.context, tensor("a", n), 1, w.data());
  double sum = 0, squares = 0, beyond_two = 0;
  for (const float x : w) {
    ASSERT_LE(std::abs(x), 0.06f);
    sum += x;
    squares += static_cast<double>(x) * x;
    beyond_two += std::abs(x) > 0.04f ? 1 : 0;
  }
  const auto count = static_cast<double>(n);
  EXPECT_NEAR(sum / count, 0, 2e-4);
  EXPECT_NEAR(std::sqrt(squares / count), 0.02 * 0.98658, 1e-4);  // standard deviation of a normal cut at 3
  EXPECT_NEAR(beyond_two / count, (0.0455003 - 0.0026998) / 0.9973002, 2e-3);
}

TEST(InitialWeights, DependOnSeedNameAndElementOnly) {
  const Machine one(1), four(4);
  const auto fill = [](const Machine& machine, const std::string& name, uint64_t seed, int64_t n) {
    std::vector<float> w(static_cast<size_t>(n));
    fill_initial_weights(machine.context, tensor(name, n), seed, w.data());
    return w;
  };
  const auto base = fill(one, "a", 1, 200000);
  EXPECT_EQ(base, fill(four, "a", 1, 200000));
  const auto prefix = fill(one, "a", 1, 777);
  EXPECT_TRUE(std::equal(prefix.begin(), prefix.end(), base.begin()));
  EXPECT_NE(prefix, fill(one, "b", 1, 777));
  EXPECT_NE(prefix, fill(one, "a", 2, 777));
}

// --- shard ----------------------------------------------------------------------------------------------------------

struct ShardCase {
  ShardCase() : table(parameter_table(testing::small_config())) {
    train.clip = 0.5;
    train.decay_embeddings = false;
    for (const ParameterInfo& info : table) elements += info.elements;
    for (int64_t i = 0; i < elements; ++i) gradient.push_back(10 * testing::draw(1, static_cast<uint64_t>(i)));
  }
  Machine machine;
  std::vector<ParameterInfo> table;
  TrainSpec train;
  int64_t elements = 0;
  std::vector<float> gradient;
};

TEST(ParamShard, CommitIsClippedAdamWWithDecayGroups) {
  ShardCase c;
  ParamShard shard(c.table, c.train, /*bf16_copy=*/true);
  shard.init(c.machine.context, 1);
  const int64_t tokens = 17;
  const double rate = 1e-3;
  std::vector<double> w(shard.weights().begin(), shard.weights().end()), m(w.size()), v(w.size());
  double squares = 0;
  for (const float g : c.gradient) squares += static_cast<double>(g) * g;
  for (int step = 1; step <= 3; ++step) {
    shard.push({0, c.elements}, c.gradient.data());
    const double norm = shard.squared_norm(c.machine.context);
    EXPECT_NEAR(norm, squares, 1e-9 * squares);
    shard.commit(c.machine.context, norm, tokens, rate);
    EXPECT_EQ(shard.version(), step);
    const double mean_norm = std::sqrt(squares) / tokens;
    ASSERT_GT(mean_norm, c.train.clip);  // the clip acts
    const double scale = c.train.clip / (mean_norm + 1e-6) / tokens;
    for (const ParameterInfo& info : c.table) {
      const double decay = info.decay == DecayGroup::kMatrix ? c.train.weight_decay : 0;
      for (int64_t e = info.first_element; e < info.first_element + info.elements; ++e) {
        const auto i = static_cast<size_t>(e);
        const double g = scale * c.gradient[i];
        m[i] = 0.9 * m[i] + 0.1 * g;
        v[i] = 0.95 * v[i] + 0.05 * g * g;
        w[i] *= 1 - rate * decay;
        w[i] -= rate / (1 - std::pow(0.9, step)) * m[i] / (std::sqrt(v[i] / (1 - std::pow(0.95, step))) + 1e-8);
      }
    }
  }
  for (size_t i = 0; i < w.size(); ++i) {
    ASSERT_NEAR(shard.weights()[i], w[i], 2e-6 * std::abs(w[i]) + 1e-7) << i;
    ASSERT_EQ(shard.pull_bf16({0, c.elements})[i].bits, to_bf16(shard.weights()[i]).bits);
  }
}

TEST(ParamShard, DigestSeesEveryElement) {
  ShardCase c;
  ParamShard shard(c.table, c.train, false);
  shard.init(c.machine.context, 1);
  const Digest128 digest = shard.digest(), state = shard.state_digest(5);
  EXPECT_NE(state, shard.state_digest(6));
  for (size_t i = 0; i < static_cast<size_t>(c.elements); i += 1 + i / 50) {
    for (const std::span<float> array : {shard.weights(), shard.first_moment(), shard.second_moment()}) {
      const float kept = array[i];
      array[i] = std::nextafter(kept, 10.0f);
      EXPECT_EQ(shard.digest() == digest, array.data() != shard.weights().data()) << i;
      EXPECT_NE(shard.state_digest(5), state) << i;
      array[i] = kept;
    }
  }
  EXPECT_EQ(shard.digest(), digest);
  shard.restored(c.machine.context, 1);
  EXPECT_EQ(shard.digest(), digest);
  EXPECT_NE(shard.state_digest(5), state);
}

}  // namespace
}  // namespace strand
