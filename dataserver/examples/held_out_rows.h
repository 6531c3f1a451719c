// Rows of the held-out set: each run tokenised whole, once, and kept in the store, so that a dataset opens as fast and
// takes as little memory however much is held out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataserver/corpus/corpus_reader.h"
#include "dataserver/examples/row_style.h"
#include "dataserver/tokenizer/tokenizer.h"
#include "shared/base/result.h"
#include "shared/store/store.h"

namespace strand {

// Where the tokens of the held-out runs are kept, under a name of everything they depend on.
struct KeptTokens {
  Store* store = nullptr;  // null: nowhere, they stay in memory
  std::string key;         // of bases, runs and tokenizer; ends with "/"
  bool may_write = false;  // else they stay in memory, unless they are there already
};

// Each run's token stream cut into rows. For next-token prediction they overlap by one, so that every token but a run's
// first is a target exactly once; for a masked model they touch, so that every token is there once.
class HeldOutRows {
 public:
  // The store must outlive this.
  static Result<HeldOutRows> make(CorpusReader* reader, const Tokenizer& tokenizer, const std::vector<BaseRun>& runs,
                                  const RowStyle& style, const KeptTokens& kept = {});

  uint64_t size() const { return first_row_.back(); }
  int64_t target_bases() const { return target_bases_; }  // bases of all tokens that may be targets
  // Row `index` < size() of the fixed shuffled order (held_out_row): tokens[segment], padded with 0; its length.
  // kCorrupt when the store has lost what it kept. Thread-safe.
  Result<uint16_t> row(uint64_t index, uint16_t* tokens) const;

 private:
  // What is known of a run's tokens.
  struct Stream {
    uint64_t tokens = 0;
    uint64_t bases = 0, first_bases = 0;  // of all of them, of the first
  };
  class Collector;

  size_t overlap() const { return style_.masked ? 0 : 1; }
  Status tokenise(CorpusReader* reader, const Tokenizer& tokenizer, const std::vector<BaseRun>& runs);
  // False when the store has none.
  Result<bool> load();
  Status remember() const;
  void lay_out();
  Status read(uint64_t begin, size_t count, std::vector<uint16_t>* out) const;

  RowStyle style_;
  KeptTokens kept_;
  std::vector<Stream> streams_;
  std::vector<uint16_t> tokens_;  // of all runs one after another, unless they are in the store
  bool in_store_ = false;
  std::vector<uint64_t> begin_;            // token at which a stream with rows begins
  std::vector<uint64_t> length_;           // of it
  std::vector<uint64_t> first_row_ = {0};  // rows before it; one more than such streams
  int64_t target_bases_ = 0;
};

}  // namespace strand
