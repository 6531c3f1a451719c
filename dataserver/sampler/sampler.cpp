#include "dataserver/sampler/sampler.h"

#include <algorithm>
#include <numeric>

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
  row.shift = shift_of(seed, n);
  return row;
}

int64_t RowOrder::shift_of(uint64_t seed, uint64_t n) const {
  if (shift_ <= 1) return 0;
  const uint64_t word = random_word(philox_key(seed, Purpose::kShift), n, 0, 0);
  return static_cast<int64_t>(word * static_cast<uint64_t>(shift_) >> 32);
}

void RowOrder::rows(uint64_t seed, uint64_t first, std::span<SampledRow> rows) const {
  if (mixture_) {
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = row(seed, first + i);
    return;
  }
  std::vector<uint64_t> windows;
  for (size_t begin = 0; begin < rows.size();) {  // one pass after the other
    const uint64_t pass = (first + begin) / segments_, position = (first + begin) % segments_;
    windows.resize(std::min<uint64_t>(rows.size() - begin, segments_ - position));
    std::iota(windows.begin(), windows.end(), position);
    KeyedPermutation(seed, pass, segments_).map(windows);
    for (size_t i = 0; i < windows.size(); ++i) {
      const uint64_t n = first + begin + i;
      SampledRow& row = rows[begin + i] = {};
      row.pass = pass;
      row.position = position + i;
      row.window = windows[i];
      row.reverse_complement = both_strands_ && other_strand(seed, n);
      row.shift = shift_of(seed, n);
    }
    begin += windows.size();
  }
}

uint64_t held_out_row(uint64_t rows, uint64_t index) {
  return KeyedPermutation(0, 0, rows)(index);
}

}  // namespace strand
