#include "dataserver/examples/rows.h"

#include <algorithm>

#include "dataserver/sampler/sampler.h"
#include "shared/base/check.h"

namespace strand {

Status TrainingRows::fill(uint64_t seed, uint64_t first, Scratch* scratch, uint16_t* tokens,
                          std::span<uint16_t> lengths, uint64_t* windows) const {
  scratch->windows.clear();
  scratch->sampled.resize(lengths.size());
  order_.rows(seed, first, scratch->sampled);
  for (size_t i = 0; i < lengths.size(); ++i) {
    const SampledRow& sampled = scratch->sampled[i];
    windows[i] = sampled.window;
    scratch->windows.push_back({windows_.window(sampled.window, sampled.shift), sampled.reverse_complement});
  }
  return rows_.fill(scratch->windows, &scratch->rows, tokens, lengths.data());
}

}  // namespace strand
