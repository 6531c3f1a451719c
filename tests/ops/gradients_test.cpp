// Backward operators against finite differences of the forward reference. Losses are sum(r * output) with random r, so
// the backward operator is given d_output = r.
#include "ops/cross_entropy/cross_entropy.h"
#include "ops/embedding/embedding.h"
#include "ops/layer_norm/layer_norm.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/rope/rope.h"
#include "tests/ops/cases/activation_cases.h"
#include "tests/ops/cases/geglu_cases.h"
#include "tests/ops/cases/mse_cases.h"
#include "tests/ops/cases/pooling_cases.h"
#include "tests/ops/checks.h"

namespace strand::test {
namespace {

constexpr DType kF = DType::kF32;

class Gradients : public testing::TestWithParam<Backend> {
 protected:
  Machine reference_{1, Backend::kReference};
  Machine machine_{2, GetParam()};
  const OpContext& plain_ = reference_.context;  // runs the forward pass that is differenced
  const OpContext& tested_ = machine_.context;
};

TEST_P(Gradients, Activation) {
  for (Activation f : kActivations) {
    Tensor x = random_tensor(1, kF, 5, 19, 0, 3);
    // Away from the kink of ReLU, so that no difference crosses it.
    for (int64_t i = 0; i < x.rows * x.cols; ++i) x.f32()[i] += x.f32()[i] < 0 ? -0.1f : 0.1f;
    const Tensor r = random_tensor(2, kF, 5, 19);
    Tensor d_x(kF, 5, 19);
    activation_backward(tested_, f, x.matrix(), r.matrix(), d_x.matrix());
    expect_gradient("activation", x, d_x, [&](const Tensor& moved) {
      Tensor y(kF, 5, 19);
      activation_forward(plain_, f, moved.matrix(), y.matrix());
      return dot(r, y);
    });
  }
}

TEST_P(Gradients, GatedLinearUnits) {
  for (const GatedOp& op : {kSwiGlu, kGeGlu}) {
    const Tensor x = random_tensor(1, kF, 5, 38, 0, 2);
    const Tensor r = random_tensor(2, kF, 5, 19);
    Tensor d_x(kF, 5, 38);
    op.backward(tested_, x.matrix(), r.matrix(), d_x.matrix());
    expect_gradient(op.name, x, d_x, [&](const Tensor& moved) {
      Tensor y(kF, 5, 19);
      op.forward(plain_, moved.matrix(), y.matrix());
      return dot(r, y);
    });
  }
}

TEST_P(Gradients, LayerNorm) {
  constexpr float kEps = 1e-5f;
  for (int64_t cols : {3, 17, 48}) {
    const Tensor x = random_tensor(1, kF, 6, cols, 0, 2, 0.5);
    const Tensor weight = random_tensor(2, kF, 1, cols, 0, 1, 1);
    const Tensor bias = random_tensor(3, kF, 1, cols);
    const Tensor r = random_tensor(4, kF, 6, cols);
    const auto loss = [&](const Tensor& a, const Tensor& w, const Tensor& b, float* mean, float* rstd) {
      Tensor y(kF, 6, cols);
      layer_norm_forward(plain_, a.matrix(), w.f32(), b.f32(), kEps, y.matrix(), mean, rstd);
      return dot(r, y);
    };
    float mean[6], rstd[6], unused[6];
    loss(x, weight, bias, mean, rstd);
    Tensor d_x(kF, 6, cols), d_weight(kF, 1, cols), d_bias(kF, 1, cols);
    layer_norm_backward(tested_, r.matrix(), x.matrix(), weight.f32(), mean, rstd, d_x.matrix(), d_weight.f32(),
                        d_bias.f32());
    expect_gradient("layer_norm x", x, d_x, [&](const Tensor& t) { return loss(t, weight, bias, unused, unused); });
    expect_gradient("layer_norm weight", weight, d_weight,
                    [&](const Tensor& t) { return loss(x, t, bias, unused, unused); });
    expect_gradient("layer_norm bias", bias, d_bias,
                    [&](const Tensor& t) { return loss(x, weight, t, unused, unused); });
  }
}

TEST_P(Gradients, LayerNormWithoutAffine) {
  constexpr float kEps = 1e-5f;
  const Tensor x = random_tensor(1, kF, 6, 40, 0, 2);
  const Tensor r = random_tensor(4, kF, 6, 40);
  float mean[6], rstd[6];
  const auto loss = [&](const Tensor& a, float* m, float* s) {
    Tensor y(kF, 6, 40);
    layer_norm_forward(plain_, a.matrix(), nullptr, nullptr, kEps, y.matrix(), m, s);
    return dot(r, y);
  };
  loss(x, mean, rstd);
  Tensor d_x(kF, 6, 40);
  layer_norm_backward(tested_, r.matrix(), x.matrix(), nullptr, mean, rstd, d_x.matrix(), nullptr, nullptr);
  float unused[6];
  expect_gradient("layer_norm plain", x, d_x, [&](const Tensor& t) { return loss(t, unused, unused); });
}

TEST_P(Gradients, RmsNorm) {
  constexpr float kEps = 1e-5f;
  for (int64_t cols : {3, 17, 48}) {
    const Tensor x = random_tensor(1, kF, 6, cols, 0, 2, 0.5);
    const Tensor weight = random_tensor(2, kF, 1, cols, 0, 1, 1);
    const Tensor r = random_tensor(4, kF, 6, cols);
    const auto loss = [&](const Tensor& a, const Tensor& w, float* rstd) {
      Tensor y(kF, 6, cols);
      rms_norm_forward(plain_, a.matrix(), w.f32(), kEps, y.matrix(), rstd);
      return dot(r, y);
    };
    float rstd[6], unused[6];
    loss(x, weight, rstd);
    Tensor d_x(kF, 6, cols), d_weight(kF, 1, cols);
    rms_norm_backward(tested_, r.matrix(), x.matrix(), weight.f32(), rstd, d_x.matrix(), d_weight.f32());
    expect_gradient("rms_norm x", x, d_x, [&](const Tensor& t) { return loss(t, weight, unused); });
    expect_gradient("rms_norm weight", weight, d_weight, [&](const Tensor& t) { return loss(x, t, unused); });
  }
}

TEST_P(Gradients, Rope) {
  const Tensor x = random_tensor(1, kF, 20, 36);
  const Tensor r = random_tensor(2, kF, 20, 36);
  Tensor d_x = r;
  rope(tested_, d_x.matrix(), 10, 3, 12, 10000.0f, true);
  expect_gradient("rope", x, d_x, [&](const Tensor& moved) {
    Tensor y = moved;
    rope(plain_, y.matrix(), 10, 3, 12, 10000.0f, false);
    return dot(r, y);
  });
}

TEST_P(Gradients, Embedding) {
  const std::vector<int32_t> ids = {3, 0, 3, 1, 3, 0};
  const Tensor table = random_tensor(1, kF, 5, 21);
  const Tensor r = random_tensor(2, kF, 6, 21);
  Tensor d_table(kF, 5, 21);
  embedding_backward(tested_, ids.data(), r.matrix(), 3.0f, d_table.matrix());
  expect_gradient("embedding", table, d_table, [&](const Tensor& moved) {
    Tensor out(kF, 6, 21);
    embedding_forward(plain_, ids.data(), moved.matrix(), 3.0f, out.matrix());
    return dot(r, out);
  });
}

TEST_P(Gradients, CrossEntropy) {
  const std::vector<int32_t> targets = {4, kIgnoredTarget, 0, 18, 7};
  const Tensor logits = random_tensor(1, kF, 5, 19, 0, 3);
  Tensor gradient = logits;
  const CrossEntropySum sum = cross_entropy(tested_, gradient.matrix(), targets.data(), true, nullptr);
  EXPECT_EQ(sum.targets, 4);
  expect_gradient("cross_entropy", logits, gradient, [&](const Tensor& moved) {
    Tensor copy = moved;
    return cross_entropy(plain_, copy.matrix(), targets.data(), false, nullptr).loss;
  });
}

TEST_P(Gradients, LabelLosses) {
  for (const LabelLossOp& op : {kBce, kMse}) {
    const LabelLossShape shape{6, 19, 0, true, 3};
    const Tensor predictions = random_tensor(1, kF, 6, 19, 0, 3), labels = labels_of(op, shape);
    Tensor gradient = predictions;
    EXPECT_EQ(op.run(tested_, gradient.matrix(), labels.matrix(), true).targets, 6 * 19 - 6 * 19 / 3);
    expect_gradient(op.name, predictions, gradient, [&](const Tensor& moved) {
      Tensor copy = moved;
      return op.run(plain_, copy.matrix(), labels.matrix(), false).loss;
    });
  }
}

TEST_P(Gradients, Pooling) {
  for (PoolingKind kind : kPoolingKinds) {
    const PoolingCase c{kind, 3, 6, 21, 0, kF, {0, 1, 0}, {6, 5, 0}};
    Tensor hidden = random_tensor(1, kF, 18, 21, 0, 0.05);
    // Tokens of a column half a unit apart, in an order that differs by column: no difference crosses a maximum.
    for (int64_t t = 0; t < 18; ++t) {
      for (int64_t i = 0; i < 21; ++i) hidden.put(t, i, hidden.at(t, i) + 0.5 * static_cast<double>((5 * t + i) % 6));
    }
    const Tensor r = random_tensor(2, kF, 3, 21);
    Tensor d_hidden(kF, 18, 21);
    pooling_backward(tested_, pooling_shape(c), hidden.matrix(), r.matrix(), d_hidden.matrix());
    expect_gradient(pooling_name(kind), hidden, d_hidden, [&](const Tensor& moved) {
      Tensor pooled(kF, 3, 21);
      pooling_forward(plain_, pooling_shape(c), moved.matrix(), pooled.matrix());
      return dot(r, pooled);
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, Gradients, testing::Values(Backend::kReference, Backend::kCpu),
                         [](const auto& info) { return info.param == Backend::kCpu ? "cpu" : "reference"; });

}  // namespace
}  // namespace strand::test
