// Tasks whose answer is planted in the rows, for the tests of finetuning.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "tests/unit/worker/test_model.h"

namespace strand::testing {

constexpr uint16_t kMotif[] = {4, 5};  // a motif of two tokens, drawn nowhere else

// Random tokens 6 to 15; odd rows hold the motif at a drawn place. What the labels are follows from the task.
class MotifSource final : public BatchSource {
 public:
  MotifSource(TaskKind kind, int64_t segment) : kind_(kind), segment_(segment) {}
  Result<Batch> training_rows(uint64_t first, int64_t rows) override { return make(first, first, rows); }
  Result<Batch> held_out_rows(uint64_t first, int64_t rows) override { return make(first, first + 1000000, rows); }
  Result<Batch> test_rows(uint64_t first, int64_t rows) override { return make(first, first + 2000000, rows); }

 private:
  static uint64_t whole(uint64_t row, uint64_t what, uint64_t below) {
    return static_cast<uint64_t>((draw(row, what) + 1) / 2 * static_cast<float>(below)) % below;
  }

  Batch make(uint64_t first, uint64_t number, int64_t rows) {
    const auto cells = static_cast<size_t>(rows * segment_);
    tokens_.assign(cells, 0);
    targets_.assign(cells, kNoTarget);
    lengths_.clear();
    labels_.clear();
    for (int64_t r = 0; r < rows; ++r) put(number + static_cast<uint64_t>(r), static_cast<size_t>(r * segment_));
    Batch batch{first, rows, segment_, tokens_.data(), lengths_.data()};
    if (kind_ == TaskKind::kClassifyTokens) {
      batch.targets = targets_.data();
    } else {
      batch.labels = labels_.data();
      batch.labels_per_row = static_cast<int64_t>(labels_.size()) / rows;
    }
    return batch;
  }

  void put(uint64_t n, size_t first) {
    const auto length = static_cast<size_t>(segment_) - n % 3;
    lengths_.push_back(static_cast<uint16_t>(length));
    const bool odd = n % 2 == 1;
    const size_t place = whole(n, 999, length - 1);
    for (size_t i = 0; i < length; ++i) {
      tokens_[first + i] = static_cast<uint16_t>(6 + whole(n, i, 10));
      if (odd && i == place) tokens_[first + i] = kMotif[0];
      if (odd && i == place + 1) tokens_[first + i] = kMotif[1];
      targets_[first + i] = tokens_[first + i] == kMotif[0] ? 1 : 0;
    }
    const float yes = odd ? 1.0f : 0.0f;
    switch (kind_) {
      case TaskKind::kClassify: labels_.push_back(yes); break;
      case TaskKind::kMultiLabel:
        labels_.insert(labels_.end(), {yes, n % 7 == 0 ? std::numeric_limits<float>::quiet_NaN() : 1 - yes});
        break;
      case TaskKind::kRegress: labels_.push_back(2 * yes - 1); break;
      case TaskKind::kClassifyTokens: break;
    }
  }

  TaskKind kind_;
  int64_t segment_;
  std::vector<uint16_t> tokens_, lengths_, targets_;
  std::vector<float> labels_;
};

inline JobSpec motif_job(TaskKind kind) {
  JobSpec spec = small_job();
  spec.job.kind = "finetune";
  spec.model.config.causal = false;
  spec.train.micro_batch = 4;
  spec.train.learning_rate = 6e-3;
  spec.task.kind = kind;
  spec.task.pooling = kind == TaskKind::kClassifyTokens ? PoolingChoice::kAuto : PoolingChoice::kMean;
  if (kind == TaskKind::kClassify || kind == TaskKind::kClassifyTokens) spec.task.classes = 2;
  if (kind == TaskKind::kMultiLabel) spec.task.labels = {"has", "has_not"};
  return spec;
}

}  // namespace strand::testing
