#include "shared/plan/block_table.h"

#include <algorithm>

#include "shared/base/check.h"
#include "shared/base/text.h"

namespace strand {

BlockTable::BlockTable(const std::vector<ParameterInfo>& table) {
  for (size_t t = 0; t < table.size(); ++t) {
    STRAND_CHECK(table[t].first_element == elements_, table[t].name, " starts at ", table[t].first_element);
    first_of_tensor_.push_back(blocks_.size());
    for (int64_t first = 0; first < table[t].elements; first += kRangeBlockElements) {
      const int64_t count = std::min(kRangeBlockElements, table[t].elements - first);
      blocks_.push_back({t, first / kRangeBlockElements, elements_ + first, count});
    }
    elements_ += table[t].elements;
  }
  first_of_tensor_.push_back(blocks_.size());
}

size_t BlockTable::at(int64_t element) const {
  if (element == elements_) return size();
  const auto found = std::ranges::lower_bound(blocks_, element, {}, &TensorBlock::first_element);
  if (found == blocks_.end() || found->first_element != element) return size() + 1;
  return static_cast<size_t>(found - blocks_.begin());
}

Result<BlockTable::Run> BlockTable::blocks_of(KeyRange range) const {
  const bool inside = range.first_element >= 0 && range.elements >= 0 && range.first_element <= elements_ &&
                      range.elements <= elements_ - range.first_element;
  if (inside && range.elements == 0) return Run{};
  const Run run = inside ? Run{at(range.first_element), at(range.first_element + range.elements)} : Run{};
  if (inside && run.first < size() && run.end <= size()) return run;
  return bad_input(concat("elements ", range.first_element, " + ", range.elements,
                          " are not whole blocks of a table of ", elements_, " elements"));
}

size_t BlockTable::find(size_t tensor, int64_t block) const {
  if (tensor + 1 >= first_of_tensor_.size() || block < 0) return size();
  const size_t blocks = first_of_tensor_[tensor + 1] - first_of_tensor_[tensor];
  return static_cast<size_t>(block) < blocks ? first_of_tensor_[tensor] + static_cast<size_t>(block) : size();
}

}  // namespace strand
