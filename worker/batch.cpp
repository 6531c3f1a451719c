#include <algorithm>
#include <cmath>
#include <numeric>

#include "shared/base/clock.h"
#include "shared/base/row_audit.h"
#include "shared/job_spec/task_spec.h"
#include "shared/wire/messages.h"
#include "worker/trainer_impl.h"

namespace strand {
// The targets of the row's real tokens; all others stay kIgnoredTarget.
Status PreparedBatch::set_targets(const Batch& batch, int64_t row, int64_t length, int64_t target_ids) {
  const int64_t first = row * segment_, of_batch = row * batch.segment;
  if (batch.targets == nullptr) {
    if (batch.labels != nullptr) return {};  // labels of rows, not of tokens
    for (int64_t i = 1; i < length; ++i) targets_[static_cast<size_t>(first + i - 1)] = batch.tokens[of_batch + i];
    return {};
  }
  for (int64_t i = 0; i < length; ++i) {
    const uint16_t target = batch.targets[of_batch + i];
    if (target == kNoTarget) continue;
    if (target >= target_ids) {
      return bad_input(concat("row ", batch.first_row + static_cast<uint64_t>(row), ": target ", target,
                              " at position ", i, ", but there are only ", target_ids));
    }
    targets_[static_cast<size_t>(first + i)] = target;
  }
  return {};
}

Status PreparedBatch::fill(const Batch& batch, const TransformerConfig& config, uint64_t first_row, int64_t rows,
                           int64_t segment, const HeadSpec* head, bool narrow) {
  if (batch.first_row != first_row || batch.rows != rows || batch.segment != segment) {
    return internal_error(concat("batch: asked for ", rows, " rows of ", segment, " tokens from row ", first_row,
                                 ", got ", batch.rows, " of ", batch.segment, " from ", batch.first_row));
  }
  rows_ = rows;
  segment_ = segment;
  if (narrow && rows > 0)
    segment_ = std::clamp<int64_t>(*std::max_element(batch.lengths, batch.lengths + rows), 1, segment);
  const auto tokens = static_cast<size_t>(rows * segment_);
  ids_.assign(tokens, 0);
  targets_.assign(tokens, kIgnoredTarget);
  lengths_.assign(static_cast<size_t>(rows), 0);
  row_numbers_.assign(static_cast<size_t>(rows), 0);
  samples_.assign(static_cast<size_t>(rows), 0);
  if (batch.samples != nullptr) std::copy_n(batch.samples, rows, samples_.begin());
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t length = batch.lengths[row], first = row * segment_;
    if (length > segment) return internal_error(concat("batch: row of ", length, " tokens in a segment of ", segment));
    lengths_[static_cast<size_t>(row)] = static_cast<int32_t>(length);
    row_numbers_[static_cast<size_t>(row)] = static_cast<int64_t>(first_row) + row;
    for (int64_t i = 0; i < length; ++i) {
      const int32_t id = batch.tokens[row * segment + i];
      if (id >= config.vocabulary) {
        return bad_input(concat("row ", first_row + static_cast<uint64_t>(row), ": token ", id, " at position ", i,
                                ", but the model's vocabulary has ", config.vocabulary,
                                " ids; set model.vocabulary to the tokenizer's or more"));
      }
      ids_[static_cast<size_t>(first + i)] = id;
    }
    STRAND_TRY(set_targets(batch, row, length, head != nullptr ? head->outputs : config.vocabulary));
  }
  classes_.clear();
  values_.clear();
  return head == nullptr ? Status() : set_labels(batch, *head);
}

Status PreparedBatch::set_labels(const Batch& batch, const HeadSpec& head) {
  const bool tokens = head.task == TaskKind::kClassifyTokens, one_class = head.task == TaskKind::kClassify;
  const int64_t expected = tokens ? 0 : one_class ? 1 : head.outputs;
  if ((batch.labels != nullptr ? batch.labels_per_row : 0) != expected || (batch.targets != nullptr) != tokens) {
    return internal_error(concat("batch: rows from ", batch.first_row, " with ", batch.labels_per_row,
                                 " labels a row for a task of kind ", task_kind_name(head.task)));
  }
  const float* const end = batch.labels + rows_ * expected;
  if (!tokens && !one_class) values_.assign(batch.labels, end);
  if (tokens) classes_ = targets_;
  for (const float* label = batch.labels; one_class && label != end; ++label) {
    const bool missing = std::isnan(*label);
    if (!missing && !(*label >= 0 && *label < static_cast<float>(head.outputs))) {
      return bad_input(concat("row ", batch.first_row + static_cast<uint64_t>(label - batch.labels), ": class ", *label,
                              ", but there are only ", head.outputs));
    }
    classes_.push_back(missing ? kIgnoredTarget : static_cast<int32_t>(*label));
  }
  return {};
}

MicroBatch PreparedBatch::view() const {
  return {.rows = rows_,
          .segment = segment_,
          .ids = ids_.data(),
          .targets = targets_.data(),
          .row_numbers = row_numbers_.data(),
          .lengths = lengths_.data()};
}

HeadBatch PreparedBatch::head_view() const {
  return {.rows = rows_,
          .segment = segment_,
          .row_numbers = row_numbers_.data(),
          .end = lengths_.data(),
          .classes = classes_.empty() ? nullptr : classes_.data(),
          .values = values_.empty() ? nullptr : values_.data()};
}

int64_t PreparedBatch::real_tokens() const {
  return std::accumulate(lengths_.begin(), lengths_.end(), int64_t{0});
}

uint64_t PreparedBatch::audit() const {
  RowAudit audit;
  for (size_t row = 0; row < samples_.size(); ++row) {
    audit.add(static_cast<uint64_t>(row_numbers_[row]), samples_[row],
              ids_.data() + row * static_cast<size_t>(segment_), static_cast<size_t>(lengths_[row]));
  }
  return audit.sum();
}

Status Trainer::Impl::take(BatchSource& source, uint64_t first_row, int64_t rows, int64_t* waited) {
  const SystemClock clock;
  const Time asked = clock.now();
  auto got = source.training_rows(first_row, rows);
  *waited += (clock.now() - asked).count();
  if (!got.ok()) return got.error();
  return batch.fill(*got, spec.model.config, first_row, rows, spec.data.segment, learner.head(),
                    spec.task.sort_by_length);
}

Status Trainer::Impl::take_fixed(BatchSource& source, RowSet set, uint64_t first_row, int64_t rows) {
  STRAND_ASSIGN(const Batch got,
                set == RowSet::kTest ? source.test_rows(first_row, rows) : source.held_out_rows(first_row, rows));
  return batch.fill(got, spec.model.config, first_row, rows, spec.data.segment, learner.head(),
                    spec.task.sort_by_length);
}

}  // namespace strand
