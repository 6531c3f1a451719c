// Where the tokens of runs of bases lie, without the tokens themselves: how many each run has, and at which base one
// begins. What packed rows are found by.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "dataserver/corpus/corpus_reader.h"
#include "dataserver/tokenizer/tokenizer.h"
#include "shared/base/result.h"

namespace strand {

class TokenPlaces {
 public:
  // Of a tokenizer that takes k letters at a time and what is left one by one; k = 1: every letter. Nothing is read.
  static TokenPlaces of_kmers(const std::vector<BaseRun>& runs, int64_t k);
  // Of any tokenizer: encodes every run once, and once more between the places that are kept, since rows are made from
  // such pieces. kBadInput, naming record and base, where a piece is not encoded as within its run. `go_on` is asked
  // with the share that is done; false: kStopped. Keeps 8 bytes a run and 8 for every kEvery tokens.
  static Result<TokenPlaces> measure(CorpusReader* reader, const Tokenizer& tokenizer, const std::vector<BaseRun>& runs,
                                     const std::function<bool(double)>& go_on);
  // As kept in the store; kCorrupt for bytes that serialize() cannot have written for as many runs.
  std::string serialize() const;
  static Result<TokenPlaces> parse(std::string_view bytes, size_t runs);

  int64_t tokens(size_t run) const { return tokens_[run]; }
  struct Place {
    int64_t token = 0, base = 0;  // of the run; the token begins at the base
  };
  // The last known place at or before token t <= tokens(run), and the first at or after it.
  Place at_or_before(size_t run, int64_t token) const;
  Place at_or_after(size_t run, int64_t token) const;

  static constexpr int64_t kEvery = 256;

 private:
  int64_t k_ = 0;                   // 0: measured
  std::vector<int64_t> tokens_;     // of each run
  std::vector<int64_t> bases_;      // of each run
  std::vector<uint64_t> marks_;     // bases at which tokens kEvery, 2 kEvery, ... of a run begin; run after run
  std::vector<size_t> first_mark_;  // of each run
};

}  // namespace strand
