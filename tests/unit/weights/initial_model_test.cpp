// model.init: what a job takes over from a directory.
#include "worker/weights/initial_model.h"

#include <gtest/gtest.h>

#include "shared/base/text.h"
#include "tests/unit/weights/tiny_models.h"

namespace strand {
namespace {

class InitialModelTest : public testing::Test {
 protected:
  void SetUp() override { put_published(fs_, "/src", model_, family_named("esm")); }
  Result<InitialModel> load(const TransformerConfig& config, const std::vector<ParameterInfo>& table) {
    weights_.assign(static_cast<size_t>(table.back().first_element + table.back().elements), -7.0f);
    return load_initial_model(fs_, "/src", config, table, weights_);
  }
  FaultyFileSystem fs_;
  TinyModel model_ = tiny_model("nt-v1-500m");
  std::vector<float> weights_;
};

TEST_F(InitialModelTest, TakesEveryWeight) {
  const auto loaded = load(model_.config, model_.table);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message();
  EXPECT_EQ(weights_, model_.weights);
  EXPECT_EQ(loaded->digest, model_.digest());
  EXPECT_TRUE(loaded->notes.empty());
}

TEST_F(InitialModelTest, AJobWithAnotherDropoutOrPresetIsTheSameModel) {
  TransformerConfig config = model_.config;
  config.dropout = 0.2;
  config.embedding_dropout = 0.1;
  config.init_std = 0.5;
  EXPECT_TRUE(load(config, model_.table).ok());
}

TEST_F(InitialModelTest, EveryKeyThatContradictsTheWeightsIsListed) {
  TransformerConfig config = model_.config;
  config.layers = 3;
  config.mlp = MlpKind::kRelu;
  config.norm_eps = 1e-5f;
  config.token_dropout = false;
  const auto loaded = load(config, parameter_table(config));
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code(), ErrorCode::kBadInput);
  for (const char* line :
       {"model.layers: the job has 3, the weights have 2", "model.mlp: the job has \"relu\", the weights have \"gelu\"",
        "model.norm_eps: the job has 1e-5, the weights have 1e-12",
        "model.token_dropout: the job has false, the weights have true"}) {
    EXPECT_NE(loaded.error().message().find(line), std::string::npos) << loaded.error().message();
  }
}

// A task's head stays as the seed drew it, and the job may do without the language-model head.
TEST_F(InitialModelTest, HeadsOfTheJobAndOfTheFileMayDiffer) {
  std::vector<ParameterInfo> table = model_.table;
  std::erase_if(table, [](const ParameterInfo& p) { return p.name.starts_with("head."); });
  ParameterInfo head;
  head.name = "task.head.0.weight";
  head.shape = {2, 16};
  head.elements = 32;
  table.push_back(head);
  int64_t first = 0;
  for (ParameterInfo& parameter : table) {
    parameter.first_element = first;
    first += parameter.elements;
  }
  const auto loaded = load(model_.config, table);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message();
  EXPECT_EQ(loaded->notes, std::vector<std::string>{"drawn from train.seed: task.head.0.weight"});
  EXPECT_EQ(weights_.back(), -7.0f);
  EXPECT_TRUE(std::equal(weights_.begin(), weights_.end() - 32, model_.weights.begin()));
}

TEST_F(InitialModelTest, AnAbsentDirectoryIsBadInput) {
  weights_.assign(model_.weights.size(), 0.0f);
  const auto loaded = load_initial_model(fs_, "/nowhere", model_.config, model_.table, weights_);
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code(), ErrorCode::kBadInput) << "nobody mends it by trying again";
}

}  // namespace
}  // namespace strand
