// Task heads with their weights, hidden states and labels, for the tests of heads.
#pragma once

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "ops/cast/cast.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "tests/unit/worker/test_model.h"
#include "worker/model/heads/task_head.h"

namespace strand::testing {

constexpr int64_t kRows = 4, kSegment = 6;

inline std::vector<ParameterInfo> table_with_head(const TransformerConfig& config, const HeadSpec& spec) {
  std::vector<ParameterInfo> table = parameter_table(config);
  for (ParameterInfo tensor : head_parameters(spec, config.embedding_size())) {
    tensor.first_element = table.back().first_element + table.back().elements;
    table.push_back(std::move(tensor));
  }
  return table;
}

inline bool is_class_task(const HeadSpec& spec) {
  return spec.task == TaskKind::kClassify || spec.task == TaskKind::kClassifyTokens;
}

// Labels of kRows rows of kSegment tokens; of each kind some are missing.
struct Labels {
  explicit Labels(const HeadSpec& spec) {
    const int64_t count = spec.task == TaskKind::kClassifyTokens ? kRows * kSegment : kRows;
    for (int64_t i = 0; i < count; ++i) {
      classes.push_back(i % 5 == 3 ? kIgnoredTarget : static_cast<int32_t>(i * 7 % spec.outputs));
      for (int64_t c = 0; c < spec.outputs; ++c) {
        const float drawn = draw(700 + static_cast<uint64_t>(i), static_cast<uint64_t>(c));
        const float label = spec.task == TaskKind::kRegress ? 2 * drawn : (drawn > 0 ? 1.0f : 0.0f);
        values.push_back((i + c) % 5 == 4 ? std::numeric_limits<float>::quiet_NaN() : label);
      }
    }
  }
  std::vector<int32_t> classes;
  std::vector<float> values;
};

// A head with its weights, hidden states and labels. Rows have 6, 5, 3 and 1 tokens.
struct HeadCase {
  explicit HeadCase(const HeadSpec& s, Backend backend = Backend::kReference, int threads = 1,
                    DType dtype = DType::kF32, const TransformerConfig& c = small_config())
      : spec(s),
        config(c),
        machine(threads, backend),
        table(table_with_head(c, s)),
        head(s, c, table, {.dtype = dtype, .rows = kRows, .segment = kSegment, .seed = 5}),
        weights(test_weights(table)),
        labels(s),
        gradient(weights.size()) {
    // Tokens of a column half a unit apart, in an order that differs by column: no difference crosses a maximum.
    for (int64_t t = 0; t < kRows * kSegment; ++t) {
      for (int64_t i = 0; i < config.hidden; ++i) {
        hidden.push_back(0.2f * draw(800 + static_cast<uint64_t>(t), static_cast<uint64_t>(i)) +
                         0.5f * static_cast<float>((5 * t + i) % kSegment) - 1.25f);
      }
    }
    d_hidden.resize(hidden.size());
    if (spec.task == TaskKind::kClassifyTokens) {
      for (int64_t t = 0; t < kRows * kSegment; ++t) {
        if (is_padding(t)) labels.classes[static_cast<size_t>(t)] = kIgnoredTarget;
      }
    }
    if (dtype == DType::kBF16) {
      rounded_weights.resize(weights.size());
      rounded_hidden.resize(hidden.size());
      rounded_d_hidden.resize(hidden.size());
    }
  }

  bool is_padding(int64_t token) const { return token % kSegment >= lengths[static_cast<size_t>(token / kSegment)]; }
  bool bf16() const { return !rounded_hidden.empty(); }
  HeadBatch batch() const {
    return {.rows = kRows,
            .segment = kSegment,
            .row_numbers = row_numbers.data(),
            .end = lengths.data(),
            .classes = is_class_task(spec) ? labels.classes.data() : nullptr,
            .values = is_class_task(spec) ? nullptr : labels.values.data()};
  }
  Weights weight_view() {
    if (bf16()) cast(machine.context, weights.data(), static_cast<int64_t>(weights.size()), rounded_weights.data());
    return {weights.data(), bf16() ? rounded_weights.data() : nullptr};
  }
  ConstMatrix hidden_view() {
    if (!bf16()) return {hidden.data(), DType::kF32, kRows * kSegment, config.hidden};
    cast(machine.context, hidden.data(), static_cast<int64_t>(hidden.size()), rounded_hidden.data());
    return {rounded_hidden.data(), DType::kBF16, kRows * kSegment, config.hidden};
  }

  std::vector<float> logits(Mode mode = Mode::kEvaluate) {
    head.forward(machine.context, weight_view(), batch(), hidden_view(), mode);
    const ConstMatrix out = head.logits();
    return {out.f32(), out.f32() + out.rows * out.cols};
  }
  LossSum loss(Mode mode = Mode::kEvaluate) {
    logits(mode);
    return head.loss(machine.context, batch(), /*want_gradient=*/false);
  }
  double loss_and_gradient(Mode mode = Mode::kEvaluate) {
    std::fill(gradient.begin(), gradient.end(), 0.0f);
    logits(mode);
    const double sum = head.loss(machine.context, batch(), /*want_gradient=*/true).loss;
    Matrix to(d_hidden.data(), DType::kF32, kRows * kSegment, config.hidden);
    if (bf16()) to = {rounded_d_hidden.data(), DType::kBF16, kRows * kSegment, config.hidden};
    head.backward(machine.context, weight_view(), batch(), hidden_view(), {gradient.data()}, to);
    if (bf16()) {
      cast(machine.context, rounded_d_hidden.data(), static_cast<int64_t>(d_hidden.size()), d_hidden.data());
    }
    return sum;
  }

  HeadSpec spec;
  TransformerConfig config;
  Machine machine;
  std::vector<ParameterInfo> table;
  TaskHead head;
  std::vector<float> weights, hidden;
  Labels labels;
  std::vector<int32_t> lengths = {6, 5, 3, 1};
  std::vector<int64_t> row_numbers = {70, 71, 72, 73};
  std::vector<float> gradient, d_hidden;
  std::vector<BFloat16> rounded_weights, rounded_hidden, rounded_d_hidden;
};

inline std::string name_of(const HeadSpec& s) {
  return concat(task_kind_name(s.task), " pooling ", static_cast<int>(s.pooling), " layers ", s.mlp_hidden.size(),
                " activation ", static_cast<int>(s.activation), s.bias ? "" : " without bias");
}

inline std::vector<HeadSpec> all_heads() {
  std::vector<HeadSpec> heads;
  const std::vector<Pooling> poolings = {Pooling::kCls, Pooling::kMean, Pooling::kMax, Pooling::kLast};
  for (const TaskKind task :
       {TaskKind::kClassify, TaskKind::kMultiLabel, TaskKind::kRegress, TaskKind::kClassifyTokens}) {
    const HeadSpec base{.task = task, .pooling = Pooling::kMean, .outputs = task == TaskKind::kRegress ? 1 : 3};
    for (const Pooling pooling : poolings) {
      if (task == TaskKind::kClassifyTokens && pooling != Pooling::kMean) continue;
      heads.push_back(base);
      heads.back().pooling = pooling;
    }
    for (const HeadActivation activation : {HeadActivation::kTanh, HeadActivation::kGelu, HeadActivation::kRelu}) {
      heads.push_back(base);
      heads.back().activation = activation;
      heads.back().mlp_hidden = {6};
    }
    heads.push_back(base);
    heads.back().mlp_hidden = {7, 5};
    heads.back().bias = false;
  }
  return heads;
}

// OPT-350M's kind of model: the head reads what head.project_out makes of the hidden states.
inline TransformerConfig projected_config() {
  TransformerConfig config = small_config();
  config.embedding_width = 5;
  return config;
}

}  // namespace strand::testing
