// How well a stream of rows is shuffled, as numbers that can be compared. Pure.
#pragma once

#include <cstdint>
#include <vector>

namespace strand {

// Of a stretch of a stream: places[i] < n is where row i comes from, in the order of the genome or table.
struct ShuffleQuality {
  uint64_t rows = 0;
  // Pearson's between the row's number in the stretch and its place; for a whole pass that is Spearman's rank
  // correlation. A uniform shuffle: 0 with a deviation of 1 / sqrt(rows). Rows in order: 1.
  double correlation = 0;
  // Mean distance between the places of neighbours in the stream, over n / 3, that of two uniform places: 1.
  double distance = 0;
  // Share of neighbours less than n / 100 apart. Uniform: 0.0199.
  double near = 0;
  // 1 - D, D the Kolmogorov-Smirnov distance between the distribution of neighbours' distances x n and that of uniform
  // places, 1 - (1 - x)^2. Uniform: 1 less about 1 / sqrt(rows). Rows in order: 0. The figure to look at first.
  double score = 0;
  // Share of the rows of a step that have another one of the same step beside them, in the same 1 / 256 of the n
  // places; and the share that a uniform shuffle has.
  double together = 0, together_uniform = 0;
};

// At least 2 places; rows_per_step >= 1; a last step that is not whole does not count. n >= 1.
ShuffleQuality shuffle_quality(const std::vector<uint64_t>& places, uint64_t n, uint64_t rows_per_step);

}  // namespace strand
