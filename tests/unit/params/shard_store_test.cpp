// Floats through the whole protocol: any number of replicas ends with the bits of one process.
#include "worker/params/shard_store.h"

#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <map>
#include <optional>
#include <random>

#include "shared/base/text.h"
#include "tests/unit/worker/test_model.h"
#include "worker/params/commit_protocol.h"
#include "worker/params/digest.h"
#include "worker/params/lane_tree.h"
#include "worker/params/schedules.h"
#include "worker/params/shard_frames.h"

namespace strand {
namespace {

using testing::Machine;

constexpr int64_t kLanes = 4;
constexpr Step kSteps = 3;

std::vector<ParameterInfo> table_of() {
  std::vector<ParameterInfo> table;
  int64_t first = 0;
  for (const int64_t elements : {70'000, 300, 140'000, 5, 66'000}) {
    table.push_back({concat("blocks.", table.size(), ".weight"),
                     {elements},
                     InitRule::kTruncatedNormal,
                     0.02,
                     DecayGroup::kMatrix,
                     first,
                     elements});
    first += elements;
  }
  return table;
}

// Of a lane, which depends on the weights it reads.
void lane_gradient(const float* weights, int64_t elements, Step step, int64_t lane, float* out) {
  for (int64_t e = 0; e < elements; ++e) {
    const float drawn = testing::draw(static_cast<uint64_t>(step * kLanes + lane), static_cast<uint64_t>(e % 4096));
    out[e] = weights[e] * drawn + drawn * static_cast<float>(1 + (e + lane) % 7);
  }
}

Digest128 one_process(const OpContext& context, const TrainSpec& train) {
  ParamShard shard(table_of(), train, false);
  shard.init(context, 9);
  LaneTree lanes(shard.elements(), train.gradient_dtype);
  for (Step step = 1; step <= kSteps; ++step) {
    lanes.reset();
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      lane_gradient(shard.pull({0, shard.elements()}), shard.elements(), step, lane, lanes.open_lane(context));
      lanes.close_lane(context, lane);
    }
    shard.push({0, shard.elements()}, lanes.subtrees().front().sum->f32());
    shard.commit(context, shard.squared_norm(context), 10 * kLanes, learning_rate(train, step));
  }
  return shard.state_digest(7);
}

struct Worker {
  std::unique_ptr<ParamShard> shard;
  std::unique_ptr<ShardStore> store;
  std::unique_ptr<CommitProtocol> protocol;
  std::optional<StartStep> start;  // waits for weights
};

class Group {
 public:
  Group(const OpContext& context, const TrainSpec& train, int replicas)
      : context_(context),
        dtype_(train.gradient_dtype),
        table_(table_of()),
        ranges_(cut_ranges(table_, std::vector<TensorPlace>(table_.size()))),
        frames_(ranges_, kLanes, dtype_ == GradientDtype::kBf16) {
    plan_.generation.value = 1;
    plan_.replicas = replicas;
    plan_.lanes = kLanes;
    std::vector<KeyRange> keys;
    for (const PlannedRange& range : ranges_) keys.push_back(range.keys);
    for (int r = 0; r < replicas; ++r) {
      Worker worker;
      worker.shard = std::make_unique<ParamShard>(table_, train, false, std::vector<KeyRange>{});
      worker.store = std::make_unique<ShardStore>(context, train, keys, worker.shard.get());
      ProtocolOptions options;
      options.job.value = 1;
      options.self.value = static_cast<uint64_t>(r + 1);
      options.ranges = ranges_;
      options.last_step = kSteps;
      worker.protocol = std::make_unique<CommitProtocol>(options, worker.store.get());
      plan_.members.push_back({options.self, {}, r, 0, "x"});
      workers_.push_back(std::move(worker));
    }
  }

  Digest128 run() {
    for (size_t w = 0; w < workers_.size(); ++w) todo_.push_back({w, NewPlan{plan_}});
    while (!todo_.empty()) {
      const auto [w, event] = std::move(todo_.front());
      todo_.pop_front();
      CommitProtocol& protocol = *workers_[w].protocol;
      for (const ProtocolAction& action : protocol.handle(event, {})) perform(w, action);
      if (protocol.updates_left() > 0) todo_.push_back({w, UpdateNext{}});
      auto& start = workers_[w].start;
      if (start && protocol.fresh() == start->step - 1) compute(w, *std::exchange(start, std::nullopt));
    }
    const std::vector<RangeHolders> holders = assign_holders(ranges_, plan_.replicas, true);
    std::array<std::vector<Digest128>, 3> blocks;
    for (size_t r = 0; r < ranges_.size(); ++r) {
      const auto part = workers_[static_cast<size_t>(holders[r].primary)].shard->digests(ranges_[r].keys);
      for (size_t a = 0; a < 3; ++a) blocks[a].insert(blocks[a].end(), part[a].begin(), part[a].end());
      if (holders[r].backup < 0) continue;
      EXPECT_EQ(workers_[static_cast<size_t>(holders[r].backup)].shard->digests(ranges_[r].keys), part);
    }
    const Digest128 digests[] = {digest_of_blocks(table_, blocks[0]), digest_of_blocks(table_, blocks[1]),
                                 digest_of_blocks(table_, blocks[2])};
    return state_digest_of(digests, kSteps, 7);
  }

  size_t bytes_sent() const { return bytes_sent_; }

 private:
  void perform(size_t w, const ProtocolAction& action) {
    if (const auto* sent = std::get_if<SendToWorker>(&action)) {
      const std::vector<Frame> frames = frames_.encode(sent->message);
      for (const Frame& frame : frames) bytes_sent_ += frame.size();
      auto received = frames_.decode(frames);
      ASSERT_TRUE(received.ok()) << received.error().message();
      todo_.push_back({static_cast<size_t>(sent->to.value - 1), *received});
    }
    if (const auto* choose = std::get_if<ChooseCheckpoint>(&action)) {
      todo_.push_back({w, CheckpointChosen{choose->generation, 0}});
    }
    if (const auto* load = std::get_if<LoadCheckpoint>(&action)) {
      for (const uint32_t range : load->ranges) workers_[w].shard->hold(ranges_[range].keys);
      workers_[w].shard->init(context_, 9);
      todo_.push_back({w, CheckpointLoaded{load->generation, load->step}});
    }
    if (const auto* start = std::get_if<StartStep>(&action)) workers_[w].start = *start;
    EXPECT_FALSE(std::holds_alternative<StepFailed>(action));
  }

  void compute(size_t w, const StartStep& start) {
    const int64_t elements = workers_[w].shard->elements();
    const float* weights = workers_[w].shard->pull({0, elements});
    LaneTree lanes(elements, dtype_);
    const LaneRun run = deal_lanes(kLanes, plan_.replicas, {})[w];
    for (int64_t lane = run.first; lane < run.first + run.count; ++lane) {
      lane_gradient(weights, elements, start.step, lane, lanes.open_lane(context_));
      lanes.close_lane(context_, lane);
    }
    for (uint32_t range = 0; range < ranges_.size(); ++range) {
      GradientReady ready{start.generation, start.step, range, 0, {}};
      const KeyRange keys = ranges_[range].keys;
      for (const Subtree& subtree : lanes.subtrees()) {
        GradientReady::Piece piece{{subtree.level, subtree.index}, nullptr, {}};
        piece.sum = std::make_shared<FloatBulk>(subtree.sum->f32() + keys.first_element, keys.elements, subtree.sum);
        const int64_t first = subtree.index << subtree.level;
        for (int64_t lane = first; range == 0 && lane < first + (int64_t{1} << subtree.level); ++lane) {
          piece.numbers.push_back({lane, {1.0}, 10, 10, 0});
        }
        ready.pieces.push_back(std::move(piece));
      }
      todo_.push_back({w, ready});
    }
  }

  OpContext context_;
  GradientDtype dtype_;
  std::vector<ParameterInfo> table_;
  std::vector<PlannedRange> ranges_;
  ShardFrames frames_;
  size_t bytes_sent_ = 0;
  GroupPlan plan_;
  std::vector<Worker> workers_;
  std::deque<std::pair<size_t, ProtocolEvent>> todo_;
};

TrainSpec train_of(GradientDtype dtype) {
  TrainSpec train;
  train.steps = kSteps;
  train.warmup = 1;
  train.learning_rate = 1e-2;
  train.gradient_dtype = dtype;
  return train;
}

TEST(ShardStore, AnyNumberOfReplicasEndsWithTheBitsOfOneProcess) {
  const Machine machine;
  std::map<GradientDtype, Digest128> digests;
  std::map<GradientDtype, size_t> bytes;
  for (const GradientDtype dtype : {GradientDtype::kFp32, GradientDtype::kBf16}) {
    const TrainSpec train = train_of(dtype);
    digests[dtype] = one_process(machine.context, train);
    for (const int replicas : {1, 2, 3, 4}) {
      Group group(machine.context, train, replicas);
      EXPECT_EQ(group.run(), digests[dtype]) << replicas << " replicas";
      bytes[dtype] += group.bytes_sent();
    }
  }
  EXPECT_NE(digests[GradientDtype::kFp32], digests[GradientDtype::kBf16]) << "the rounding must bite";
  EXPECT_LT(bytes[GradientDtype::kBf16], bytes[GradientDtype::kFp32]);
}

// --- frames ---------------------------------------------------------------------------------------------------------

TEST(ShardFrames, OnlyWhatIsStillAddedTravelsRounded) {
  const std::vector<PlannedRange> ranges = {{{0, 100}, {0, -1}, 1}};
  auto bulk = std::make_shared<FloatBulk>(100);
  for (int i = 0; i < 100; ++i) bulk->writable()[i] = 1.0f + static_cast<float>(i) / 1000;
  const auto comes_back = [&](const ShardFrames& frames, ShardBody body, size_t bytes) {
    const std::vector<Frame> sent = frames.encode({{{}, std::move(body)}, bulk});
    EXPECT_EQ(sent.at(1).size(), bytes);
    const auto got = frames.decode(sent);
    ASSERT_TRUE(got.ok());
    const auto& numbers = static_cast<const FloatBulk&>(*got->bulk);
    for (int i = 0; i < 100; ++i) {
      const float whole = bulk->data()[i];
      EXPECT_EQ(numbers.data()[i], bytes == 200 ? to_float(to_bf16(whole)) : whole);
    }
  };
  const ShardFrames whole(ranges, 4, false), half(ranges, 4, true);
  comes_back(whole, GradientPiece{0, 0, 1, 0, {}}, 400);
  comes_back(half, GradientPiece{0, 0, 1, 0, {}}, 200);
  comes_back(half, GradientPiece{0, 1, 2, 0, {}}, 400);  // over all lanes: a tied embedding's output use
  comes_back(half, GradientSum{0, {1.0}, {}}, 400);
  comes_back(half, RangeData{0, 3, false}, 400);
}

TEST(ShardFrames, FramesThatDoNotFitAreRefused) {
  const ShardFrames frames({{{0, 100}, {0, -1}, 1}}, 4, false);
  const auto bulk = std::make_shared<FloatBulk>(100);
  const std::vector<Frame> good = frames.encode({{{}, RangeData{0, 3, false}}, bulk});
  ASSERT_TRUE(frames.decode(good).ok());
  EXPECT_FALSE(frames.decode({}).ok());
  EXPECT_FALSE(frames.decode({good[0]}).ok()) << "without its numbers";
  EXPECT_FALSE(frames.decode({good[0], good[1], good[1]}).ok());
  EXPECT_FALSE(frames.decode({good[0], Frame::copy_of(good[1].data(), 396)}).ok()) << "a number too few";
  EXPECT_FALSE(frames.decode({Frame::from_string("nonsense"), good[1]}).ok());
  EXPECT_FALSE(frames.decode(frames.encode({{{}, RangeData{1, 3, false}}, bulk})).ok()) << "no such range";
  EXPECT_FALSE(frames.decode(frames.encode({{{}, RangeData{0, 3, true}}, bulk})).ok()) << "no moments";
  EXPECT_FALSE(frames.decode({frames.encode({{{}, ShardAck{}}, nullptr})[0], good[1]}).ok()) << "numbers of nothing";
}

// --- memory ---------------------------------------------------------------------------------------------------------

TEST(LaneTree, WhatSomebodyKeepsIsNotWrittenAgain) {
  const Machine machine;
  LaneTree lanes(1000);
  const auto sum_of_step = [&](float value) {
    lanes.reset();
    std::fill_n(lanes.open_lane(machine.context), 1000, value);
    lanes.close_lane(machine.context, 0);
    return lanes.subtrees().front().sum;
  };
  std::shared_ptr<Buffer> kept = sum_of_step(1);
  for (int step = 2; step < 6; ++step) sum_of_step(static_cast<float>(step));
  EXPECT_EQ(kept->f32()[999], 1.0f);
  EXPECT_EQ(lanes.buffers(), 2) << "one is kept, the other one goes round";
  kept.reset();
  kept = sum_of_step(7);
  sum_of_step(8);
  EXPECT_EQ(lanes.buffers(), 2) << "what was given back is used again";
}

}  // namespace
}  // namespace strand
