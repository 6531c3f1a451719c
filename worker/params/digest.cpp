#include "worker/params/digest.h"

#include <algorithm>

#include "shared/base/check.h"
#include "worker/params/range_pieces.h"

namespace strand {

static void update_digest(Hasher128* hasher, const Digest128& digest) {
  hasher->update_u64(digest.high);
  hasher->update_u64(digest.low);
}

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

Digest128 digest_of_blocks(const std::vector<ParameterInfo>& table, std::span<const Digest128> blocks) {
  Hasher128 hasher;
  size_t block = 0;
  for (const ParameterInfo& tensor : table) {
    hasher.update_text(tensor.name);
    hasher.update_u64(tensor.shape.size());
    for (const int64_t extent : tensor.shape) hasher.update_u64(static_cast<uint64_t>(extent));
    for (int64_t first = 0; first < tensor.elements; first += kRangeBlockElements) {
      STRAND_CHECK(block < blocks.size(), "the digests of ", blocks.size(), " blocks only");
      update_digest(&hasher, blocks[block++]);
    }
  }
  STRAND_CHECK(block == blocks.size(), blocks.size(), " blocks, ", block, " in the table");
  return hasher.digest();
}

Digest128 model_digest(const std::vector<ParameterInfo>& table, std::span<const float> weights) {
  return digest_of_blocks(table, block_digests(table, {0, static_cast<int64_t>(weights.size())}, weights.data()));
}

Digest128 state_digest_of(std::span<const Digest128, 3> weights_and_moments, Step step, uint64_t next_row) {
  Hasher128 hasher;
  for (const Digest128& digest : weights_and_moments) update_digest(&hasher, digest);
  hasher.update_u64(static_cast<uint64_t>(step));
  hasher.update_u64(next_row);
  return hasher.digest();
}

Digest128 state_digest(const std::vector<ParameterInfo>& table, const StateView& state, uint64_t next_row) {
  const Digest128 digests[] = {model_digest(table, state.weights), model_digest(table, state.first_moment),
                               model_digest(table, state.second_moment)};
  return state_digest_of(digests, state.step, next_row);
}

}  // namespace strand
