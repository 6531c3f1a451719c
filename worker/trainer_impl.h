// What the files of the trainer share: trainer.cpp (life), step.cpp (one update), evaluate.cpp, batch.cpp.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/core/context.h"
#include "worker/model/transformer.h"
#include "worker/params/lane_tree.h"
#include "worker/trainer.h"

namespace strand {

// A batch of the data server in the model's terms: ids, targets, row numbers. Reused from batch to batch.
class PreparedBatch {
 public:
  // Targets are the batch's where it has any; without targets and labels token i + 1 is the target of token i for
  // i + 1 < length. `target_ids`: how many targets there may be (0: the vocabulary; classes for token labels).
  // kBadInput for an id the model has not, kInternal for rows that were not asked for.
  Status fill(const Batch& batch, const TransformerConfig& config, uint64_t first_row, int64_t rows, int64_t segment,
              int64_t target_ids = 0);
  MicroBatch view() const;
  const std::vector<int32_t>& targets() const { return targets_; }
  // [rows, labels_per_row]; NaN: missing. Empty without labels.
  const std::vector<float>& labels() const { return labels_; }
  int64_t labels_per_row() const { return labels_per_row_; }

 private:
  Status set_targets(const Batch& batch, int64_t row, int64_t length, int64_t target_ids);

  int64_t rows_ = 0, segment_ = 0, labels_per_row_ = 0;
  std::vector<int32_t> ids_, targets_, lengths_;
  std::vector<float> labels_;
  std::vector<int64_t> row_numbers_;
};

struct Trainer::Impl {
  Impl(const JobSpec& spec, std::vector<uint8_t> token_bases, const TrainerOptions& options, bool bf16);

  Weights weights() const;
  // Waits for the rows and prepares them; the wait is added to *waited.
  Result<MicroBatch> take(BatchSource& source, uint64_t first_row, int64_t rows, int64_t* waited);
  Result<MicroBatch> take_held_out(BatchSource& source, uint64_t first_row, int64_t rows);

  JobSpec spec;
  std::vector<uint8_t> token_bases;
  bool bf16;
  ThreadPool pool;
  Workspace workspace;
  OpContext context;
  ParamShard shard;
  Transformer model;
  LaneTree lanes;
  PreparedBatch batch;
  double matrix_rate = 0;  // 0: not measured yet
};

}  // namespace strand
