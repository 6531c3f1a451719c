#include "dataserver/sampler/sampler.h"

#include "dataserver/sampler/permutation.h"
#include "shared/base/rng.h"

namespace strand {

SampledRow sample_row(uint64_t seed, uint64_t segments, bool both_strands, uint64_t n) {
  SampledRow row;
  row.pass = n / segments;
  row.position = n % segments;
  row.window = KeyedPermutation(seed, row.pass, segments)(row.position);
  if (both_strands) {
    row.reverse_complement = (random_word(philox_key(seed, Purpose::kReverseComplement), n, 0, 0) & 1) != 0;
  }
  return row;
}

uint64_t held_out_row(uint64_t rows, uint64_t index) {
  return KeyedPermutation(0, 0, rows)(index);
}

}  // namespace strand
