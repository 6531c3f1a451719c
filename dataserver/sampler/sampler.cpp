#include "dataserver/sampler/sampler.h"

#include "dataserver/sampler/permutation.h"
#include "shared/base/check.h"
#include "shared/base/hash.h"
#include "shared/base/rng.h"

namespace strand {

namespace {

bool other_strand(uint64_t seed, uint64_t n) {
  return (random_word(philox_key(seed, Purpose::kReverseComplement), n, 0, 0) & 1) != 0;
}

}  // namespace

SampledRow sample_row(uint64_t seed, uint64_t segments, bool both_strands, uint64_t n) {
  SampledRow row;
  row.pass = n / segments;
  row.position = n % segments;
  row.window = KeyedPermutation(seed, row.pass, segments)(row.position);
  row.reverse_complement = both_strands && other_strand(seed, n);
  return row;
}

RowOrder::RowOrder(std::vector<OrderedSource> sources, Mixture mixture, bool both_strands, int64_t shift)
    : sources_(std::move(sources)), mixture_(std::move(mixture)), both_strands_(both_strands), shift_(shift) {
  for (const OrderedSource& source : sources_) segments_ += source.segments;
  for (const MixturePhase& phase : mixture_->phases()) {
    STRAND_CHECK(phase.shares.size() == sources_.size(), phase.shares.size(), " shares, ", sources_.size(), " sources");
    for (size_t i = 0; i < sources_.size(); ++i) {
      STRAND_CHECK(phase.shares[i] == 0 || sources_[i].segments > 0, "source ", sources_[i].name, " is empty");
    }
  }
}

SampledRow RowOrder::row(uint64_t seed, uint64_t n) const {
  SampledRow row;
  if (mixture_) {
    const Mixture::Drawn drawn = mixture_->at(n);
    const OrderedSource& source = sources_[drawn.source];
    row = sample_row(seed ^ hash64(source.name), source.segments, false, drawn.index);
    row.window += source.first;
    row.source = drawn.source;
    row.reverse_complement = both_strands_ && other_strand(seed, n);
  } else {
    row = sample_row(seed, segments_, both_strands_, n);
  }
  if (shift_ > 1) {
    const uint64_t word = random_word(philox_key(seed, Purpose::kShift), n, 0, 0);
    row.shift = static_cast<int64_t>(word * static_cast<uint64_t>(shift_) >> 32);
  }
  return row;
}

uint64_t held_out_row(uint64_t rows, uint64_t index) {
  return KeyedPermutation(0, 0, rows)(index);
}

}  // namespace strand
