// The head of a finetuned model: how hidden states become outputs, and its parameters. Pure functions of the job.
#pragma once

#include <cstdint>
#include <vector>

#include "shared/job_spec/task_spec.h"

namespace strand {

struct ParameterInfo;  // shared/job_spec/parameter_table.h

enum class Pooling { kCls, kMean, kMax, kLast };

// pool -> dropout -> [linear -> activation -> dropout]* -> linear, for each token instead of a pooled row with
// kClassifyTokens. The published heads:
//
//   OPT (last token -> linear)                           {.pooling = kLast, .bias = false}
//   BERT, DNABERT-2 (dense, tanh, dropout, out)          {.pooling = kCls, .mlp_hidden = {d}, .dropout = 0.1,
//                                                         .input_dropout = false}
//   ESM, Nucleotide Transformer (dropout before, too)    {.pooling = kCls, .mlp_hidden = {d}}
//   AIDO.DNA, linear and MLP over the mean               {.pooling = kCls}, {.pooling = kMean, .mlp_hidden = {128}}
struct HeadSpec {
  TaskKind task = TaskKind::kClassify;
  Pooling pooling = Pooling::kCls;       // not read with kClassifyTokens
  int64_t outputs = 2;                   // classes, labels or numbers
  std::vector<int64_t> mlp_hidden = {};  // widths of the hidden layers; none: one linear layer
  HeadActivation activation = HeadActivation::kTanh;
  bool bias = true;           // of every linear layer
  double dropout = 0;         // before every linear layer
  bool input_dropout = true;  // false: not before the first one
  double init_std = 0.02;     // of the weights; biases start at 0 (BERT, Devlin et al., 2019)
  bool operator==(const HeadSpec&) const = default;
};

// The head a task asks for, on a causal or a bidirectional model. The task must say its outputs.
HeadSpec head_of(const TaskSpec& task, bool causal);

// In order: task.head.0.weight [out, in], task.head.0.bias [out], task.head.1.weight, ... `hidden` is what the head
// reads: TransformerConfig::embedding_size(), so that a model that projects its output (OPT-350M) is read behind its
// projection. first_element counts from 0; the caller moves it behind the model's own parameters.
std::vector<ParameterInfo> head_parameters(const HeadSpec& spec, int64_t hidden);

}  // namespace strand
