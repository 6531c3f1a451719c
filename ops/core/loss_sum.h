// What a loss operator returns.
#pragma once

#include <cstdint>

namespace strand {

// Sums over what is counted, divided by nobody.
struct LossSum {
  double loss = 0;  // added in order of the rows, in double
  int64_t targets = 0;
};

}  // namespace strand
