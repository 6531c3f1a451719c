#include "dataserver/examples/windows.h"

#include <algorithm>

#include "shared/base/check.h"

namespace strand {

WindowIndex::WindowIndex(std::vector<BaseRun> runs, int64_t window_bases, int64_t stride)
    : runs_(std::move(runs)), window_bases_(window_bases), stride_(stride) {
  STRAND_CHECK(window_bases >= 1 && stride >= 1, "window ", window_bases, ", stride ", stride);
  std::vector<uint64_t> first = {0};
  for (const BaseRun& run : runs_) {
    const int64_t rest = run.length() - window_bases;
    int64_t windows = run.length() < 2 ? 0 : 1;
    if (windows == 1 && rest > 0) windows += (rest + stride - 1) / stride;
    first.push_back(first.back() + static_cast<uint64_t>(windows));
  }
  finder_ = IntervalFinder(std::move(first));
}

BaseRun WindowIndex::window(uint64_t index) const {
  return window(index, 0);
}

uint64_t WindowIndex::before(uint64_t record) const {
  const auto first = std::lower_bound(runs_.begin(), runs_.end(), record,
                                      [](const BaseRun& run, uint64_t r) { return run.record < r; });
  return finder_.first().empty() ? 0 : finder_.first()[static_cast<size_t>(first - runs_.begin())];
}

BaseRun WindowIndex::window(uint64_t index, int64_t shift) const {
  STRAND_CHECK(index < size(), "window ", index, " of ", size());
  const size_t at = finder_.find(index);
  const BaseRun& run = runs_[at];
  if (run.length() <= window_bases_) return run;
  const int64_t offset = static_cast<int64_t>(index - finder_.first()[at]) * stride_ + shift;
  const int64_t begin = run.begin + std::min(offset, run.length() - window_bases_);
  return {run.record, begin, begin + window_bases_};
}

}  // namespace strand
