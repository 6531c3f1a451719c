// The stored windows of the training runs, numbered by prefix sums over the runs. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "dataserver/corpus/corpus_info.h"
#include "dataserver/examples/interval_finder.h"

namespace strand {

// A run of L bases, with windows of B and a stride of S bases, has
//   no window when L < 2 (nothing to predict); one short window [0, L) when L <= B;
//   else windows at 0, S, 2S, ... and a last one that ends with the run: every base is covered when S <= B.
class WindowIndex {
 public:
  WindowIndex() = default;
  WindowIndex(std::vector<BaseRun> runs, int64_t window_bases, int64_t stride);

  uint64_t size() const { return finder_.size(); }
  // In constant time when the runs are about equally long; else O(log runs).
  BaseRun window(uint64_t index) const;
  // The same beginning `shift` >= 0 bases further on, or as far as its run goes.
  BaseRun window(uint64_t index, int64_t shift) const;
  // How many windows come from records before this one.
  uint64_t before(uint64_t record) const;
  const std::vector<BaseRun>& runs() const { return runs_; }

 private:
  std::vector<BaseRun> runs_;
  IntervalFinder finder_;  // the windows of each run
  int64_t window_bases_ = 0;
  int64_t stride_ = 0;
};

}  // namespace strand
