// Who holds the others up. Pure.
//
// In a synchronous step everybody takes equally long; what differs is how much of it was own work. A worker is a
// straggler when its own work takes much longer than the median of the others'.
#pragma once

#include <cstdint>
#include <vector>

#include "shared/base/ids.h"

namespace strand {

struct WorkTime {
  WorkerId worker;
  int64_t nanoseconds = 0;  // own computing per step; 0: not known, and left out
};
struct Straggler {
  WorkerId worker;
  int64_t nanoseconds = 0, others = 0;  // own, and the median of the others
};

constexpr double kStragglerRatio = 1.5;

// The slowest first. Nobody is named among fewer than two.
std::vector<Straggler> find_stragglers(const std::vector<WorkTime>& times);

}  // namespace strand
