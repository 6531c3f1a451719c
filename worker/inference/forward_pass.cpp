#include "worker/inference/forward_pass.h"

#include "worker/model/branches.h"
#include "worker/model/layers.h"

namespace strand {

ForwardPass::ForwardPass(const TransformerConfig& config, const ModelLayout& layout, DType dtype, int64_t rows,
                         int64_t segment)
    : config_(config), layout_(layout), input_(config, layout.input, dtype, rows, segment, /*seed=*/0) {
  const int64_t tokens = rows * segment, d = config.hidden;
  for (Buffer& stream : stream_) stream = Buffer(DType::kF32, tokens, d);
  block_ = make_block_activations(config, dtype, rows, segment);
  scratch_.branch = Buffer(dtype, tokens, d);  // all that a forward uses of it
  if (config.positions == PositionKind::kAlibi) alibi_slopes_ = alibi_slopes(config.heads);
  if (config.final_norm) {
    final_statistics_ = make_norm_statistics(tokens);
    final_normed_ = Buffer(dtype, tokens, d);
  } else {
    final_rounded_ = Rounded(dtype, tokens, d);
  }
}

BlockContext ForwardPass::block_context(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                                        int64_t layer) const {
  return {.ops = context,
          .config = config_,
          .slots = layout_.blocks[static_cast<size_t>(layer)],
          .weights = weights,
          .batch = batch,
          .alibi_slopes = alibi_slopes_.empty() ? nullptr : alibi_slopes_.data(),
          .layer = layer};
}

ConstMatrix ForwardPass::forward(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                                 int64_t layer, const AfterBlock& after_block, const Attend& attend) {
  const int64_t tokens = batch.tokens(), blocks = layer == kFinal ? config_.layers : layer;
  STRAND_CHECK(blocks >= 0 && blocks <= config_.layers, "layer ", layer);
  input_.forward(context, weights, batch, /*dropout=*/0, stream_[0].view(tokens));
  for (int64_t l = 0; l < blocks; ++l) {
    BlockContext block = block_context(context, weights, batch, l);
    if (attend) block.attend = &attend;
    block_forward(block, stream_[l % 2].view(tokens), stream_[(l + 1) % 2].view(tokens), block_, scratch_);
    if (after_block) after_block(l, block_);
  }
  const Matrix last = stream_[blocks % 2].view(tokens);
  if (layer != kFinal) return last;
  if (!config_.final_norm) return final_rounded_.round(context, last);
  norm_forward(context, config_, weights, layout_.final_norm, last, final_normed_.view(tokens), final_statistics_);
  return final_normed_.view(tokens);
}

}  // namespace strand
