// Training rows without windows: the runs of bases of a source one after another, cut into full rows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataserver/corpus/corpus_reader.h"
#include "dataserver/examples/row_style.h"
#include "dataserver/examples/token_places.h"
#include "dataserver/tokenizer/tokenizer.h"
#include "shared/base/result.h"

namespace strand {

// The token that ends a document: the tokenizer's sep, else eos, bos or cls; -1 where it has none of them.
int32_t separator_of(const Tokenizer& tokenizer);

// A run is a document: its tokens and one separator. The documents of a part (a source) follow each other in the order
// of the genome; row i of the part is tokens [i room, (i + 1) room) of that stream, in the style's frame. Every token
// is in exactly one row, in order within its document; all rows of a part are full but its last. A row on the other
// strand has the same pieces in reverse order, each read on the other strand and tokenised anew; what is then beyond
// the room is cut.
class PackedRows {
 public:
  // Reader and tokenizer must outlive this. `runs` in order of records; `first_records` of each part, the first is 0.
  // style.room() >= 1, separator >= 0.
  PackedRows(CorpusReader* reader, const Tokenizer* tokenizer, std::vector<BaseRun> runs, TokenPlaces places,
             const std::vector<uint64_t>& first_records, RowStyle style, int32_t separator);

  struct Scratch {
    std::string bases;
    std::vector<int32_t> ids, piece;
    uint64_t cut_tokens = 0;
  };
  // Row `index` < rows of all parts: tokens[segment], padded with 0; its length. Thread-safe with a scratch of its own.
  Result<uint16_t> row(uint64_t index, bool other_strand, Scratch* scratch, uint16_t* tokens) const;

  // Rows of each part; those of a part follow those of the part before it.
  const std::vector<uint64_t>& rows_of_parts() const { return rows_; }

 private:
  struct Piece {  // tokens [begin, end) of a run; the separator is its last one
    size_t run = 0;
    int64_t begin = 0, end = 0;
  };
  std::vector<Piece> pieces_of(uint64_t index) const;
  Status add_piece(const Piece& piece, bool other_strand, Scratch* scratch) const;

  CorpusReader* reader_;
  const Tokenizer* tokenizer_;
  std::vector<BaseRun> runs_;
  TokenPlaces places_;
  RowStyle style_;
  int32_t separator_;
  std::vector<uint64_t> first_;    // tokens before each run, separators included; one more than runs
  std::vector<size_t> first_run_;  // of each part; one more than parts
  std::vector<uint64_t> rows_;     // of each part
};

}  // namespace strand
