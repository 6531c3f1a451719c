// The transformer's forward alone, for reading a trained model: the bits of Transformer::forward when evaluating, with
// the memory of one block. Holds activations of one micro batch and no parameters. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "ops/core/context.h"
#include "shared/job_spec/job_spec.h"
#include "worker/model/block.h"
#include "worker/model/input.h"
#include "worker/model/layout.h"

namespace strand {

class ForwardPass {
 public:
  // Micro batches of `rows` rows of `segment` tokens; both must outlive this.
  ForwardPass(const TransformerConfig& config, const ModelLayout& layout, DType dtype, int64_t rows, int64_t segment);

  // Called behind each block of a full forward; queries and keys are rotated.
  using AfterBlock = std::function<void(int64_t layer, const BlockActivations& activations)>;
  // Until the next call: with layer = kFinal Transformer::hidden(), of the activations' type; with a layer in
  // [0, layers] Transformer::hidden(layer), fp32, without computing further.
  static constexpr int64_t kFinal = -1;
  // `attend` takes the place of every block's attention (block.h).
  ConstMatrix forward(const OpContext& context, const Weights& weights, const MicroBatch& batch, int64_t layer = kFinal,
                      const AfterBlock& after_block = nullptr, const Attend& attend = nullptr);

 private:
  BlockContext block_context(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                             int64_t layer) const;

  const TransformerConfig& config_;
  const ModelLayout& layout_;
  InputEmbedding input_;
  Buffer stream_[2];  // fp32 [T, d]: a block's input and its output
  BlockActivations block_;
  BlockScratch scratch_;
  std::vector<float> alibi_slopes_;
  NormStatistics final_statistics_;
  Buffer final_normed_;    // a [T, d], with a final norm
  Rounded final_rounded_;  // without one
};

}  // namespace strand
