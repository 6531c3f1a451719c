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

// Order and names (V vocabulary, d hidden, m mlp_hidden; a bias only with config.bias, a norm's bias only with kLayer,
// no norm parameters at all with kLayerNoAffine):
//
//   embedding.weight                                     [V, d]
//   position.weight                                      [max_sequence, d]   learned positions only
//   blocks.N.attention_norm.weight, .bias                [d]
//   blocks.N.attention.qkv.weight, .bias                 [3d, d], [3d]
//   blocks.N.attention.out.weight, .bias                 [d, d], [d]
//   blocks.N.mlp_norm.weight, .bias                      [d]
//   blocks.N.mlp.up.weight, .bias                        [2m, d], [2m] SwiGLU: linear half, then gate; else [m, d], [m]
//   blocks.N.mlp.down.weight, .bias                      [d, m], [d]
//   final_norm.weight, .bias                             [d]
//   head.weight                                          [V, d]              only when not tied
std::vector<ParameterInfo> parameter_table(const TransformerConfig& config);
int64_t parameter_count(const TransformerConfig& config);

// Training FLOPs per predicted token: 6 x matrix parameters (output matrix counted, embedding look-up not) plus
// attention 12 x layers x hidden x sequence (halved when causal).
double flops_per_token(const TransformerConfig& config, int64_t sequence);
// Bytes one worker needs, an estimate from above without the kernels' scratch. State: 12 a parameter (fp32 weight and
// two moments) and 12 for the checkpoint's copy, 2 more in bf16, and 4 for each gradient buffer (one a level of the
// lane tree and one at work; a tied matrix counts twice). Activations of one micro batch, a token and block: 8 d for
// the residual stream in fp32 and 6 d + 3 m elements (2 m without SwiGLU); 16 d around the blocks. precision = "auto"
// counts as fp32.
uint64_t memory_bytes(const JobSpec& spec);

}  // namespace strand
