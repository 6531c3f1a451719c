// A trained model, loaded for reading: rows of tokens in, hidden states or logits out. No gradients, no moments.
// Results do not depend on what else is asked for at the same time, nor on threads, bit for bit: a row is computed in a
// unit whose shape follows from the row's length alone, and no operator lets rows touch each other.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ops/core/context.h"
#include "ops/pooling/pooling.h"
#include "shared/base/ids.h"
#include "shared/base/result.h"
#include "shared/fs/file_system.h"
#include "shared/job_spec/job_spec.h"
#include "shared/job_spec/parameter_table.h"
#include "worker/inference/forward_pass.h"
#include "worker/model/head.h"
#include "worker/model/layout.h"

namespace strand {

// Tokens [begin, end) are the sequence's own; the others are special ones around it.
struct TokenRow {
  std::vector<int32_t> ids;
  int64_t begin = 0, end = 0;
};

// What is computed at a time for rows of `length` tokens. `segment` is the length rounded up (to the longest row of a
// model with learned positions at most), rows x segment about kUnitTokens.
inline constexpr int64_t kUnitTokens = 512;
struct UnitShape {
  int64_t rows = 0, segment = 0;
  auto operator<=>(const UnitShape&) const = default;
};
UnitShape unit_shape(const TransformerConfig& config, int64_t length);

struct RunnerOptions {
  DType dtype = DType::kF32;  // of matrix inputs and stored activations
  int threads = 0;            // 0: all cores
  Backend backend = Backend::kCpu;
};

struct RunnerModel {
  std::string origin;  // "runs/x, step 200"
  TransformerConfig config;
  std::vector<ParameterInfo> table;
  std::vector<float> weights;  // in table order
  std::string tokenizer_directory;
};

// Not thread-safe.
class ModelRunner {
 public:
  // A run directory (the newest valid checkpoint, or the one of `step`), an import, or published weights
  // (worker/weights/model_directory.h). kBadInput when parameters of the model are absent.
  static Result<std::unique_ptr<ModelRunner>> open(FileSystem& fs, const std::string& directory, Step step,
                                                   const RunnerOptions& options);
  ModelRunner(RunnerModel model, const RunnerOptions& options);

  // One unit after its forward. Rows of the unit beyond rows.size() are padding.
  struct Unit {
    std::span<const size_t> rows;  // the numbers of its rows among those asked for
    MicroBatch batch;
    ConstMatrix hidden;  // [batch.tokens(), d]
  };
  // Every row through the model, in units of equal shape. Rows must fit (check_row). kStopped when progress says so.
  Status run(std::span<const TokenRow> rows, int64_t layer, const std::function<Status(const Unit&)>& visit);

  // False for a finetuned model, which keeps no head over the vocabulary: then logits() must not be asked for.
  bool has_token_head() const { return token_head_; }
  // Logits fp32 [count, V] of `count` hidden states of the final layer, until the next call. Bits depend on `count`.
  Matrix logits(ConstMatrix hidden);

  // One vector of d floats for each row, in order: tokens [begin, end) pooled; kCls and kLast take the first and last
  // of all tokens, special ones included. `layer` as in ForwardPass.
  Status pool(std::span<const TokenRow> rows, PoolingKind pooling, int64_t layer, float* out);
  // The vectors of every row's own tokens, [end - begin, d] each, in order of the rows.
  Status token_vectors(std::span<const TokenRow> rows, int64_t layer, std::vector<std::vector<float>>* out);

  // kBadInput when the row is empty or longer than the model allows, or an id is not in its vocabulary.
  Status check_row(const TokenRow& row) const;
  int64_t longest_row() const { return longest_row_; }
  // Another longest row: a shorter one, or one longer than the model was made for, since rotary, ALiBi and absent
  // positions have no end. kBadInput for learned ones, and for none at all.
  Status allow_rows(int64_t tokens);
  // Called after each unit with the number of rows that are done; false stops.
  void on_progress(std::function<bool(size_t rows)> progress) { progress_ = std::move(progress); }

  const RunnerModel& model() const { return model_; }
  const TransformerConfig& config() const { return model_.config; }
  const ModelLayout& layout() const { return layout_; }
  const OpContext& context() const { return context_; }
  DType dtype() const { return options_.dtype; }
  int threads() const { return pool_.threads(); }
  Weights weights() const { return {model_.weights.data(), rounded_.empty() ? nullptr : rounded_.data()}; }
  // Bytes of weights, rounded ones included.
  uint64_t weight_bytes() const;

 private:
  MicroBatch fill(std::span<const TokenRow> rows, std::span<const size_t> numbers, UnitShape shape);

  RunnerModel model_;
  RunnerOptions options_;
  int64_t longest_row_;
  bool token_head_;
  ModelLayout layout_;
  ThreadPool pool_;
  Workspace workspace_;
  OpContext context_;
  std::vector<BFloat16> rounded_;
  UnitShape shape_;  // of pass_
  std::unique_ptr<ForwardPass> pass_;
  std::unique_ptr<TokenHead> head_;
  Buffer logits_;
  std::vector<int32_t> ids_, lengths_;
  std::vector<int64_t> row_numbers_;
  std::function<bool(size_t)> progress_;
};

// Pooling of fp32 or bf16 by `shape`, for rows of one unit: begin and end of each.
struct UnitSpans {
  std::vector<int32_t> begin, end;
};
UnitSpans unit_spans(std::span<const TokenRow> rows, const ModelRunner::Unit& unit, bool with_specials);

}  // namespace strand
