// Rows of tokens from windows of a genome, a batch at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataserver/corpus/base_tokens.h"
#include "dataserver/corpus/corpus_reader.h"
#include "dataserver/examples/row_style.h"
#include "dataserver/tokenizer/tokenizer.h"
#include "shared/base/result.h"

namespace strand {

// Bases without other letters, read on one strand.
struct StrandedWindow {
  BaseRun run;
  bool reverse_complement = false;
};

// The table of a tokenizer that encodes each base by itself, as the nucleotide tokenizer does; nothing for others.
std::optional<BaseTokens> base_tokens(const Tokenizer& tokenizer);

// Each window tokenised, cut to the style's room, framed and padded. Thread-safe with a scratch for each thread.
class WindowRows {
 public:
  // Reader and tokenizer must outlive this. style.room() >= 1.
  WindowRows(CorpusReader* reader, const Tokenizer* tokenizer, RowStyle style);

  // Reused between calls; one per thread.
  struct Scratch {
    PinnedRuns pins;
    std::vector<BaseRun> runs;
    std::string bases;
    std::vector<int32_t> ids;
    uint64_t cut_tokens = 0;  // tokens beyond the room, dropped so far
  };
  // tokens[windows, segment], lengths[windows].
  Status fill(std::span<const StrandedWindow> windows, Scratch* scratch, uint16_t* tokens, uint16_t* lengths) const;

  const RowStyle& style() const { return style_; }

 private:
  uint16_t put_bases(const StrandedWindow& window, std::span<const ChunkPiece> pieces, Scratch* scratch,
                     uint16_t* row) const;
  uint16_t put_encoded(const StrandedWindow& window, std::span<const ChunkPiece> pieces, Scratch* scratch,
                       uint16_t* row) const;

  CorpusReader* reader_;
  const Tokenizer* tokenizer_;
  RowStyle style_;
  std::optional<BaseTokens> base_tokens_;
};

}  // namespace strand
