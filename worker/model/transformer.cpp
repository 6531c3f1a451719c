#include "worker/model/transformer.h"

#include <algorithm>

#include "ops/cast/cast.h"
#include "ops/reduce/reduce.h"
#include "worker/model/branches.h"
#include "worker/model/layers.h"

namespace strand {

static TransformerOptions with_head_rows(TransformerOptions options, const TransformerConfig& config) {
  if (options.head_rows == 0) {
    options.head_rows = head_chunk_rows(config.vocabulary, options.rows * options.segment);
  }
  return options;
}

Transformer::Transformer(const TransformerConfig& config, const std::vector<ParameterInfo>& table,
                         const TransformerOptions& options)
    : config_(config),
      options_(with_head_rows(options, config)),
      layout_(model_layout(config, table, options.token_head)),
      input_(config, layout_.input, options.dtype, options.rows, options.segment, options.seed) {
  const int64_t tokens = options.rows * options.segment, d = config.hidden;
  STRAND_CHECK(tokens > 0 && config.heads > 0 && d % config.heads == 0, "hidden ", d, " heads ", config.heads);
  for (int64_t l = 0; l <= config.layers; ++l) stream_.emplace_back(DType::kF32, tokens, d);
  for (int64_t l = 0; l < config.layers; ++l) {
    blocks_.push_back(make_block_activations(config, options.dtype, options.rows, options.segment));
  }
  scratch_ = make_block_scratch(config, options.dtype, options.rows, options.segment);
  if (config.positions == PositionKind::kAlibi) alibi_slopes_ = alibi_slopes(config.heads);
  if (config.final_norm) {
    final_statistics_ = make_norm_statistics(tokens);
    final_normed_ = Buffer(options.dtype, tokens, d);
  } else {
    final_rounded_ = Rounded(options.dtype, tokens, d);
  }
  d_stream_ = Buffer(DType::kF32, tokens, d);
  if (!options.token_head) return;
  head_.emplace(config, layout_.head, options.dtype, options_.head_rows);
  d_hidden_ = Buffer(options.dtype, tokens, d);
  logits_ = Buffer(DType::kF32, options_.head_rows, config.vocabulary);
}

BlockContext Transformer::block_context(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                                        int64_t layer) const {
  return {.ops = context,
          .config = config_,
          .slots = layout_.blocks[static_cast<size_t>(layer)],
          .weights = weights,
          .batch = batch,
          .alibi_slopes = alibi_slopes_.empty() ? nullptr : alibi_slopes_.data(),
          .layer = layer,
          .dropout = dropout_,
          .seed = options_.seed};
}

void Transformer::forward(const OpContext& context, const Weights& weights, const MicroBatch& batch, Mode mode) {
  STRAND_CHECK(batch.segment == options_.segment && batch.rows <= options_.rows, "rows ", batch.rows, " segment ",
               batch.segment);
  STRAND_CHECK((weights.bf16 != nullptr) == (options_.dtype == DType::kBF16));
  tokens_ = batch.tokens();
  dropout_ = mode == Mode::kTrain ? config_.dropout : 0;
  input_.forward(context, weights, batch, mode == Mode::kTrain ? config_.embedding_dropout : 0,
                 stream_.front().view(tokens_));
  for (size_t l = 0; l < blocks_.size(); ++l) {
    block_forward(block_context(context, weights, batch, static_cast<int64_t>(l)), stream_[l].view(tokens_),
                  stream_[l + 1].view(tokens_), blocks_[l], scratch_);
  }
  const Matrix last = stream_.back().view(tokens_);
  if (config_.final_norm) {
    norm_forward(context, config_, weights, layout_.final_norm, last, final_normed_.view(tokens_), final_statistics_);
  } else {
    (void)final_rounded_.round(context, last);
  }
}

ConstMatrix Transformer::hidden() const {
  if (config_.final_norm) return final_normed_.view(tokens_);
  return final_rounded_.kept(stream_.back().view(tokens_));
}

ConstMatrix Transformer::hidden(int64_t layer) const {
  return stream_[static_cast<size_t>(layer)].view(tokens_);
}

void Transformer::logits(const OpContext& context, const Weights& weights, const MicroBatch& batch, Matrix out) {
  STRAND_CHECK(head_.has_value(), "a model without a token head");
  const int64_t tokens = batch.tokens();
  for (int64_t first = 0; first < tokens; first += options_.head_rows) {
    const int64_t rows = std::min(options_.head_rows, tokens - first);
    head_->forward(context, weights, hidden().row_range(first, rows), out.row_range(first, rows));
  }
}

// In chunks of rows: logits of a large vocabulary exist for one chunk at a time, and their gradient takes their place.
CrossEntropySum Transformer::loss(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                                  const Gradients* gradients) {
  STRAND_CHECK(head_.has_value(), "a model without a token head");
  const int64_t tokens = batch.tokens();
  const Matrix d_hidden = d_hidden_.view(tokens);
  CrossEntropySum sum;
  for (int64_t first = 0; first < tokens; first += options_.head_rows) {
    const int64_t rows = std::min(options_.head_rows, tokens - first);
    const ConstMatrix x = hidden().row_range(first, rows);
    const Matrix logits = logits_.view(rows);
    head_->forward(context, weights, x, logits);
    const CrossEntropySum part =
        cross_entropy(context, logits, batch.targets + first, /*want_gradient=*/gradients != nullptr, nullptr);
    sum.loss += part.loss;
    sum.targets += part.targets;
    if (gradients == nullptr) continue;
    head_->backward(context, weights, *gradients, x, logits, d_hidden.row_range(first, rows));
  }
  if (gradients != nullptr) final_backward(context, weights, d_hidden, *gradients);
  return sum;
}

void Transformer::final_backward(const OpContext& context, const Weights& weights, ConstMatrix d_hidden,
                                 const Gradients& gradients) {
  const Matrix d_x = d_stream_.view(tokens_);
  STRAND_CHECK(d_hidden.rows == tokens_ && d_hidden.cols == config_.hidden && d_hidden.stride == d_hidden.cols);
  if (config_.final_norm) {
    fill_zero(context, d_x.f32(), tokens_ * d_x.cols);
    norm_backward(context, config_, weights, gradients, layout_.final_norm, d_hidden, stream_.back().view(tokens_),
                  final_statistics_, d_x);
  } else if (d_hidden.dtype == DType::kBF16) {
    cast(context, d_hidden.bf16(), tokens_ * d_x.cols, d_x.f32());
  } else {
    copy(context, d_hidden, d_x);
  }
}

void Transformer::backward(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                           const Gradients& gradients) {
  const int64_t tokens = batch.tokens();
  for (size_t l = blocks_.size(); l-- > 0;) {
    block_backward(block_context(context, weights, batch, static_cast<int64_t>(l)), gradients, stream_[l].view(tokens),
                   d_stream_.view(tokens), blocks_[l], scratch_);
  }
  input_.backward(context, weights, batch, gradients, d_stream_.view(tokens));
}

void Transformer::backward_from_hidden(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                                       ConstMatrix d_hidden, const Gradients& gradients) {
  STRAND_CHECK(batch.tokens() == tokens_, "the batch of the last forward has ", tokens_, " tokens");
  final_backward(context, weights, d_hidden, gradients);
  backward(context, weights, batch, gradients);
}

void Transformer::fold_tied(const OpContext& context, const Gradients& gradients) const {
  if (!config_.tied || !head_) return;
  const TensorSlot& output = layout_.head.weight_gradient;
  add(context, gradients.f32 + output.offset, output.rows * output.cols,
      gradients.f32 + layout_.input.embedding.offset);
}

}  // namespace strand
