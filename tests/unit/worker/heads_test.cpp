// Task heads on given hidden states and on a small transformer: outputs are the definition's, gradients those of the
// loss, padding is not seen, bits do not depend on threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <span>

#include "tests/unit/worker/head_case.h"

namespace strand {
namespace {

using testing::all_heads;
using testing::draw;
using testing::HeadCase;
using testing::kRows;
using testing::kSegment;
using testing::Machine;
using testing::name_of;
using testing::projected_config;
using testing::small_config;
using testing::table_with_head;
using testing::test_weights;
using testing::TestBatch;

// ---- outputs ----

// One linear layer in double, out of the table's tensors.
std::vector<double> plain_linear(const HeadCase& c, const std::string& name, const std::vector<double>& x) {
  std::vector<double> y;
  for (const ParameterInfo& tensor : c.table) {
    const float* values = c.weights.data() + tensor.first_element;
    if (tensor.name == name + ".weight") {
      for (int64_t r = 0; r < tensor.shape[0]; ++r) {
        double sum = 0;
        for (size_t i = 0; i < x.size(); ++i) sum += x[i] * values[r * tensor.shape[1] + static_cast<int64_t>(i)];
        y.push_back(sum);
      }
    } else if (tensor.name == name + ".bias") {
      for (size_t r = 0; r < y.size(); ++r) y[r] += values[r];
    }
  }
  return y;
}

double plain_activation(HeadActivation activation, double x) {
  if (activation == HeadActivation::kTanh) return std::tanh(x);
  return activation == HeadActivation::kRelu ? std::max(x, 0.0) : 0.5 * x * std::erfc(-x / std::sqrt(2.0));
}

std::vector<double> plain_outputs(const HeadCase& c, std::vector<double> x) {
  if (c.config.projected()) x = plain_linear(c, "head.project_out", x);
  for (size_t i = 0; i < c.spec.mlp_hidden.size(); ++i) {
    x = plain_linear(c, concat("task.head.", i), x);
    for (double& value : x) value = plain_activation(c.spec.activation, value);
  }
  return plain_linear(c, concat("task.head.", c.spec.mlp_hidden.size()), x);
}

// What the head reads of tokens [first, last) of the flat hidden states.
std::vector<double> plain_features(const HeadCase& c, int64_t first, int64_t last) {
  std::vector<double> x;
  for (int64_t i = 0; i < c.config.hidden; ++i) {
    double sum = 0, largest = -1e30;
    for (int64_t t = first; t < last; ++t) {
      const double value = c.hidden[static_cast<size_t>(t * c.config.hidden + i)];
      sum += value;
      largest = std::max(largest, value);
    }
    x.push_back(c.spec.pooling == Pooling::kMax ? largest : sum / static_cast<double>(last - first));
  }
  return x;
}

std::vector<double> plain_logits(const HeadCase& c) {
  std::vector<double> all;
  const auto add = [&](int64_t first, int64_t last) {
    const std::vector<double> row = plain_outputs(c, plain_features(c, first, last));
    all.insert(all.end(), row.begin(), row.end());
  };
  for (int64_t r = 0; r < kRows; ++r) {
    const int64_t first = r * kSegment, last = first + c.lengths[static_cast<size_t>(r)];
    if (c.spec.task == TaskKind::kClassifyTokens) {
      for (int64_t t = first; t < first + kSegment; ++t) add(t, t + 1);
    } else if (c.spec.pooling == Pooling::kCls) {
      add(first, first + 1);
    } else {
      add(c.spec.pooling == Pooling::kLast ? last - 1 : first, last);
    }
  }
  return all;
}

void expect_plain_logits(HeadCase& c) {
  const std::vector<float> found = c.logits();
  const std::vector<double> expected = plain_logits(c);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-5) << name_of(c.spec) << " " << i;
}

TEST(TaskHead, OutputsAreThoseOfTheDefinition) {
  for (const Backend backend : {Backend::kReference, Backend::kCpu}) {
    for (const HeadSpec& spec : all_heads()) {
      HeadCase c(spec, backend, 2);
      expect_plain_logits(c);
      HeadCase projected(spec, backend, 2, DType::kF32, projected_config());
      expect_plain_logits(projected);
    }
  }
}

// What is left out of the mean is what `begin` and `end` say, as for special tokens around a sequence.
TEST(TaskHead, BeginAndEndLeaveTokensOut) {
  HeadCase c({.pooling = Pooling::kMean});
  HeadBatch batch = c.batch();
  const std::vector<int32_t> begin = {1, 1, 1, 0}, end = {5, 4, 2, 1};
  batch.begin = begin.data();
  batch.end = end.data();
  c.head.forward(c.machine.context, c.weight_view(), batch, c.hidden_view(), Mode::kEvaluate);
  for (int64_t r = 0; r < kRows; ++r) {
    const auto row = static_cast<size_t>(r);
    const auto expected = plain_outputs(c, plain_features(c, r * kSegment + begin[row], r * kSegment + end[row]));
    for (int64_t i = 0; i < 2; ++i)
      EXPECT_NEAR(c.head.logits().f32()[2 * r + i], expected[static_cast<size_t>(i)], 1e-5);
  }
}

// ---- gradients ----

// gradient . direction against differences of the loss, along the gradient itself (it must be as long as it says) and
// along a random direction (nothing must be missing). Large steps see curvature and kinks, small ones rounding: one of
// them must agree.
void expect_gradient(std::span<float> values, std::span<const float> gradient, const std::function<double()>& loss,
                     const std::string& what) {
  double squares = 0;
  for (const float g : gradient) squares += static_cast<double>(g) * static_cast<double>(g);
  const double norm = std::sqrt(squares);
  const std::vector<float> kept(values.begin(), values.end());
  for (const bool random : {false, true}) {
    std::vector<double> direction;
    double length = 0, expected = 0;
    for (size_t i = 0; i < gradient.size(); ++i) {
      direction.push_back(random ? draw(500, i) : gradient[i]);
      length += direction[i] * direction[i];
    }
    for (size_t i = 0; i < gradient.size(); ++i) {
      direction[i] /= std::sqrt(length) + 1e-30;
      expected += direction[i] * static_cast<double>(gradient[i]);
    }
    const auto at = [&](double distance) {
      for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(kept[i] + distance * direction[i]);
      const double result = loss();
      std::copy(kept.begin(), kept.end(), values.begin());
      return result;
    };
    const double tolerance = 1e-3 * norm + 1e-3;
    double found = 0;
    for (const double h : {0.03, 0.01, 0.003, 0.001}) {
      found = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
      if (std::abs(found - expected) <= tolerance) break;
    }
    EXPECT_NEAR(found, expected, tolerance) << what << " norm " << norm << (random ? " random" : "");
  }
}

// Of every tensor the head has and of the hidden states.
void check_gradients(HeadCase& c, Mode mode, const std::string& what) {
  c.loss_and_gradient(mode);
  const std::vector<float> gradient = c.gradient, d_hidden = c.d_hidden;
  const auto loss = [&] { return c.loss(mode).loss; };
  int64_t checked = 0;
  for (const ParameterInfo& tensor : c.table) {
    if (!tensor.name.starts_with("task.head.") && tensor.name != "head.project_out.weight") continue;
    const auto first = static_cast<size_t>(tensor.first_element), count = static_cast<size_t>(tensor.elements);
    expect_gradient(std::span(c.weights).subspan(first, count), std::span(gradient).subspan(first, count), loss,
                    what + " " + tensor.name);
    checked += tensor.elements;
  }
  expect_gradient(c.hidden, d_hidden, loss, what + " hidden states");
  const auto others = std::count_if(gradient.begin(), gradient.end(), [](float g) { return g != 0; });
  EXPECT_LE(others, checked) << what << ": a gradient outside the head's tensors";
}

TEST(TaskHead, GradientsAreThoseOfTheLoss) {
  for (const HeadSpec& spec : all_heads()) {
    HeadCase c(spec);
    check_gradients(c, Mode::kEvaluate, name_of(spec));
  }
  for (const TaskKind task : {TaskKind::kClassify, TaskKind::kClassifyTokens}) {
    HeadCase projected({.task = task, .pooling = Pooling::kLast, .outputs = 3, .bias = false}, Backend::kReference, 1,
                       DType::kF32, projected_config());
    check_gradients(projected, Mode::kEvaluate, "projected " + name_of(projected.spec));
  }
}

TEST(TaskHead, GradientsWithDropoutUseTheForwardsMask) {
  for (const TaskKind task : {TaskKind::kMultiLabel, TaskKind::kClassifyTokens}) {
    for (const bool input : {true, false}) {
      HeadCase c({.task = task, .outputs = 3, .mlp_hidden = {9}, .dropout = 0.4, .input_dropout = input});
      check_gradients(c, Mode::kTrain, concat("dropout ", name_of(c.spec), input ? "" : " not on the input"));
    }
  }
}

// ---- loss and labels ----

TEST(TaskHead, LossCountsTheLabelsThereAre) {
  for (const TaskKind task : {TaskKind::kClassify, TaskKind::kMultiLabel, TaskKind::kRegress}) {
    HeadCase c({.task = task, .outputs = 3});
    const LossSum all = c.loss();
    int64_t expected = 0;
    if (task == TaskKind::kClassify) {
      for (const int32_t label : c.labels.classes) expected += label != kIgnoredTarget ? 1 : 0;
    } else {
      for (const float label : c.labels.values) expected += std::isnan(label) ? 0 : 1;
    }
    EXPECT_EQ(all.targets, expected);
    // Without the labels of row 0 the loss is less by that row's, and nothing flows back to its tokens.
    c.labels.classes[0] = kIgnoredTarget;
    std::fill_n(c.labels.values.begin(), 3, std::numeric_limits<float>::quiet_NaN());
    EXPECT_LT(c.loss_and_gradient(), all.loss);
    for (int64_t i = 0; i < kSegment * c.config.hidden; ++i) EXPECT_EQ(c.d_hidden[static_cast<size_t>(i)], 0);
    EXPECT_NE(c.d_hidden[static_cast<size_t>(kSegment * c.config.hidden)], 0);
  }
}

TEST(TaskHead, PaddingIsNotSeen) {
  for (const HeadSpec& spec : all_heads()) {
    HeadCase c(spec, Backend::kCpu);
    const double loss = c.loss_and_gradient();
    const std::vector<float> gradient = c.gradient, d_hidden = c.d_hidden;
    for (int64_t t = 0; t < kRows * kSegment; ++t) {
      for (int64_t i = 0; c.is_padding(t) && i < c.config.hidden; ++i) {
        c.hidden[static_cast<size_t>(t * c.config.hidden + i)] = 100;
        EXPECT_EQ(d_hidden[static_cast<size_t>(t * c.config.hidden + i)], 0) << name_of(spec);
      }
    }
    EXPECT_EQ(loss, c.loss_and_gradient()) << name_of(spec);
    EXPECT_EQ(gradient, c.gradient) << name_of(spec);
    EXPECT_EQ(d_hidden, c.d_hidden) << name_of(spec);
  }
}

// ---- randomness, threads, precision ----

// A row's mask belongs to its number: outputs follow the row through the batch.
TEST(TaskHead, DropoutFollowsTheRowNotItsPlace) {
  for (const TaskKind task : {TaskKind::kClassify, TaskKind::kClassifyTokens}) {
    HeadCase c({.task = task, .outputs = 3, .mlp_hidden = {9}, .dropout = 0.3});
    const std::vector<float> before = c.logits(Mode::kTrain), plain = c.logits();
    EXPECT_NE(before, plain);
    EXPECT_EQ(before, c.logits(Mode::kTrain));
    const auto row = static_cast<int64_t>(before.size()) / kRows, tokens = kSegment * c.config.hidden;
    // The first row goes to the end.
    std::rotate(c.hidden.begin(), c.hidden.begin() + tokens, c.hidden.end());
    std::rotate(c.lengths.begin(), c.lengths.begin() + 1, c.lengths.end());
    std::rotate(c.row_numbers.begin(), c.row_numbers.begin() + 1, c.row_numbers.end());
    std::vector<float> after = c.logits(Mode::kTrain);
    std::rotate(after.begin(), after.end() - row, after.end());
    EXPECT_EQ(before, after);
    c.row_numbers[0] += 1000;
    EXPECT_NE(after, c.logits(Mode::kTrain));
    EXPECT_EQ(plain.size(), after.size());
  }
}

TransformerConfig wide_config() {
  TransformerConfig config = small_config();
  config.hidden = 304;
  return config;
}

TEST(TaskHead, BitsDoNotDependOnThreads) {
  const std::vector<HeadSpec> heads = {
      {.task = TaskKind::kClassify, .pooling = Pooling::kMean, .outputs = 3, .mlp_hidden = {137}, .dropout = 0.1},
      {.task = TaskKind::kRegress, .pooling = Pooling::kMax, .outputs = 1, .dropout = 0.1},
      {.task = TaskKind::kMultiLabel, .pooling = Pooling::kLast, .outputs = 104, .dropout = 0.1},
      {.task = TaskKind::kClassifyTokens, .outputs = 3, .mlp_hidden = {137}, .dropout = 0.1}};
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const HeadSpec& spec : heads) {
      HeadCase one(spec, Backend::kCpu, 1, dtype, wide_config());
      const double loss = one.loss_and_gradient(Mode::kTrain);
      for (const int threads : {2, 3, 4}) {
        HeadCase more(spec, Backend::kCpu, threads, dtype, wide_config());
        EXPECT_EQ(loss, more.loss_and_gradient(Mode::kTrain)) << threads << " threads " << name_of(spec);
        EXPECT_EQ(one.gradient, more.gradient) << threads << " threads " << name_of(spec);
        EXPECT_EQ(one.d_hidden, more.d_hidden) << threads << " threads " << name_of(spec);
      }
    }
  }
}

double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    norm += std::pow(static_cast<double>(a[i]), 2);
  }
  return std::sqrt(difference / norm);
}

TEST(TaskHead, CpuAgreesWithReferenceAndBf16IsClose) {
  for (const HeadSpec& spec : all_heads()) {
    HeadCase reference(spec), cpu(spec, Backend::kCpu, 2), rounded(spec, Backend::kCpu, 2, DType::kBF16);
    const double loss = reference.loss_and_gradient();
    EXPECT_NEAR(cpu.loss_and_gradient(), loss, 1e-5 * loss) << name_of(spec);
    EXPECT_LT(relative_difference(reference.gradient, cpu.gradient), 1e-5) << name_of(spec);
    EXPECT_LT(relative_difference(reference.d_hidden, cpu.d_hidden), 1e-5) << name_of(spec);
    EXPECT_NEAR(rounded.loss_and_gradient(), loss, 0.02 * loss) << name_of(spec);
    EXPECT_LT(relative_difference(reference.gradient, rounded.gradient), 0.05) << name_of(spec);
    EXPECT_LT(relative_difference(reference.d_hidden, rounded.d_hidden), 0.05) << name_of(spec);
    EXPECT_NE(reference.gradient, rounded.gradient);
  }
}

// ---- on a transformer ----

// Forward through the blocks and the head, back through both: every tensor of the model.
TEST(TaskHead, GradientsReachEveryTensorOfATransformer) {
  for (const bool causal : {true, false}) {
    TransformerConfig config = small_config();
    config.causal = causal;
    config.tied = true;
    const HeadSpec spec{.pooling = causal ? Pooling::kLast : Pooling::kMean, .outputs = 3, .mlp_hidden = {5}};
    const std::vector<ParameterInfo> table = table_with_head(config, spec);
    Machine machine;
    Transformer model(config, table, {.rows = kRows, .segment = kSegment, .seed = 5});
    TaskHead head(spec, config, table, {.rows = kRows, .segment = kSegment, .seed = 5});
    std::vector<float> weights = test_weights(table);
    TestBatch rows(config, kRows, kSegment);
    const MicroBatch batch = rows.view();
    const std::vector<int32_t> classes = {0, 2, kIgnoredTarget, 1};
    const HeadBatch head_batch{.rows = kRows,
                               .segment = kSegment,
                               .row_numbers = rows.row_numbers.data(),
                               .end = rows.lengths.data(),
                               .classes = classes.data()};
    const auto loss = [&](bool want_gradient) {
      model.forward(machine.context, {weights.data()}, batch, Mode::kEvaluate);
      head.forward(machine.context, {weights.data()}, head_batch, model.hidden(), Mode::kEvaluate);
      return head.loss(machine.context, head_batch, want_gradient).loss;
    };
    loss(true);
    std::vector<float> gradient(static_cast<size_t>(model.layout().gradients));
    Buffer d_hidden(DType::kF32, batch.tokens(), config.hidden);
    const Gradients to{gradient.data()};
    head.backward(machine.context, {weights.data()}, head_batch, model.hidden(), to, d_hidden.view());
    model.backward_from_hidden(machine.context, {weights.data()}, batch, d_hidden.view(), to);
    model.fold_tied(machine.context, to);
    for (const ParameterInfo& tensor : table) {
      const auto first = static_cast<size_t>(tensor.first_element), count = static_cast<size_t>(tensor.elements);
      expect_gradient(
          std::span(weights).subspan(first, count), std::span<const float>(gradient).subspan(first, count),
          [&] { return loss(false); }, concat(tensor.name, causal ? " causal" : " bidirectional"));
    }
  }
}

}  // namespace
}  // namespace strand
