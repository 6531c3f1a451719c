// A range of the parameter table: what gradients, weights and checkpoint parts are cut into.
#pragma once

#include <cstdint>

namespace strand {

constexpr int64_t kRangeBlockElements = 65536;  // blocks start anew at each tensor

// A run of whole blocks in parameter-table order.
struct KeyRange {
  int64_t first_element = 0;
  int64_t elements = 0;
  bool operator==(const KeyRange&) const = default;
};

}  // namespace strand
