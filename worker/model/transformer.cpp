#include "worker/model/transformer.h"

#include "ops/dropout/dropout.h"
#include "ops/embedding/embedding.h"
#include "ops/reduce/reduce.h"
#include "ops/residual/residual.h"
#include "worker/model/layers.h"

namespace strand {

Transformer::Transformer(const TransformerConfig& config, const std::vector<ParameterInfo>& table,
                         const TransformerOptions& options)
    : config_(config), options_(options), layout_(model_layout(config, table)) {
  const int64_t tokens = options.rows * options.segment, d = config.hidden;
  STRAND_CHECK(tokens > 0 && config.heads > 0 && d % config.heads == 0, "hidden ", d, " heads ", config.heads);
  for (int64_t l = 0; l <= config.layers; ++l) stream_.emplace_back(DType::kF32, tokens, d);
  for (int64_t l = 0; l < config.layers; ++l) {
    blocks_.push_back(make_block_activations(config, options.dtype, options.rows, options.segment));
  }
  scratch_ = make_block_scratch(config, options.dtype, options.rows, options.segment);
  final_statistics_ = make_norm_statistics(tokens);
  final_normed_ = Buffer(options.dtype, tokens, d);
  d_final_normed_ = Buffer(options.dtype, tokens, d);
  d_stream_ = Buffer(DType::kF32, tokens, d);
  if (options_.head_rows == 0) options_.head_rows = head_chunk_rows(config.vocabulary, tokens);
  logits_ = Buffer(DType::kF32, options_.head_rows, config.vocabulary);
  if (options.dtype == DType::kBF16) d_logits_ = Buffer(DType::kBF16, options_.head_rows, config.vocabulary);
  if (config.positions == PositionKind::kLearned) {
    STRAND_CHECK(options.segment <= config.max_sequence, "segment ", options.segment);
    positions_ = Buffer(DType::kF32, tokens, d);
    for (int64_t t = 0; t < tokens; ++t) position_ids_.push_back(static_cast<int32_t>(t % options.segment));
  }
}

BlockContext Transformer::block_context(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                                        int64_t layer) const {
  return {.ops = context,
          .config = config_,
          .slots = layout_.blocks[static_cast<size_t>(layer)],
          .weights = weights,
          .batch = batch,
          .layer = layer,
          .dropout = dropout_,
          .seed = options_.seed};
}

void Transformer::embedding_dropout(const OpContext& context, const MicroBatch& batch, Matrix x) const {
  if (dropout_ <= 0) return;
  dropout(context,
          {.probability = static_cast<float>(dropout_),
           .key = philox_key(options_.seed, Purpose::kEmbeddingDropout),
           .row_numbers = batch.row_numbers,
           .sequence = batch.segment,
           .layer = 0},
          x);
}

void Transformer::embed(const OpContext& context, const Weights& weights, const MicroBatch& batch, Matrix x) {
  embedding_forward(context, batch.ids, weights.matrix(layout_.embedding), config_.embedding_scale, x);
  if (layout_.position.present()) {
    const Matrix positions = positions_.view(batch.tokens());
    embedding_forward(context, position_ids_.data(), weights.matrix(layout_.position), 1.0f, positions);
    residual_add(context, positions, x);
  }
  embedding_dropout(context, batch, x);
}

void Transformer::embed_backward(const OpContext& context, const MicroBatch& batch, const Gradients& gradients) {
  const Matrix d_x = d_stream_.view(batch.tokens());
  embedding_dropout(context, batch, d_x);
  if (layout_.position.present()) {
    embedding_backward(context, position_ids_.data(), d_x, 1.0f, gradients.matrix(layout_.position));
  }
  embedding_backward(context, batch.ids, d_x, config_.embedding_scale, gradients.matrix(layout_.embedding));
}

void Transformer::forward(const OpContext& context, const Weights& weights, const MicroBatch& batch, Mode mode) {
  STRAND_CHECK(batch.segment == options_.segment && batch.rows <= options_.rows, "rows ", batch.rows, " segment ",
               batch.segment);
  STRAND_CHECK((weights.bf16 != nullptr) == (options_.dtype == DType::kBF16));
  const int64_t tokens = batch.tokens();
  dropout_ = mode == Mode::kTrain ? config_.dropout : 0;
  embed(context, weights, batch, stream_.front().view(tokens));
  for (size_t l = 0; l < blocks_.size(); ++l) {
    block_forward(block_context(context, weights, batch, static_cast<int64_t>(l)), stream_[l].view(tokens),
                  stream_[l + 1].view(tokens), blocks_[l], scratch_);
  }
  norm_forward(context, config_, weights, layout_.final_norm, stream_.back().view(tokens), final_normed_.view(tokens),
               final_statistics_);
}

void Transformer::backward(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                           const Gradients& gradients) {
  const int64_t tokens = batch.tokens();
  for (size_t l = blocks_.size(); l-- > 0;) {
    block_backward(block_context(context, weights, batch, static_cast<int64_t>(l)), gradients, stream_[l].view(tokens),
                   d_stream_.view(tokens), blocks_[l], scratch_);
  }
  embed_backward(context, batch, gradients);
}

void Transformer::fold_tied(const OpContext& context, const Gradients& gradients) const {
  if (!config_.tied) return;
  const TensorSlot& output = layout_.head_gradient;
  add(context, gradients.f32 + output.offset, output.rows * output.cols, gradients.f32 + layout_.embedding.offset);
}

}  // namespace strand
