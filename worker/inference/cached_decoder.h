// One token at a time through a causal model, over the keys and values of the tokens before it.
// The logits are those of a forward over the whole row, but for rounding: sums have another order.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "worker/inference/forward_pass.h"
#include "worker/inference/model_runner.h"

namespace strand {

// kSlots rows side by side, always: the products of a step then have one shape, and what a row comes to does not depend
// on its neighbours. Not thread-safe.
class CachedDecoder {
 public:
  static constexpr int64_t kSlots = 8;

  // kBadInput for a model that is not causal, or whose embeddings depend on the whole row (token dropout).
  static Status supports(const TransformerConfig& config);
  // Room for `capacity` tokens a slot: 2 x layers x kSlots x capacity x hidden elements of the activations' type.
  CachedDecoder(ModelRunner& runner, int64_t capacity);

  // Begins slot `slot` anew with these tokens, one forward of them all. Logits fp32 [V] behind the last one, until the
  // next call. 1 to capacity tokens.
  std::span<const float> begin(int64_t slot, std::span<const int32_t> ids);
  // Appends one token to every slot that has begun (another's is not read): logits fp32 [kSlots, V] behind it, until
  // the next call. Slots at their capacity stay as they are, and so do those whose token is kNone.
  static constexpr int32_t kNone = -1;
  ConstMatrix step(std::span<const int32_t> ids);

  int64_t length(int64_t slot) const { return lengths_[static_cast<size_t>(slot)]; }
  static uint64_t cache_bytes(const TransformerConfig& config, DType dtype, int64_t capacity);

 private:
  void attend(const BlockContext& block, ConstMatrix input, Matrix branch, BlockActivations& saved);
  void find_angles();
  void rotate(const TransformerConfig& config, Matrix qkv) const;
  // Rows [slot * capacity, ...) of a layer's cache.
  Matrix slot_rows(const std::vector<Buffer>& cache, int64_t layer, int64_t slot, int64_t first, int64_t count) const;

  ModelRunner& runner_;
  int64_t capacity_;
  ForwardPass pass_;                   // kSlots rows of one token
  std::vector<Buffer> keys_, values_;  // of each layer: a [kSlots * capacity, d]
  std::vector<int64_t> lengths_;       // tokens in the cache
  std::vector<bool> active_;           // in the step at hand
  std::vector<int32_t> ids_, positions_, row_lengths_;
  std::vector<float> frequencies_, cosines_, sines_;  // of RoPE; the last two [kSlots, head size / 2]
};

}  // namespace strand
