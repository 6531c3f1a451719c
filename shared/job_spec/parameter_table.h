// The ordered list of a model's parameters: what the coordinator plans with, the worker allocates and checkpoints name.
// Pure function of the configuration.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shared/job_spec/job_spec.h"

namespace strand {

enum class InitRule { kTruncatedNormal, kOnes, kZeros };
enum class DecayGroup { kMatrix, kEmbedding, kNormOrBias };

struct ParameterInfo {
  std::string name;            // "blocks.0.attention.qkv.weight"; see parameter_table.cpp for all of them
  std::vector<int64_t> shape;  // row-major
  InitRule init = InitRule::kTruncatedNormal;
  double init_std = 0;  // truncated at +-3 std
  DecayGroup decay = DecayGroup::kMatrix;
  int64_t first_element = 0;  // offset in the flat order; tensors are contiguous, not padded
  int64_t elements = 0;
};

// Order and names:
//   embedding.weight [V, d]; position.weight [max_sequence, d] (learned positions)
//   blocks.N.attention_norm.weight [d] (rms, layer) .bias [d] (layer); blocks.N.attention.qkv.weight [3d, d] (+ .bias
//   [3d]) blocks.N.attention.out.weight [d, d] (+ .bias); blocks.N.mlp_norm.weight (+ .bias) blocks.N.mlp.up.weight
//   [2m, d] for SwiGLU (linear half first, then gate), [m, d] otherwise (+ .bias) blocks.N.mlp.down.weight [d, m] (+
//   .bias); final_norm.weight (+ .bias); head.weight [V, d] when not tied
std::vector<ParameterInfo> parameter_table(const TransformerConfig& config);
int64_t parameter_count(const TransformerConfig& config);

// Training FLOPs per predicted token: 6 x matrix parameters (output matrix counted, embedding look-up not) plus
// attention 12 x layers x hidden x sequence (halved when causal).
double flops_per_token(const TransformerConfig& config, int64_t sequence);
// Bytes one worker needs: weights, gradients, moments, bf16 copies, activations of one micro batch.
uint64_t memory_bytes(const JobSpec& spec);

}  // namespace strand
