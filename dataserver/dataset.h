// One dataset, opened from the store and ready to serve: rows of a genome for pretraining, or of a labelled task.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataserver/corpus/corpus_reader.h"
#include "dataserver/corpus/corpus_store.h"
#include "dataserver/corpus/exclusions.h"
#include "dataserver/sampler/sampler.h"
#include "dataserver/tokenizer/tokenizer.h"
#include "shared/base/clock.h"
#include "shared/base/result.h"
#include "shared/fs/file_system.h"
#include "shared/job_spec/job_spec.h"
#include "shared/wire/messages.h"

namespace strand {

// Changes whenever the same fields would give other rows.
constexpr int64_t kBatchFormatVersion = 1;

// The folder <run directory>/store: rocks/ (corpus_store.h, table_store.h) and tokenizer.json, a copy of the tokenizer
// in use for other tools (the store's own copy is what counts).
struct DataHome {
  std::string directory;
  std::shared_ptr<Store> store;
  std::shared_ptr<ChunkCache> chunks;  // of all data sets together; null: each has its own
  FileSystem* fs = nullptr;
  bool read_only = false;        // nothing is built, trained or kept; what is missing is kNotFound
  const Clock* clock = nullptr;  // for the dates that data sets are kept with; null: no dates
};
// Errors as open_data_store; makes the folder unless read_only.
Result<DataHome> open_data_home(FileSystem* fs, const std::string& directory, bool read_only);

// When a genome or table was built, in seconds since 1970, for people ("built/ID" in the store); nothing for one that
// was built without a clock. note_built keeps the first date.
Status note_built(const DataHome& home, const std::string& id);
Result<std::optional<int64_t>> built_at(Store* store, const std::string& id);

// The part of a job that decides its dataset, and the two figures it is checked against.
struct DatasetSpec {
  DataSpec data;
  TokenizerSpec tokenizer;
  int64_t model_vocabulary = 0;         // 0: unchecked
  int64_t rows_per_step = 0;            // 0: unchecked. A task without training rows is fine then
  std::optional<ObjectiveSpec> masked;  // the objective, when it is masked
  std::optional<TaskSpec> task;         // the rows are of this task's tables, not of a genome
  // The same text for the same specification.
  std::string key() const;
};
DatasetSpec dataset_spec(const JobSpec& job);

// What a client is told.
struct DatasetSummary {
  Digest128 fingerprint;  // of the fields
  // Of a genome: bases, holdout, tokenizer, segment, segment_bases, stride, reverse_complement, format; where they are
  // there also exclude, packing, sources, mixture, shift; when masked objective, mask_ratio, mask_share, random_share,
  // random_ids, max_ngram, frame, and count_special and rounding where they are not the default. Of a task:
  // task_dataset.h.
  std::vector<FingerprintField> fields;
  uint64_t segments = 0;
  uint64_t eval_rows = 0;
  int64_t eval_bases = 0;
  int64_t segment = 0;  // tokens in a row as served
  int32_t vocabulary = 0;
  std::vector<uint8_t> token_bases;
  bool targets = false;  // rows come with a frame of targets
  // As in DatasetStatus.
  uint64_t test_rows = 0;
  uint32_t labels_per_row = 0;
  std::vector<std::string> output_names;
  std::vector<double> label_mean, label_deviation;
  uint64_t longest_row = 0;
  std::vector<uint64_t> cut_rows, cut_tokens;

  uint64_t rows_of(RowSet set) const;  // of a pass: training
};

// "dataset field 'stride' differs: ...", naming the first field that differs with both values; empty when none does.
std::string first_difference(const std::vector<FingerprintField>& expected, const std::vector<FingerprintField>& found);

struct RowBlock {
  std::vector<uint16_t> tokens;   // [rows, segment], padded with 0
  std::vector<uint16_t> lengths;  // [rows]
  std::vector<uint16_t> targets;  // [rows, segment], kNoTarget where nothing is asked; empty without a frame of targets
  std::vector<float> labels;      // [rows, labels_per_row]; NaN where missing
  std::vector<uint64_t> samples;  // [rows]: the dataset's own number of what each row is made from
  uint64_t cut_tokens = 0;        // beyond the row, dropped
};

class Dataset {
 public:
  // Builds what the store lacks. kBadInput, naming file or key and the mend: what cannot be read, split or tokenised; a
  // tokenizer with more ids than the model; a step of more rows than there are in a pass; nothing to train on or, with
  // a holdout, nothing to predict. `progress` in [0, 1]; false stops (kStopped).
  static Result<std::shared_ptr<const Dataset>> open(const DataHome& home, const DatasetSpec& spec,
                                                     const Progress& progress);
  virtual ~Dataset() = default;

  const DatasetSummary& summary() const { return summary_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  // Which bases train and which are held out; null for a task.
  virtual const Split* split() const { return nullptr; }
  // Which sample each training row comes from.
  virtual RowOrder order() const { return {summary_.segments, false}; }

  // Rows [first_row, first_row + rows) of the run with this seed, or of a fixed set. Thread-safe, pure.
  // kBadInput for rows of a fixed set that do not exist and for more than kMostRows rows.
  Result<RowBlock> rows(uint64_t seed, RowSet set, uint64_t first_row, uint32_t rows) const;
  static constexpr uint32_t kMostRows = 65536;
  static constexpr size_t kMostBytes = size_t{64} << 20;

  // Of the cache of bases; nothing for a task.
  virtual CacheUse cache_use() const { return {}; }

  // Bits per held-out base of Markov models of orders 0..12, computed once and kept in the store. Empty for a task and
  // a masked objective, when nothing is held out or more than kMostMarkovBases bases train. Slow (seconds for a
  // bacterium): for a background thread.
  virtual Result<std::vector<double>> markov_bits() const { return std::vector<double>(); }
  static constexpr int64_t kMostMarkovBases = int64_t{1} << 30;

 protected:
  // The rows, which exist, into `block`, which has its sizes and no targets yet (kNoTarget).
  virtual Status fill(uint64_t seed, RowSet set, uint64_t first_row, RowBlock* block) const = 0;
  // Fingerprint of summary_.fields, and what follows from the tokenizer.
  Status finish_summary();

  DatasetSummary summary_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

}  // namespace strand
