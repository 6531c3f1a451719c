#include "worker/params/digest.h"

#include <algorithm>

#include "worker/params/range_pieces.h"

namespace strand {

std::vector<Digest128> block_digests(const std::vector<ParameterInfo>& table, KeyRange range, const float* values) {
  std::vector<Digest128> digests;
  for_each_piece(table, range, [&](const ParameterInfo&, int64_t first, int64_t count) {
    const float* piece = values + (first - range.first_element);
    for (int64_t begin = 0; begin < count; begin += kRangeBlockElements) {
      const int64_t elements = std::min(kRangeBlockElements, count - begin);
      digests.push_back(hash128(piece + begin, static_cast<size_t>(elements) * sizeof(float)));
    }
  });
  return digests;
}

Digest128 model_digest(const std::vector<ParameterInfo>& table, std::span<const float> weights) {
  return digest_of_blocks(table, block_digests(table, {0, static_cast<int64_t>(weights.size())}, weights.data()));
}

Digest128 state_digest(const std::vector<ParameterInfo>& table, const StateView& state, uint64_t next_row) {
  const Digest128 digests[] = {model_digest(table, state.weights), model_digest(table, state.first_moment),
                               model_digest(table, state.second_moment)};
  return state_digest_of(digests, state.step, next_row);
}

}  // namespace strand
