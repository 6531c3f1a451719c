// Where a dataset's tokenizer comes from.
#pragma once

#include <memory>
#include <string>

#include "dataserver/corpus/corpus_reader.h"
#include "dataserver/dataset.h"

namespace strand {

// The largest number of training bases a vocabulary or a window length is derived from. More than that and equally
// spaced pieces of the training runs stand for all (memory: one byte a base, and the trainer's own).
constexpr int64_t kMostSampledBases = int64_t{128} << 20;
// Training bases as text: the runs themselves, or pieces of them, never across a run's end.
Result<std::vector<std::string>> sample_training(CorpusReader* reader, const std::vector<BaseRun>& training,
                                                 int64_t most_bases);

// The tokenizer of `spec`. A BPE vocabulary is trained on the training runs and kept in the store under the genome, the
// split and the size, so that a restart finds the same bytes. Writes <home>/tokenizer.json when it differs.
Result<std::unique_ptr<Tokenizer>> open_tokenizer(const DataHome& home, const TokenizerSpec& spec, CorpusReader* reader,
                                                  const Split& split, const std::string& split_text);

// The tokenizer of `spec` where nothing has to be trained: any kind but kBpe, which is kBadInput. Writes
// <home>/tokenizer.json as above.
Result<std::unique_ptr<Tokenizer>> ready_tokenizer(const DataHome& home, const TokenizerSpec& spec);

// kBadInput when A, C, G or T has no id of its own, an id exceeds 16 bits, or the model (unless 0) has fewer ids.
Status check_tokenizer(const Tokenizer& tokenizer, int64_t model_vocabulary);

// The window that `segment` tokens fill: segment (one base per token), k x segment (k-mers), segment + k - 1
// (overlapping ones); for BPE the 1st
// percentile, over all rows of `segment` consecutive tokens of the training bases, of the bases they cover: 99 windows
// of 100 need no more than `segment` tokens. Kept in the store with the tokenizer.
Result<int64_t> default_segment_bases(const DataHome& home, const TokenizerSpec& spec, const Tokenizer& tokenizer,
                                      int64_t segment, CorpusReader* reader, const Split& split,
                                      const std::string& split_text);

}  // namespace strand
