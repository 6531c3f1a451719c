// The parameters of task heads: those of the published ones, in order.
#include "shared/job_spec/head_spec.h"

#include <gtest/gtest.h>

#include "shared/job_spec/parameter_table.h"

namespace strand {
namespace {

int64_t count(const HeadSpec& spec, int64_t hidden) {
  const auto table = head_parameters(spec, hidden);
  return table.back().first_element + table.back().elements;
}

TEST(HeadParameters, ThePublishedHeads) {
  const HeadSpec opt{.pooling = Pooling::kLast, .outputs = 2, .bias = false};
  EXPECT_EQ(count(opt, 768), 1536);
  EXPECT_EQ(count(opt, 512), 1024);
  EXPECT_EQ(head_parameters(opt, 768).size(), 1u);
  // BERT's pooler and classifier, and ESM's head: a dense layer and the output.
  EXPECT_EQ(count({.mlp_hidden = {768}, .dropout = 0.1, .input_dropout = false}, 768), 768 * 768 + 768 + 2 * 768 + 2);
  // AIDO.DNA on splice sites: an MLP of 128 over the mean.
  EXPECT_EQ(count({.pooling = Pooling::kMean, .outputs = 3, .mlp_hidden = {128}}, 4352),
            4352 * 128 + 128 + 128 * 3 + 3);
}

TEST(HeadParameters, StandInOrderWithoutGaps) {
  const auto table = head_parameters({.outputs = 3, .mlp_hidden = {7, 5}}, 8);
  const std::vector<std::string> names = {"task.head.0.weight", "task.head.0.bias",   "task.head.1.weight",
                                          "task.head.1.bias",   "task.head.2.weight", "task.head.2.bias"};
  const std::vector<std::vector<int64_t>> shapes = {{7, 8}, {7}, {5, 7}, {5}, {3, 5}, {3}};
  ASSERT_EQ(table.size(), names.size());
  int64_t next = 0;
  for (size_t i = 0; i < table.size(); ++i) {
    EXPECT_EQ(table[i].name, names[i]);
    EXPECT_EQ(table[i].shape, shapes[i]);
    EXPECT_EQ(table[i].first_element, next);
    EXPECT_EQ(table[i].decay, i % 2 == 0 ? DecayGroup::kMatrix : DecayGroup::kNormOrBias);
    EXPECT_EQ(table[i].init, i % 2 == 0 ? InitRule::kTruncatedNormal : InitRule::kZeros);
    next += table[i].elements;
  }
}

TEST(HeadOf, FollowsTheTask) {
  TaskSpec task;
  task.classes = 4;
  EXPECT_EQ(head_of(task, /*causal=*/true).pooling, Pooling::kLast);
  EXPECT_EQ(head_of(task, /*causal=*/false).pooling, Pooling::kCls);
  task.kind = TaskKind::kMultiLabel;
  task.pooling = PoolingChoice::kMax;
  task.head = {64, 32};
  task.head_activation = HeadActivation::kRelu;
  task.head_bias = false;
  task.head_dropout = 0.2;
  const HeadSpec expected{.task = TaskKind::kMultiLabel,
                          .pooling = Pooling::kMax,
                          .outputs = 4,
                          .mlp_hidden = {64, 32},
                          .activation = HeadActivation::kRelu,
                          .bias = false,
                          .dropout = 0.2};
  EXPECT_EQ(head_of(task, /*causal=*/true), expected);
}

}  // namespace
}  // namespace strand
