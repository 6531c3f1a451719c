// From token ids to the residual stream:
//   x = dropout(norm(scale E[id] (P) + T[0] + position)), each part as the configuration has it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/core/context.h"
#include "shared/job_spec/job_spec.h"
#include "worker/model/buffer.h"
#include "worker/model/layers.h"
#include "worker/model/layout.h"
#include "worker/model/micro_batch.h"

namespace strand {

// Holds what the backward pass needs of a forward, for each slot of micro batches (MicroBatch::slot), and no
// parameters.
class InputEmbedding {
 public:
  // `rows` of `segment` tokens at most; dtype: of matrix inputs; seed: of dropout.
  InputEmbedding(const TransformerConfig& config, const InputSlots& slots, DType dtype, int64_t rows, int64_t segment,
                 uint64_t seed, size_t held = 1);

  // x: fp32 [T, d]. dropout: 0 when evaluating.
  void forward(const OpContext& context, const Weights& weights, const MicroBatch& batch, double dropout, Matrix x);
  // After forward of the same batch. d_x: fp32 [T, d], the gradient of x, overwritten. Adds to the gradients.
  void backward(const OpContext& context, const Weights& weights, const MicroBatch& batch, const Gradients& gradients,
                Matrix d_x);
  // At least so many slots. Those that are there keep what they hold.
  void reserve_slots(size_t slots);

 private:
  // Of one slot.
  struct Held {
    double dropout = 0;
    Buffer summed;       // fp32 [T, d]: before the norm
    Buffer embedded;     // fp32 [T, e]: before the projection
    Rounded embedded_a;  // of it
    NormStatistics statistics;
    std::vector<int32_t> position_ids;
    std::vector<float> token_factors;  // [T], token dropout only
  };
  Held make_held() const;
  void drop(const OpContext& context, const MicroBatch& batch, Matrix x) const;
  void find_token_factors(const MicroBatch& batch);
  void find_positions(const MicroBatch& batch);
  void add_rows(const OpContext& context, const std::vector<int32_t>& ids, ConstMatrix table, Matrix x);

  TransformerConfig config_;
  InputSlots slots_;
  DType dtype_;
  int64_t tokens_;  // at most
  uint64_t seed_;
  std::vector<Held> held_;
  Buffer d_summed_, d_embedded_;  // as summed and embedded
  Rounded d_projected_a_;
  Buffer addend_;  // fp32 [T, d]: rows of a table
  std::vector<int32_t> type_ids_;
};

}  // namespace strand
