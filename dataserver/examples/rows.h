// Rows of tokens: what a batch is made of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataserver/corpus/corpus_reader.h"
#include "dataserver/examples/windows.h"
#include "dataserver/tokenizer/tokenizer.h"
#include "shared/base/result.h"

namespace strand {

// Training row n: the window and strand of sample_row, tokenised, cut to `segment` tokens, padded with 0.
class TrainingRows {
 public:
  // All must outlive this. segment >= 2.
  TrainingRows(CorpusReader* reader, const Tokenizer* tokenizer, WindowIndex windows, int64_t segment,
               bool both_strands)
      : reader_(reader),
        tokenizer_(tokenizer),
        windows_(std::move(windows)),
        segment_(segment),
        both_strands_(both_strands) {}

  // Reused between calls; one per thread.
  struct Scratch {
    std::string bases;
    std::vector<int32_t> ids;
    uint64_t cut_tokens = 0;  // tokens beyond `segment`, dropped so far
  };
  // Fills tokens[segment]; the row's length. Thread-safe with a scratch of its own. segments() >= 1.
  Result<uint16_t> row(uint64_t seed, uint64_t n, Scratch* scratch, uint16_t* tokens) const;

  uint64_t segments() const { return windows_.size(); }
  const WindowIndex& windows() const { return windows_; }

 private:
  CorpusReader* reader_;
  const Tokenizer* tokenizer_;
  WindowIndex windows_;
  int64_t segment_;
  bool both_strands_;
};

// The held-out set: each run tokenised whole, its token stream cut into rows of at most `segment` tokens that overlap
// by one, so that every token but a run's first is a target exactly once. Two bytes a token stay in memory.
class HeldOutRows {
 public:
  static Result<HeldOutRows> make(CorpusReader* reader, const Tokenizer& tokenizer, const std::vector<BaseRun>& runs,
                                  int64_t segment);

  uint64_t size() const { return first_row_.back(); }
  int64_t target_bases() const { return target_bases_; }  // bases of all target tokens
  // Row `index` < size() of the fixed shuffled order (held_out_row): tokens[segment], padded with 0; its length.
  uint16_t row(uint64_t index, uint16_t* tokens) const;

 private:
  std::vector<std::vector<uint16_t>> streams_;
  std::vector<uint64_t> first_row_ = {0};  // rows before stream i; one more than streams
  int64_t segment_ = 0;
  int64_t target_bases_ = 0;
};

}  // namespace strand
