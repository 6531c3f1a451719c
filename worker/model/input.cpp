#include "worker/model/input.h"

#include <algorithm>
#include <utility>

#include "ops/dropout/dropout.h"
#include "ops/embedding/embedding.h"
#include "ops/reduce/reduce.h"
#include "ops/residual/residual.h"

namespace strand {

InputEmbedding::InputEmbedding(const TransformerConfig& config, const InputSlots& slots, DType dtype, int64_t rows,
                               int64_t segment, uint64_t seed, size_t held)
    : config_(config), slots_(slots), dtype_(dtype), tokens_(rows * segment), seed_(seed) {
  const int64_t tokens = tokens_, d = config.hidden, e = config.embedding_size();
  STRAND_CHECK(!slots.position.present() || segment <= config.max_sequence, "segment ", segment);
  reserve_slots(held);
  if (config.embedding_norm) d_summed_ = Buffer(DType::kF32, tokens, d);
  if (slots.project_in.present()) {
    d_embedded_ = Buffer(DType::kF32, tokens, e);
    d_projected_a_ = Rounded(dtype, tokens, d);
  }
  if (slots.position.present() || slots.token_type.present()) addend_ = Buffer(DType::kF32, tokens, d);
  if (slots.token_type.present()) type_ids_.assign(static_cast<size_t>(tokens), 0);
}

InputEmbedding::Held InputEmbedding::make_held() const {
  Held made;
  if (config_.embedding_norm) {
    made.summed = Buffer(DType::kF32, tokens_, config_.hidden);
    made.statistics = make_norm_statistics(tokens_);
  }
  if (slots_.project_in.present()) {
    made.embedded = Buffer(DType::kF32, tokens_, config_.embedding_size());
    made.embedded_a = Rounded(dtype_, tokens_, config_.embedding_size());
  }
  if (slots_.position.present()) made.position_ids.resize(static_cast<size_t>(tokens_));
  if (config_.token_dropout) made.token_factors.resize(static_cast<size_t>(tokens_));
  return made;
}

void InputEmbedding::reserve_slots(size_t slots) {
  while (held_.size() < slots) held_.push_back(make_held());
}

void InputEmbedding::drop(const OpContext& context, const MicroBatch& batch, Matrix x) const {
  const double probability = held_[batch.slot].dropout;
  if (probability <= 0) return;
  dropout(context,
          {.probability = static_cast<float>(probability),
           .key = philox_key(seed_, Purpose::kEmbeddingDropout),
           .row_numbers = batch.row_numbers,
           .sequence = batch.segment,
           .layer = 0},
          x);
}

// ESM's constant 0.88 = 1 - 0.15 * 0.8: the share of tokens that its pretraining leaves unmasked.
void InputEmbedding::find_token_factors(const MicroBatch& batch) {
  constexpr float kUnmasked = 1 - 0.15f * 0.8f;
  STRAND_CHECK(batch.lengths != nullptr, "token dropout needs the rows' lengths");
  std::vector<float>& factors = held_[batch.slot].token_factors;
  for (int64_t row = 0; row < batch.rows; ++row) {
    const int32_t* ids = batch.ids + row * batch.segment;
    const int64_t length = std::min<int64_t>(batch.lengths[row], batch.segment);
    const auto masks = static_cast<int64_t>(std::count(ids, ids + length, static_cast<int32_t>(config_.mask_id)));
    const float share = length == 0 ? 0 : static_cast<float>(masks) / static_cast<float>(length);
    const float scale = masks == length ? 0 : kUnmasked / (1 - share);  // all masked: there is nothing to scale
    for (int64_t i = 0; i < batch.segment; ++i) {
      factors[static_cast<size_t>(row * batch.segment + i)] = ids[i] == config_.mask_id ? 0 : scale;
    }
  }
}

void InputEmbedding::find_positions(const MicroBatch& batch) {
  for (int64_t t = 0; t < batch.tokens(); ++t) {
    const int64_t first = batch.first_positions == nullptr ? 0 : batch.first_positions[t / batch.segment];
    const int64_t position = first + t % batch.segment;
    STRAND_CHECK(position < config_.max_sequence, "position ", position);
    held_[batch.slot].position_ids[static_cast<size_t>(t)] = static_cast<int32_t>(position + config_.position_offset);
  }
}

// x += table[ids].
void InputEmbedding::add_rows(const OpContext& context, const std::vector<int32_t>& ids, ConstMatrix table, Matrix x) {
  const Matrix addend = addend_.view(x.rows);
  embedding_forward(context, ids.data(), table, 1.0f, addend);
  residual_add(context, addend, x);
}

void InputEmbedding::forward(const OpContext& context, const Weights& weights, const MicroBatch& batch, double dropout,
                             Matrix x) {
  const int64_t tokens = batch.tokens();
  Held& held = held_[batch.slot];
  held.dropout = dropout;
  const bool projected = slots_.project_in.present();
  const Matrix summed = config_.embedding_norm ? held.summed.view(tokens) : x;
  const Matrix embedded = projected ? held.embedded.view(tokens) : summed;
  embedding_forward(context, batch.ids, weights.matrix(slots_.embedding), config_.embedding_scale, embedded);
  if (config_.token_dropout) {
    find_token_factors(batch);
    scale_rows(context, held.token_factors.data(), embedded);
  }
  if (projected) {
    linear_forward(context, weights, {slots_.project_in, {}}, held.embedded_a.round(context, embedded), summed);
  }
  if (slots_.token_type.present()) add_rows(context, type_ids_, weights.matrix(slots_.token_type), summed);
  if (slots_.position.present()) {
    find_positions(batch);
    add_rows(context, held.position_ids, weights.matrix(slots_.position), summed);
  }
  if (config_.embedding_norm) norm_forward(context, config_, weights, slots_.norm, summed, x, held.statistics);
  drop(context, batch, x);
}

void InputEmbedding::backward(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                              const Gradients& gradients, Matrix d_x) {
  const int64_t tokens = batch.tokens();
  const Held& held = held_[batch.slot];
  drop(context, batch, d_x);
  Matrix d_summed = d_x;
  if (config_.embedding_norm) {
    d_summed = d_summed_.view(tokens);
    fill_zero(context, d_summed.f32(), tokens * d_summed.cols);
    norm_backward(context, config_, weights, gradients, slots_.norm, d_x, held.summed.view(tokens), held.statistics,
                  d_summed);
  }
  if (slots_.position.present()) {
    embedding_backward(context, held.position_ids.data(), d_summed, 1.0f, gradients.matrix(slots_.position));
  }
  if (slots_.token_type.present()) sum_rows(context, d_summed, gradients.f32 + slots_.token_type.offset);
  Matrix d_embedded = d_summed;
  if (slots_.project_in.present()) {
    d_embedded = d_embedded_.view(tokens);
    linear_backward(context, weights, gradients, {slots_.project_in, {}},
                    held.embedded_a.kept(held.embedded.view(tokens)), d_projected_a_.round(context, d_summed),
                    d_embedded);
  }
  if (config_.token_dropout) scale_rows(context, held.token_factors.data(), d_embedded);
  embedding_backward(context, batch.ids, d_embedded, config_.embedding_scale, gradients.matrix(slots_.embedding));
}

}  // namespace strand
