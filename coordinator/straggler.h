// Who holds the others up. Pure.
//
// In a synchronous step everybody takes equally long; what differs is how much of it was own work. A worker is a
// straggler when its own work, for as many lanes, takes much longer than the median of the others' of its stage: stages
// are cut by FLOPs, but no two of them do the same.
#pragma once

#include <cstdint>
#include <vector>

#include "shared/base/ids.h"

namespace strand {

struct WorkTime {
  WorkerId worker;
  int64_t nanoseconds = 0;  // own computing per step; 0: not known, and left out
  int32_t stage = 0;
  int64_t lanes = 1;  // that it computes; the same for all of a stage where shares even out unequal machines
};
struct Straggler {
  WorkerId worker;
  int64_t nanoseconds = 0, others = 0;  // own, and what the median of the others would take for as many lanes
};

constexpr double kStragglerRatio = 1.5;

// The one that is furthest behind its stage first. Nobody is named among fewer than two.
std::vector<Straggler> find_stragglers(const std::vector<WorkTime>& times);

}  // namespace strand
