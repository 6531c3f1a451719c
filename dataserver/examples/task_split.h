// Which examples of a task's tables train, choose (dev) and test. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "shared/base/result.h"
#include "shared/job_spec/task_spec.h"
#include "shared/wire/messages.h"

namespace strand {

// The rows of one set, in the order of their table.
struct SetRows {
  size_t table = 0;  // 0 train, 1 dev, 2 test: the file they are in
  uint64_t count = 0;
  std::vector<uint64_t> rows;  // of the table; empty: its first `count`, in order

  uint64_t row(uint64_t index) const { return rows.empty() ? index : rows[index]; }
};

struct TaskSplit {
  std::array<SetRows, kRowSets> sets;  // by RowSet
  const SetRows& of(RowSet set) const { return sets[static_cast<size_t>(set)]; }
};

// `rows` of the train, dev and test tables, 0 for those that are not there.
//
// folds: the rows of the train table stand in a keyed order of split_seed; its k-th part of `folds` (sizes differ by at
// most one) is fold k. Part `fold` tests; the part after it is dev, unless dev_fraction takes that share of the rest,
// rounded, at least one row. dev_fraction without folds takes its share of the train table in the same order.
// kBadInput, naming the key, for a split that leaves a wanted set empty.
Result<TaskSplit> split_task(const TaskSpec& task, const std::array<uint64_t, kRowSets>& rows);

}  // namespace strand
