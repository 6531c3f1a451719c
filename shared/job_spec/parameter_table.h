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

// Order and names (V vocabulary, d hidden, e embedding_size(), m mlp_hidden; norms have a weight and a bias with
// kLayer, a weight only with kRms, neither with kLayerNoAffine):
//
//   embedding.weight                                     [V, e]
//   embedding.project_in.weight                          [d, e]              only when e is not d
//   token_type.weight                                    [token_types, d]    only with token types
//   position.weight                                      [max_sequence + position_offset, d]  learned positions only
//   embedding_norm.weight, .bias                         [d]                 only with embedding_norm
//   blocks.N.attention_norm.weight, .bias                [d]
//   blocks.N.attention.qkv.weight, .bias                 [3d, d], [3d]       bias: config.bias
//   blocks.N.attention.out.weight, .bias                 [d, d], [d]         bias: config.bias
//   blocks.N.mlp_norm.weight, .bias                      [d]
//   blocks.N.mlp.up.weight, .bias                        [2m, d], [2m] SwiGLU and GeGLU: linear half, then gate;
//                                                        else [m, d], [m]    bias: config.mlp_up_bias
//   blocks.N.mlp.down.weight, .bias                      [d, m], [d]         bias: config.mlp_down_bias
//   final_norm.weight, .bias                             [d]                 only with final_norm
//   head.project_out.weight                              [e, d]              only when e is not d
//   head.transform.weight, .bias                         [d, d], [d]         masked-LM head only
//   head.transform_norm.weight, .bias                    [d]                 masked-LM head only
//   head.weight                                          [V, e]              only when not tied
//   head.bias                                            [V]                 only with head_bias
std::vector<ParameterInfo> parameter_table(const TransformerConfig& config);
int64_t parameter_count(const TransformerConfig& config);

// The parameters that a job trains: of pretraining those of its model. Of finetuning the model's without what turns
// hidden states into tokens (head.*, except head.project_out, behind which a task's head reads), then the task's head
// (task.head.*, head_spec.h).
std::vector<ParameterInfo> job_parameter_table(const JobSpec& spec);
int64_t job_parameter_count(const JobSpec& spec);

// Training FLOPs per predicted token: 6 x matrix parameters (output matrix counted, embedding look-up not) plus
// attention 12 x layers x hidden x sequence (halved when causal).
double flops_per_token(const TransformerConfig& config, int64_t sequence);
// The same of a job with rows of data.segment tokens: a finetuned model has no output matrix, and every real token of
// a row counts. The task's head, once a row, is left out.
double job_flops_per_token(const JobSpec& spec);
// Its parts, exact whole numbers: input + layers x block + output. Input: the embedding's projection, where it has one.
// Output: what stands behind the last block.
struct FlopsParts {
  double input = 0, block = 0, output = 0;
};
FlopsParts job_flops_parts(const JobSpec& spec);
// Bytes one worker needs, an estimate from above without the kernels' scratch. State: 12 a parameter (fp32 weight and
// two moments) and 12 for the checkpoint's copy, 2 more in bf16, and 4 for each gradient buffer (one a level of the
// lane tree and one at work; a tied matrix counts twice). Activations of one micro batch, a token and block: 8 d for
// the residual stream in fp32 (16 d with norms after the branches) and 6 d + 3 m elements (2 m without a gate); 16 d
// around the blocks, 8 d more where more than a token's own embedding comes in and 20 d more for a masked-LM head. With
// recompute a block keeps 4 d, and one of them all the rest.
// Finetuning keeps the best weights, 4 a parameter, and has neither head nor a second use of a tied matrix.
// precision = "auto" counts as fp32.
uint64_t memory_bytes(const JobSpec& spec);

}  // namespace strand
