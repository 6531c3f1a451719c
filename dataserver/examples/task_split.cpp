#include "dataserver/examples/task_split.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "dataserver/sampler/permutation.h"
#include "shared/base/text.h"

namespace strand {

namespace {

// No training pass has this number: the order of a split is no pass's order.
constexpr uint64_t kSplitPass = std::numeric_limits<uint64_t>::max();

void add_rows(const std::vector<uint64_t>& order, uint64_t begin, uint64_t end, SetRows* set) {
  set->rows.insert(set->rows.end(), order.begin() + static_cast<ptrdiff_t>(begin),
                   order.begin() + static_cast<ptrdiff_t>(end));
}

// Its train table cut by the task into the sets it fills.
TaskSplit cut_table(const TaskSpec& task, uint64_t rows) {
  std::vector<uint64_t> order(rows);
  const KeyedPermutation permutation(task.split_seed, kSplitPass, rows);
  for (uint64_t i = 0; i < rows; ++i) order[i] = permutation(i);
  TaskSplit split;
  SetRows& train = split.sets[static_cast<size_t>(RowSet::kTraining)];
  SetRows& dev = split.sets[static_cast<size_t>(RowSet::kHeldOut)];
  SetRows& test = split.sets[static_cast<size_t>(RowSet::kTest)];
  std::vector<uint64_t> rest = std::move(order);
  if (task.folds > 0) {
    const auto folds = static_cast<uint64_t>(task.folds);
    const auto begin_of = [&](uint64_t fold) { return fold * rows / folds; };
    std::vector<uint64_t> kept;
    for (uint64_t fold = 0; fold < folds; ++fold) {
      const bool tests = fold == static_cast<uint64_t>(task.fold);
      const bool chooses = task.dev_fraction == 0 && fold == (static_cast<uint64_t>(task.fold) + 1) % folds;
      for (uint64_t i = begin_of(fold); i < begin_of(fold + 1); ++i) {
        (tests ? test.rows : chooses ? dev.rows : kept).push_back(rest[i]);
      }
    }
    rest = std::move(kept);
  }
  uint64_t taken = 0;
  if (task.dev_fraction > 0 && !rest.empty()) {
    taken = std::max<uint64_t>(
        1, static_cast<uint64_t>(std::llround(task.dev_fraction * static_cast<double>(rest.size()))));
    add_rows(rest, 0, taken, &dev);
  }
  add_rows(rest, taken, rest.size(), &train);
  for (SetRows& set : split.sets) {
    std::sort(set.rows.begin(), set.rows.end());
    set.count = set.rows.size();
  }
  return split;
}

}  // namespace

Result<TaskSplit> split_task(const TaskSpec& task, const std::array<uint64_t, kRowSets>& rows) {
  TaskSplit split;
  const bool cut = task.folds > 0 || task.dev_fraction > 0;
  if (cut && rows[0] > 0) split = cut_table(task, rows[0]);
  for (size_t set = 0; set < kRowSets; ++set) {
    if (rows[set] == 0 || (cut && set == 0)) continue;
    split.sets[set] = {set, rows[set], {}};
  }
  const bool wanted[] = {!task.train.empty(), !task.dev.empty() || cut, !task.test.empty() || task.folds > 0};
  for (size_t set = 0; set < kRowSets; ++set) {
    if (!wanted[set] || split.sets[set].count > 0) continue;
    constexpr const char* kNames[] = {"train", "dev", "test"};
    return bad_input(concat("task.",
                            task.folds > 0          ? "folds"
                            : task.dev_fraction > 0 ? "dev_fraction"
                                                    : kNames[set],
                            ": no ", kNames[set], " row is left of ", rows[0],
                            "; expected at least one: give more rows", cut ? ", or cut less off" : ""));
  }
  return split;
}

}  // namespace strand
