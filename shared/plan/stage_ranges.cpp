#include "shared/plan/stage_ranges.h"

#include <algorithm>

namespace strand {

std::vector<TensorPlace> tensor_places(const StageCut& cut) {
  std::vector<TensorPlace> places;
  for (size_t s = 0; s < cut.stages.size(); ++s) {
    for (const StageTensor& tensor : cut.stages[s].tensors) {
      if (!tensor.owned) continue;
      places.resize(std::max(places.size(), static_cast<size_t>(tensor.table_index) + 1));
      places[static_cast<size_t>(tensor.table_index)].stage = static_cast<int>(s);
    }
  }
  if (cut.tied) {
    places[static_cast<size_t>(cut.tied->table_index)].second_use = static_cast<int>(cut.tied->output_stage);
  }
  return places;
}

KeyRange local_range(const Stage& stage, KeyRange range) {
  for (const StageTensor& tensor : stage.tensors) {
    const int64_t offset = range.first_element - tensor.parameter.first_element;
    if (offset >= 0 && offset < tensor.parameter.elements) return {tensor.local_first + offset, range.elements};
  }
  return {};
}

}  // namespace strand
