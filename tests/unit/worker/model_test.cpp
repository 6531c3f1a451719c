#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ops/cast/cast.h"
#include "tests/unit/worker/test_model.h"
#include "worker/model/transformer.h"

namespace strand {
namespace {

using testing::Machine;
using testing::small_config;
using testing::test_weights;
using testing::TestBatch;

// A model with its weights and a batch, whose loss is a function of the weights.
struct Case {
  Case(const TransformerConfig& c, Backend backend = Backend::kReference, int threads = 1, DType dtype = DType::kF32,
       int64_t head_rows = 0, int64_t rows = 3, int64_t segment = 7)
      : config(c),
        machine(threads, backend),
        table(parameter_table(c)),
        model(c, table, {.dtype = dtype, .rows = rows, .segment = segment, .seed = 5, .head_rows = head_rows}),
        weights(test_weights(table)),
        batch(c, rows, segment),
        gradient(static_cast<size_t>(model.layout().gradients)) {
    if (dtype == DType::kBF16) rounded.resize(weights.size());
  }

  Weights view() {
    if (!rounded.empty()) {
      cast(machine.context, weights.data(), static_cast<int64_t>(weights.size()), rounded.data());
    }
    return {weights.data(), rounded.empty() ? nullptr : rounded.data()};
  }
  double loss(Mode mode = Mode::kEvaluate) {
    model.forward(machine.context, view(), batch.view(), mode);
    return model.loss(machine.context, view(), batch.view(), nullptr).loss;
  }
  double loss_and_gradient(Mode mode = Mode::kEvaluate) {
    std::fill(gradient.begin(), gradient.end(), 0.0f);
    const Gradients to{gradient.data()};
    model.forward(machine.context, view(), batch.view(), mode);
    const double loss = model.loss(machine.context, view(), batch.view(), &to).loss;
    model.backward(machine.context, view(), batch.view(), to);
    model.fold_tied(machine.context, to);
    return loss;
  }
  std::vector<float> logits() {
    std::vector<float> out(static_cast<size_t>(batch.view().tokens() * config.vocabulary));
    model.forward(machine.context, view(), batch.view(), Mode::kEvaluate);
    model.logits(machine.context, view(), batch.view(),
                 {out.data(), DType::kF32, batch.view().tokens(), config.vocabulary});
    return out;
  }

  TransformerConfig config;
  Machine machine;
  std::vector<ParameterInfo> table;
  Transformer model;
  std::vector<float> weights;
  std::vector<BFloat16> rounded;
  TestBatch batch;
  std::vector<float> gradient;
};

// Fourth-order central difference of the loss along `direction` of one tensor.
double derivative(Case& c, const ParameterInfo& tensor, const std::vector<double>& direction, Mode mode, double h) {
  const std::vector<float> kept = c.weights;
  const auto at = [&](double distance) {
    for (int64_t e = 0; e < tensor.elements; ++e) {
      const auto i = static_cast<size_t>(tensor.first_element + e);
      c.weights[i] = static_cast<float>(kept[i] + distance * direction[static_cast<size_t>(e)]);
    }
    const double loss = c.loss(mode);
    c.weights = kept;
    return loss;
  };
  return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
}

std::vector<double> unit(std::vector<double> v) {
  double sum = 0;
  for (const double x : v) sum += x * x;
  for (double& x : v) x /= std::sqrt(sum) + 1e-30;
  return v;
}

// Along the gradient itself (it must be as long as it says) and along a random direction (nothing must be missing).
void check_gradient(Case& c, Mode mode, const std::string& what) {
  c.loss_and_gradient(mode);
  const std::vector<float> gradient = c.gradient;
  for (size_t i = 0; i < c.table.size(); ++i) {
    const ParameterInfo& tensor = c.table[i];
    std::vector<double> g(gradient.begin() + tensor.first_element,
                          gradient.begin() + tensor.first_element + tensor.elements);
    std::vector<double> random;
    for (int64_t e = 0; e < tensor.elements; ++e) random.push_back(testing::draw(500 + i, static_cast<uint64_t>(e)));
    double norm = 0;
    for (const double x : g) norm += x * x;
    norm = std::sqrt(norm);
    for (const std::vector<double>& direction : {unit(g), unit(random)}) {
      double expected = 0;
      for (size_t e = 0; e < g.size(); ++e) expected += g[e] * direction[e];
      // Large steps see curvature and ReLU's kinks, small ones rounding: one of them must agree.
      const double tolerance = (c.config.mlp == MlpKind::kRelu ? 4e-2 : 3e-3) * norm + 4e-3;
      double found = 0;
      for (const double h : {0.01, 0.003, 0.001, 0.0003}) {
        found = derivative(c, tensor, direction, mode, h);
        if (std::abs(found - expected) <= tolerance) break;
      }
      EXPECT_NEAR(found, expected, tolerance) << what << " " << tensor.name << " norm " << norm;
    }
  }
}

std::string name_of(const TransformerConfig& c) {
  return concat("norm ", static_cast<int>(c.norm), " mlp ", static_cast<int>(c.mlp), " positions ",
                static_cast<int>(c.positions), c.tied ? " tied" : " untied", c.bias ? " bias" : "",
                c.causal ? "" : " bidirectional");
}

std::vector<TransformerConfig> all_configs() {
  std::vector<TransformerConfig> configs;
  for (const NormKind norm : {NormKind::kLayer, NormKind::kLayerNoAffine, NormKind::kRms}) {
    for (const MlpKind mlp : {MlpKind::kSwiGlu, MlpKind::kGelu, MlpKind::kRelu}) {
      for (const PositionKind positions : {PositionKind::kRope, PositionKind::kLearned, PositionKind::kNone}) {
        for (const int bits : {0, 1, 2, 3}) {
          TransformerConfig config = small_config();
          config.norm = norm;
          config.mlp = mlp;
          config.positions = positions;
          config.tied = (bits & 1) != 0;
          config.bias = (bits & 2) != 0;
          configs.push_back(config);
        }
      }
    }
  }
  TransformerConfig config = small_config();
  config.causal = false;
  config.embedding_scale = 2.5f;
  configs.push_back(config);
  return configs;
}

TEST(Transformer, GradientsAreThoseOfTheLoss) {
  for (const TransformerConfig& config : all_configs()) {
    Case c(config);
    check_gradient(c, Mode::kEvaluate, name_of(config));
  }
}

TEST(Transformer, GradientsWithDropoutUseTheForwardsMask) {
  TransformerConfig config = small_config();
  config.dropout = 0.3;
  Case c(config);
  check_gradient(c, Mode::kTrain, "dropout");
}

TEST(Transformer, DropoutIsAFunctionOfTheRowNumber) {
  TransformerConfig config = small_config();
  config.dropout = 0.3;
  Case c(config);
  const double first = c.loss(Mode::kTrain), plain = c.loss(Mode::kEvaluate);
  EXPECT_EQ(first, c.loss(Mode::kTrain));
  EXPECT_EQ(plain, c.loss(Mode::kEvaluate));
  EXPECT_NE(first, plain);
  c.batch.row_numbers[0] += 1;
  EXPECT_NE(first, c.loss(Mode::kTrain));
  EXPECT_EQ(plain, c.loss(Mode::kEvaluate));
}

void expect_close(const std::vector<float>& a, const std::vector<float>& b, double relative, const std::string& what) {
  ASSERT_EQ(a.size(), b.size());
  double largest = 0, difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(a[i])));
    difference = std::max(difference, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  EXPECT_LE(difference, relative * largest) << what << " largest " << largest;
}

TEST(Transformer, CpuAgreesWithReference) {
  for (const TransformerConfig& config : all_configs()) {
    Case reference(config), cpu(config, Backend::kCpu, 2);
    expect_close(reference.logits(), cpu.logits(), 1e-5, name_of(config));
    const double loss = reference.loss_and_gradient();
    EXPECT_NEAR(loss, cpu.loss_and_gradient(), 1e-5 * loss);
    expect_close(reference.gradient, cpu.gradient, 2e-5, name_of(config));
  }
}

TransformerConfig medium_config() {
  TransformerConfig config = small_config();
  config.hidden = 48;
  config.heads = 3;
  config.mlp_hidden = 80;
  config.vocabulary = 300;
  return config;
}

TEST(Transformer, BitsDoNotDependOnThreads) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    TransformerConfig config = medium_config();
    config.dropout = 0.1;
    Case one(config, Backend::kCpu, 1, dtype, 0, 5, 61);
    const double loss = one.loss_and_gradient(Mode::kTrain);
    for (const int threads : {2, 3, 4}) {
      Case more(config, Backend::kCpu, threads, dtype, 0, 5, 61);
      EXPECT_EQ(loss, more.loss_and_gradient(Mode::kTrain)) << threads << " threads";
      EXPECT_EQ(one.gradient, more.gradient) << threads << " threads " << dtype_name(dtype);
    }
  }
}

TEST(Transformer, Bf16IsCloseToFp32) {
  Case exact(medium_config(), Backend::kCpu), rounded(medium_config(), Backend::kCpu, 1, DType::kBF16);
  const double loss = exact.loss_and_gradient();
  EXPECT_NEAR(loss, rounded.loss_and_gradient(), 0.02 * loss);
  EXPECT_NE(exact.gradient, rounded.gradient);
  double difference = 0, norm = 0;
  for (size_t i = 0; i < exact.gradient.size(); ++i) {
    difference += std::pow(exact.gradient[i] - rounded.gradient[i], 2);
    norm += std::pow(exact.gradient[i], 2);
  }
  EXPECT_LT(std::sqrt(difference / norm), 0.05);
}

TEST(Transformer, ChunkedHeadEqualsWhole) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    Case whole(medium_config(), Backend::kCpu, 1, dtype, 21), chunked(medium_config(), Backend::kCpu, 1, dtype, 4);
    const double loss = whole.loss_and_gradient();
    EXPECT_NEAR(loss, chunked.loss_and_gradient(), 1e-6 * loss);
    expect_close(whole.gradient, chunked.gradient, dtype == DType::kF32 ? 1e-5 : 1e-2, dtype_name(dtype));
  }
}

TEST(Transformer, HeadChunkIsSmallForLargeVocabulariesAndOneForSmall) {
  EXPECT_EQ(head_chunk_rows(16, 4000), 4000);
  EXPECT_EQ(head_chunk_rows(4096, 4000), 1024);
  EXPECT_EQ(head_chunk_rows(50304, 4000), 256);
  EXPECT_EQ(head_chunk_rows(50304, 100), 100);
}

// What stands in the padding changes neither loss nor gradients, causal or not.
TEST(Transformer, PaddingIsNotSeen) {
  for (const bool causal : {true, false}) {
    TransformerConfig config = small_config();
    config.causal = causal;
    Case c(config);
    const double loss = c.loss_and_gradient();
    const std::vector<float> gradient = c.gradient;
    const auto segment = static_cast<size_t>(c.batch.view().segment);
    size_t changed = 0;
    for (size_t t = 0; t < c.batch.ids.size(); ++t) {
      if (t % segment >= static_cast<size_t>(c.batch.lengths[t / segment])) c.batch.ids[t] = 7, ++changed;
    }
    ASSERT_GT(changed, 0u);
    EXPECT_EQ(loss, c.loss_and_gradient()) << "causal " << causal;
    EXPECT_EQ(gradient, c.gradient) << "causal " << causal;
  }
}

TEST(Transformer, FutureTokensDoNotInfluenceCausalLogits) {
  Case c(small_config());
  const std::vector<float> before = c.logits();
  const int64_t segment = c.batch.view().segment, v = c.config.vocabulary;
  c.batch.ids[4] = (c.batch.ids[4] + 1) % 11;
  const std::vector<float> after = c.logits();
  for (int64_t t = 0; t < segment; ++t) {
    const bool same = std::equal(before.begin() + t * v, before.begin() + (t + 1) * v, after.begin() + t * v);
    EXPECT_EQ(same, t < 4) << "token " << t;
  }
}

// Tied: input and output use are summed apart, then once together.
TEST(Transformer, TiedGradientIsInputPlusOutput) {
  TransformerConfig config = small_config();
  Case tied(config);
  config.tied = false;
  Case untied(config);
  const auto embedding = static_cast<size_t>(config.vocabulary * config.hidden);
  std::copy(tied.weights.begin(), tied.weights.end(), untied.weights.begin());
  std::copy_n(tied.weights.begin(), embedding, untied.weights.end() - static_cast<int64_t>(embedding));
  tied.loss_and_gradient();
  untied.loss_and_gradient();
  for (size_t i = 0; i < embedding; ++i) {
    const float output = untied.gradient[untied.weights.size() - embedding + i];
    EXPECT_EQ(tied.gradient[i], untied.gradient[i] + output);
  }
}

}  // namespace
}  // namespace strand
