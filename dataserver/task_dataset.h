// Rows and labels of a finetuning task.
//
// Fields of the fingerprint: task (its kind), train, dev, test (content hashes of the tables, "-" where there is none),
// split, classes (a hash of their names), text (a hash of prefix and suffix), tokenizer, frame, segment (data.segment),
// row_length (tokens in a row as served), reverse_complement, and for kind "regress" label_mean and label_deviation
// (the numbers, exactly); sort_by_length (rows of a step) where it is on; format.
//
// Row n of training is example n mod rows of the order of pass n div rows, as for the segments of a genome. With
// sort_by_length a step has the same rows, the shortest first, so that a micro batch has rows of like length. The dev
// set is served in the fixed shuffled order of held-out sets, so that its first rows stand for all; the test set in the
// order of its table, so that predictions can be written beside it.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataserver/dataset.h"
#include "dataserver/examples/task_rows.h"
#include "dataserver/examples/task_split.h"
#include "dataserver/tables/labels.h"
#include "dataserver/tables/table_store.h"

namespace strand {

// Changes whenever the same fields would give other rows or labels.
constexpr int64_t kTaskFormatVersion = 1;

class TaskDataset final : public Dataset {
 public:
  // Reads the tables that the store lacks, checks every label and counts every row's tokens. kBadInput, naming file and
  // line, for what build_table and LabelReader refuse; for an empty set, two sets of the same rows, a row that is too
  // long where the task refuses them, a step of more rows than train, and no row to train on (unless spec.rows_per_step
  // is 0: then only the sets that are there are served).
  static Result<std::shared_ptr<const Dataset>> open(const DataHome& home, const DatasetSpec& spec,
                                                     const Progress& progress);

 protected:
  Status fill(uint64_t seed, RowSet set, uint64_t first_row, RowBlock* block) const override;

 private:
  // What one look at every example finds out.
  struct Survey {
    uint64_t longest = 0;
    std::array<uint64_t, kRowSets> cut_rows = {}, cut_tokens = {};
    std::vector<double> mean, deviation;  // regress: of the training rows
    std::vector<uint16_t> lengths;        // sort_by_length: of each training row, the longer of its strands
  };

  TaskDataset(const DataHome& home, const TaskSpec& task) : home_(home), task_(task) {}
  Status read_tables(const Progress& progress);
  Status open_tokenizer(const DatasetSpec& spec);
  Status check(const DatasetSpec& spec) const;
  void describe(const DatasetSpec& spec);
  // task_survey.cpp: fills survey_.
  Status survey(const Progress& progress);
  Status take_survey(const std::string& text, const std::string& key);
  Status take_lengths(const std::string& key);
  Status survey_set(RowSet set, const std::function<bool()>& go_on);
  // Where training rows come from: those of the step at hand are kept in between.
  struct StepRows {
    uint64_t first = 0;
    std::vector<SampledRow> rows;
  };
  SampledRow training_row(uint64_t seed, uint64_t n, StepRows* step) const;
  Result<uint64_t> tokens_of(const Example& example, bool both_strands) const;
  Status set_rows(const DatasetSpec& spec);
  Status put_labels(const LabelReader& reader, const Example& example, float* labels) const;
  Status put_targets(const LabelReader& reader, const Example& example, bool turned, const std::vector<int32_t>& ids,
                     uint16_t* targets) const;

  DataHome home_;
  TaskSpec task_;
  std::array<std::optional<TableInfo>, kRowSets> tables_;  // train, dev, test
  std::vector<LabelReader> readers_;                       // of each table
  TaskSplit split_;
  std::unique_ptr<TaskEncoder> encoder_;  // into rows of data.segment
  Survey survey_;
  uint64_t rows_per_step_ = 1;
};

}  // namespace strand
