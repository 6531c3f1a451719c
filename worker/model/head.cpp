// The output matrix and the loss, in chunks of rows: logits of a large vocabulary exist for one chunk at a time, and
// their gradient takes their place.
#include <algorithm>

#include "ops/cast/cast.h"
#include "ops/matmul/matmul.h"
#include "worker/model/layers.h"
#include "worker/model/transformer.h"

namespace strand {

int64_t head_chunk_rows(int64_t vocabulary, int64_t tokens) {
  constexpr int64_t kLogits = int64_t{4} << 20;  // 16 MiB of fp32
  const int64_t rows = std::max<int64_t>(kLogits / vocabulary / 256 * 256, 256);
  return std::min(rows, tokens);
}

void Transformer::logits(const OpContext& context, const Weights& weights, const MicroBatch& batch, Matrix out) {
  matmul(context,
         {.a = final_normed_.view(batch.tokens()), .b = weights.matrix(layout_.head), .c = out, .transpose_b = true});
}

CrossEntropySum Transformer::loss(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                                  const Gradients* gradients) {
  const int64_t tokens = batch.tokens();
  const Matrix normed = final_normed_.view(tokens), d_normed = d_final_normed_.view(tokens);
  const ConstMatrix head = weights.matrix(layout_.head);
  CrossEntropySum sum;
  for (int64_t first = 0; first < tokens; first += options_.head_rows) {
    const int64_t rows = std::min(options_.head_rows, tokens - first);
    const ConstMatrix x = normed.row_range(first, rows);
    const Matrix logits = logits_.view(rows);
    matmul(context, {.a = x, .b = head, .c = logits, .transpose_b = true});
    const CrossEntropySum part =
        cross_entropy(context, logits, batch.targets + first, /*want_gradient=*/gradients != nullptr, nullptr);
    sum.loss += part.loss;
    sum.targets += part.targets;
    if (gradients == nullptr) continue;
    ConstMatrix d_logits = logits;
    if (options_.dtype == DType::kBF16) {
      cast(context, logits.f32(), rows * logits.cols, d_logits_.view(rows).bf16());
      d_logits = d_logits_.view(rows);
    }
    matmul(context, {.a = d_logits,
                     .b = x,
                     .c = gradients->matrix(layout_.head_gradient),
                     .transpose_a = true,
                     .accumulate = true});
    matmul(context, {.a = d_logits, .b = head, .c = d_normed.row_range(first, rows)});
  }
  if (gradients != nullptr) {
    const Matrix d_x = d_stream_.view(tokens);
    fill_zero(context, d_x.f32(), tokens * d_x.cols);
    norm_backward(context, config_, weights, *gradients, layout_.final_norm, d_normed, stream_.back().view(tokens),
                  final_statistics_, d_x);
  }
  return sum;
}

}  // namespace strand
