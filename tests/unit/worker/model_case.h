// A small model with its weights and a batch, and the configurations that the tests of the model run over.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "ops/cast/cast.h"
#include "shared/base/text.h"
#include "tests/unit/worker/test_model.h"
#include "worker/model/transformer.h"

namespace strand::testing {

// A model with its weights and a batch, whose loss is a function of the weights.
struct Case {
  explicit Case(const TransformerConfig& c, Backend backend = Backend::kReference, int threads = 1,
                DType dtype = DType::kF32, int64_t head_rows = 0, int64_t rows = 3, int64_t segment = 7)
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
  void forward(Mode mode = Mode::kEvaluate) { model.forward(machine.context, view(), batch.view(), mode); }
  double loss(Mode mode = Mode::kEvaluate) {
    forward(mode);
    return model.loss(machine.context, view(), batch.view(), nullptr).loss;
  }
  double loss_and_gradient(Mode mode = Mode::kEvaluate) {
    std::fill(gradient.begin(), gradient.end(), 0.0f);
    const Gradients to{gradient.data()};
    forward(mode);
    const double loss = model.loss(machine.context, view(), batch.view(), &to).loss;
    model.backward(machine.context, view(), batch.view(), to);
    model.fold_tied(machine.context, to);
    return loss;
  }
  std::vector<float> logits() {
    std::vector<float> out(static_cast<size_t>(batch.view().tokens() * config.vocabulary));
    forward();
    model.logits(machine.context, view(), batch.view(),
                 {out.data(), DType::kF32, batch.view().tokens(), config.vocabulary});
    return out;
  }
  const ParameterInfo& tensor(const std::string& name) const {
    const auto found = std::find_if(table.begin(), table.end(), [&](const auto& p) { return p.name == name; });
    STRAND_CHECK(found != table.end(), name);
    return *found;
  }
  // Element of a tensor, row-major.
  float& weight(const std::string& name, int64_t index) {
    return weights[static_cast<size_t>(tensor(name).first_element + index)];
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

inline std::string name_of(const TransformerConfig& c) {
  return concat("norm ", static_cast<int>(c.norm), c.norm_placement == NormPlacement::kPost ? " post" : "", " mlp ",
                static_cast<int>(c.mlp), " positions ", static_cast<int>(c.positions), c.tied ? " tied" : " untied",
                c.bias ? " bias" : "", c.causal ? "" : " bidirectional", c.projected() ? " projected" : "",
                c.head == HeadKind::kMaskedLm ? " masked" : "", c.head_bias ? " head bias" : "",
                c.embedding_norm ? " embedding norm" : "", c.final_norm ? "" : " no final norm",
                c.token_types > 0 ? " token types" : "", c.token_dropout ? " token dropout" : "");
}

// Every kind of norm, MLP and position with every other.
inline std::vector<TransformerConfig> crossed_configs() {
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
          config.bias = config.mlp_up_bias = config.mlp_down_bias = (bits & 2) != 0;
          configs.push_back(config);
        }
      }
    }
  }
  return configs;
}

// The published models (one of each kind), with the sizes of `sizes` and without dropout.
inline std::vector<TransformerConfig> published_configs(const TransformerConfig& sizes, int64_t embedding_width) {
  std::vector<TransformerConfig> configs;
  for (const std::string name : {"opt-125m", "opt-350m", "dnabert-2-117m", "nt-v1-500m", "nt-v2-50m", "dna-fm-300m"}) {
    TransformerConfig config = preset_config(name).value();
    config.layers = sizes.layers;
    config.hidden = sizes.hidden;
    config.heads = sizes.heads;
    config.mlp_hidden = sizes.mlp_hidden;
    config.vocabulary = sizes.vocabulary;
    config.max_sequence = sizes.max_sequence;
    if (config.projected()) config.embedding_width = embedding_width;
    config.dropout = config.embedding_dropout = 0;
    config.mask_id = TestBatch(config, 3, 7).ids[1];  // one that is there
    configs.push_back(config);
  }
  return configs;
}

// What no published model has, but the configuration allows.
inline std::vector<TransformerConfig> unusual_configs() {
  std::vector<TransformerConfig> configs(7, small_config());
  configs[0].causal = false;
  configs[0].embedding_scale = 2.5f;

  configs[1].norm_placement = NormPlacement::kPost;  // RMS, rotary, with a final norm
  configs[1].mlp = MlpKind::kGeGlu;
  configs[1].mlp_up_bias = true;

  configs[2].norm = NormKind::kLayerNoAffine;  // a masked-LM head behind projections, tied
  configs[2].embedding_width = 6;
  configs[2].head = HeadKind::kMaskedLm;
  configs[2].head_bias = true;
  configs[2].token_dropout = true;
  configs[2].mask_id = TestBatch(configs[2], 3, 7).ids[1];

  configs[3].hidden = 12;  // causal ALiBi, a number of heads that is no power of two, projections up, untied
  configs[3].heads = 3;
  configs[3].positions = PositionKind::kAlibi;
  configs[3].embedding_width = 14;
  configs[3].tied = false;
  configs[3].mlp_down_bias = true;

  configs[4].embedding_norm = true;  // everything at the input
  configs[4].token_types = 3;
  configs[4].positions = PositionKind::kLearned;
  configs[4].position_offset = 4;
  configs[4].embedding_width = 5;
  configs[4].embedding_scale = 0.5f;

  configs[5].final_norm = false;
  configs[5].bias = true;
  configs[5].head_bias = true;
  configs[5].tied = false;

  configs[6].attention = false;
  configs[6].norm_placement = NormPlacement::kPost;
  return configs;
}

inline std::vector<TransformerConfig> all_configs() {
  std::vector<TransformerConfig> configs = crossed_configs();
  for (const auto& more : {published_configs(small_config(), 6), unusual_configs()}) {
    configs.insert(configs.end(), more.begin(), more.end());
  }
  return configs;
}

inline TransformerConfig medium_config() {
  TransformerConfig config = small_config();
  config.hidden = 48;
  config.heads = 3;
  config.mlp_hidden = 80;
  config.vocabulary = 300;
  config.max_sequence = 64;
  return config;
}

inline std::vector<TransformerConfig> medium_configs() {
  std::vector<TransformerConfig> configs = published_configs(medium_config(), 32);
  configs.push_back(medium_config());
  return configs;
}

inline void expect_close(const std::vector<float>& a, const std::vector<float>& b, double relative,
                         const std::string& what) {
  ASSERT_EQ(a.size(), b.size());
  double largest = 0, difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(a[i])));
    difference = std::max(difference, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  EXPECT_LE(difference, relative * largest) << what << " largest " << largest;
}

}  // namespace strand::testing
