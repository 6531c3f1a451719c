// Rows of tokens: what a batch is made of.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dataserver/corpus/corpus_reader.h"
#include "dataserver/examples/row_style.h"
#include "dataserver/examples/window_rows.h"
#include "dataserver/examples/windows.h"
#include "dataserver/sampler/sampler.h"
#include "dataserver/tokenizer/tokenizer.h"
#include "shared/base/check.h"
#include "shared/base/result.h"

namespace strand {

// Training row n: the window, shift and strand of the order's row n, tokenised, cut to the style's room, framed and
// padded.
class TrainingRows {
 public:
  // All must outlive this. style.room() >= 1.
  TrainingRows(CorpusReader* reader, const Tokenizer* tokenizer, WindowIndex windows, RowStyle style, RowOrder order)
      : windows_(std::move(windows)), rows_(reader, tokenizer, std::move(style)), order_(std::move(order)) {
    STRAND_CHECK(order_.segments() == windows_.size(), "an order of ", order_.segments(), " of ", windows_.size());
  }
  // Of one source.
  TrainingRows(CorpusReader* reader, const Tokenizer* tokenizer, WindowIndex windows, RowStyle style, bool both_strands)
      : TrainingRows(reader, tokenizer, windows, std::move(style), RowOrder(windows.size(), both_strands)) {}

  // Reused between calls; one per thread.
  struct Scratch {
    WindowRows::Scratch rows;
    std::vector<SampledRow> sampled;
    std::vector<StrandedWindow> windows;
  };
  // Rows first, first + 1, ...: tokens[lengths.size(), segment], lengths, and the window that each was made from.
  // Thread-safe with a scratch of its own. segments() >= 1.
  Status fill(uint64_t seed, uint64_t first, Scratch* scratch, uint16_t* tokens, std::span<uint16_t> lengths,
              uint64_t* windows) const;

  uint64_t segments() const { return windows_.size(); }
  const WindowIndex& windows() const { return windows_; }

 private:
  WindowIndex windows_;
  WindowRows rows_;
  RowOrder order_;
};

}  // namespace strand
