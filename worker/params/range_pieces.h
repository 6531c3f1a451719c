// A range of the parameter table, tensor by tensor.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "shared/job_spec/parameter_table.h"
#include "shared/plan/group_plan.h"

namespace strand {

// visit(tensor, first, count) for what each tensor has in the range, in order: elements [first, first + count) of the
// flat order. A range is whole blocks, so every piece begins at one.
template <class Visit>
void for_each_piece(const std::vector<ParameterInfo>& table, KeyRange range, const Visit& visit) {
  const auto ends_before = [](const ParameterInfo& t, int64_t element) {
    return t.first_element + t.elements <= element;
  };
  auto tensor = std::lower_bound(table.begin(), table.end(), range.first_element, ends_before);
  const int64_t end = range.first_element + range.elements;
  for (; tensor != table.end() && tensor->first_element < end; ++tensor) {
    const int64_t first = std::max(range.first_element, tensor->first_element);
    visit(*tensor, first, std::min(end, tensor->first_element + tensor->elements) - first);
  }
}

}  // namespace strand
