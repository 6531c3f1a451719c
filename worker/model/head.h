// From final hidden states to logits over the vocabulary, a chunk of rows at a time:
//   language model: logits = E (P h) + b;  masked LM: the same of z = norm(GELU(W h + c)) in place of h.
// P only with a projected embedding, b only with head_bias.
#pragma once

#include <cstdint>

#include "ops/core/context.h"
#include "shared/job_spec/job_spec.h"
#include "worker/model/buffer.h"
#include "worker/model/layers.h"
#include "worker/model/layout.h"

namespace strand {

// Rows of logits at a time for a vocabulary: a pure function of the shape.
int64_t head_chunk_rows(int64_t vocabulary, int64_t tokens);

// Holds what the backward pass needs of one chunk, and no parameters.
class TokenHead {
 public:
  // Chunks of at most `rows` rows; dtype: of matrix inputs.
  TokenHead(const TransformerConfig& config, const HeadSlots& slots, DType dtype, int64_t rows);

  // hidden: [n, d] of the activations' type; logits: fp32 [n, V].
  void forward(const OpContext& context, const Weights& weights, ConstMatrix hidden, Matrix logits);
  // After forward of the same rows. d_logits: fp32 [n, V]; d_hidden: [n, d] of the activations' type, overwritten.
  // Adds to the gradients.
  void backward(const OpContext& context, const Weights& weights, const Gradients& gradients, ConstMatrix hidden,
                ConstMatrix d_logits, Matrix d_hidden);

 private:
  // The input of projection or output matrix: hidden itself, or z.
  ConstMatrix transformed(ConstMatrix hidden) const;
  ConstMatrix projected(ConstMatrix hidden) const;

  TransformerConfig config_;
  HeadSlots slots_;
  Buffer linear_, gelu_, d_gelu_, d_linear_;  // fp32 [n, d]
  Buffer z_, d_z_;                            // a [n, d]
  NormStatistics statistics_;
  Buffer projected_, d_projected_;  // a [n, e]
  Rounded d_linear_a_, d_logits_a_;
};

}  // namespace strand
