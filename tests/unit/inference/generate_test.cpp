// Texts from causal models: the cached step is the full forward, and a text depends on its prompt and number alone.
#include <map>

#include "tests/unit/inference/inference_case.h"
#include "worker/inference/cached_decoder.h"
#include "worker/inference/generator.h"

namespace strand::testing {
namespace {

// RoPE, learned positions, ALiBi, none, norms before and behind, projections: every causal kind.
std::vector<TransformerConfig> causal_configs() {
  std::vector<TransformerConfig> configs = medium_configs();
  for (const PositionKind positions :
       {PositionKind::kRope, PositionKind::kLearned, PositionKind::kAlibi, PositionKind::kNone}) {
    configs.push_back(medium_config());
    configs.back().positions = positions;
  }
  configs.push_back(medium_config());
  configs.back().attention = false;
  std::erase_if(configs, [](const TransformerConfig& c) { return !c.causal || c.token_dropout; });
  return configs;
}

std::vector<GeneratedText> texts(ModelRunner& runner, const std::vector<std::vector<int32_t>>& prompts,
                                 const GenerateOptions& options) {
  auto made = generate(runner, prompts, options, nullptr);
  EXPECT_TRUE(made.ok()) << made.error().message();
  return made.ok() ? *made : std::vector<GeneratedText>(prompts.size());
}

std::vector<std::vector<int32_t>> some_prompts(const TransformerConfig& config, size_t count) {
  std::vector<std::vector<int32_t>> prompts;
  for (size_t p = 0; p < count; ++p) {
    prompts.push_back(random_row(config, p, 1 + static_cast<int64_t>(p * 7 % 23)).ids);
  }
  return prompts;
}

TEST(CachedDecoder, AStepIsTheFullForward) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const TransformerConfig& config : causal_configs()) {
      const auto runner = make_runner(config, 2, dtype);
      CachedDecoder decoder(*runner, 40);
      TokenRow row = random_row(config, 3, 18);
      (void)decoder.begin(2, row.ids);
      (void)decoder.begin(5, random_row(config, 4, 3).ids);  // another text beside it, at other positions
      for (int step = 0; step < 12; ++step) {
        std::vector<int32_t> ids(CachedDecoder::kSlots, CachedDecoder::kNone);
        ids[2] = (step * 31) % static_cast<int32_t>(config.vocabulary);
        if (step < 6) ids[5] = 9;
        const ConstMatrix logits = decoder.step(ids);
        row.ids.push_back(ids[2]);
        const DirectForward direct(*runner, row);
        const int64_t last = direct.length - 1;
        std::vector<float> cached(logits.f32() + 2 * logits.stride, logits.f32() + 2 * logits.stride + logits.cols);
        std::vector<float> full;
        for (int64_t v = 0; v < config.vocabulary; ++v) full.push_back(direct.logit(last, v));
        expect_close(cached, full, dtype == DType::kF32 ? 1e-5 : 3e-2, name_of(config));
      }
      EXPECT_EQ(decoder.length(2), 30);
      EXPECT_EQ(decoder.length(5), 9);
      EXPECT_EQ(decoder.length(0), 0);
    }
  }
}

TEST(Generate, GreedyIsTheLikeliestTokenOfTheFullForwardEachTime) {
  for (const TransformerConfig& config : causal_configs()) {
    const auto runner = make_runner(config, 2);
    const auto prompts = some_prompts(config, 3);
    GenerateOptions options;
    options.tokens = 15;
    options.sampling.greedy = true;
    const auto made = texts(*runner, prompts, options);
    for (size_t p = 0; p < prompts.size(); ++p) {
      TokenRow row{prompts[p], 0, 0};
      double nats = 0;
      for (const int32_t id : made[p].ids) {
        const DirectForward direct(*runner, row);
        const auto* last = direct.logits.data() + (direct.length - 1) * config.vocabulary;
        const auto best = static_cast<int32_t>(std::max_element(last, last + config.vocabulary) - last);
        ASSERT_EQ(id, best) << name_of(config);
        nats += direct.log_probability(direct.length - 1, id);
        row.ids.push_back(id);
      }
      EXPECT_EQ(made[p].ids.size(), 15u);
      EXPECT_NEAR(made[p].nats, nats, 1e-3) << name_of(config);
    }
  }
}

TEST(Generate, TextsDoNotDependOnTheirNeighboursNorOnThreads) {
  const TransformerConfig config = medium_config();
  const auto one = make_runner(config, 1), three = make_runner(config, 3);
  const auto prompts = some_prompts(config, 19);  // more than there are slots
  GenerateOptions options;
  options.tokens = 20;
  const auto all = texts(*one, prompts, options);
  const auto again = texts(*three, prompts, options);
  const auto fewer = texts(*three, {prompts.begin(), prompts.begin() + 5}, options);
  for (size_t p = 0; p < prompts.size(); ++p) {
    EXPECT_EQ(all[p].ids, again[p].ids);
    EXPECT_EQ(all[p].nats, again[p].nats);
    if (p >= fewer.size()) continue;
    EXPECT_EQ(all[p].ids, fewer[p].ids);
    EXPECT_EQ(all[p].nats, fewer[p].nats);
  }
  options.sampling.seed = 2;
  EXPECT_NE(texts(*one, prompts, options)[0].ids, all[0].ids) << "another seed, another text";
  const auto twice = texts(*one, {prompts[0], prompts[0]}, options);
  EXPECT_NE(twice[0].ids, twice[1].ids) << "another number, another text";
}

TEST(Generate, OneCandidateIsGreedy) {
  const TransformerConfig config = medium_config();
  const auto runner = make_runner(config);
  const auto prompts = some_prompts(config, 2);
  GenerateOptions greedy;
  greedy.tokens = 20;
  greedy.sampling.greedy = true;
  GenerateOptions top_k = greedy, top_p = greedy;
  top_k.sampling = {.top_k = 1};
  top_p.sampling = {.top_p = 1e-9};
  for (size_t p = 0; p < prompts.size(); ++p) {
    const auto likeliest = texts(*runner, prompts, greedy);
    EXPECT_EQ(texts(*runner, prompts, top_k)[p].ids, likeliest[p].ids);
    EXPECT_EQ(texts(*runner, prompts, top_p)[p].ids, likeliest[p].ids);
  }
}

TEST(Generate, ATextEndsAtAStopTokenAndAtTheLongestRow) {
  const TransformerConfig config = medium_config();
  const auto runner = make_runner(config);
  const auto prompts = some_prompts(config, 1);
  GenerateOptions options;
  options.tokens = 200;
  const auto whole = texts(*runner, prompts, options)[0];
  EXPECT_EQ(whole.ending, Ending::kRow);
  EXPECT_EQ(whole.ids.size() + prompts[0].size(), 64u);
  options.stop = {whole.ids[7]};
  const auto stopped = texts(*runner, prompts, options)[0];
  EXPECT_EQ(stopped.ending, Ending::kStop);
  const auto first = std::ranges::find(whole.ids, whole.ids[7]);
  EXPECT_EQ(stopped.ids, std::vector<int32_t>(whole.ids.begin(), first));
}

TEST(Generate, WhatCannotBeContinuedIsRefused) {
  TransformerConfig config = medium_config();
  const auto runner = make_runner(config);
  GenerateOptions options;
  const std::vector<std::vector<int32_t>> empty = {{}}, full = {random_row(config, 1, 64).ids}, good = {{1, 2}};
  EXPECT_FALSE(generate(*runner, empty, options, nullptr).ok());
  EXPECT_FALSE(generate(*runner, full, options, nullptr).ok());
  options.sampling.top_p = 0;
  EXPECT_FALSE(generate(*runner, good, options, nullptr).ok());
  config.causal = false;
  EXPECT_FALSE(generate(*make_runner(config), good, GenerateOptions(), nullptr).ok());
}

// Shares of tokens over many positions against the probabilities, within five standard deviations.
void expect_shares(const SamplingOptions& options, const std::vector<double>& wanted) {
  const std::vector<float> logits = {0.5f, 2.0f, -1.0f, 1.0f, 0.0f};
  constexpr int kDraws = 40000;
  std::map<int32_t, int> counts;
  for (int draw = 0; draw < kDraws; ++draw) {
    ++counts[sample_token(logits, options, static_cast<uint64_t>(draw / 200), static_cast<uint64_t>(draw % 200))];
  }
  double sum = 0;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (wanted[id] > 0) sum += std::exp(static_cast<double>(logits[id]) / options.temperature);
  }
  for (size_t id = 0; id < logits.size(); ++id) {
    const double p = wanted[id] > 0 ? std::exp(static_cast<double>(logits[id]) / options.temperature) / sum : 0;
    const double deviation = std::sqrt(p * (1 - p) / kDraws);
    EXPECT_NEAR(counts[static_cast<int32_t>(id)] / static_cast<double>(kDraws), p, 5 * deviation) << "id " << id;
  }
}

TEST(Sampling, TokensComeAsOftenAsTheirProbabilitySays) {
  expect_shares({}, {1, 1, 1, 1, 1});
  expect_shares({.temperature = 0.5}, {1, 1, 1, 1, 1});
  expect_shares({.temperature = 3}, {1, 1, 1, 1, 1});
  expect_shares({.top_k = 2}, {0, 1, 0, 1, 0});
  // Shares are 0.56, 0.21, 0.13, 0.08, 0.03 by likelihood: 0.7 needs the first two, 0.8 three.
  expect_shares({.top_p = 0.7}, {0, 1, 0, 1, 0});
  expect_shares({.top_p = 0.8}, {1, 1, 0, 1, 0});
  expect_shares({.never = {false, true}}, {1, 0, 1, 1, 1});
}

}  // namespace
}  // namespace strand::testing
