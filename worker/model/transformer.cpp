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
      run_(options.run.value_or(whole_model(config))),
      layout_(model_layout(config, table, run_, options.token_head)),
      scratch_(options.scratch) {
  const int64_t tokens = options.rows * options.segment, d = config.hidden;
  STRAND_CHECK(tokens > 0 && config.heads > 0 && d % config.heads == 0, "hidden ", d, " heads ", config.heads);
  STRAND_CHECK(run_.first_block >= 0 && run_.blocks > 0 && run_.end_block() <= config.layers, "blocks from ",
               run_.first_block, " to ", run_.end_block());
  if (run_.has_input) {
    input_.emplace(config, layout_.input, options.dtype, options.rows, options.segment, options.seed, options.slots);
  }
  reserve_slots(options.slots);
  if (scratch_ == nullptr) {
    scratch_ = std::make_shared<TransformerScratch>();
    scratch_->block = make_block_scratch(config, options.dtype, options.rows, options.segment);
    scratch_->d_stream = Buffer(DType::kF32, tokens, d);
  }
  if (options.recompute && scratch_->recomputed.x_mid.rows() == 0) {
    scratch_->recomputed = make_block_activations(config, options.dtype, options.rows, options.segment);
  }
  if (config.positions == PositionKind::kAlibi) alibi_slopes_ = alibi_slopes(config.heads);
  if (!run_.has_output || !options.token_head) return;
  head_.emplace(config, layout_.head, options.dtype, options_.head_rows);
  d_hidden_ = Buffer(options.dtype, tokens, d);
  logits_ = Buffer(DType::kF32, options_.head_rows, config.vocabulary);
}

Transformer::Slot Transformer::make_slot() const {
  const int64_t tokens = options_.rows * options_.segment, d = config_.hidden;
  Slot slot;
  for (int64_t l = 0; l <= run_.blocks; ++l) slot.stream.emplace_back(DType::kF32, tokens, d);
  for (int64_t l = 0; l < run_.blocks; ++l) {
    if (!options_.recompute) {
      slot.blocks.push_back(make_block_activations(config_, options_.dtype, options_.rows, options_.segment));
    }
    if (defers_weights()) {
      slot.deferred.push_back(make_block_deferred(config_, options_.dtype, options_.rows, options_.segment));
    }
  }
  if (!run_.has_output) return slot;
  if (config_.final_norm) {
    slot.final_statistics = make_norm_statistics(tokens);
    slot.final_normed = Buffer(options_.dtype, tokens, d);
  } else {
    slot.final_rounded = Rounded(options_.dtype, tokens, d);
  }
  return slot;
}

void Transformer::reserve_slots(size_t slots) {
  while (slots_.size() < slots) slots_.push_back(make_slot());
  if (input_) input_->reserve_slots(slots);
}

Transformer::Slot& Transformer::slot_of(const MicroBatch& batch) {
  STRAND_CHECK(batch.slot < slots_.size(), "slot ", batch.slot, " of ", slots_.size());
  return slots_[batch.slot];
}

BlockContext Transformer::block_context(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                                        size_t block) const {
  return {.ops = context,
          .config = config_,
          .slots = layout_.blocks[block],
          .weights = weights,
          .batch = batch,
          .alibi_slopes = alibi_slopes_.empty() ? nullptr : alibi_slopes_.data(),
          .layer = run_.first_block + static_cast<int64_t>(block),
          .dropout = slots_[batch.slot].dropout,
          .seed = options_.seed};
}

Matrix Transformer::input(size_t slot, int64_t tokens) {
  STRAND_CHECK(!run_.has_input && slot < slots_.size(), "slot ", slot, " of ", slots_.size());
  return slots_[slot].stream.front().view(tokens);
}

void Transformer::block_forward_at(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                                   size_t block) {
  Slot& slot = slot_of(batch);
  block_forward(block_context(context, weights, batch, block), slot.stream[block].view(slot.tokens),
                slot.stream[block + 1].view(slot.tokens),
                options_.recompute ? scratch_->recomputed : slot.blocks[block], scratch_->block);
}

bool Transformer::forward(const OpContext& context, const Weights& weights, const MicroBatch& batch, Mode mode,
                          const PartNeeded* needed) {
  STRAND_CHECK(batch.segment <= options_.segment && batch.rows <= options_.rows, "rows ", batch.rows, " segment ",
               batch.segment);
  STRAND_CHECK((weights.bf16 != nullptr) == (options_.dtype == DType::kBF16));
  Slot& slot = slot_of(batch);
  slot.tokens = batch.tokens();
  slot.dropout = mode == Mode::kTrain ? config_.dropout : 0;
  const auto here = [&](int64_t part) { return needed == nullptr || (*needed)(part); };
  if (input_) {
    if (!here(kInputPart)) return false;
    input_->forward(context, weights, batch, mode == Mode::kTrain ? config_.embedding_dropout : 0,
                    slot.stream.front().view(slot.tokens));
  }
  for (size_t block = 0; block < layout_.blocks.size(); ++block) {
    if (!here(run_.first_block + static_cast<int64_t>(block))) return false;
    block_forward_at(context, weights, batch, block);
  }
  if (!run_.has_output) return true;
  if (!here(output_part(config_))) return false;
  const Matrix last = slot.stream.back().view(slot.tokens);
  if (config_.final_norm) {
    norm_forward(context, config_, weights, layout_.final_norm, last, slot.final_normed.view(slot.tokens),
                 slot.final_statistics);
  } else {
    (void)slot.final_rounded.round(context, last);
  }
  return true;
}

ConstMatrix Transformer::final_hidden(size_t slot) const {
  STRAND_CHECK(run_.has_output && slot < slots_.size(), "slot ", slot, " of ", slots_.size());
  const Slot& of = slots_[slot];
  if (config_.final_norm) return of.final_normed.view(of.tokens);
  return of.final_rounded.kept(of.stream.back().view(of.tokens));
}

ConstMatrix Transformer::hidden(int64_t layer, size_t slot) const {
  STRAND_CHECK(run_.first_block <= layer && layer <= run_.end_block() && slot < slots_.size(), "layer ", layer,
               " slot ", slot);
  const Slot& of = slots_[slot];
  return of.stream[static_cast<size_t>(layer - run_.first_block)].view(of.tokens);
}

void Transformer::logits(const OpContext& context, const Weights& weights, const MicroBatch& batch, Matrix out) {
  STRAND_CHECK(head_.has_value(), "a model without a token head");
  const int64_t tokens = batch.tokens();
  for (int64_t first = 0; first < tokens; first += options_.head_rows) {
    const int64_t rows = std::min(options_.head_rows, tokens - first);
    head_->forward(context, weights, hidden(batch).row_range(first, rows), out.row_range(first, rows));
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
    const ConstMatrix x = hidden(batch).row_range(first, rows);
    const Matrix logits = logits_.view(rows);
    head_->forward(context, weights, x, logits);
    const CrossEntropySum part =
        cross_entropy(context, logits, batch.targets + first, /*want_gradient=*/gradients != nullptr, nullptr);
    sum.loss += part.loss;
    sum.targets += part.targets;
    if (gradients == nullptr) continue;
    head_->backward(context, weights, *gradients, x, logits, d_hidden.row_range(first, rows));
  }
  if (gradients != nullptr) start_backward(context, weights, batch, d_hidden, *gradients);
  return sum;
}

void Transformer::start_backward(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                                 ConstMatrix d_hidden, const Gradients& gradients) {
  const Slot& slot = slot_of(batch);
  const Matrix d_x = d_stream(slot.tokens);
  STRAND_CHECK(run_.has_output && d_hidden.rows == slot.tokens && d_hidden.cols == config_.hidden &&
               d_hidden.stride == d_hidden.cols);
  if (config_.final_norm) {
    fill_zero(context, d_x.f32(), slot.tokens * d_x.cols);
    norm_backward(context, config_, weights, gradients, layout_.final_norm, d_hidden,
                  slot.stream.back().view(slot.tokens), slot.final_statistics, d_x);
  } else if (d_hidden.dtype == DType::kBF16) {
    cast(context, d_hidden.bf16(), slot.tokens * d_x.cols, d_x.f32());
  } else {
    copy(context, d_hidden, d_x);
  }
}

void Transformer::backward(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                           const Gradients& gradients, const PartDone* done) {
  Slot& slot = slot_of(batch);
  STRAND_CHECK(batch.tokens() == slot.tokens, "the slot's last forward had ", slot.tokens, " tokens");
  const Matrix d_x = d_stream(slot.tokens);
  for (size_t block = layout_.blocks.size(); block-- > 0;) {
    // Writes the next block's input once more: the same bits.
    if (options_.recompute) block_forward_at(context, weights, batch, block);
    block_backward(block_context(context, weights, batch, block), gradients, slot.stream[block].view(slot.tokens), d_x,
                   options_.recompute ? scratch_->recomputed : slot.blocks[block], scratch_->block,
                   defers_weights() ? &slot.deferred[block] : nullptr);
    if (done != nullptr && !defers_weights()) (*done)(run_.first_block + static_cast<int64_t>(block));
  }
  if (!input_) return;
  input_->backward(context, weights, batch, gradients, d_x);
  if (done != nullptr) (*done)(kInputPart);
}

void Transformer::backward_weight(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                                  const Gradients& gradients, const PartDone* done) {
  if (!defers_weights()) return;
  const Slot& slot = slot_of(batch);
  for (size_t block = layout_.blocks.size(); block-- > 0;) {
    block_backward_weight(block_context(context, weights, batch, block), gradients,
                          slot.stream[block].view(slot.tokens), slot.blocks[block], slot.deferred[block]);
    if (done != nullptr) (*done)(run_.first_block + static_cast<int64_t>(block));
  }
}

void Transformer::backward_from_hidden(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                                       ConstMatrix d_hidden, const Gradients& gradients) {
  start_backward(context, weights, batch, d_hidden, gradients);
  backward(context, weights, batch, gradients);
}

void Transformer::fold_tied(const OpContext& context, const Gradients& gradients) const {
  if (!config_.tied || !head_ || run_.borrows_embedding) return;
  const TensorSlot& output = layout_.head.weight_gradient;
  add(context, gradients.f32 + output.offset, output.rows * output.cols, gradients.f32 + layout_.head.weight.offset);
}

}  // namespace strand
