// Single values of row and pointwise operators known from elsewhere: published formulas, identities, special numbers.
#include <gtest/gtest.h>

#include <limits>

#include "ops/activation/activation.h"
#include "ops/adamw/adamw.h"
#include "ops/bce/bce.h"
#include "ops/cast/cast.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "ops/dropout/dropout.h"
#include "ops/layer_norm/layer_norm.h"
#include "ops/mse/mse.h"
#include "ops/pooling/pooling.h"
#include "ops/reduce/reduce.h"
#include "tests/ops/tensors.h"

namespace strand::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class RowOpsValues : public testing::TestWithParam<Backend> {
 protected:
  Machine machine_{2, GetParam()};
  const OpContext& context_ = machine_.context;

  uint16_t rounded(float x) {
    std::vector<float> from(16, x);
    std::vector<BFloat16> to(16);
    cast(context_, from.data(), 16, to.data());
    return to[7].bits;
  }
};

TEST_P(RowOpsValues, EveryBf16ValueSurvivesWideningAndRounding) {
  std::vector<BFloat16> all(65536), back(65536);
  for (size_t i = 0; i < all.size(); ++i) all[i].bits = static_cast<uint16_t>(i);
  std::vector<float> wide(65536);
  cast(context_, all.data(), 65536, wide.data());
  cast(context_, wide.data(), 65536, back.data());
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(std::bit_cast<uint32_t>(wide[i]), static_cast<uint32_t>(i) << 16);
    const bool is_nan = (i & 0x7fff) > 0x7f80;
    EXPECT_EQ(back[i].bits, is_nan ? (i | 0x40) : i) << i;
  }
}

// Between each finite bf16 value and the next: the tie goes to the even one, a hair to either side to the nearer one.
TEST_P(RowOpsValues, RoundingIsToNearestAndTiesToEven) {
  std::vector<float> from;
  std::vector<uint16_t> expected;
  for (uint32_t sign : {0u, 0x8000u}) {
    for (uint32_t low = 0; low < 0x7f80; ++low) {
      const uint32_t bits = sign | low;
      const uint32_t middle = (bits << 16) | 0x8000;
      for (int hair : {-1, 0, 1}) {
        from.push_back(std::bit_cast<float>(middle + static_cast<uint32_t>(hair)));
        const bool up = hair > 0 || (hair == 0 && bits % 2 == 1);
        expected.push_back(static_cast<uint16_t>(bits + (up ? 1 : 0)));
      }
    }
  }
  std::vector<BFloat16> to(from.size());
  cast(context_, from.data(), static_cast<int64_t>(from.size()), to.data());
  for (size_t i = 0; i < from.size(); ++i) ASSERT_EQ(to[i].bits, expected[i]) << from[i];
}

TEST_P(RowOpsValues, NanNeverRoundsToInfinityAndLargeRoundsToInfinity) {
  for (uint32_t bits : {0x7f800001u, 0x7fffffffu, 0xff800001u, 0xffffffffu, 0x7fc00000u}) {
    const uint16_t half = rounded(std::bit_cast<float>(bits));
    EXPECT_GT(half & 0x7fff, 0x7f80) << bits;
    EXPECT_EQ(half >> 15, bits >> 31);
  }
  EXPECT_EQ(rounded(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(rounded(-kInfinity), 0xff80);
}

// torch.optim.AdamW (single tensor, amsgrad off) followed step by step in double.
TEST_P(RowOpsValues, AdamWFollowsTorchForTenSteps) {
  constexpr int64_t kN = 37;
  const double lr = 3e-3, b1 = 0.9, b2 = 0.95, eps = 1e-8, decay = 0.1;
  Tensor p = random_tensor(1, DType::kF32, 1, kN);
  Tensor m(DType::kF32, 1, kN), v(DType::kF32, 1, kN), rounded(DType::kBF16, 1, kN);
  std::vector<double> dp(kN), dm(kN), dv(kN);
  for (int64_t i = 0; i < kN; ++i) dp[static_cast<size_t>(i)] = p.at(0, i);
  for (int64_t step = 1; step <= 10; ++step) {
    const Tensor g = random_tensor(static_cast<uint32_t>(10 + step), DType::kF32, 1, kN, 0, 4);
    const AdamWArgs args{.learning_rate = lr,
                         .beta1 = b1,
                         .beta2 = b2,
                         .epsilon = eps,
                         .weight_decay = decay,
                         .step = step,
                         .gradient_scale = 0.25};
    adamw(context_, args, kN, p.f32(), m.f32(), v.f32(), g.f32(), rounded.matrix().bf16());
    for (size_t i = 0; i < kN; ++i) {
      const double grad = g.at(0, static_cast<int64_t>(i)) * 0.25;
      dp[i] *= 1 - lr * decay;
      dm[i] += (grad - dm[i]) * (1 - b1);
      dv[i] = dv[i] * b2 + (1 - b2) * grad * grad;
      const double denominator = std::sqrt(dv[i]) / std::sqrt(1 - std::pow(b2, step)) + eps;
      dp[i] -= lr / (1 - std::pow(b1, step)) * dm[i] / denominator;
      ASSERT_NEAR(p.at(0, static_cast<int64_t>(i)), dp[i], 1e-6) << "step " << step;
      ASSERT_NEAR(m.at(0, static_cast<int64_t>(i)), dm[i], 1e-6);
      ASSERT_NEAR(v.at(0, static_cast<int64_t>(i)), dv[i], 1e-6);
      ASSERT_EQ(rounded.matrix().bf16()[i].bits, to_bf16(p.f32()[i]).bits);
    }
  }
}

// A first step from zero moments moves every parameter by lr against the sign of its gradient, whatever its size.
TEST_P(RowOpsValues, AdamWFirstStepIsTheLearningRate) {
  const std::vector<float> g = {1e-3f, -7.0f, 400.0f, -1e4f};
  std::vector<float> p(4, 0.0f), m(4), v(4);
  adamw(context_, {.learning_rate = 0.01, .step = 1}, 4, p.data(), m.data(), v.data(), g.data(), nullptr);
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(p[i], g[i] > 0 ? -0.01 : 0.01, 1e-6);
}

TEST_P(RowOpsValues, CrossEntropyOfEqualLogitsIsLogOfTheVocabulary) {
  for (int64_t vocabulary : {8, 16, 4096}) {
    Tensor logits = random_tensor(1, DType::kF32, 3, vocabulary, 0, 0, 7.5);
    const std::vector<int32_t> targets = {0, 5, kIgnoredTarget};
    float rows[3];
    const CrossEntropySum sum = cross_entropy(context_, logits.matrix(), targets.data(), true, rows);
    EXPECT_NEAR(sum.loss, 2 * std::log(static_cast<double>(vocabulary)), 1e-6);
    EXPECT_EQ(sum.targets, 2);
    EXPECT_EQ(rows[2], 0.0f);
    for (int64_t c = 0; c < vocabulary; ++c) {
      EXPECT_NEAR(logits.at(0, c), 1.0 / static_cast<double>(vocabulary) - (c == 0 ? 1 : 0), 1e-7);
      EXPECT_EQ(logits.at(2, c), 0);
    }
  }
}

TEST_P(RowOpsValues, CrossEntropyOfHugeLogitsIsFinite) {
  Tensor logits(DType::kF32, 2, 20);
  for (int64_t c = 0; c < 20; ++c) {
    logits.put(0, c, c == 3 ? 1e4 : -1e4);
    logits.put(1, c, c == 3 ? 1e4 : -1e4);
  }
  const std::vector<int32_t> targets = {3, 4};
  const CrossEntropySum sum = cross_entropy(context_, logits.matrix(), targets.data(), true, nullptr);
  EXPECT_EQ(sum.loss, 2e4);
  EXPECT_EQ(logits.at(0, 3), 0);
  EXPECT_EQ(logits.at(1, 3), 1);
  EXPECT_EQ(logits.at(1, 4), -1);
}

// A broken number must reach the loss, wherever in the row it is.
TEST_P(RowOpsValues, NanAndInfinityReachTheLoss) {
  for (float bad : {kNan, kInfinity}) {
    for (int64_t where : {0, 15, 16, 40}) {
      Tensor logits = random_tensor(1, DType::kF32, 1, 41);
      logits.put(0, where, bad);
      const int32_t target = 7;
      EXPECT_FALSE(std::isfinite(cross_entropy(context_, logits.matrix(), &target, true, nullptr).loss)) << where;

      Tensor x = random_tensor(1, DType::kF32, 1, 41), y(DType::kF32, 1, 41);
      x.put(0, where, bad);
      float mean = 0, rstd = 0;
      layer_norm_forward(context_, x.matrix(), nullptr, nullptr, 1e-5f, y.matrix(), &mean, &rstd);
      EXPECT_TRUE(std::isnan(y.at(0, 20))) << where;
      activation_forward(context_, Activation::kRelu, x.matrix(), y.matrix());
      EXPECT_FALSE(std::isfinite(y.at(0, where)));

      x = random_tensor(1, DType::kF32, 1, 41);
      x.put(0, where, bad);
      const Tensor labels(DType::kF32, 1, 41);
      Tensor predictions = x;
      EXPECT_FALSE(std::isfinite(bce(context_, predictions.matrix(), labels.matrix(), true).loss)) << where;
      EXPECT_FALSE(std::isfinite(mse(context_, x.matrix(), labels.matrix(), true).loss)) << where;
    }
  }
}

TEST_P(RowOpsValues, GeluAtKnownPoints) {
  const std::vector<float> points = {-8, -3, -1, -0.5f, 0, 0.5f, 1, 3, 8};
  std::vector<float> y(points.size());
  const auto n = static_cast<int64_t>(points.size());
  activation_forward(context_, Activation::kGelu, ConstMatrix(points.data(), DType::kF32, 1, n),
                     Matrix(y.data(), DType::kF32, 1, n));
  for (size_t i = 0; i < points.size(); ++i) {
    const double x = points[i];
    const double expected = 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    // Relative also in the tail, where 1 + erf would have no digits left; exp(-32) itself is good to 4e-6.
    EXPECT_NEAR(y[i], expected, 5e-6 * std::abs(expected)) << x;
  }
  EXPECT_NEAR(y[6], 0.8413447460685429, 2e-7);
}

TEST_P(RowOpsValues, TanhAtKnownPoints) {
  const std::vector<float> points = {-50, -3, -0.5f, -1e-4f, 0, 1e-6f, 1, 9.5f, 1e30f};
  std::vector<float> y(points.size()), d_x(points.size());
  const std::vector<float> ones(points.size(), 1.0f);
  const auto n = static_cast<int64_t>(points.size());
  const ConstMatrix x(points.data(), DType::kF32, 1, n);
  activation_forward(context_, Activation::kTanh, x, Matrix(y.data(), DType::kF32, 1, n));
  activation_backward(context_, Activation::kTanh, x, ConstMatrix(ones.data(), DType::kF32, 1, n),
                      Matrix(d_x.data(), DType::kF32, 1, n));
  for (size_t i = 0; i < points.size(); ++i) {
    const double value = std::tanh(static_cast<double>(points[i]));
    EXPECT_NEAR(y[i], value, 5e-7 * std::abs(value)) << points[i];
    // Relative also where the tanh is 1 to the last bit.
    const double slope = 1 / std::pow(std::cosh(static_cast<double>(points[i])), 2);
    EXPECT_NEAR(d_x[i], slope, 5e-6 * slope + 1e-37) << points[i];
  }
  EXPECT_NEAR(y[6], 0.7615941559557649, 2e-7);
}

// A label the model is right about costs exp(-|x|), one it is wrong about |x|; nothing overflows, and what is as good
// as certain keeps its digits.
TEST_P(RowOpsValues, BinaryCrossEntropyOfHugeLogitsIsFinite) {
  const std::vector<float> labels = {1, 0, 1, 0, 1, 0, 0.5f, kNan};
  const std::vector<float> logits = {1e30f, 1e30f, -1e4f, -1e30f, 20, -20, 0, 1e30f};
  std::vector<float> x = logits;
  const LossSum sum = bce(context_, Matrix(x.data(), DType::kF32, 8, 1), ConstMatrix(labels.data(), DType::kF32, 8, 1),
                          /*want_gradient=*/true);
  EXPECT_EQ(sum.targets, 7);
  EXPECT_NEAR(sum.loss, 1e30, 1e24);
  const double small = std::exp(-20.0) / (1 + std::exp(-20.0));
  const std::vector<double> expected = {0, 1, -1, 0, -small, small, 0, 0};
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], expected[i], 1e-5 * std::abs(expected[i])) << i;

  std::vector<float> sure = {20};
  const LossSum one = bce(context_, Matrix(sure.data(), DType::kF32, 1, 1),
                          ConstMatrix(labels.data(), DType::kF32, 1, 1), /*want_gradient=*/false);
  EXPECT_NEAR(one.loss, std::exp(-20.0), 1e-5 * std::exp(-20.0));
  EXPECT_EQ(sure[0], 20);
}

TEST_P(RowOpsValues, SquaredErrorIgnoresWhatHasNoLabel) {
  const std::vector<float> labels = {1, kNan, -2};
  std::vector<float> x = {3, 100, -2};
  const LossSum sum = mse(context_, Matrix(x.data(), DType::kF32, 1, 3), ConstMatrix(labels.data(), DType::kF32, 1, 3),
                          /*want_gradient=*/true);
  EXPECT_EQ(sum.targets, 2);
  EXPECT_EQ(sum.loss, 4);
  EXPECT_EQ(x, (std::vector<float>{4, 0, 0}));
}

// One column, written out: what each kind takes, and whom its gradient goes to.
TEST_P(RowOpsValues, PoolingTakesTheTokensItSays) {
  struct Expected {
    PoolingKind kind;
    std::vector<float> pooled, gradient;
  };
  // Two rows of four tokens; tokens 1 and 2 of the first are real, and tokens 0 to 2 of the second.
  const std::vector<float> hidden = {9, 2, 6, 50, 5, 7, 7, 80};
  const std::vector<int32_t> begin = {1, 0}, end = {3, 3};
  const std::vector<float> d_pooled = {6, 12};
  for (const Expected& expected : {Expected{PoolingKind::kCls, {9, 5}, {6, 0, 0, 0, 12, 0, 0, 0}},
                                   Expected{PoolingKind::kMean, {4, 19.0f / 3}, {0, 3, 3, 0, 4, 4, 4, 0}},
                                   Expected{PoolingKind::kMax, {6, 7}, {0, 0, 6, 0, 0, 12, 0, 0}},
                                   Expected{PoolingKind::kLast, {6, 7}, {0, 0, 6, 0, 0, 0, 12, 0}}}) {
    const PoolingShape shape{expected.kind, 2, 4, begin.data(), end.data()};
    std::vector<float> pooled(2), d_hidden(8, 1.0f);
    pooling_forward(context_, shape, ConstMatrix(hidden.data(), DType::kF32, 8, 1),
                    Matrix(pooled.data(), DType::kF32, 2, 1));
    EXPECT_EQ(pooled, expected.pooled);
    pooling_backward(context_, shape, ConstMatrix(hidden.data(), DType::kF32, 8, 1),
                     ConstMatrix(d_pooled.data(), DType::kF32, 2, 1), Matrix(d_hidden.data(), DType::kF32, 8, 1));
    for (size_t t = 0; t < 8; ++t) EXPECT_EQ(d_hidden[t], 1 + expected.gradient[t]) << t;
  }
}

// A broken number among the tokens is not hidden by a larger one; one in the padding is.
TEST_P(RowOpsValues, NanIsTheMaximumUnlessItIsPadding) {
  for (int64_t where : {0, 1, 4}) {
    Tensor hidden = random_tensor(1, DType::kF32, 5, 20), pooled(DType::kF32, 1, 20);
    hidden.put(where, 17, kNan);
    const int32_t end = 4;
    pooling_forward(context_, {PoolingKind::kMax, 1, 5, nullptr, &end}, hidden.matrix(), pooled.matrix());
    EXPECT_EQ(std::isnan(pooled.at(0, 17)), where < end) << where;
    EXPECT_FALSE(std::isnan(pooled.at(0, 16)));
  }
}

TEST_P(RowOpsValues, DropoutKeepsTheMeanAndIsItsOwnGradient) {
  constexpr int64_t kRows = 64, kCols = 1000;
  Tensor x(DType::kF32, kRows, kCols);
  for (int64_t i = 0; i < kRows * kCols; ++i) x.f32()[i] = 1;
  std::vector<int64_t> numbers = {11, 12};
  const DropoutArgs args{.probability = 0.2f,
                         .key = philox_key(1, Purpose::kResidualDropout),
                         .row_numbers = numbers.data(),
                         .sequence = kRows / 2,
                         .layer = 3};
  Tensor again = x;
  dropout(context_, args, x.matrix());
  dropout(context_, args, again.matrix());
  EXPECT_EQ(x.bytes, again.bytes);
  double sum = 0;
  for (int64_t i = 0; i < kRows * kCols; ++i) {
    ASSERT_TRUE(x.f32()[i] == 0 || x.f32()[i] == 1.25f);
    sum += x.f32()[i];
  }
  EXPECT_NEAR(sum / (kRows * kCols), 1, 4 * 0.5 / std::sqrt(kRows * kCols));  // four standard deviations
}

// The mask belongs to the row's number: where in the batch the row is, makes no difference.
TEST_P(RowOpsValues, DropoutFollowsTheRowNotItsPlace) {
  const auto masked = [&](std::vector<int64_t> numbers) {
    Tensor x = random_tensor(1, DType::kF32, 3 * static_cast<int64_t>(numbers.size()), 45, 0, 0, 1);
    dropout(context_,
            {.probability = 0.5f,
             .key = philox_key(1, Purpose::kResidualDropout),
             .row_numbers = numbers.data(),
             .sequence = 3,
             .layer = 0},
            x.matrix());
    return x;
  };
  const Tensor both = masked({70, 5});
  const Tensor one = masked({5});
  EXPECT_EQ(std::memcmp(both.bytes.data() + one.bytes.size(), one.bytes.data(), one.bytes.size()), 0);
  EXPECT_NE(std::memcmp(both.bytes.data(), one.bytes.data(), one.bytes.size()), 0);
}

TEST_P(RowOpsValues, SumOfSquaresIsADoubleSumPerBlock) {
  std::vector<float> x(kBlockElements + 3, 1e-3f);
  x[5] = 1e4f;  // an fp32 sum would lose the small ones
  std::vector<double> partial(2);
  sum_squares_by_block(context_, x.data(), static_cast<int64_t>(x.size()), partial.data());
  const double small = static_cast<double>(1e-3f) * static_cast<double>(1e-3f);
  EXPECT_NEAR(partial[0], 1e8 + (kBlockElements - 1) * small, 2e-4);  // fp32 has steps of 8 here
  EXPECT_NEAR(partial[1], 3 * small, 1e-18);
}

INSTANTIATE_TEST_SUITE_P(Backends, RowOpsValues, testing::Values(Backend::kReference, Backend::kCpu),
                         [](const auto& info) { return info.param == Backend::kCpu ? "cpu" : "reference"; });

}  // namespace
}  // namespace strand::test
