// Packed training rows of a job, with the places of their tokens kept in the store.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataserver/corpus/corpus_reader.h"
#include "dataserver/corpus/split.h"
#include "dataserver/dataset.h"
#include "dataserver/examples/packed_rows.h"

namespace strand {

// Reader and tokenizer must outlive what is returned. Nucleotides and k-mers take no time; with another tokenizer the
// training bases are encoded once (twice, to see that pieces of them can be), which is kept in the store unless it is
// read only. `go_on` as TokenPlaces::measure. kBadInput: overlapping k-mers, a tokenizer without a separator
// (separator_of), and what TokenPlaces::measure refuses.
Result<std::unique_ptr<PackedRows>> open_packed_rows(const DataHome& home, const TokenizerSpec& spec,
                                                     const Tokenizer& tokenizer, CorpusReader* reader,
                                                     const Split& split, const std::string& split_text,
                                                     const RowStyle& style, const Progress& go_on);

}  // namespace strand
