#include "tests/unit/worker/model_case.h"

namespace strand {
namespace {

using testing::all_configs;
using testing::Case;
using testing::expect_close;
using testing::medium_config;
using testing::medium_configs;
using testing::name_of;
using testing::small_config;

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

TEST(Transformer, GradientsAreThoseOfTheLoss) {
  for (const TransformerConfig& config : all_configs()) {
    Case c(config);
    check_gradient(c, Mode::kEvaluate, name_of(config));
  }
}

TEST(Transformer, GradientsWithDropoutUseTheForwardsMask) {
  TransformerConfig residual = small_config(), inner = residual, embedding = residual;
  residual.dropout = inner.dropout = embedding.embedding_dropout = 0.3;
  inner.dropout_in_mlp = true;
  TransformerConfig post = inner;
  post.norm_placement = NormPlacement::kPost;
  post.embedding_norm = true;
  post.embedding_dropout = 0.2;
  for (const TransformerConfig& config : {residual, inner, embedding, post}) {
    Case c(config);
    check_gradient(c, Mode::kTrain, "dropout " + name_of(config));
  }
}

// Each of the places drops something of its own.
TEST(Transformer, EveryDropoutCountsByItself) {
  TransformerConfig none = small_config(), residual = none, inner = none, embedding = none;
  residual.dropout = inner.dropout = embedding.embedding_dropout = 0.3;
  inner.dropout_in_mlp = true;
  std::vector<double> losses;
  for (const TransformerConfig& config : {none, residual, inner, embedding}) {
    Case c(config);
    EXPECT_EQ(c.loss(Mode::kEvaluate), Case(none).loss(Mode::kEvaluate));
    losses.push_back(c.loss(Mode::kTrain));
  }
  for (size_t i = 0; i < losses.size(); ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_NE(losses[i], losses[j]) << i << " " << j;
  }
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

TEST(Transformer, CpuAgreesWithReference) {
  for (const TransformerConfig& config : all_configs()) {
    Case reference(config), cpu(config, Backend::kCpu, 2);
    expect_close(reference.logits(), cpu.logits(), 1e-5, name_of(config));
    const double loss = reference.loss_and_gradient();
    EXPECT_NEAR(loss, cpu.loss_and_gradient(), 1e-5 * loss);
    expect_close(reference.gradient, cpu.gradient, 2e-5, name_of(config));
  }
}

TEST(Transformer, BitsDoNotDependOnThreads) {
  for (TransformerConfig config : medium_configs()) {
    config.dropout = config.embedding_dropout = 0.1;
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      Case one(config, Backend::kCpu, 1, dtype, 0, 5, 61);
      const double loss = one.loss_and_gradient(Mode::kTrain);
      for (const int threads : {2, 3, 4}) {
        Case more(config, Backend::kCpu, threads, dtype, 0, 5, 61);
        EXPECT_EQ(loss, more.loss_and_gradient(Mode::kTrain)) << threads << " threads " << name_of(config);
        EXPECT_EQ(one.gradient, more.gradient) << threads << " threads " << dtype_name(dtype) << name_of(config);
      }
    }
  }
}

TEST(Transformer, Bf16IsCloseToFp32) {
  for (const TransformerConfig& config : medium_configs()) {
    Case exact(config, Backend::kCpu), rounded(config, Backend::kCpu, 1, DType::kBF16);
    const double loss = exact.loss_and_gradient();
    EXPECT_NEAR(loss, rounded.loss_and_gradient(), 0.02 * loss) << name_of(config);
    EXPECT_NE(exact.gradient, rounded.gradient);
    double difference = 0, norm = 0;
    for (size_t i = 0; i < exact.gradient.size(); ++i) {
      difference += std::pow(exact.gradient[i] - rounded.gradient[i], 2);
      norm += std::pow(exact.gradient[i], 2);
    }
    // A rounded value can stand on the other side of ReLU's kink, where the derivative is another.
    EXPECT_LT(std::sqrt(difference / norm), config.mlp == MlpKind::kRelu ? 0.15 : 0.06) << name_of(config);
  }
}

TEST(Transformer, ChunkedHeadEqualsWhole) {
  for (const TransformerConfig& config : medium_configs()) {
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      Case whole(config, Backend::kCpu, 1, dtype, 21), chunked(config, Backend::kCpu, 1, dtype, 4);
      expect_close(whole.logits(), chunked.logits(), 1e-6, name_of(config));
      const double loss = whole.loss_and_gradient();
      EXPECT_NEAR(loss, chunked.loss_and_gradient(), 1e-6 * loss);
      expect_close(whole.gradient, chunked.gradient, dtype == DType::kF32 ? 1e-5 : 1e-2,
                   dtype_name(dtype) + name_of(config));
    }
  }
}

TEST(Transformer, HeadChunkIsSmallForLargeVocabulariesAndOneForSmall) {
  EXPECT_EQ(head_chunk_rows(16, 4000), 4000);
  EXPECT_EQ(head_chunk_rows(4096, 4000), 1024);
  EXPECT_EQ(head_chunk_rows(50304, 4000), 256);
  EXPECT_EQ(head_chunk_rows(50304, 100), 100);
}

// What stands in the padding changes neither loss nor gradients, causal or not, whatever else the model does.
TEST(Transformer, PaddingIsNotSeen) {
  std::vector<TransformerConfig> configs = testing::published_configs(small_config(), 6);
  for (const auto& config : testing::unusual_configs()) configs.push_back(config);
  configs.push_back(small_config());
  for (const TransformerConfig& config : configs) {
    Case c(config);
    const double loss = c.loss_and_gradient();
    const std::vector<float> gradient = c.gradient;
    const auto segment = static_cast<size_t>(c.batch.view().segment);
    size_t changed = 0;
    for (size_t t = 0; t < c.batch.ids.size(); ++t) {
      if (t % segment < static_cast<size_t>(c.batch.lengths[t / segment])) continue;
      c.batch.ids[t] = c.config.token_dropout ? static_cast<int32_t>(c.config.mask_id) : 7;
      ++changed;
    }
    ASSERT_GT(changed, 0u);
    EXPECT_EQ(loss, c.loss_and_gradient()) << name_of(config);
    EXPECT_EQ(gradient, c.gradient) << name_of(config);
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
