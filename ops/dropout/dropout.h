// Inverted dropout whose mask is a pure function of the row's number in the run: y = x * keep / (1 - p).
#pragma once

#include <cstdint>

#include "ops/core/context.h"
#include "ops/core/matrix.h"
#include "shared/base/rng.h"

namespace strand {

struct DropoutArgs {
  float probability = 0;                 // in [0, 1)
  PhiloxKey key;                         // of (seed, purpose)
  const int64_t* row_numbers = nullptr;  // [rows of the batch]: n of DESIGN section 5
  int64_t sequence = 0;                  // matrix row t belongs to batch row t / sequence
  uint32_t layer = 0;
};

// In place, forward and backward alike (the mask is drawn again, not stored). Element within the row is
// (t % sequence) * cols + column. Kept when unit_float(word) >= probability.
void dropout(const OpContext& context, const DropoutArgs& args, Matrix x);

}  // namespace strand
