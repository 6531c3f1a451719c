#include "dataserver/examples/rows.h"

#include <algorithm>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/sampler/sampler.h"
#include "shared/base/check.h"

namespace strand {

Result<uint16_t> TrainingRows::row(uint64_t seed, uint64_t n, Scratch* scratch, uint16_t* tokens) const {
  const SampledRow sampled = sample_row(seed, segments(), both_strands_, n);
  STRAND_TRY(reader_->read(windows_.window(sampled.window), &scratch->bases));
  if (sampled.reverse_complement) reverse_complement(&scratch->bases);
  scratch->ids.clear();
  tokenizer_->encode(scratch->bases, &scratch->ids);
  const size_t length = std::min(scratch->ids.size(), static_cast<size_t>(segment_));
  scratch->cut_tokens += scratch->ids.size() - length;
  for (size_t i = 0; i < length; ++i) tokens[i] = static_cast<uint16_t>(scratch->ids[i]);
  std::fill(tokens + length, tokens + segment_, uint16_t{0});
  return static_cast<uint16_t>(length);
}

Result<HeldOutRows> HeldOutRows::make(CorpusReader* reader, const Tokenizer& tokenizer,
                                      const std::vector<BaseRun>& runs, int64_t segment) {
  STRAND_CHECK(segment >= 2, "segment ", segment);
  HeldOutRows rows;
  rows.segment_ = segment;
  std::string bases;
  std::vector<int32_t> ids;
  for (const BaseRun& run : runs) {
    STRAND_TRY(reader->read(run, &bases));
    ids.clear();
    tokenizer.encode(bases, &ids);
    if (ids.size() < 2) continue;
    for (size_t i = 1; i < ids.size(); ++i) rows.target_bases_ += tokenizer.characters(ids[i]);
    const auto targets = static_cast<uint64_t>(ids.size() - 1);
    const auto per_row = static_cast<uint64_t>(segment - 1);
    rows.first_row_.push_back(rows.first_row_.back() + (targets + per_row - 1) / per_row);
    rows.streams_.emplace_back(ids.begin(), ids.end());
  }
  return rows;
}

uint16_t HeldOutRows::row(uint64_t index, uint16_t* tokens) const {
  const uint64_t at = held_out_row(size(), index);
  const auto after = std::upper_bound(first_row_.begin(), first_row_.end(), at);
  const auto stream = static_cast<size_t>(after - first_row_.begin()) - 1;
  const std::vector<uint16_t>& ids = streams_[stream];
  const size_t begin = (at - first_row_[stream]) * static_cast<size_t>(segment_ - 1);
  const size_t length = std::min(ids.size() - begin, static_cast<size_t>(segment_));
  std::copy_n(ids.begin() + static_cast<ptrdiff_t>(begin), length, tokens);
  std::fill(tokens + length, tokens + segment_, uint16_t{0});
  return static_cast<uint16_t>(length);
}

}  // namespace strand
