// What each part of the model computes, written out once more in plain loops.
#include <cmath>

#include "tests/unit/worker/model_case.h"
#include "worker/model/branches.h"

namespace strand {
namespace {

using testing::Case;
using testing::draw;
using testing::expect_close;
using testing::name_of;
using testing::small_config;

using Row = std::vector<double>;

Row row_of(ConstMatrix m, int64_t row) {
  Row out;
  for (int64_t c = 0; c < m.cols; ++c) out.push_back(static_cast<double>(m.f32()[row * m.stride + c]));
  return out;
}

Row layer_normed(Case& c, const std::string& name, const Row& x) {
  double mean = 0, variance = 0;
  for (const double v : x) mean += v / static_cast<double>(x.size());
  for (const double v : x) variance += (v - mean) * (v - mean) / static_cast<double>(x.size());
  Row out;
  for (size_t i = 0; i < x.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    out.push_back((x[i] - mean) / std::sqrt(variance + static_cast<double>(c.config.norm_eps)) *
                      static_cast<double>(c.weight(name + ".weight", at)) +
                  static_cast<double>(c.weight(name + ".bias", at)));
  }
  return out;
}

// W x of a stored [out, in] matrix.
Row product(Case& c, const std::string& name, const Row& x) {
  const int64_t out = c.tensor(name).shape[0], in = c.tensor(name).shape[1];
  Row y(static_cast<size_t>(out));
  for (int64_t o = 0; o < out; ++o) {
    for (int64_t i = 0; i < in; ++i) {
      y[static_cast<size_t>(o)] += static_cast<double>(c.weight(name, o * in + i)) * x[static_cast<size_t>(i)];
    }
  }
  return y;
}

Row table_row(Case& c, const std::string& name, int64_t row) {
  const int64_t cols = c.tensor(name).shape[1];
  Row out;
  for (int64_t i = 0; i < cols; ++i) out.push_back(static_cast<double>(c.weight(name, row * cols + i)));
  return out;
}

void add_to(Row* x, const Row& y) {
  for (size_t i = 0; i < x->size(); ++i) (*x)[i] += y[i];
}

void expect_row(const Row& expected, const Row& found, const std::string& what) {
  ASSERT_EQ(expected.size(), found.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(expected[i], found[i], 1e-5 * (1 + std::abs(expected[i]))) << what << " column " << i;
  }
}

// Share of the mask among the real tokens of a row.
double mask_share(const Case& c, int64_t row) {
  const int64_t segment = c.batch.batch.segment, length = c.batch.lengths[static_cast<size_t>(row)];
  double masks = 0;
  for (int64_t i = 0; i < length; ++i) {
    masks += c.batch.ids[static_cast<size_t>(row * segment + i)] == c.config.mask_id ? 1 : 0;
  }
  return masks / static_cast<double>(length);
}

Row expected_input(Case& c, int64_t row, int64_t i) {
  const int32_t id = c.batch.ids[static_cast<size_t>(row * c.batch.batch.segment + i)];
  Row x = table_row(c, "embedding.weight", id);
  for (double& v : x) {
    v *= static_cast<double>(c.config.embedding_scale);
    if (c.config.token_dropout) v *= id == c.config.mask_id ? 0 : 0.88 / (1 - mask_share(c, row));
  }
  if (c.config.projected()) x = product(c, "embedding.project_in.weight", x);
  if (c.config.token_types > 0) add_to(&x, table_row(c, "token_type.weight", 0));
  if (c.config.positions == PositionKind::kLearned) {
    add_to(&x, table_row(c, "position.weight", i + c.config.position_offset));
  }
  return c.config.embedding_norm ? layer_normed(c, "embedding_norm", x) : x;
}

TEST(ModelInput, IsTheSumOfWhatTheConfigurationNames) {
  std::vector<TransformerConfig> configs = testing::published_configs(small_config(), 6);
  TransformerConfig all = small_config();
  all.norm = NormKind::kLayer;
  all.embedding_norm = all.token_dropout = true;
  all.token_types = 3;
  all.positions = PositionKind::kLearned;
  all.position_offset = 4;
  all.embedding_width = 5;
  all.embedding_scale = 0.5f;
  all.mask_id = configs[0].mask_id;
  configs.push_back(all);
  int masks = 0;
  for (const TransformerConfig& config : configs) {
    Case c(config);
    c.forward();
    for (int64_t row = 0; row < c.batch.batch.rows; ++row) {
      for (int64_t i = 0; i < c.batch.lengths[static_cast<size_t>(row)]; ++i) {
        const int64_t t = row * c.batch.batch.segment + i;
        expect_row(expected_input(c, row, i), row_of(c.model.hidden(0), t), concat(name_of(config), " token ", t));
        masks += config.token_dropout && c.batch.ids[static_cast<size_t>(t)] == config.mask_id ? 1 : 0;
      }
    }
  }
  EXPECT_GT(masks, 2) << "the batch holds no masks to drop";
}

TEST(ModelInput, ARowOfMasksOnlyIsFinite) {
  TransformerConfig config = testing::published_configs(small_config(), 6)[3];
  ASSERT_TRUE(config.token_dropout);
  Case c(config);
  std::fill(c.batch.ids.begin(), c.batch.ids.end(), static_cast<int32_t>(config.mask_id));
  EXPECT_TRUE(std::isfinite(c.loss_and_gradient()));
  for (const float g : c.gradient) ASSERT_TRUE(std::isfinite(g));
}

TEST(ModelHead, LogitsAreThoseOfTheFormula) {
  std::vector<TransformerConfig> configs = testing::published_configs(small_config(), 6);
  TransformerConfig all = configs.back();
  all.embedding_width = 5;
  all.tied = false;
  configs.push_back(all);
  for (const TransformerConfig& config : configs) {
    Case c(config);
    const std::vector<float> logits = c.logits();
    const int64_t tokens = c.batch.view().tokens(), v = config.vocabulary;
    for (int64_t t = 0; t < tokens; ++t) {
      Row x = row_of(c.model.hidden(), t);
      if (config.head == HeadKind::kMaskedLm) {
        x = product(c, "head.transform.weight", x);
        for (size_t i = 0; i < x.size(); ++i) {
          x[i] += static_cast<double>(c.weight("head.transform.bias", static_cast<int64_t>(i)));
          x[i] *= 0.5 * (1 + std::erf(x[i] / std::sqrt(2.0)));
        }
        x = layer_normed(c, "head.transform_norm", x);
      }
      if (config.projected()) x = product(c, "head.project_out.weight", x);
      x = product(c, config.tied ? "embedding.weight" : "head.weight", x);
      if (config.head_bias) {
        for (int64_t i = 0; i < v; ++i) x[static_cast<size_t>(i)] += static_cast<double>(c.weight("head.bias", i));
      }
      expect_row(x, row_of({logits.data(), DType::kF32, tokens, v, v}, t), concat(name_of(config), " token ", t));
    }
  }
}

// A block without attention, written out: where the norm stands and which half of the up matrix is the gate.
TEST(ModelBlock, NormPlacementAndGatesAreThoseOfTheFormula) {
  for (const NormPlacement placement : {NormPlacement::kPre, NormPlacement::kPost}) {
    for (const MlpKind mlp : {MlpKind::kSwiGlu, MlpKind::kGeGlu}) {
      TransformerConfig config = small_config();
      config.norm = NormKind::kLayer;
      config.norm_placement = placement;
      config.mlp = mlp;
      config.attention = false;
      Case c(config);
      c.forward();
      const Row x = row_of(c.model.hidden(0), 4);
      const bool post = placement == NormPlacement::kPost;
      const Row up = product(c, "blocks.0.mlp.up.weight", post ? x : layer_normed(c, "blocks.0.mlp_norm", x));
      Row activated;
      for (size_t i = 0; i < up.size() / 2; ++i) {
        const double linear = up[i], gate = up[i + up.size() / 2];
        activated.push_back(
            linear * gate *
            (mlp == MlpKind::kGeGlu ? 0.5 * (1 + std::erf(gate / std::sqrt(2.0))) : 1 / (1 + std::exp(-gate))));
      }
      Row sum = product(c, "blocks.0.mlp.down.weight", activated);
      add_to(&sum, x);
      expect_row(post ? layer_normed(c, "blocks.0.mlp_norm", sum) : sum, row_of(c.model.hidden(1), 4), name_of(config));
    }
  }
}

// What leaves a block with its norms behind the additions is normed.
TEST(ModelBlock, PostNormStatesAreNormed) {
  TransformerConfig config = small_config();
  config.norm = NormKind::kLayerNoAffine;
  config.norm_placement = NormPlacement::kPost;
  config.final_norm = false;
  Case c(config);
  c.forward();
  for (int64_t layer = 1; layer <= config.layers; ++layer) {
    for (int64_t t = 0; t < c.batch.view().tokens(); ++t) {
      double sum = 0, squares = 0;
      for (const double x : row_of(c.model.hidden(layer), t)) sum += x, squares += x * x;
      EXPECT_NEAR(sum, 0, 1e-4);
      EXPECT_NEAR(squares, static_cast<double>(config.hidden), 1e-2);
    }
  }
}

TEST(Alibi, SlopesAreThoseOfThePaper) {
  const auto expect_slopes = [](int64_t heads, const std::vector<double>& exponents) {
    const std::vector<float> slopes = alibi_slopes(heads);
    ASSERT_EQ(slopes.size(), exponents.size());
    for (size_t i = 0; i < slopes.size(); ++i) EXPECT_FLOAT_EQ(slopes[i], std::exp2(static_cast<float>(-exponents[i])));
  };
  expect_slopes(1, {8});
  expect_slopes(8, {1, 2, 3, 4, 5, 6, 7, 8});
  expect_slopes(12, {1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5});
  expect_slopes(3, {4, 8, 2});
}

// With queries of zeros the scores are the bias alone: attention is a weighted mean that falls off with distance.
TEST(Alibi, DistantTokensWeighLess) {
  TransformerConfig config = small_config();
  config.layers = 1;
  config.heads = 1;
  config.positions = PositionKind::kAlibi;
  config.causal = false;
  config.norm = NormKind::kLayerNoAffine;
  Case c(config);
  const int64_t d = config.hidden, segment = c.batch.batch.segment;
  for (int64_t i = 0; i < d * d; ++i) {
    c.weight("blocks.0.attention.qkv.weight", i) = 0;
    c.weight("blocks.0.attention.qkv.weight", 2 * d * d + i) = i % (d + 1) == 0 ? 1 : 0;  // v = normed input
    c.weight("blocks.0.attention.out.weight", i) = i % (d + 1) == 0 ? 1 : 0;
  }
  for (int64_t i = 0; i < d * config.mlp_hidden; ++i) c.weight("blocks.0.mlp.down.weight", i) = 0;
  c.forward();
  const double slope = std::exp2(-8);
  std::vector<Row> inputs, normed;
  for (int64_t j = 0; j < segment; ++j) {
    const Row x = row_of(c.model.hidden(0), j);
    double mean = 0, variance = 0;
    for (const double v : x) mean += v / static_cast<double>(d);
    for (const double v : x) variance += (v - mean) * (v - mean) / static_cast<double>(d);
    Row y;
    for (const double v : x) y.push_back((v - mean) / std::sqrt(variance + 1e-5));
    inputs.push_back(x);
    normed.push_back(y);
  }
  ASSERT_EQ(c.batch.lengths[0], segment);
  for (int64_t i = 0; i < segment; ++i) {
    Row expected = inputs[static_cast<size_t>(i)];
    double total = 0;
    for (int64_t j = 0; j < segment; ++j) total += std::exp(-slope * std::abs(static_cast<double>(i - j)));
    for (int64_t j = 0; j < segment; ++j) {
      const double share = std::exp(-slope * std::abs(static_cast<double>(i - j))) / total;
      for (size_t k = 0; k < expected.size(); ++k) expected[k] += share * normed[static_cast<size_t>(j)][k];
    }
    expect_row(expected, row_of(c.model.hidden(1), i), concat("token ", i));
  }
}

// A loss on the hidden states: sum of their products with fixed numbers, over real tokens.
struct HiddenLoss {
  explicit HiddenLoss(Case& made) : c(made), d_hidden(DType::kF32, made.batch.view().tokens(), made.config.hidden) {
    const int64_t segment = c.batch.batch.segment, d = c.config.hidden;
    for (int64_t t = 0; t < d_hidden.rows(); ++t) {
      if (t % segment >= c.batch.lengths[static_cast<size_t>(t / segment)]) continue;
      for (int64_t i = 0; i < d; ++i) d_hidden.f32()[t * d + i] = draw(77, static_cast<uint64_t>(t * d + i));
    }
  }
  double value() {
    c.forward();
    double sum = 0;
    for (int64_t t = 0; t < d_hidden.rows(); ++t) {
      const Row x = row_of(c.model.hidden(), t), g = row_of(d_hidden.view(), t);
      for (size_t i = 0; i < x.size(); ++i) sum += x[i] * g[i];
    }
    return sum;
  }
  std::vector<float> gradient(ConstMatrix from) {
    std::fill(c.gradient.begin(), c.gradient.end(), 0.0f);
    c.forward();
    c.model.backward_from_hidden(c.machine.context, c.view(), c.batch.view(), from, {c.gradient.data()});
    c.model.fold_tied(c.machine.context, {c.gradient.data()});
    return c.gradient;
  }
  Case& c;
  Buffer d_hidden;
};

TEST(HiddenStates, GradientsStartFromThem) {
  for (const TransformerConfig& config : testing::published_configs(small_config(), 6)) {
    Case c(config);
    HiddenLoss loss(c);
    const std::vector<float> gradient = loss.gradient(loss.d_hidden.view());
    for (const ParameterInfo& tensor : c.table) {
      // Along a random direction of each tensor; nothing comes from the head.
      double expected = 0;
      for (int64_t e = 0; e < tensor.elements; ++e) {
        expected += static_cast<double>(gradient[static_cast<size_t>(tensor.first_element + e)]) *
                    static_cast<double>(draw(31, static_cast<uint64_t>(e)));
      }
      const std::vector<float> kept = c.weights;
      const auto at = [&](double h) {
        for (int64_t e = 0; e < tensor.elements; ++e) {
          const auto i = static_cast<size_t>(tensor.first_element + e);
          c.weights[i] = static_cast<float>(kept[i] + h * static_cast<double>(draw(31, static_cast<uint64_t>(e))));
        }
        const double value = loss.value();
        c.weights = kept;
        return value;
      };
      double found = 0;
      const double tolerance = 2e-2 * std::abs(expected) + 2e-2;
      for (const double h : {0.003, 0.001, 0.0003}) {
        found = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
        if (std::abs(found - expected) <= tolerance) break;
      }
      EXPECT_NEAR(found, expected, tolerance) << name_of(config) << " " << tensor.name;
      if (tensor.name.starts_with("head.")) {
        EXPECT_EQ(found, 0) << tensor.name;
      }
    }
  }
}

TEST(HiddenStates, Bf16GradientsAreTaken) {
  for (const TransformerConfig& config : testing::published_configs(testing::medium_config(), 32)) {
    Case exact(config, Backend::kCpu), rounded(config, Backend::kCpu, 1, DType::kBF16);
    HiddenLoss loss(exact), rounded_loss(rounded);
    const Buffer d_hidden(DType::kBF16, loss.d_hidden.rows(), config.hidden);
    cast(rounded.machine.context, loss.d_hidden.f32(), loss.d_hidden.rows() * config.hidden, d_hidden.view().bf16());
    const std::vector<float> expected = loss.gradient(loss.d_hidden.view());
    EXPECT_EQ(rounded.model.hidden().dtype, DType::kBF16);
    for (const ConstMatrix from : {ConstMatrix(d_hidden.view()), ConstMatrix(loss.d_hidden.view())}) {
      const std::vector<float> found = rounded_loss.gradient(from);
      double difference = 0, norm = 0;
      for (size_t i = 0; i < found.size(); ++i) {
        difference += std::pow(static_cast<double>(expected[i]) - static_cast<double>(found[i]), 2);
        norm += std::pow(static_cast<double>(expected[i]), 2);
      }
      EXPECT_LT(std::sqrt(difference / norm), config.mlp == MlpKind::kRelu ? 0.15 : 0.06) << name_of(config);
    }
  }
}

}  // namespace
}  // namespace strand
