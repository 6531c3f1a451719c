#include "worker/stage_model.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "shared/base/check.h"
#include "shared/base/clock.h"
#include "shared/base/text.h"
#include "shared/plan/stage_ranges.h"

namespace strand {

// --- what the stage has ---------------------------------------------------------------------------------------------

std::vector<StageModel::RangeUse> StageModel::uses_of(const JobSpec& spec, const StageCut& cut, int stage,
                                                      const std::vector<PlannedRange>& ranges) {
  const std::vector<ParameterInfo> table = job_parameter_table(spec);
  const Stage& own = cut.stages[static_cast<size_t>(stage)];
  const auto tensor_at = [&](int64_t element) -> const ParameterInfo& {
    const auto behind = std::ranges::upper_bound(table, element, {}, &ParameterInfo::first_element);
    return *std::prev(behind);
  };
  std::vector<RangeUse> uses;
  bool first = true;
  for (uint32_t r = 0; r < ranges.size(); ++r) {
    const PlannedRange& range = ranges[r];
    const ParameterInfo& tensor = tensor_at(range.keys.first_element);
    const int64_t part = model_part(tensor.name, spec.model.config);
    STRAND_CHECK(
        part == model_part(tensor_at(range.keys.first_element + range.keys.elements - 1).name, spec.model.config),
        "range ", r, " of ", tensor.name, " has several parts");
    if (range.place.stage == stage) {
      uses.push_back({r, 0, local_range(own, range.keys), part, std::exchange(first, false)});
    }
    if (range.place.second_use != stage) continue;
    STRAND_CHECK(cut.tied.has_value(), "range ", r, " has two uses");
    const KeyRange local{cut.tied->output_gradient_first + range.keys.first_element - tensor.first_element,
                         range.keys.elements};
    uses.push_back({r, 1, local, output_part(spec.model.config), false});
  }
  return uses;
}

std::vector<KeyRange> StageModel::keys_of(const std::vector<RangeUse>& uses) {
  std::vector<KeyRange> keys;
  for (const RangeUse& use : uses) keys.push_back(use.local);
  return keys;
}

StageModel::StageModel(const JobSpec& spec, const StageCut& cut, int stage, const std::vector<PlannedRange>& ranges,
                       const OpContext& context, const StageModelOptions& options)
    : config_(spec.model.config),
      train_(spec.train),
      segment_(spec.data.segment),
      context_(context),
      stage_(stage),
      chunks_(cut.stages[static_cast<size_t>(stage)].chunks.size()),
      learner_(spec, cut.stages[static_cast<size_t>(stage)].chunks, local_table(cut.stages[static_cast<size_t>(stage)]),
               {.dtype = options.dtype, .split_backward = options.schedule == PipelineKind::kZeroBubbleH1}),
      uses_(uses_of(spec, cut, stage, ranges)),
      sums_(cut.stages[static_cast<size_t>(stage)].gradient_elements, keys_of(uses_), spec.train.gradient_dtype) {
  for (const RangeUse& use : uses_) ranges_of_part_[use.part].push_back(use.range);
}

// --- a step or an evaluation ----------------------------------------------------------------------------------------

void StageModel::forget() {
  for (auto& [micro_batch, flight] : flights_) {
    if (flight.batch != nullptr) batches_.push_back(std::move(flight.batch));
  }
  flights_.clear();
  numbers_.clear();
  free_slots_.assign(chunks_, {});
  here_.clear();
  data_wait_ = weights_wait_ = 0;
}

// Once for a part: until the last gradient is given away its weights stay as they are.
Status StageModel::await(int64_t part) {
  const AwaitRanges& await = evaluating_ ? evaluation_.await : step_.await;
  const auto ranges = ranges_of_part_.find(part);
  if (!here_.insert(part).second || !await || ranges == ranges_of_part_.end()) return {};
  const SystemClock clock;
  const Time asked = clock.now();
  const Status status = await(ranges->second);
  weights_wait_ += (clock.now() - asked).count();
  return status;
}

void StageModel::begin(const PipelineSchedule& schedule, StageStep step) {
  STRAND_CHECK(step.source != nullptr && static_cast<size_t>(schedule.shape.chunks) == chunks_ &&
                   schedule.shape.micro_batches == step.lanes.count * train_.micro_batches_per_lane,
               "chunks ", schedule.shape.chunks, " micro batches ", schedule.shape.micro_batches);
  forget();
  evaluating_ = false;
  step_ = std::move(step);
  sums_.begin(step_.lanes);
  const std::vector<size_t> slots = slots_of_chunks(schedule, stage_);
  for (size_t chunk = 0; chunk < chunks_; ++chunk) {
    learner_.reserve_slots(chunk, slots[chunk]);
    for (size_t slot = slots[chunk]; slot-- > 0;) free_slots_[chunk].push_back(slot);
  }
}

void StageModel::begin(StageEvaluation evaluation) {
  STRAND_CHECK(evaluation.source != nullptr);
  forget();
  evaluating_ = true;
  evaluation_ = std::move(evaluation);
  for (std::vector<size_t>& slots : free_slots_) slots.push_back(0);  // an output is copied at once
}

Status StageModel::take_rows(int micro_batch, PreparedBatch* batch) {
  const SystemClock clock;
  const Time asked = clock.now();
  const auto take = [&](uint64_t first, int64_t rows, auto&& get) -> Status {
    const Result<Batch> got = get(first, rows);
    data_wait_ += (clock.now() - asked).count();
    if (!got.ok()) return got.error();
    return batch->fill(*got, config_, first, rows, segment_, learner_.head());
  };
  const auto rows = static_cast<uint64_t>(train_.micro_batch), m = static_cast<uint64_t>(micro_batch);
  if (!evaluating_) {
    const auto before = static_cast<uint64_t>(step_.lanes.first * train_.micro_batches_per_lane);
    return take(step_.first_row + (before + m) * rows, train_.micro_batch,
                [&](uint64_t first, int64_t count) { return step_.source->training_rows(first, count); });
  }
  const uint64_t first = m * rows;
  STRAND_CHECK(first < evaluation_.rows, "micro batch ", micro_batch, " of ", evaluation_.rows, " rows");
  const auto count = static_cast<int64_t>(std::min(rows, evaluation_.rows - first));
  return take(first, count, [&](uint64_t at, int64_t n) {
    return evaluation_.set == RowSet::kTest ? evaluation_.source->test_rows(at, n)
                                            : evaluation_.source->held_out_rows(at, n);
  });
}

// --- one micro batch through one chunk ------------------------------------------------------------------------------

StageModel::Flight& StageModel::flight(int micro_batch) {
  const auto found = flights_.find(micro_batch);
  STRAND_CHECK(found != flights_.end(), "micro batch ", micro_batch, " is not on its way");
  return found->second;
}

Status StageModel::put(const Frame& from, Matrix to, int micro_batch) const {
  const auto bytes = static_cast<size_t>(to.rows * to.cols) * sizeof(float);
  if (from.size() != bytes) {
    return internal_error(concat("micro batch ", micro_batch, ": expected an activation or gradient of ", to.rows,
                                 " x ", to.cols, " fp32 numbers (", bytes, " bytes), found ", from.size(), " bytes"));
  }
  std::memcpy(to.f32(), from.data(), bytes);
  return {};
}

static Frame frame_of(ConstMatrix from) {
  return Frame::copy_of(from.f32(), static_cast<size_t>(from.rows * from.cols) * sizeof(float));
}

Result<Frame> StageModel::forward(int chunk, int micro_batch, const Frame& input) {
  if (chunk == 0) {
    Flight made{.batch = nullptr, .slots = std::vector<size_t>(chunks_), .chunks_left = chunks_};
    if (batches_.empty()) {
      made.batch = std::make_unique<PreparedBatch>();
    } else {
      made.batch = std::move(batches_.back());
      batches_.pop_back();
    }
    STRAND_TRY(take_rows(micro_batch, made.batch.get()));
    flights_[micro_batch] = std::move(made);
  }
  Flight& at = flight(micro_batch);
  const auto c = static_cast<size_t>(chunk);
  STRAND_CHECK(!free_slots_[c].empty(), "no slot for micro batch ", micro_batch, " chunk ", chunk);
  at.slots[c] = free_slots_[c].back();
  free_slots_[c].pop_back();
  const RunPlace place{c, at.slots[c]};
  const int64_t tokens = at.batch->view().tokens();
  if (!is_first(chunk)) STRAND_TRY(put(input, learner_.input(place, tokens), micro_batch));
  Status weights_here;
  const PartNeeded needed = [&](int64_t part) { return (weights_here = await(part)).ok(); };
  learner_.forward(context_, weights(), *at.batch, place, evaluating_ ? Mode::kEvaluate : Mode::kTrain, &needed);
  STRAND_TRY(weights_here);
  Frame output;
  if (!is_last(chunk)) {
    output = frame_of(learner_.output(place));
  } else if (evaluating_) {
    std::vector<float> logits;
    const LossSum loss = learner_.loss(context_, weights(), *at.batch, place, &logits);
    evaluation_.measured(*at.batch, loss, logits);
  }
  if (evaluating_) leave(chunk, micro_batch);
  return output;
}

// --- backward -------------------------------------------------------------------------------------------------------

Result<Frame> StageModel::backward_input(int chunk, int micro_batch, const Frame& d_output) {
  const Flight& at = flight(micro_batch);
  const RunPlace place{static_cast<size_t>(chunk), at.slots[static_cast<size_t>(chunk)]};
  const int64_t tokens = at.batch->view().tokens(), lane = lane_of(micro_batch);
  const Gradients gradients{sums_.lane(context_, lane)};
  const PartDone done = [&](int64_t part) { part_done(micro_batch, part); };
  // Numbers are there before any range of theirs can leave.
  if (is_first(chunk)) numbers_of(lane).rows_hash += at.batch->audit();
  if (is_last(chunk)) {
    note(lane, learner_.start_backward(context_, weights(), *at.batch, place, gradients), *at.batch);
    done(output_part(config_));
  } else {
    STRAND_TRY(put(d_output, learner_.gradient(tokens), micro_batch));
  }
  learner_.backward(context_, weights(), *at.batch, place, gradients, &done);
  return is_first(chunk) ? Frame() : frame_of(learner_.gradient(tokens));
}

Status StageModel::backward_weight(int chunk, int micro_batch) {
  if (learner_.defers_weights()) {
    const Flight& at = flight(micro_batch);
    const RunPlace place{static_cast<size_t>(chunk), at.slots[static_cast<size_t>(chunk)]};
    const Gradients gradients{sums_.lane(context_, lane_of(micro_batch))};
    const PartDone done = [&](int64_t part) { part_done(micro_batch, part); };
    learner_.backward_weight(context_, weights(), *at.batch, place, gradients, &done);
  }
  leave(chunk, micro_batch);
  return {};
}

Result<Frame> StageModel::backward(int chunk, int micro_batch, const Frame& d_output) {
  STRAND_ASSIGN(Frame d_input, backward_input(chunk, micro_batch, d_output));
  STRAND_TRY(backward_weight(chunk, micro_batch));
  return d_input;
}

// The chunk's slot is free, and with the last chunk the rows.
void StageModel::leave(int chunk, int micro_batch) {
  Flight& at = flight(micro_batch);
  free_slots_[static_cast<size_t>(chunk)].push_back(at.slots[static_cast<size_t>(chunk)]);
  if (--at.chunks_left > 0) return;
  batches_.push_back(std::move(at.batch));
  flights_.erase(micro_batch);
}

LaneNumbers& StageModel::numbers_of(int64_t lane) {
  LaneNumbers& numbers = numbers_[lane];
  numbers.lane = lane;
  return numbers;
}

void StageModel::note(int64_t lane, const LossSum& loss, const PreparedBatch& batch) {
  LaneNumbers& numbers = numbers_of(lane);
  numbers.losses.push_back(loss.loss);
  numbers.targets += loss.targets;
  numbers.tokens += learner_.head() != nullptr ? batch.real_tokens() : loss.targets;
}

void StageModel::part_done(int micro_batch, int64_t part) {
  if ((micro_batch + 1) % train_.micro_batches_per_lane != 0) return;
  for (size_t use = 0; use < uses_.size(); ++use) {
    if (uses_[use].part == part && sums_.close(context_, lane_of(micro_batch), use)) give_away(use);
  }
}

void StageModel::give_away(size_t use) {
  const RangeUse& of = uses_[use];
  RangeGradient gradient{.range = of.range, .use = of.use, .elements = of.local.elements, .pieces = {}};
  for (const Subtree& subtree : sums_.sums(use)) {
    RangeGradient::Piece piece{.subtree = {subtree.level, subtree.index},
                               .sum = subtree.sum->f32() + of.local.first_element,
                               .keeper = subtree.sum,
                               .numbers = {}};
    const int64_t first = subtree.index << subtree.level, end = (subtree.index + 1) << subtree.level;
    for (int64_t lane = first; of.carries_numbers && lane < end; ++lane) piece.numbers.push_back(numbers_of(lane));
    gradient.pieces.push_back(std::move(piece));
  }
  step_.ready(std::move(gradient));
}

}  // namespace strand
