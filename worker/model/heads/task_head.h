// The head of a finetuned model, on the transformer's final hidden states: pooling, dropout, linear layers, loss. Holds
// activations of one micro batch and no parameters, as the transformer does. Not thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/core/context.h"
#include "ops/core/loss_sum.h"
#include "shared/job_spec/head_spec.h"
#include "shared/job_spec/parameter_table.h"
#include "worker/model/buffer.h"
#include "worker/model/layers.h"
#include "worker/model/layout.h"
#include "worker/model/transformer.h"

namespace strand {

struct TaskHeadOptions {
  DType dtype = DType::kF32;  // of the hidden states, matrix inputs and stored activations
  int64_t rows = 1;           // largest micro batch
  int64_t segment = 1;        // tokens a row
  uint64_t seed = 0;          // of dropout
};

// The rows of one forward, as the head sees them.
struct HeadBatch {
  int64_t rows = 0, segment = 0;
  const int64_t* row_numbers = nullptr;  // [rows]: the key of dropout
  // [rows]: tokens [begin, end) of a row are pooled (ops/pooling/pooling.h); null: 0 and segment. end alone: lengths.
  const int32_t* begin = nullptr;
  const int32_t* end = nullptr;
  // The labels, read by loss(). Classes: [rows], or [rows * segment] with kClassifyTokens; kIgnoredTarget where there
  // is none (also for padding and special tokens). Values: [rows, outputs] with kMultiLabel (0 to 1) and kRegress
  // (z-scored by the caller); NaN where there is none.
  const int32_t* classes = nullptr;
  const float* values = nullptr;
};

// Gradients and loss are sums over labels, divided by nobody here.
class TaskHead {
 public:
  // `table` holds the model's parameters and the head's (head_parameters), wherever they stand in it. A model that
  // projects its output is read behind its head.project_out, which then takes gradients from here.
  TaskHead(const HeadSpec& spec, const TransformerConfig& config, const std::vector<ParameterInfo>& table,
           const TaskHeadOptions& options);

  // hidden [rows * segment, d], of the options' dtype: Transformer::hidden(). Dropout only when training.
  void forward(const OpContext& context, const Weights& weights, const HeadBatch& batch, ConstMatrix hidden, Mode mode);
  // After forward, until loss: fp32 [rows, outputs], or [rows * segment, outputs] with kClassifyTokens. Logits, for
  // kRegress the values themselves.
  ConstMatrix logits() const;
  // After forward, once: cross entropy (softmax or, with kMultiLabel, of each label), or squared error. Their gradient
  // takes the logits' place when wanted.
  LossSum loss(const OpContext& context, const HeadBatch& batch, bool want_gradient);
  // After loss with its gradient, on the same hidden states: adds to the gradients of the head and overwrites d_hidden,
  // of hidden's shape and dtype; tokens nothing was read from take zero. What Transformer::backward_from_hidden wants.
  void backward(const OpContext& context, const Weights& weights, const HeadBatch& batch, ConstMatrix hidden,
                const Gradients& gradients, Matrix d_hidden);

 private:
  // A linear layer; `a` is the activations' type and T the pooled rows, or tokens with kClassifyTokens.
  struct Layer {
    AffineSlots slots;
    bool drops = false;      // dropout on its input
    bool activates = false;  // the activation on its output
    Buffer in, d_in;         // a [T, in]; after dropout. The gradient of the first layer's goes elsewhere
    Buffer out, d_out;       // a [T, out], before the activation; only where there is one
  };
  Layer make_layer(const std::vector<ParameterInfo>& table, const std::string& name, int64_t out, int64_t in,
                   bool bias) const;
  int64_t feature_rows(const HeadBatch& batch) const { return by_token() ? batch.rows * batch.segment : batch.rows; }
  bool by_token() const { return spec_.task == TaskKind::kClassifyTokens; }
  void read_features(const OpContext& context, const HeadBatch& batch, ConstMatrix hidden);
  void drop(const OpContext& context, const HeadBatch& batch, size_t layer, Matrix x) const;

  HeadSpec spec_;
  TaskHeadOptions options_;
  int64_t hidden_ = 0;
  std::vector<Layer> layers_;
  Buffer pooled_, d_pooled_;  // fp32 [rows, d]; not with kClassifyTokens, the first in bf16 mode only
  Buffer logits_;             // fp32 [T, outputs]
  Rounded d_logits_;          // a [T, outputs]
  int64_t rows_ = 0;          // feature rows of the forward at hand
  double dropout_ = 0;        // likewise
};

}  // namespace strand
