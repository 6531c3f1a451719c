// Rows of a genome, for pretraining by next-token prediction or by masking.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataserver/corpus/corpus_reader.h"
#include "dataserver/dataset.h"
#include "dataserver/examples/held_out_rows.h"
#include "dataserver/examples/masking.h"
#include "dataserver/examples/packed_rows.h"
#include "dataserver/examples/rows.h"

namespace strand {

class GenomeDataset final : public Dataset {
 public:
  // Builds bases, a trained tokenizer (on training bases only, kept in the store) and the window length. kBadInput also
  // for what build_corpus and split_corpus refuse, a tokenizer without an id for A, C, G or T and, for a masked
  // objective, without a mask token or with a frame that leaves no room in a row.
  static Result<std::shared_ptr<const Dataset>> open(const DataHome& home, const DatasetSpec& spec,
                                                     const Progress& progress);

  const Split* split() const override { return &split_; }
  RowOrder order() const override { return order_; }
  CacheUse cache_use() const override { return reader_->cache_use(); }
  Result<std::vector<double>> markov_bits() const override;

 protected:
  Status fill(uint64_t seed, RowSet set, uint64_t first_row, RowBlock* block) const override;

 private:
  GenomeDataset() = default;
  Status set_style(const DatasetSpec& spec);
  std::vector<uint64_t> windows_of_parts(const WindowIndex& windows) const;
  Status cut_windows(const DatasetSpec& spec);
  Status pack_rows(const DatasetSpec& spec, const Progress& go_on);
  Status cut_held_out();
  Status fill_packed(uint64_t seed, uint64_t first_row, RowBlock* block) const;
  Status describe(const DatasetSpec& spec);
  Status sum_masked_bases();
  Status check(const DatasetSpec& spec) const;

  DataHome home_;
  std::unique_ptr<CorpusReader> reader_;
  Split split_;
  std::string split_text_;  // the fingerprint's "holdout"
  RowStyle style_;
  std::optional<MaskingRules> masking_;
  int64_t segment_bases_ = 0, stride_ = 0;
  RowOrder order_;
  std::unique_ptr<TrainingRows> training_;  // or
  std::unique_ptr<PackedRows> packed_;
  std::unique_ptr<HeldOutRows> held_out_;
};

}  // namespace strand
