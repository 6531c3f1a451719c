// Which window, on which strand, row n of a run is made from. Pure: any data server answers the same, in any order.
#pragma once

#include <cstdint>

namespace strand {

struct SampledRow {
  uint64_t pass = 0;      // n div segments
  uint64_t position = 0;  // n mod segments, within the pass
  uint64_t window = 0;    // the training window at that position of the pass's keyed order
  bool reverse_complement = false;
};

// Row n of the run with this seed over `segments` >= 1 windows. Every window comes once in each pass. The strand is a
// fair coin of (seed, n), so the same window may come on the other strand in the next pass.
SampledRow sample_row(uint64_t seed, uint64_t segments, bool both_strands, uint64_t n);

// Held-out rows are served in one fixed shuffled order (seed 0), so that any prefix of them stands for the whole set.
uint64_t held_out_row(uint64_t rows, uint64_t index);

}  // namespace strand
