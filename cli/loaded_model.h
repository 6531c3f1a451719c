// A trained model with its tokenizer, as strand embed, score and generate open it.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cli/cut_sequences.h"
#include "dataserver/sequences/sequence_file.h"
#include "dataserver/tokenizer/tokenizer.h"
#include "shared/base/result.h"
#include "worker/inference/model_runner.h"

namespace strand {

struct ModelOptions {
  std::string directory;
  Step step = -1;
  std::string tokenizer;  // empty: the one beside the model
  std::string dtype = "f32";
  int threads = 0;
  int64_t max_tokens = 0;  // 0: the model's own
};
// The positional MODEL and the options above.
void add_model_options(CLI::App* command, ModelOptions* options);

class LoadedModel {
 public:
  static Result<LoadedModel> open(const ModelOptions& options);

  ModelRunner& runner() const { return *runner_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const SequenceFrame& frame() const { return frame_; }
  const std::string& origin() const { return runner_->model().origin; }
  // Ids of the four bases, when every base has one token of its own wherever it stands; else empty.
  const std::vector<int32_t>& base_ids() const { return base_ids_; }
  // The tokenizer keeps texts that are no sequences: GPT-2's does, one of bases does not.
  bool is_text() const { return is_text_; }
  // kBadInput for a finetuned model, which says nothing about tokens.
  Status needs_token_head() const;
  // The mask's id; kBadInput for a tokenizer without one.
  Result<int32_t> mask_id() const;

  // Ids with the model's special tokens around them.
  TokenRow framed(const int32_t* begin, const int32_t* end) const;
  TokenRow framed(const std::vector<int32_t>& ids) const { return framed(ids.data(), ids.data() + ids.size()); }
  std::vector<int32_t> encode(const std::string& text) const;
  // Bases that the tokens spell which a likelihood counts: those of row.ids from `begin` to row.end.
  int64_t characters(const TokenRow& row, int64_t begin) const;

 private:
  LoadedModel() = default;
  void find_base_ids();

  std::unique_ptr<ModelRunner> runner_;
  std::unique_ptr<Tokenizer> tokenizer_;
  SequenceFrame frame_;
  std::vector<int32_t> base_ids_;
  bool is_text_ = false;
};

enum class TooLongSequence { kRefuse, kCut, kSplit };

// Sequences as rows of the model. Longer ones are refused with their place, cut at the model's longest row, or split
// into rows one behind the other.
class SequenceRows {
 public:
  SequenceRows(const LoadedModel& model, SequenceFile file, TooLongSequence too_long)
      : model_(model), file_(std::move(file)), too_long_(too_long) {}

  Result<std::vector<TokenRow>> rows(const NamedSequence& sequence);
  // Of everything so far.
  int64_t cut() const { return cut_.count(); }
  int64_t split() const { return split_; }
  int64_t tokens() const { return tokens_; }  // special ones included
  // "3 sequences were cut", by how much, and the first of them; empty when none was.
  std::string note() const;

 private:
  const LoadedModel& model_;
  SequenceFile file_;
  TooLongSequence too_long_;
  CutSequences cut_;
  int64_t split_ = 0, tokens_ = 0;
};

// --input, --column, --names, --too-long.
struct InputOptions {
  SequenceFile file;
  std::string too_long = "refuse";
  TooLongSequence choice() const {
    return too_long == "cut" ? TooLongSequence::kCut
                             : (too_long == "split" ? TooLongSequence::kSplit : TooLongSequence::kRefuse);
  }
};
// Returns --input, which is required.
CLI::Option* add_input_options(CLI::App* command, InputOptions* options);

// Sequences with their rows, gathered to so many tokens that units are full.
struct SequenceWindow {
  std::vector<NamedSequence> sequences;
  std::vector<TokenRow> rows;
  std::vector<size_t> first_row;  // of each sequence, and one behind the last
};
// Reads the whole file and hands it on, window by window.
Status for_windows(SequenceRows& rows, const SequenceFile& file, const std::function<Status(SequenceWindow&)>& visit);

// Kept for a TSV: tabs and line feeds become blanks.
std::string tsv_field(std::string text);

}  // namespace strand
