// Labels as numbers.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "dataserver/tables/table_store.h"
#include "shared/base/result.h"
#include "shared/job_spec/task_spec.h"

namespace strand {

// The columns of a task; without label columns when `label` and `labels` are empty.
TableColumns table_columns(const TaskSpec& task);

// A list as tables write it: [0, 1], ['a', "b"], 0;1, 0,1 or 0 1. Items without blanks and quotes around them. False
// for a bracket or quote without its partner.
bool split_list(std::string_view text, std::vector<std::string>* items);

class LabelReader {
 public:
  // `file` names the table in errors.
  LabelReader(const TaskSpec& task, std::string file);

  // Numbers of one example: of a class, of each yes or no label, or as written. 0 for kClassifyTokens and for examples
  // without labels.
  int64_t per_row() const { return per_row_; }
  // Replaces *values by per_row() numbers; NaN where a yes or no label or a number is missing (empty, NA, nan, null).
  // kBadInput, "FILE: line L, column ...": a class that was not declared, what is neither yes nor no, no finite number,
  // a list of another length.
  Status read(const Example& example, std::vector<double>* values) const;
  // kClassifyTokens: the class of each letter, as a list or, where every class has a name of one letter, as a text.
  Status read_letters(const Example& example, std::vector<uint16_t>* classes) const;

 private:
  Error at(const Example& example, size_t column, const std::string& message) const;
  Status class_of(const Example& example, size_t column, const std::string& text, double* value) const;
  Status number_of(const Example& example, size_t column, const std::string& text, double* value) const;

  TaskKind kind_;
  std::string file_;
  TableColumns columns_;
  std::vector<std::string> names_;         // of the classes
  std::map<std::string, uint16_t> codes_;  // their numbers
  int64_t per_row_ = 0;
};

}  // namespace strand
