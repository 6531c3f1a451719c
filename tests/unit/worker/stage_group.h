// A replica's stages as their workers run them (schedule, executor, StageModel, a thread for each stage), to be
// compared with the plain trainer.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ops/cast/cast.h"
#include "ops/reduce/reduce.h"
#include "shared/plan/stage_ranges.h"
#include "tests/support/stage_ring.h"
#include "tests/unit/worker/model_case.h"
#include "worker/params/gradient_sum.h"
#include "worker/params/schedules.h"
#include "worker/stage_model.h"

namespace strand::testing {

using enum PipelineKind;

struct Shape {
  PipelineKind schedule = kOneForwardOneBackward;
  int stages = 1, chunks = 1, replicas = 1;
  bool recompute = false;
};

inline std::string text(const Shape& s, const TransformerConfig& config, Precision precision) {
  return concat(pipeline_kind_name(s.schedule), " ", s.stages, " stages x ", s.chunks, " chunks, ", s.replicas,
                " replicas", s.recompute ? ", recompute" : "", precision == Precision::kBf16 ? ", bf16: " : ": ",
                name_of(config));
}

// Rows with labels for a task, and with another length and other tokens each.
class Rows final : public BatchSource {
 public:
  explicit Rows(const JobSpec& spec) : spec_(spec) {}
  Result<Batch> training_rows(uint64_t first, int64_t rows) override { return make(first, first, rows); }
  Result<Batch> held_out_rows(uint64_t first, int64_t rows) override { return make(first, first + 5000, rows); }
  Result<Batch> test_rows(uint64_t first, int64_t rows) override { return make(first, first + 9000, rows); }

 private:
  Result<Batch> make(uint64_t number, uint64_t seed, int64_t rows) {
    const int64_t segment = spec_.data.segment;
    const bool task = spec_.job.kind == "finetune";
    tokens_.assign(static_cast<size_t>(rows * segment), 0);
    lengths_.clear(), labels_.clear(), samples_.clear();
    for (int64_t r = 0; r < rows; ++r) {
      const uint64_t n = seed + static_cast<uint64_t>(r);
      lengths_.push_back(static_cast<uint16_t>(segment - static_cast<int64_t>(n % 3)));
      labels_.push_back(static_cast<float>(n % 3));
      samples_.push_back(7 * n + 1);
      for (int64_t i = 0; i < lengths_.back(); ++i) {
        const float u = (draw(100 + n, static_cast<uint64_t>(i)) + 1) / 2;
        tokens_[static_cast<size_t>(r * segment + i)] =
            static_cast<uint16_t>(u * static_cast<float>(spec_.model.config.vocabulary));
      }
    }
    return Batch{.first_row = number,
                 .rows = rows,
                 .segment = segment,
                 .tokens = tokens_.data(),
                 .lengths = lengths_.data(),
                 .targets = nullptr,
                 .labels = task ? labels_.data() : nullptr,
                 .labels_per_row = task ? 1 : 0,
                 .samples = samples_.data()};
  }
  JobSpec spec_;
  std::vector<uint16_t> tokens_, lengths_;
  std::vector<float> labels_;
  std::vector<uint64_t> samples_;
};

inline JobSpec job(const TransformerConfig& config, Precision precision) {
  JobSpec spec;
  spec.model.config = config;
  spec.data.segment = 7;
  spec.train.steps = 10;
  spec.train.lanes = 4;
  spec.train.micro_batch = 2;
  spec.train.micro_batches_per_lane = 2;
  spec.train.precision = precision;
  spec.train.learning_rate = 3e-3;
  return spec;
}

// Weights under which every tensor matters.
inline std::unique_ptr<Trainer> trainer_of(const JobSpec& spec) {
  auto trainer = make_trainer(spec, 1);
  std::ranges::copy(test_weights(trainer->shard().table()), trainer->shard().weights().begin());
  trainer->restored(0);
  return trainer;
}

// The sum of a whole lane tree from pieces of it.
using Pieces = std::map<std::pair<int, int64_t>, std::vector<float>>;
inline std::vector<float> tree_sum(const Machine& machine, const Pieces& pieces, GradientDtype dtype, int level,
                                   int64_t index) {
  if (const auto found = pieces.find({level, index}); found != pieces.end()) return found->second;
  STRAND_CHECK(level > 0, "lane ", index, " is missing");
  std::vector<float> left = tree_sum(machine, pieces, dtype, level - 1, 2 * index);
  const std::vector<float> right = tree_sum(machine, pieces, dtype, level - 1, 2 * index + 1);
  add_gradients(machine.context, right.data(), static_cast<int64_t>(right.size()), left.data(), dtype);
  return left;
}

// Workers of a group, and in place of the commit protocol one shard that holds everything.
class Group {
 public:
  Group(const JobSpec& whole, const Shape& shape) : spec_(whole), shape_(shape) {
    spec_.parallel.stages = shape.stages;
    spec_.parallel.chunks = shape.chunks;
    spec_.parallel.recompute = shape.recompute;
    cut_ = cut_model(spec_).value();
    const std::vector<ParameterInfo> table = job_parameter_table(spec_);
    ranges_ = cut_ranges(table, tensor_places(cut_));
    const bool bf16 = spec_.train.precision == Precision::kBf16;
    shard_ = std::make_unique<ParamShard>(table, spec_.train, bf16);
    std::ranges::copy(test_weights(table), shard_->weights().begin());
    shard_->restored(machine_.context, 0);
    for (int i = 0; i < shape.replicas * shape.stages; ++i) {
      const Stage& stage = cut_.stages[static_cast<size_t>(i % shape.stages)];
      workers_.push_back(std::make_unique<Worker>(spec_));
      workers_.back()->stage = i % shape.stages;
      workers_.back()->model = std::make_unique<StageModel>(
          spec_, cut_, i % shape.stages, ranges_, workers_.back()->machine.context,
          StageModelOptions{.dtype = bf16 ? DType::kBF16 : DType::kF32, .schedule = shape.schedule});
      workers_.back()->weights.resize(static_cast<size_t>(stage.elements));
      if (bf16) workers_.back()->rounded.resize(static_cast<size_t>(stage.elements));
    }
  }

  // From now on a stage's weights are no numbers until its model waits for them.
  void come_late() { late_ = true; }

  // One update; losses and hash as the group's record would have them.
  StepResult step() {
    pieces_.clear(), numbers_.clear();
    const auto first_row = static_cast<uint64_t>(shard_->version() * spec_.train.rows_per_step());
    const std::vector<LaneRun> runs = deal_lanes(spec_.train.lanes, shape_.replicas, {});
    for (int r = 0; r < shape_.replicas; ++r) {
      const LaneRun lanes = runs[static_cast<size_t>(r)];
      const auto micros = static_cast<int>(lanes.count * spec_.train.micro_batches_per_lane);
      const PipelineSchedule schedule = make_schedule(shape_.schedule, {shape_.stages, shape_.chunks, micros}).value();
      run(r, schedule, [&](Worker& worker) {
        worker.model->begin(schedule, {.first_row = first_row,
                                       .lanes = lanes,
                                       .weights = worker.view(),
                                       .source = &worker.source,
                                       .ready = [&](RangeGradient g) { take(lanes, std::move(g)); },
                                       .await = arrival(worker)});
      });
    }
    return commit();
  }

  // What the model's last stage measures on a fixed set.
  std::pair<double, std::vector<float>> evaluate(RowSet set, uint64_t rows) {
    const int64_t of_micro = spec_.train.micro_batch;
    const auto micros = static_cast<int>((static_cast<int64_t>(rows) + of_micro - 1) / of_micro);
    const PipelineSchedule schedule = make_forward_schedule({shape_.stages, shape_.chunks, micros});
    std::pair<double, std::vector<float>> all;
    run(0, schedule, [&](Worker& worker) {
      worker.model->begin(
          StageEvaluation{set, rows, worker.view(), &worker.source,
                          [&](const PreparedBatch&, const LossSum& loss, const std::vector<float>& logits) {
                            all.first += loss.loss;
                            all.second.insert(all.second.end(), logits.begin(), logits.end());
                          },
                          arrival(worker)});
    });
    return all;
  }

  ParamShard& shard() { return *shard_; }
  // The most gradient buffers that any worker ever had.
  int64_t gradient_buffers() const {
    int64_t most = 0;
    for (const auto& worker : workers_) most = std::max(most, worker->model->gradient_buffers());
    return most;
  }
  // Begins a step on the first replica's first stage, and leaves it after a forward.
  void begin_and_leave() {
    const PipelineSchedule schedule = make_schedule(shape_.schedule, {shape_.stages, shape_.chunks, 8}).value();
    Worker& worker = *workers_.front();
    load(worker, 0);
    worker.model->begin(schedule, {0, {0, 4}, worker.view(), &worker.source, [](RangeGradient) {}});
    ASSERT_TRUE(worker.model->forward(0, 0, Frame()).ok());
  }

 private:
  struct Worker {
    explicit Worker(const JobSpec& spec) : source(spec) {}
    int stage = 0;
    std::set<uint32_t> asked;  // ranges that the model has waited for
    Weights view() const { return {weights.data(), rounded.empty() ? nullptr : rounded.data()}; }
    Machine machine{1, Backend::kCpu};
    Rows source;
    std::vector<float> weights;
    std::vector<BFloat16> rounded;
    std::unique_ptr<StageModel> model;
  };

  void load(Worker& worker, int s) {
    worker.asked.clear();
    std::ranges::fill(worker.weights, std::numeric_limits<float>::quiet_NaN());
    std::ranges::fill(worker.rounded, to_bf16(std::numeric_limits<float>::quiet_NaN()));
    if (late_) return;
    for (const StageTensor& tensor : cut_.stages[static_cast<size_t>(s)].tensors) {
      std::copy_n(shard_->weights().begin() + tensor.parameter.first_element, tensor.parameter.elements,
                  worker.weights.begin() + tensor.local_first);
    }
    if (worker.rounded.empty()) return;
    cast(machine_.context, worker.weights.data(), static_cast<int64_t>(worker.weights.size()), worker.rounded.data());
  }

  AwaitRanges arrival(Worker& worker) {
    if (!late_) return nullptr;
    return [this, &worker](const std::vector<uint32_t>& ranges) -> Status {
      for (const uint32_t r : ranges) {
        EXPECT_TRUE(worker.asked.insert(r).second || ranges_[r].place.second_use == worker.stage) << "range " << r;
        const KeyRange local = local_range(cut_.stages[static_cast<size_t>(worker.stage)], ranges_[r].keys);
        std::copy_n(shard_->weights().begin() + ranges_[r].keys.first_element, local.elements,
                    worker.weights.begin() + local.first_element);
        if (worker.rounded.empty()) continue;
        cast(worker.machine.context, worker.weights.data() + local.first_element, local.elements,
             worker.rounded.data() + local.first_element);
      }
      return {};
    };
  }

  template <class Begin>
  void run(int replica, const PipelineSchedule& schedule, const Begin& begin) {
    StageRing ring(schedule.shape, kLinkBuffers);
    const SystemClock clock;
    std::vector<std::thread> threads;
    for (int s = 0; s < shape_.stages; ++s) {
      Worker& worker = *workers_[static_cast<size_t>(replica * shape_.stages + s)];
      load(worker, s);
      begin(worker);
      threads.emplace_back([&, s] {
        const auto traces = run_stage(schedule, s, worker.model.get(), ring.link(s), clock, {});
        EXPECT_TRUE(traces.ok()) << traces.error().message();
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(ring.left_over(), 0u);
    for (int s = 0; late_ && s < shape_.stages; ++s) {
      size_t read = 0;
      for (const PlannedRange& range : ranges_) read += range.place.stage == s || range.place.second_use == s ? 1 : 0;
      EXPECT_EQ(workers_[static_cast<size_t>(replica * shape_.stages + s)]->asked.size(), read);
    }
  }

  void take(LaneRun lanes, RangeGradient gradient) {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(gradient.elements, ranges_[gradient.range].keys.elements);
    std::vector<LaneSubtree> subtrees;
    for (RangeGradient::Piece& piece : gradient.pieces) {
      subtrees.push_back(piece.subtree);
      const bool fresh = pieces_[{gradient.range, gradient.use}]
                             .emplace(std::pair(piece.subtree.level, piece.subtree.index),
                                      std::vector<float>(piece.sum, piece.sum + gradient.elements))
                             .second;
      EXPECT_TRUE(fresh) << "range " << gradient.range << " use " << gradient.use << " came twice";
      for (const LaneNumbers& numbers : piece.numbers) numbers_.push_back(numbers);
    }
    EXPECT_EQ(subtrees, largest_subtrees(lanes));
  }

  StepResult commit() {
    std::vector<float> sum(static_cast<size_t>(shard_->elements()));
    int levels = 0;
    while (int64_t{1} << levels < spec_.train.lanes) ++levels;
    for (uint32_t r = 0; r < ranges_.size(); ++r) {
      const PlannedRange& range = ranges_[r];
      std::vector<float> all = tree_sum(machine_, pieces_[{r, 0}], spec_.train.gradient_dtype, levels, 0);
      if (range.place.second_use >= 0) {
        const std::vector<float> output = tree_sum(machine_, pieces_[{r, 1}], spec_.train.gradient_dtype, levels, 0);
        add(machine_.context, output.data(), range.keys.elements, all.data());
      }
      std::ranges::copy(all, sum.begin() + range.keys.first_element);
    }
    StepResult result;
    int64_t targets = 0;
    for (int64_t lane = 0; lane < spec_.train.lanes; ++lane) {
      for (const LaneNumbers& numbers : numbers_) {
        if (numbers.lane != lane) continue;
        for (const double loss : numbers.losses) result.loss += loss;
        targets += numbers.targets;
        result.tokens += numbers.tokens;
        result.audit += numbers.rows_hash;
      }
    }
    result.loss /= static_cast<double>(targets);
    shard_->push({0, shard_->elements()}, sum.data());
    const double norm = shard_->squared_norm(machine_.context);
    result.step = shard_->version() + 1;
    shard_->commit(machine_.context, norm, targets, learning_rate(spec_.train, result.step));
    return result;
  }

  JobSpec spec_;
  Shape shape_;
  bool late_ = false;
  Machine machine_{1, Backend::kCpu};
  StageCut cut_;
  std::vector<PlannedRange> ranges_;
  std::unique_ptr<ParamShard> shard_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::mutex mutex_;
  std::map<std::pair<uint32_t, uint32_t>, Pieces> pieces_;
  std::vector<LaneNumbers> numbers_;
};

inline const Shape kShapes[] = {{kOneForwardOneBackward, 1, 1, 1},
                                {kOneForwardOneBackward, 2, 1, 2},
                                {kOneForwardOneBackward, 5, 1, 1},
                                {kGPipe, 3, 1, 1},
                                {kGPipe, 2, 1, 3},
                                {kInterleaved, 2, 2, 1},
                                {kInterleaved, 1, 5, 3},
                                {kInterleaved, 2, 2, 4},
                                {kZeroBubbleH1, 1, 1, 2},
                                {kZeroBubbleH1, 4, 1, 1},
                                {kZeroBubbleH1, 3, 1, 3},
                                {kOneForwardOneBackward, 1, 1, 4}};

inline TransformerConfig deep(TransformerConfig config) {
  config.layers = 5;
  config.dropout = config.embedding_dropout = 0.2;
  return config;
}

}  // namespace strand::testing
