// One dataset: a genome, its split, a tokenizer and a way of cutting rows, opened from the store and ready to serve.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataserver/corpus/corpus_reader.h"
#include "dataserver/corpus/corpus_store.h"
#include "dataserver/corpus/split.h"
#include "dataserver/examples/rows.h"
#include "dataserver/tokenizer/tokenizer.h"
#include "shared/base/result.h"
#include "shared/fs/file_system.h"
#include "shared/job_spec/job_spec.h"
#include "shared/wire/messages.h"

namespace strand {

// Changes whenever the same fields would give other rows.
constexpr int64_t kBatchFormatVersion = 1;

// The folder <run directory>/store: rocks/ (corpus_store.h) and tokenizer.json, a copy of the tokenizer in use for
// other tools (the store's own copy is what counts).
struct DataHome {
  std::string directory;
  std::shared_ptr<Store> store;
  FileSystem* fs = nullptr;
  bool read_only = false;  // nothing is built, trained or kept; what is missing is kNotFound
};
// Errors as open_data_store; makes the folder unless read_only.
Result<DataHome> open_data_home(FileSystem* fs, const std::string& directory, bool read_only);

// The part of a job that decides its dataset, and the two figures it is checked against.
struct DatasetSpec {
  DataSpec data;
  TokenizerSpec tokenizer;
  int64_t model_vocabulary = 0;  // 0: unchecked
  int64_t rows_per_step = 0;     // 0: unchecked
  // The same text for the same specification.
  std::string key() const;
};
DatasetSpec dataset_spec(const JobSpec& job);

// What a client is told.
struct DatasetSummary {
  Digest128 fingerprint;                 // of the fields
  std::vector<FingerprintField> fields;  // bases, holdout, tokenizer, segment, segment_bases, stride,
                                         // reverse_complement, format
  uint64_t segments = 0;
  uint64_t eval_rows = 0;
  int64_t eval_bases = 0;
  int64_t segment = 0;
  int32_t vocabulary = 0;
  std::vector<uint8_t> token_bases;
};

// "dataset field 'stride' differs: ...", naming the first field that differs with both values; empty when none does.
std::string first_difference(const std::vector<FingerprintField>& expected, const std::vector<FingerprintField>& found);

struct RowBlock {
  std::vector<uint16_t> tokens;   // [rows, segment], padded with 0
  std::vector<uint16_t> lengths;  // [rows]
  uint64_t cut_tokens = 0;        // beyond `segment`, dropped
};

class Dataset {
 public:
  // Builds what the store lacks: bases, trained tokenizer (on training bases only, kept in the store), window length.
  // kBadInput, naming file or key and the mend: what build_corpus and split_corpus refuse; a tokenizer without an id
  // for A, C, G or T, or with more ids than the model; a step of more rows than there are segments; nothing to train
  // on or, with a holdout, nothing to predict. `progress` in [0, 1]; false stops (kStopped).
  static Result<std::shared_ptr<const Dataset>> open(const DataHome& home, const DatasetSpec& spec,
                                                     const Progress& progress);

  const DatasetSummary& summary() const { return summary_; }
  const Split& split() const { return split_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  CorpusReader& reader() const { return *reader_; }

  // Rows [first_row, first_row + rows) of the run with this seed, or of the held-out order. Thread-safe, pure.
  // kBadInput for held-out rows that do not exist and for more than kMostRows rows.
  Result<RowBlock> rows(uint64_t seed, bool held_out, uint64_t first_row, uint32_t rows) const;
  static constexpr uint32_t kMostRows = 65536;
  static constexpr size_t kMostBytes = size_t{64} << 20;

  // Bits per held-out base of Markov models of orders 0..12, computed once and kept in the store. Empty when nothing is
  // held out or more than kMostMarkovBases bases train. Slow (seconds for a bacterium): for a background thread.
  Result<std::vector<double>> markov_bits() const;
  static constexpr int64_t kMostMarkovBases = int64_t{1} << 30;

 private:
  Dataset() = default;
  Status cut_rows(const DatasetSpec& spec);
  Status describe(const DatasetSpec& spec);
  Status check(const DatasetSpec& spec) const;

  DataHome home_;
  std::unique_ptr<CorpusReader> reader_;
  Split split_;
  std::string split_text_;  // the fingerprint's "holdout"
  std::unique_ptr<Tokenizer> tokenizer_;
  int64_t segment_bases_ = 0, stride_ = 0;
  std::unique_ptr<TrainingRows> training_;
  std::unique_ptr<HeldOutRows> held_out_;
  DatasetSummary summary_;
};

}  // namespace strand
