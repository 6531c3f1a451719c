#include "worker/model/heads/task_head.h"

#include <algorithm>
#include <cstring>

#include "ops/activation/activation.h"
#include "ops/bce/bce.h"
#include "ops/cast/cast.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "ops/dropout/dropout.h"
#include "ops/mse/mse.h"
#include "ops/pooling/pooling.h"
#include "worker/model/layers.h"

namespace strand {
namespace {

PoolingKind kind_of(Pooling pooling) {
  switch (pooling) {
    case Pooling::kCls: return PoolingKind::kCls;
    case Pooling::kMean: return PoolingKind::kMean;
    case Pooling::kMax: return PoolingKind::kMax;
    case Pooling::kLast: break;
  }
  return PoolingKind::kLast;
}

Activation activation_of(HeadActivation activation) {
  switch (activation) {
    case HeadActivation::kTanh: return Activation::kTanh;
    case HeadActivation::kGelu: return Activation::kGelu;
    case HeadActivation::kRelu: break;
  }
  return Activation::kRelu;
}

PoolingShape pooling_shape(const HeadSpec& spec, const HeadBatch& batch) {
  return {kind_of(spec.pooling), batch.rows, batch.segment, batch.begin, batch.end};
}

TensorSlot find_slot(const std::vector<ParameterInfo>& table, const std::string& name, int64_t rows, int64_t cols) {
  const auto found = std::find_if(table.begin(), table.end(), [&](const ParameterInfo& p) { return p.name == name; });
  STRAND_CHECK(found != table.end(), "no parameter ", name);
  STRAND_CHECK(found->elements == rows * cols, name, " has ", found->elements, " elements, expected ", rows, " x ",
               cols);
  return {found->first_element, rows, cols};
}

// body(first row, rows) for pieces of a matrix without gaps, in parallel.
template <class Body>
void for_pieces(const OpContext& context, ConstMatrix x, const Body& body) {
  constexpr int64_t kRows = 64;
  STRAND_CHECK(x.rows <= 1 || x.stride == x.cols, "stride ", x.stride, " of ", x.cols, " columns");
  context.pool->run((x.rows + kRows - 1) / kRows, [&](int64_t piece, int) {
    const ConstMatrix part = x.row_range(piece * kRows, std::min(kRows, x.rows - piece * kRows));
    body(part, static_cast<size_t>(part.rows * part.cols) * dtype_size(part.dtype), piece * kRows);
  });
}

void copy_any(const OpContext& context, ConstMatrix from, Matrix to) {
  for_pieces(context, from, [&](const ConstMatrix& part, size_t bytes, int64_t first) {
    std::memcpy(to.row_range(first, part.rows).data, part.data, bytes);
  });
}

void zero_any(const OpContext& context, Matrix x) {
  for_pieces(context, x, [&](const ConstMatrix& part, size_t bytes, int64_t first) {
    std::memset(x.row_range(first, part.rows).data, 0, bytes);
  });
}

}  // namespace

TaskHead::TaskHead(const HeadSpec& spec, const TransformerConfig& config, const std::vector<ParameterInfo>& table,
                   const TaskHeadOptions& options)
    : spec_(spec), options_(options), hidden_(config.hidden) {
  const int64_t tokens = options.rows * options.segment;
  STRAND_CHECK(tokens > 0 && spec.outputs > 0, "rows ", options.rows, " segment ", options.segment, " outputs ",
               spec.outputs);
  int64_t in = config.hidden;
  if (config.projected()) {
    layers_.push_back(make_layer(table, "head.project_out", config.embedding_size(), in, /*bias=*/false));
    in = config.embedding_size();
  }
  std::vector<int64_t> widths = spec.mlp_hidden;
  widths.push_back(spec.outputs);
  for (size_t i = 0; i < widths.size(); ++i) {
    Layer layer = make_layer(table, concat("task.head.", i), widths[i], in, spec.bias);
    layer.drops = i > 0 || spec.input_dropout;
    layer.activates = i + 1 < widths.size();
    if (layer.activates) {
      layer.out = Buffer(options.dtype, layer.in.rows(), widths[i]);
      layer.d_out = Buffer(options.dtype, layer.in.rows(), widths[i]);
    }
    layers_.push_back(std::move(layer));
    in = widths[i];
  }
  const int64_t rows = layers_.front().in.rows();
  logits_ = Buffer(DType::kF32, rows, spec.outputs);
  d_logits_ = Rounded(options.dtype, rows, spec.outputs);
  if (by_token()) return;
  if (options.dtype == DType::kBF16) pooled_ = Buffer(DType::kF32, rows, hidden_);
  d_pooled_ = Buffer(DType::kF32, rows, hidden_);
}

TaskHead::Layer TaskHead::make_layer(const std::vector<ParameterInfo>& table, const std::string& name, int64_t out,
                                     int64_t in, bool bias) const {
  Layer layer;
  layer.slots.weight = find_slot(table, name + ".weight", out, in);
  if (bias) layer.slots.bias = find_slot(table, name + ".bias", 1, out);
  const int64_t rows = by_token() ? options_.rows * options_.segment : options_.rows;
  layer.in = Buffer(options_.dtype, rows, in);
  if (!layers_.empty()) layer.d_in = Buffer(options_.dtype, rows, in);
  return layer;
}

// Dropout on the input of a layer, forward and backward alike.
void TaskHead::drop(const OpContext& context, const HeadBatch& batch, size_t layer, Matrix x) const {
  if (dropout_ <= 0 || !layers_[layer].drops) return;
  dropout(context,
          {.probability = static_cast<float>(dropout_),
           .key = philox_key(options_.seed, Purpose::kHeadDropout),
           .row_numbers = batch.row_numbers,
           .sequence = by_token() ? batch.segment : 1,
           .layer = static_cast<uint32_t>(layer)},
          x);
}

// Into the first layer's input.
void TaskHead::read_features(const OpContext& context, const HeadBatch& batch, ConstMatrix hidden) {
  const Matrix in = layers_.front().in.view(rows_);
  if (by_token()) return copy_any(context, hidden, in);
  const Matrix pooled = options_.dtype == DType::kF32 ? in : pooled_.view(rows_);
  pooling_forward(context, pooling_shape(spec_, batch), hidden, pooled);
  if (options_.dtype == DType::kBF16) cast(context, pooled.f32(), rows_ * hidden_, in.bf16());
}

void TaskHead::forward(const OpContext& context, const Weights& weights, const HeadBatch& batch, ConstMatrix hidden,
                       Mode mode) {
  STRAND_CHECK(batch.rows <= options_.rows && batch.segment <= options_.segment, "rows ", batch.rows, " segment ",
               batch.segment);
  STRAND_CHECK(hidden.rows == batch.rows * batch.segment && hidden.cols == hidden_ && hidden.dtype == options_.dtype,
               "hidden ", hidden.rows, " x ", hidden.cols);
  rows_ = feature_rows(batch);
  dropout_ = mode == Mode::kTrain ? spec_.dropout : 0;
  read_features(context, batch, hidden);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const Matrix in = layer.in.view(rows_);
    drop(context, batch, i, in);
    if (i + 1 == layers_.size()) {
      linear_forward(context, weights, layer.slots, in, logits_.view(rows_));
      return;
    }
    const Matrix next = layers_[i + 1].in.view(rows_);
    linear_forward(context, weights, layer.slots, in, layer.activates ? layer.out.view(rows_) : next);
    if (layer.activates) {
      activation_forward(context, activation_of(spec_.activation), layer.out.view(rows_), next);
    }
  }
}

ConstMatrix TaskHead::logits() const {
  return logits_.view(rows_);
}

LossSum TaskHead::loss(const OpContext& context, const HeadBatch& batch, bool want_gradient) {
  const Matrix logits = logits_.view(rows_);
  if (spec_.task == TaskKind::kClassify || spec_.task == TaskKind::kClassifyTokens) {
    STRAND_CHECK(batch.classes != nullptr);
    return cross_entropy(context, logits, batch.classes, want_gradient, nullptr);
  }
  STRAND_CHECK(batch.values != nullptr);
  const ConstMatrix labels(batch.values, DType::kF32, rows_, spec_.outputs);
  return spec_.task == TaskKind::kMultiLabel ? bce(context, logits, labels, want_gradient)
                                             : mse(context, logits, labels, want_gradient);
}

void TaskHead::backward(const OpContext& context, const Weights& weights, const HeadBatch& batch, ConstMatrix hidden,
                        const Gradients& gradients, Matrix d_hidden) {
  STRAND_CHECK(d_hidden.rows == hidden.rows && d_hidden.cols == hidden.cols && d_hidden.dtype == hidden.dtype);
  ConstMatrix d_out = d_logits_.round(context, logits_.view(rows_));
  for (size_t i = layers_.size(); i-- > 0;) {
    const Layer& layer = layers_[i];
    const Matrix first = by_token() ? d_hidden : d_pooled_.view(rows_);
    const Matrix d_in = i == 0 ? first : layer.d_in.view(rows_);
    linear_backward(context, weights, gradients, layer.slots, layer.in.view(rows_), d_out, d_in);
    drop(context, batch, i, d_in);
    if (i == 0) break;
    const Layer& before = layers_[i - 1];
    d_out = d_in;
    if (before.activates) {
      const Matrix d_before = before.d_out.view(rows_);
      activation_backward(context, activation_of(spec_.activation), before.out.view(rows_), d_in, d_before);
      d_out = d_before;
    }
  }
  if (by_token()) return;
  zero_any(context, d_hidden);
  pooling_backward(context, pooling_shape(spec_, batch), hidden, d_pooled_.view(rows_), d_hidden);
}

}  // namespace strand
