#include "dataserver/examples/rows.h"

#include <algorithm>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/sampler/sampler.h"
#include "shared/base/check.h"

namespace strand {

Result<uint16_t> TrainingRows::row(uint64_t seed, uint64_t n, Scratch* scratch, uint16_t* tokens) const {
  const SampledRow sampled = sample_row(seed, segments(), both_strands_, n);
  scratch->window = sampled.window;
  STRAND_TRY(reader_->read(windows_.window(sampled.window), &scratch->bases));
  if (sampled.reverse_complement) reverse_complement(&scratch->bases);
  scratch->ids.clear();
  tokenizer_->encode(scratch->bases, &scratch->ids);
  const size_t length = std::min(scratch->ids.size(), static_cast<size_t>(style_.room()));
  scratch->cut_tokens += scratch->ids.size() - length;
  return put_row<int32_t>(style_, std::span(scratch->ids).first(length), tokens);
}

Result<HeldOutRows> HeldOutRows::make(CorpusReader* reader, const Tokenizer& tokenizer,
                                      const std::vector<BaseRun>& runs, const RowStyle& style) {
  HeldOutRows rows;
  rows.style_ = style;
  const size_t overlap = rows.overlap();
  STRAND_CHECK(style.room() > static_cast<int64_t>(overlap), "room for ", style.room(), " tokens");
  const auto per_row = static_cast<uint64_t>(style.room()) - overlap;
  std::string bases;
  std::vector<int32_t> ids;
  for (const BaseRun& run : runs) {
    STRAND_TRY(reader->read(run, &bases));
    ids.clear();
    tokenizer.encode(bases, &ids);
    if (ids.size() <= overlap) continue;
    for (size_t i = overlap; i < ids.size(); ++i) rows.target_bases_ += tokenizer.characters(ids[i]);
    const uint64_t targets = ids.size() - overlap;
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
  const auto room = static_cast<size_t>(style_.room());
  const size_t begin = (at - first_row_[stream]) * (room - overlap());
  return put_row<uint16_t>(style_, std::span(ids).subspan(begin, std::min(ids.size() - begin, room)), tokens);
}

}  // namespace strand
