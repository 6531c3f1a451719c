// Rows of tokens: what a batch is made of.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dataserver/corpus/corpus_reader.h"
#include "dataserver/examples/windows.h"
#include "dataserver/tokenizer/tokenizer.h"
#include "shared/base/check.h"
#include "shared/base/result.h"

namespace strand {

// How rows stand in a batch.
struct RowStyle {
  int64_t segment = 0;  // tokens in a row, the frame's included
  bool masked = false;  // rows are for a masked model: held-out rows touch. Else they overlap by one token
  SequenceFrame frame;  // around every row

  int64_t frame_size() const { return static_cast<int64_t>(frame.prefix.size() + frame.suffix.size()); }
  int64_t room() const { return segment - frame_size(); }  // for tokens of the sequence
};

// Writes frame and ids to tokens[segment], padded with 0; the row's length. At most room() ids.
template <class Id>
uint16_t put_row(const RowStyle& style, std::span<const Id> ids, uint16_t* tokens) {
  const auto narrow = [](auto id) { return static_cast<uint16_t>(id); };
  STRAND_CHECK(static_cast<int64_t>(ids.size()) <= style.room(), ids.size(), " tokens in room for ", style.room());
  uint16_t* at = std::transform(style.frame.prefix.begin(), style.frame.prefix.end(), tokens, narrow);
  at = std::transform(ids.begin(), ids.end(), at, narrow);
  at = std::transform(style.frame.suffix.begin(), style.frame.suffix.end(), at, narrow);
  std::fill(at, tokens + style.segment, uint16_t{0});
  return static_cast<uint16_t>(at - tokens);
}

// Training row n: the window and strand of sample_row, tokenised, cut to the style's room, framed and padded.
class TrainingRows {
 public:
  // All must outlive this. style.room() >= 1.
  TrainingRows(CorpusReader* reader, const Tokenizer* tokenizer, WindowIndex windows, RowStyle style, bool both_strands)
      : reader_(reader),
        tokenizer_(tokenizer),
        windows_(std::move(windows)),
        style_(std::move(style)),
        both_strands_(both_strands) {}

  // Reused between calls; one per thread.
  struct Scratch {
    std::string bases;
    std::vector<int32_t> ids;
    uint64_t window = 0;      // that the last row was made from
    uint64_t cut_tokens = 0;  // tokens beyond the room, dropped so far
  };
  // Fills tokens[segment]; the row's length. Thread-safe with a scratch of its own. segments() >= 1.
  Result<uint16_t> row(uint64_t seed, uint64_t n, Scratch* scratch, uint16_t* tokens) const;

  uint64_t segments() const { return windows_.size(); }
  const WindowIndex& windows() const { return windows_; }

 private:
  CorpusReader* reader_;
  const Tokenizer* tokenizer_;
  WindowIndex windows_;
  RowStyle style_;
  bool both_strands_;
};

// The held-out set: each run tokenised whole, its token stream cut into rows. For next-token prediction they overlap by
// one, so that every token but a run's first is a target exactly once; for a masked model they touch, so that every
// token is there once. Two bytes a token stay in memory.
class HeldOutRows {
 public:
  static Result<HeldOutRows> make(CorpusReader* reader, const Tokenizer& tokenizer, const std::vector<BaseRun>& runs,
                                  const RowStyle& style);

  uint64_t size() const { return first_row_.back(); }
  int64_t target_bases() const { return target_bases_; }  // bases of all tokens that may be targets
  // Row `index` < size() of the fixed shuffled order (held_out_row): tokens[segment], padded with 0; its length.
  uint16_t row(uint64_t index, uint16_t* tokens) const;

 private:
  size_t overlap() const { return style_.masked ? 0 : 1; }

  std::vector<std::vector<uint16_t>> streams_;
  std::vector<uint64_t> first_row_ = {0};  // rows before stream i; one more than streams
  RowStyle style_;
  int64_t target_bases_ = 0;
};

}  // namespace strand
