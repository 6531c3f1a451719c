#include "shared/job_spec/parameter_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <tuple>

namespace strand {
namespace {

struct Published {
  const char* preset;
  int64_t layers, hidden, heads;
  int64_t tied_rms, tied_no_affine, untied_rms;
};
// omni-dna.md sections 1.1 and 1.3.
constexpr Published kPublished[] = {
    {"omni-dna-20m", 8, 256, 8, 9'441'536, 9'437'184, 10'490'112},
    {"omni-dna-60m", 8, 512, 8, 35'660'288, 35'651'584, 37'757'440},
    {"omni-dna-116m", 12, 768, 16, 116'411'136, 116'391'936, 119'556'864},
    {"omni-dna-300m", 16, 1024, 16, 272'663'552, 272'629'760, 276'857'856},
    {"omni-dna-700m", 16, 1536, 16, 610'321'920, 610'271'232, 616'613'376},
    {"omni-dna-1b", 16, 2048, 16, 1'082'198'016, 1'082'130'432, 1'090'586'624},
};

int64_t count(TransformerConfig config, NormKind norm, bool tied) {
  config.norm = norm;
  config.tied = tied;
  return parameter_count(config);
}

TEST(Presets, SizesAndCountsAreThePublishedOnes) {
  for (const Published& published : kPublished) {
    const TransformerConfig config = preset_config(published.preset).value();
    EXPECT_EQ(config.layers, published.layers);
    EXPECT_EQ(config.hidden, published.hidden);
    EXPECT_EQ(config.heads, published.heads);
    EXPECT_EQ(config.mlp_hidden, 4 * published.hidden);
    EXPECT_EQ(config.max_sequence, 250);
    EXPECT_EQ(config.vocabulary, 4096);
    EXPECT_EQ(config.norm_eps, 1e-5f);
    EXPECT_TRUE(config.tied && config.causal && !config.bias);
    EXPECT_EQ(count(config, NormKind::kRms, true), published.tied_rms) << published.preset;
    EXPECT_EQ(count(config, NormKind::kLayerNoAffine, true), published.tied_no_affine) << published.preset;
    EXPECT_EQ(count(config, NormKind::kRms, false), published.untied_rms) << published.preset;
    EXPECT_EQ(count(config, NormKind::kLayerNoAffine, false),
              published.untied_rms - published.tied_rms + published.tied_no_affine);
  }
}

TEST(Presets, TheReleasedVariantsAreTheDefaults) {
  const TransformerConfig big = preset_config("omni-dna-1b").value();
  EXPECT_EQ(parameter_count(big), 1'082'130'432);
  EXPECT_EQ(big.norm, NormKind::kLayerNoAffine);
  EXPECT_EQ(big.init_kind, InitKind::kMitchell);
  const TransformerConfig middle = preset_config("omni-dna-300m").value();
  EXPECT_EQ(parameter_count(middle), 272'663'552);
  EXPECT_EQ(middle.norm, NormKind::kRms);
  EXPECT_EQ(middle.init_kind, InitKind::kNormal);
  const auto wrong = preset_config("omni-dna-300");
  ASSERT_FALSE(wrong.ok());
  EXPECT_NE(wrong.error().message().find("did you mean \"omni-dna-300m\"?"), std::string::npos);
}

struct PublishedCount {
  const char* preset;
  int64_t parameters;
  int64_t layers, hidden, heads, mlp_hidden, vocabulary, max_sequence;
};
// OPT and DNA FM: lingo-dnafm-formats.md sections B1 and C1. DNABERT-2: 4 bytes each in its pytorch_model.bin of
// 468,354,983 bytes, masked-LM head with and pooler not. nt-v1-2.5b: 2,547,801,226 parameters of the loaded model less
// its contact head, 32 x 20 + 1. NT v2: what remains of 55.9M, 97.9M, ... without the position table of 2050 rows that
// the file holds and rotary positions never read, and without the contact head.
constexpr PublishedCount kFamilies[] = {
    {"opt-125m", 125'239'296, 12, 768, 12, 3072, 50272, 2048},
    {"opt-350m", 331'196'416, 24, 1024, 16, 4096, 50272, 2048},
    {"dnabert-2-117m", 117'074'176, 12, 768, 12, 3072, 4096, 512},
    {"nt-v1-500m", 485'698'825, 24, 1280, 20, 5120, 4105, 1000},
    {"nt-v1-2.5b", 2'547'801'226 - (32 * 20 + 1), 32, 2560, 20, 10240, 4105, 1000},
    {"nt-v2-50m", 55'904'972 - 2050 * 512 - (12 * 16 + 1), 12, 512, 16, 2048, 4107, 2048},
    {"nt-v2-100m", 97'889'132 - 2050 * 512 - (22 * 16 + 1), 22, 512, 16, 2048, 4107, 2048},
    {"nt-v2-250m", 233'545'995, 24, 768, 16, 3072, 4107, 2048},
    {"nt-v2-500m", 496'245'771, 29, 1024, 16, 4096, 4107, 2048},
    {"dna-fm-300m", 300'264'464, 24, 1024, 16, 2688, 16, 4000},
    {"dna-fm-7b", 7'285'036'304, 32, 4352, 32, 11584, 16, 4000},
};

TEST(Presets, FamiliesHaveThePublishedCounts) {
  ASSERT_EQ(preset_names().size(), std::size(kPublished) + std::size(kFamilies));
  for (const PublishedCount& published : kFamilies) {
    const TransformerConfig c = preset_config(published.preset).value();
    EXPECT_EQ(parameter_count(c), published.parameters) << published.preset;
    EXPECT_EQ(c.layers, published.layers);
    EXPECT_EQ(c.hidden, published.hidden);
    EXPECT_EQ(c.heads, published.heads);
    EXPECT_EQ(c.mlp_hidden, published.mlp_hidden);
    EXPECT_EQ(c.vocabulary, published.vocabulary);
    EXPECT_EQ(c.max_sequence, published.max_sequence);
    EXPECT_EQ(c.norm, NormKind::kLayer);
    for (const ParameterInfo& p : parameter_table(c)) {
      if (p.init == InitRule::kTruncatedNormal) {
        EXPECT_EQ(p.init_std, 0.02) << published.preset << " " << p.name;
      }
    }
  }
}

// Every preset is a model that a job may ask for.
TEST(Presets, AreValidJobs) {
  for (const std::string& name : preset_names()) {
    const ParsedJob parsed =
        parse_job("[job]\nname = \"a\"\n[data]\nfiles = [\"g.fna\"]\n[model]\npreset = \"" + name + "\"", "job.toml",
                  "/base", {});
    EXPECT_TRUE(parsed.errors.empty()) << name << " " << parsed.errors[0].message;
  }
}

TransformerConfig every_kind(int variant) {
  TransformerConfig config;
  config.layers = 3;
  config.hidden = 48;
  config.heads = 6;
  config.mlp_hidden = 100;
  config.vocabulary = 16;
  const auto next = [&variant](int kinds) {
    const int kind = variant % kinds;
    variant /= kinds;
    return kind;
  };
  config.norm = static_cast<NormKind>(next(3));
  config.positions = static_cast<PositionKind>(next(4));
  config.mlp = static_cast<MlpKind>(next(4));
  config.bias = next(2) == 1;
  config.mlp_up_bias = next(2) == 1;
  config.mlp_down_bias = next(2) == 1;
  config.tied = next(2) == 1;
  config.head = static_cast<HeadKind>(next(2));
  config.head_bias = next(2) == 1;
  config.embedding_norm = next(2) == 1;
  config.final_norm = next(2) == 1;
  config.token_types = next(2) * 2;
  config.embedding_width = next(3) * 24;  // the second one is hidden itself
  return config;
}

TEST(ParameterTable, IsDenseOrderedAndNamedOnceForEveryKindOfModel) {
  for (int variant = 0; variant < 48 * 8 * 8 * 8 * 3; variant += 13) {
    const TransformerConfig config = every_kind(variant);
    const auto table = parameter_table(config);
    std::set<std::string> names;
    int64_t next = 0;
    for (const ParameterInfo& p : table) {
      EXPECT_TRUE(names.insert(p.name).second) << p.name;
      EXPECT_EQ(p.first_element, next) << p.name;
      int64_t elements = 1;
      for (const int64_t extent : p.shape) elements *= extent;
      EXPECT_EQ(p.elements, elements);
      next += elements;
      EXPECT_EQ(p.init == InitRule::kTruncatedNormal, p.init_std > 0) << p.name;
      EXPECT_EQ(p.decay == DecayGroup::kNormOrBias, p.shape.size() == 1) << p.name;
      const bool is_bias = p.name.ends_with(".bias");
      EXPECT_EQ(p.init == InitRule::kZeros, is_bias) << p.name;
    }
    EXPECT_EQ(parameter_count(config), next);
    EXPECT_EQ(table.front().name, "embedding.weight");
    const bool affine = config.norm != NormKind::kLayerNoAffine, masked = config.head == HeadKind::kMaskedLm;
    const bool projected = config.embedding_width == 24;
    EXPECT_EQ(names.contains("head.weight"), !config.tied);
    EXPECT_EQ(names.contains("head.bias"), config.head_bias);
    EXPECT_EQ(names.contains("head.transform.weight"), masked);
    EXPECT_EQ(names.contains("head.transform.bias"), masked);
    EXPECT_EQ(names.contains("head.transform_norm.weight"), masked && affine);
    EXPECT_EQ(names.contains("embedding.project_in.weight"), projected);
    EXPECT_EQ(names.contains("head.project_out.weight"), projected);
    EXPECT_EQ(names.contains("token_type.weight"), config.token_types > 0);
    EXPECT_EQ(names.contains("position.weight"), config.positions == PositionKind::kLearned);
    EXPECT_EQ(names.contains("embedding_norm.weight"), config.embedding_norm && affine);
    EXPECT_EQ(names.contains("final_norm.weight"), config.final_norm && affine);
    EXPECT_EQ(names.contains("final_norm.bias"), config.final_norm && config.norm == NormKind::kLayer);
    EXPECT_EQ(names.contains("blocks.2.attention.out.bias"), config.bias);
    EXPECT_EQ(names.contains("blocks.2.mlp.up.bias"), config.mlp_up_bias);
    EXPECT_EQ(names.contains("blocks.2.mlp.down.bias"), config.mlp_down_bias);
  }
}

const ParameterInfo& named(const std::vector<ParameterInfo>& table, const std::string& name) {
  for (const ParameterInfo& p : table) {
    if (p.name == name) return p;
  }
  ADD_FAILURE() << name;
  return table.front();
}

TEST(ParameterTable, ShapesAndOrderOfABlock) {
  TransformerConfig config = every_kind(0);
  config.norm = NormKind::kLayer;
  config.bias = config.mlp_up_bias = config.mlp_down_bias = true;
  std::vector<std::string> seen;
  for (const ParameterInfo& p : parameter_table(config)) {
    if (p.name.starts_with("blocks.1.")) seen.push_back(p.name.substr(9));
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"attention_norm.weight", "attention_norm.bias", "attention.qkv.weight",
                                            "attention.qkv.bias", "attention.out.weight", "attention.out.bias",
                                            "mlp_norm.weight", "mlp_norm.bias", "mlp.up.weight", "mlp.up.bias",
                                            "mlp.down.weight", "mlp.down.bias"}));
  const auto table = parameter_table(config);
  EXPECT_EQ(named(table, "blocks.1.attention.qkv.weight").shape, (std::vector<int64_t>{144, 48}));
  EXPECT_EQ(named(table, "blocks.1.mlp.up.weight").shape, (std::vector<int64_t>{200, 48}));
  EXPECT_EQ(named(table, "blocks.1.mlp.down.weight").shape, (std::vector<int64_t>{48, 100}));
  config.mlp = MlpKind::kGelu;
  EXPECT_EQ(named(parameter_table(config), "blocks.1.mlp.up.weight").shape, (std::vector<int64_t>{100, 48}));
}

// A task takes the place of what turns hidden states into tokens; what it reads behind stays.
TEST(JobParameterTable, ATaskHasItsOwnHead) {
  for (const std::string& preset : preset_names()) {
    JobSpec spec;
    spec.model.config = preset_config(preset).value();
    EXPECT_EQ(job_parameter_count(spec), parameter_count(spec.model.config)) << preset;
    spec.job.kind = "finetune";
    spec.task.classes = 3;
    spec.task.head = {64};
    const auto whole = parameter_table(spec.model.config), table = job_parameter_table(spec);
    int64_t next = 0;
    std::vector<std::string> names;
    for (const ParameterInfo& p : table) {
      EXPECT_EQ(p.first_element, next) << preset << " " << p.name;
      next += p.elements;
      names.push_back(p.name);
    }
    EXPECT_EQ(job_parameter_count(spec), next);
    std::vector<std::string> expected;
    for (const ParameterInfo& p : whole) {
      if (!p.name.starts_with("head.") || p.name == "head.project_out.weight") expected.push_back(p.name);
    }
    for (const char* name : {"0.weight", "0.bias", "1.weight", "1.bias"}) {
      expected.push_back(std::string("task.head.") + name);
    }
    EXPECT_EQ(names, expected) << preset;
    EXPECT_EQ(named(table, "task.head.0.weight").shape, (std::vector<int64_t>{64, spec.model.config.embedding_size()}));
    spec.data.segment = 100;
    EXPECT_LT(job_flops_per_token(spec), flops_per_token(spec.model.config, 100)) << preset << ": no output matrix";
  }
}

TEST(ParameterTable, ShapesAndOrderAroundTheBlocks) {
  TransformerConfig config = every_kind(0);
  config.layers = 0;
  config.norm = NormKind::kLayer;
  config.embedding_width = 24;
  config.token_types = 2;
  config.positions = PositionKind::kLearned;
  config.position_offset = 2;
  config.max_sequence = 30;
  config.embedding_norm = config.final_norm = true;
  config.head = HeadKind::kMaskedLm;
  config.head_bias = true;
  std::vector<std::string> seen;
  for (const ParameterInfo& p : parameter_table(config)) {
    std::string line = p.name;
    for (const int64_t extent : p.shape) line += " " + std::to_string(extent);
    seen.push_back(line);
  }
  EXPECT_EQ(seen, (std::vector<std::string>{
                      "embedding.weight 16 24", "embedding.project_in.weight 48 24", "token_type.weight 2 48",
                      "position.weight 32 48", "embedding_norm.weight 48", "embedding_norm.bias 48",
                      "final_norm.weight 48", "final_norm.bias 48", "head.project_out.weight 24 48",
                      "head.transform.weight 48 48", "head.transform.bias 48", "head.transform_norm.weight 48",
                      "head.transform_norm.bias 48", "head.weight 16 24", "head.bias 16"}));
}

TEST(ParameterTable, InitialDeviationsFollowTheRules) {
  TransformerConfig config = preset_config("omni-dna-1b").value();
  config.tied = false;
  auto table = parameter_table(config);
  const double d = 2048, m = 8192;
  EXPECT_DOUBLE_EQ(named(table, "embedding.weight").init_std, 1 / std::sqrt(d));
  EXPECT_DOUBLE_EQ(named(table, "head.weight").init_std, 1 / std::sqrt(d));
  for (const int layer : {0, 7, 15}) {
    const std::string block = "blocks." + std::to_string(layer) + ".";
    EXPECT_DOUBLE_EQ(named(table, block + "attention.qkv.weight").init_std, 1 / std::sqrt(d));
    EXPECT_DOUBLE_EQ(named(table, block + "mlp.up.weight").init_std, 1 / std::sqrt(d));
    EXPECT_DOUBLE_EQ(named(table, block + "attention.out.weight").init_std, 1 / std::sqrt(2 * d * (layer + 1)));
    EXPECT_DOUBLE_EQ(named(table, block + "mlp.down.weight").init_std, 1 / std::sqrt(2 * m * (layer + 1)));
  }
  config = preset_config("omni-dna-20m").value();
  for (const ParameterInfo& p : parameter_table(config)) {
    if (p.init != InitRule::kTruncatedNormal) continue;
    EXPECT_DOUBLE_EQ(p.init_std, p.name.ends_with("mlp.down.weight") ? 0.02 / 4 : 0.02) << p.name;
  }
}

TEST(Flops, ArePlainMultiplesOfTheSizes) {
  const TransformerConfig config = preset_config("omni-dna-20m").value();
  // 6 FLOPs a matrix element: blocks 8,388,608 and the output matrix 4096 x 256; attention 12 x 8 x 256 x 250 / 2.
  EXPECT_DOUBLE_EQ(flops_per_token(config, 250), 6.0 * (8'388'608 + 1'048'576) + 12.0 * 8 * 256 * 250 / 2);
  TransformerConfig untied = config, full = config;
  untied.tied = false;
  full.causal = false;
  EXPECT_DOUBLE_EQ(flops_per_token(untied, 250), flops_per_token(config, 250)) << "tying changes no multiplication";
  EXPECT_DOUBLE_EQ(flops_per_token(full, 250) - flops_per_token(config, 250), 12.0 * 8 * 256 * 250 / 2);
  TransformerConfig masked = config, narrow = config;
  masked.head = HeadKind::kMaskedLm;
  EXPECT_DOUBLE_EQ(flops_per_token(masked, 250) - flops_per_token(config, 250), 6.0 * 256 * 256);
  narrow.embedding_width = 64;
  EXPECT_DOUBLE_EQ(flops_per_token(config, 250) - flops_per_token(narrow, 250),
                   6.0 * (4096 * (256 - 64) - 2 * 256 * 64));
}

TEST(Flops, PartsAreWhatTheirTensorsMultiply) {
  for (const std::string& preset : preset_names()) {
    JobSpec spec;
    spec.model.config = preset_config(preset).value();
    const TransformerConfig& config = spec.model.config;
    const FlopsParts parts = job_flops_parts(spec);
    EXPECT_EQ(parts.input + static_cast<double>(config.layers) * parts.block + parts.output, job_flops_per_token(spec));
    const auto d = static_cast<double>(config.hidden), e = static_cast<double>(config.embedding_size());
    EXPECT_EQ(parts.input, config.projected() ? 6 * d * e : 0) << preset;
    const double around_head = (config.projected() ? d * e : 0) + (config.head == HeadKind::kMaskedLm ? d * d : 0);
    EXPECT_EQ(parts.output, 6 * (static_cast<double>(config.vocabulary) * e + around_head)) << preset;
  }
}

TEST(Memory, RecomputeKeepsTheInputsOfBlocksOnly) {
  JobSpec spec;
  spec.model.config = preset_config("omni-dna-116m").value();
  spec.train.micro_batch = 1;
  const uint64_t kept = memory_bytes(spec);
  spec.parallel.recompute = true;
  const auto [d, m, tokens] = std::tuple(768, 3072, spec.data.segment);
  // All blocks but one save what is not their input: 4 d of the middle stream and 6 d + 3 m elements of fp32.
  EXPECT_EQ(kept - memory_bytes(spec),
            static_cast<uint64_t>(tokens * 11 * (4 * d + 4 * (6 * d + 3 * m)) - tokens * 4 * d));
}

TEST(Memory, GrowsWithWhatTakesMemory) {
  JobSpec spec;
  spec.model.config = preset_config("omni-dna-116m").value();
  const uint64_t base = memory_bytes(spec);
  EXPECT_GT(base, 116'411'136u * 28) << "weights, moments, their copy and a gradient";
  JobSpec more = spec;
  more.train.lanes = 8;  // one level more of the lane tree
  EXPECT_EQ(memory_bytes(more) - base, 4u * (116'411'136u + 4096u * 768u));
  more = spec;
  more.train.micro_batch *= 2;
  EXPECT_GT(memory_bytes(more), base);
  more = spec;
  more.train.micro_batches_per_lane = 100;
  EXPECT_EQ(memory_bytes(more), base) << "micro batches of a lane come one after another";
}

}  // namespace
}  // namespace strand
