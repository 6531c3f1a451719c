#include "shared/plan/model_digest.h"

#include <array>

#include "shared/base/check.h"
#include "shared/plan/key_range.h"

namespace strand {

static void update_digest(Hasher128* hasher, const Digest128& digest) {
  hasher->update_u64(digest.high);
  hasher->update_u64(digest.low);
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

Digest128 state_digest_of(std::span<const Digest128, 3> weights_and_moments, Step step, uint64_t next_row) {
  Hasher128 hasher;
  for (const Digest128& digest : weights_and_moments) update_digest(&hasher, digest);
  hasher.update_u64(static_cast<uint64_t>(step));
  hasher.update_u64(next_row);
  return hasher.digest();
}

ModelDigests digests_of_state(const std::vector<ParameterInfo>& table, std::span<const Digest128> blocks, Step step,
                              uint64_t next_row) {
  STRAND_CHECK(blocks.size() % 3 == 0, blocks.size(), " digests");
  std::array<std::vector<Digest128>, 3> arrays;
  for (size_t i = 0; i < blocks.size(); ++i) arrays[i % 3].push_back(blocks[i]);
  std::array<Digest128, 3> whole;
  for (size_t a = 0; a < 3; ++a) whole[a] = digest_of_blocks(table, arrays[a]);
  return {whole[0], state_digest_of(whole, step, next_row)};
}

}  // namespace strand
