// What the files of the trainer share: trainer.cpp (life), step.cpp (one update), evaluate.cpp, batch.cpp.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/core/context.h"
#include "worker/learner.h"
#include "worker/params/lane_tree.h"
#include "worker/trainer.h"

namespace strand {

// A batch of the data server in the model's terms: ids, targets, row numbers. Reused from batch to batch.
class PreparedBatch {
 public:
  // Targets are the batch's where it has any; without targets and labels token i + 1 is the target of token i for
  // i + 1 < length. `head`: of a task, whose labels the batch must then have; null when pretraining.
  // `narrow`: only as wide as the longest of these rows; else `segment`, as the batch itself.
  // kBadInput for an id or a class the model has not, kInternal for rows that were not asked for.
  Status fill(const Batch& batch, const TransformerConfig& config, uint64_t first_row, int64_t rows, int64_t segment,
              const HeadSpec* head = nullptr, bool narrow = false);
  MicroBatch view() const;
  // The same rows with their labels, for the head `fill` was told of.
  HeadBatch head_view() const;
  int64_t real_tokens() const;  // without padding
  uint64_t audit() const;       // RowAudit over these rows, from the ids that the embedding is given
  const std::vector<int32_t>& targets() const { return targets_; }
  // Of a task with classes: [rows], or targets() when tokens have them. Of others empty.
  const std::vector<int32_t>& classes() const { return classes_; }
  // Of a task with labels or numbers: [rows, outputs]; NaN: missing. Of others empty.
  const std::vector<float>& values() const { return values_; }

 private:
  Status set_targets(const Batch& batch, int64_t row, int64_t length, int64_t target_ids);
  Status set_labels(const Batch& batch, const HeadSpec& head);

  int64_t rows_ = 0, segment_ = 0;
  std::vector<int32_t> ids_, targets_, lengths_, classes_;
  std::vector<float> values_;
  std::vector<int64_t> row_numbers_;
  std::vector<uint64_t> samples_;
};

struct Trainer::Impl {
  Impl(const JobSpec& spec, std::vector<uint8_t> token_bases, const TrainerOptions& options, bool bf16);

  Weights weights() const;
  // Waits for training rows and prepares them as `batch`; the wait is added to *waited.
  Status take(BatchSource& source, uint64_t first_row, int64_t rows, int64_t* waited);
  // The same of a fixed set.
  Status take_fixed(BatchSource& source, RowSet set, uint64_t first_row, int64_t rows);

  JobSpec spec;
  std::vector<uint8_t> token_bases;
  bool bf16;
  ThreadPool pool;
  Workspace workspace;
  OpContext context;
  ParamShard shard;
  Learner learner;
  LaneTree lanes;
  PreparedBatch batch;     // the micro batch at hand
  double matrix_rate = 0;  // 0: not measured yet
};

}  // namespace strand
