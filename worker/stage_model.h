// One stage of a model as its worker computes it, behind the executor's seam (worker/pipeline/executor.h): rows in,
// activations through, gradients summed over the worker's lanes and given away range by range as they are complete.
//
// Any cut into stages and chunks, any schedule, recompute and any deal of lanes give the bits of Trainer::step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "ops/core/context.h"
#include "shared/base/clock.h"
#include "shared/job_spec/job_spec.h"
#include "shared/plan/group_plan.h"
#include "shared/plan/stage_cut.h"
#include "shared/wire/shard_messages.h"
#include "worker/learner.h"
#include "worker/params/lane_sums.h"
#include "worker/pipeline/executor.h"
#include "worker/trainer_impl.h"

namespace strand {

// One use of one range (its number in the job's cut), summed over this worker's lanes: what GradientReady carries.
struct RangeGradient {
  struct Piece {
    LaneSubtree subtree;                 // of largest_subtrees(lanes), in order
    const float* sum = nullptr;          // fp32 [elements]; nobody writes to it while keeper lives
    std::shared_ptr<const void> keeper;  // may be dropped by any thread, and outlive the model
    // Of the subtree's lanes, with use 0 of the stage's first range; else empty. Losses (by micro batch), targets and
    // tokens from the model's last run, the hash of rows from its first.
    std::vector<LaneNumbers> numbers;
  };
  uint32_t range = 0, use = 0;  // use 1: of a tied embedding at the output (ranges[range].place.second_use)
  int64_t elements = 0;
  std::vector<Piece> pieces;
};

// Called before weights of these ranges are read for the first time in a step or evaluation, a part of the model at a
// time, in the order of the first micro batch's forwards; returns when they can be read and stay as they are, or why
// they will not. None: all are there.
using AwaitRanges = std::function<Status(const std::vector<uint32_t>& ranges)>;

// What one step of one stage computes.
struct StageStep {
  uint64_t first_row = 0;  // of the whole step: (step - 1) * rows_per_step
  LaneRun lanes;           // of this replica
  Weights weights;         // over local_table(stage): a range is not written to from `await` until all were given away
  // Gives the rows of the lanes, a micro batch at a time and rising. Every stage reads them: blocks need the rows'
  // numbers and lengths, the first run their ids, the last their targets.
  BatchSource* source = nullptr;
  // Once for each use of each range of this stage, from within the calls of StageCompute, as soon as nothing adds to it
  // any more: blocks one after the other while the rest of the model is still at its backward. Should be quick.
  std::function<void(RangeGradient)> ready;
  AwaitRanges await = nullptr;
};

// Forward only, of a fixed set: micro batch m has the rows from m * train.micro_batch on; the last may have fewer.
struct StageEvaluation {
  RowSet set = RowSet::kHeldOut;  // kHeldOut or kTest
  uint64_t rows = 0;              // of the set
  Weights weights;
  BatchSource* source = nullptr;
  // From the model's last run, in rising micro batch: its rows, their loss, and a task head's logits (else empty).
  std::function<void(const PreparedBatch& batch, const LossSum& loss, const std::vector<float>& logits)> measured;
  AwaitRanges await = nullptr;
};

struct StageModelOptions {
  DType dtype = DType::kF32;  // of matrix inputs and stored activations: the job's precision, resolved
  PipelineKind schedule = PipelineKind::kOneForwardOneBackward;
};

// Frames are the fp32 residual stream [tokens, hidden], or its gradient. Not thread-safe. A loss that is not finite is
// no error here: it is in the numbers, and the group decides.
class StageModel final : public StageCompute {
 public:
  // `ranges`: cut_ranges of the whole job with tensor_places(cut). What `context` points to outlives the model.
  StageModel(const JobSpec& spec, const StageCut& cut, int stage, const std::vector<PlannedRange>& ranges,
             const OpContext& context, const StageModelOptions& options);

  // Before run_stage with this schedule, which is of the model's kind, stages and chunks and of the micro batches of
  // step.lanes. A step that was given up is forgotten.
  void begin(const PipelineSchedule& schedule, StageStep step);
  // Before run_stage with make_forward_schedule for ceil(rows / micro_batch) micro batches.
  void begin(StageEvaluation evaluation);

  Result<Frame> forward(int chunk, int micro_batch, const Frame& input) override;
  Result<Frame> backward(int chunk, int micro_batch, const Frame& d_output) override;
  Result<Frame> backward_input(int chunk, int micro_batch, const Frame& d_output) override;
  Status backward_weight(int chunk, int micro_batch) override;
  Duration waited() const override { return Duration(weights_wait_); }  // in `await`, since begin

  const HeadSpec* head() const { return learner_.head(); }      // of a task; null when pretraining
  int64_t data_wait_nanoseconds() const { return data_wait_; }  // since begin
  int64_t gradient_buffers() const { return sums_.buffers(); }  // ever allocated

 private:
  // One use of one range in this stage's gradient buffers: piece i of sums_ is use i.
  struct RangeUse {
    uint32_t range = 0, use = 0;
    KeyRange local;
    int64_t part = 0;  // of the model
    bool carries_numbers = false;
  };
  // A micro batch on its way through the chunks.
  struct Flight {
    std::unique_ptr<PreparedBatch> batch;
    std::vector<size_t> slots;  // of each chunk
    size_t chunks_left = 0;
  };

  static std::vector<RangeUse> uses_of(const JobSpec& spec, const StageCut& cut, int stage,
                                       const std::vector<PlannedRange>& ranges);
  static std::vector<KeyRange> keys_of(const std::vector<RangeUse>& uses);

  void forget();
  Status await(int64_t part);
  Status take_rows(int micro_batch, PreparedBatch* batch);
  Flight& flight(int micro_batch);
  Status put(const Frame& from, Matrix to, int micro_batch) const;
  void leave(int chunk, int micro_batch);
  LaneNumbers& numbers_of(int64_t lane);
  void note(int64_t lane, const LossSum& loss, const PreparedBatch& batch);
  void part_done(int micro_batch, int64_t part);
  void give_away(size_t use);

  const Weights& weights() const { return evaluating_ ? evaluation_.weights : step_.weights; }
  bool is_first(int chunk) const { return learner_.run(static_cast<size_t>(chunk)).has_input; }
  bool is_last(int chunk) const { return learner_.run(static_cast<size_t>(chunk)).has_output; }
  int64_t lane_of(int micro_batch) const { return step_.lanes.first + micro_batch / train_.micro_batches_per_lane; }

  TransformerConfig config_;
  TrainSpec train_;
  int64_t segment_;
  OpContext context_;
  int stage_;
  size_t chunks_;
  Learner learner_;
  std::vector<RangeUse> uses_;
  std::map<int64_t, std::vector<uint32_t>> ranges_of_part_;
  LaneSums sums_;

  // The step or evaluation at hand.
  bool evaluating_ = false;
  StageStep step_;
  StageEvaluation evaluation_;
  std::map<int, Flight> flights_;                        // by micro batch
  std::vector<std::vector<size_t>> free_slots_;          // by chunk
  std::vector<std::unique_ptr<PreparedBatch>> batches_;  // not in use
  std::map<int64_t, LaneNumbers> numbers_;               // by lane
  std::set<int64_t> here_;                               // parts whose weights have been waited for
  int64_t data_wait_ = 0, weights_wait_ = 0;
};

}  // namespace strand
