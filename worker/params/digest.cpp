#include "worker/params/digest.h"

#include <algorithm>

#include "ops/reduce/reduce.h"

namespace strand {

static void update_digest(Hasher128* hasher, const Digest128& digest) {
  hasher->update_u64(digest.high);
  hasher->update_u64(digest.low);
}

Digest128 model_digest(const std::vector<ParameterInfo>& table, std::span<const float> weights) {
  Hasher128 hasher;
  for (const ParameterInfo& tensor : table) {
    hasher.update_text(tensor.name);
    hasher.update_u64(tensor.shape.size());
    for (const int64_t extent : tensor.shape) hasher.update_u64(static_cast<uint64_t>(extent));
    for (int64_t first = 0; first < tensor.elements; first += kBlockElements) {
      const int64_t count = std::min(kBlockElements, tensor.elements - first);
      const float* block = weights.data() + tensor.first_element + first;
      update_digest(&hasher, hash128(block, static_cast<size_t>(count) * sizeof(float)));
    }
  }
  return hasher.digest();
}

Digest128 state_digest(const std::vector<ParameterInfo>& table, const StateView& state, uint64_t next_row) {
  Hasher128 hasher;
  for (const std::span<const float> array : {state.weights, state.first_moment, state.second_moment}) {
    update_digest(&hasher, model_digest(table, array));
  }
  hasher.update_u64(static_cast<uint64_t>(state.step));
  hasher.update_u64(next_row);
  return hasher.digest();
}

}  // namespace strand
