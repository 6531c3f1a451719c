// config.json of the families: the released files give the presets, and a bad one is refused with every problem.
#include <gtest/gtest.h>

#include "shared/base/text.h"
#include "tests/unit/weights/tiny_models.h"
#include "worker/weights/initial_model.h"

namespace strand {
namespace {

Result<FamilyConfig> read(const std::string& text) {
  return read_family_config(parse_json(text, "config.json").value(), "config.json");
}

struct Released {
  const char *preset, *family, *config;
};

// The keys that matter of the released files, as the sources have them.
const std::vector<Released>& released() {
  static const std::vector<Released> all = {
      {"opt-125m", "opt", R"({"model_type": "opt", "activation_function": "relu", "attention_dropout": 0.0,
        "do_layer_norm_before": true, "dropout": 0.1, "ffn_dim": 3072, "hidden_size": 768, "init_std": 0.02,
        "max_position_embeddings": 2048, "num_attention_heads": 12, "num_hidden_layers": 12, "pad_token_id": 1,
        "bos_token_id": 2, "eos_token_id": 2, "vocab_size": 50272, "word_embed_proj_dim": 768})"},
      {"opt-350m", "opt", R"({"model_type": "opt", "activation_function": "relu", "do_layer_norm_before": false,
        "dropout": 0.1, "ffn_dim": 4096, "hidden_size": 1024, "max_position_embeddings": 2048,
        "num_attention_heads": 16, "num_hidden_layers": 24, "vocab_size": 50272, "word_embed_proj_dim": 512})"},
      {"omni-dna-300m", "olmo-gfm", R"({"model_type": "olmo-gfm", "d_model": 1024, "n_layers": 16, "n_heads": 16,
        "layer_norm_type": "rms", "layer_norm_with_affine": true, "bias_for_layer_norm": false, "include_bias": false,
        "weight_tying": true, "vocab_size": 4096, "embedding_size": 4096, "mlp_ratio": 8, "mlp_hidden_size": null,
        "activation_type": "swiglu", "block_type": "sequential", "rope": true, "alibi": false, "clip_qkv": null,
        "attention_layer_norm": false, "scale_logits": false, "multi_query_attention": false, "n_kv_heads": null,
        "max_sequence_length": 250, "attention_dropout": 0.0, "residual_dropout": 0.0, "embedding_dropout": 0.0})"},
      {"omni-dna-1b", "olmo-gfm", R"({"model_type": "olmo-gfm", "d_model": 2048, "n_layers": 16, "n_heads": 16,
        "layer_norm_type": "default", "layer_norm_with_affine": false, "bias_for_layer_norm": false,
        "include_bias": false, "weight_tying": true, "vocab_size": 4096, "embedding_size": 4096, "mlp_ratio": 8,
        "activation_type": "swiglu", "block_type": "sequential", "rope": true, "max_sequence_length": 250})"},
      {"nt-v1-500m", "esm", R"({"model_type": "esm", "emb_layer_norm_before": false, "hidden_dropout_prob": 0.0,
        "hidden_size": 1280, "intermediate_size": 5120, "layer_norm_eps": 1e-12, "mask_token_id": 2,
        "max_position_embeddings": 1002, "num_attention_heads": 20, "num_hidden_layers": 24, "pad_token_id": 1,
        "position_embedding_type": "absolute", "tie_word_embeddings": false, "token_dropout": true,
        "vocab_size": 4105})"},
      {"nt-v2-100m", "esm", R"({"model_type": "esm", "add_bias_fnn": false, "emb_layer_norm_before": false,
        "hidden_dropout_prob": 0.0, "hidden_size": 512, "intermediate_size": 2048, "layer_norm_eps": 1e-12,
        "mask_token_id": 2, "max_position_embeddings": 2050, "num_attention_heads": 16, "num_hidden_layers": 22,
        "pad_token_id": 1, "position_embedding_type": "rotary", "tie_word_embeddings": false, "token_dropout": false,
        "vocab_size": 4107})"},
      {"dnabert-2-117m", "dnabert-2", R"({"model_type": "bert", "alibi_starting_size": 512, "hidden_act": "gelu",
        "attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.1, "hidden_size": 768, "intermediate_size": 3072,
        "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "num_attention_heads": 12, "num_hidden_layers": 12,
        "type_vocab_size": 2, "vocab_size": 4096})"},
      {"dna-fm-300m", "aido-dna", R"({"model_type": "rnabert", "add_linear_bias": true, "hidden_act": "swiglu",
        "hidden_dropout_prob": 0, "hidden_size": 1024, "intermediate_size": 2688, "layer_norm_eps": 1e-05,
        "max_position_embeddings": 4000, "normalization_type": "LayerNorm", "num_attention_heads": 16,
        "num_hidden_layers": 24, "pad_token_id": 0, "position_embedding_type": "rope", "rotary_percent": 1.0,
        "seq_len_interpolation_factor": null, "type_vocab_size": 2, "vocab_size": 16})"},
  };
  return all;
}

TEST(FamilyConfigTest, ReleasedFilesAreThePresets) {
  for (const Released& file : released()) {
    const auto config = read(file.config);
    ASSERT_TRUE(config.ok()) << file.preset << ": " << config.error().message();
    EXPECT_STREQ(config->family->name, file.family);
    const auto differences = model_differences(preset_config(file.preset).value(), config->config);
    EXPECT_TRUE(differences.empty()) << file.preset << ": " << join(differences, "; ");
    EXPECT_EQ(config->config.max_sequence, preset_config(file.preset).value().max_sequence) << file.preset;
    EXPECT_EQ(config->config.dropout, preset_config(file.preset).value().dropout) << file.preset;
  }
}

// Property: what a family writes, it reads back, for every preset in its full size.
TEST(FamilyConfigTest, WhatIsWrittenIsReadBack) {
  for (const std::string& preset : preset_names()) {
    const TransformerConfig config = preset_config(preset).value();
    const auto family = family_for_export(config);
    ASSERT_TRUE(family.ok()) << family.error().message();
    const Json json = (*family)->write_config(config, (*family)->ids);
    const auto again = read_family_config(json, "config.json");
    ASSERT_TRUE(again.ok()) << preset << ": " << again.error().message();
    EXPECT_STREQ(again->family->name, (*family)->name) << preset;
    EXPECT_TRUE(model_differences(config, again->config).empty())
        << preset << ": " << join(model_differences(config, again->config), "; ");
    EXPECT_EQ(again->config.max_sequence, config.max_sequence) << preset;
    EXPECT_EQ(json["architectures"][0], (*family)->architecture);
  }
}

TEST(FamilyConfigTest, TheFamilyAModelIsWrittenAs) {
  const auto architecture = [](const char* preset) {
    return std::string(family_for_export(preset_config(preset).value()).value()->architecture);
  };
  EXPECT_EQ(architecture("omni-dna-1b"), "OlmoForCausalLM");
  EXPECT_EQ(architecture("omni-dna-300m"), "LlamaForCausalLM");
  EXPECT_EQ(architecture("opt-350m"), "OPTForCausalLM");
  EXPECT_EQ(architecture("nt-v1-500m"), "EsmForMaskedLM");
  EXPECT_EQ(architecture("dnabert-2-117m"), "BertForMaskedLM");
  EXPECT_EQ(architecture("dna-fm-7b"), "RNABertForMaskedLM");
}

TEST(FamilyConfigTest, AModelOfNoFamilyIsRefusedWithEveryReason) {
  TransformerConfig config = preset_config("omni-dna-300m").value();
  config.embedding_scale = 2;
  const auto family = family_for_export(config);
  ASSERT_FALSE(family.ok());
  EXPECT_EQ(family.error().code(), ErrorCode::kBadInput);
  EXPECT_NE(family.error().message().find("llama (LlamaForCausalLM) needs embedding_scale = 1"), std::string::npos)
      << family.error().message();
  EXPECT_NE(family.error().message().find("opt (OPTForCausalLM) needs"), std::string::npos);
}

TEST(FamilyConfigTest, EveryProblemIsToldAtOnce) {
  const auto config = read(R"({"model_type": "opt", "num_hidden_layers": 0, "hidden_size": 768,
      "num_attention_heads": 7, "vocab_size": "many", "ffn_dim": 3072, "max_position_embeddings": 2048,
      "activation_function": "gelu"})");
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.error().code(), ErrorCode::kBadInput);
  const std::string& message = config.error().message();
  EXPECT_TRUE(message.starts_with("config.json: 4 problems:")) << message;
  for (const char* line : {"num_hidden_layers: expected a whole number from 1 to 1024, found 0",
                           "num_attention_heads: 7 does not divide hidden_size 768",
                           "vocab_size: expected a whole number from 2 to 65536, found \"many\"",
                           "activation_function: expected \"relu\" (no other is built), found \"gelu\""}) {
    EXPECT_NE(message.find(line), std::string::npos) << line << "\n" << message;
  }
}

// Values that every family has are looked at in the same breath; what depends on a refused one is not guessed at.
TEST(FamilyConfigTest, ValuesOfAllKindsAreToldAtOnce) {
  const auto problems = [](const std::string& text) {
    const auto config = read(text);
    EXPECT_FALSE(config.ok()) << text;
    return config.ok() ? std::string() : config.error().message();
  };
  EXPECT_EQ(problems(R"({"model_type": "opt", "num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 3,
      "vocab_size": 37, "ffn_dim": 12, "max_position_embeddings": 20, "dropout": -1, "init_std": 0})"),
            "config.json: 3 problems:\n  num_attention_heads: 3 does not divide hidden_size 16\n"
            "  the deviation of the initial weights must be above 0, found 0\n  dropout must be in [0, 1), found -1");
  EXPECT_EQ(problems(R"({"model_type": "llama", "num_hidden_layers": 0, "hidden_size": 15, "num_attention_heads": 3,
      "num_key_value_heads": 3, "vocab_size": 37, "intermediate_size": 12, "max_position_embeddings": 20,
      "rms_norm_eps": 0, "rope_theta": 0})"),
            "config.json: 4 problems:\n  num_hidden_layers: expected a whole number from 1 to 1024, found 0\n"
            "  num_attention_heads: rotary positions need an even head size, found 5\n"
            "  the norms' epsilon must be above 0, found 0\n"
            "  the base of the rotary positions must be above 0, found 0");
  EXPECT_EQ(problems(R"({"model_type": "esm", "num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 5,
      "vocab_size": 37, "intermediate_size": 12, "token_dropout": true, "mask_token_id": 37})"),
            "config.json: 2 problems:\n  num_attention_heads: 5 does not divide hidden_size 16\n"
            "  mask_token_id: 37 is not one of the 37 ids");
  EXPECT_EQ(problems(R"({"model_type": "olmo-gfm", "n_layers": 2, "n_heads": 3, "n_kv_heads": 3, "vocab_size": 37,
      "mlp_ratio": 1, "mlp_hidden_size": 7, "layer_norm_type": "rms", "bias_for_layer_norm": false})"),
            "config.json: 2 problems:\n  d_model: expected a whole number from 1 to 65536, found nothing\n"
            "  mlp_hidden_size: 7 has no two halves");
  const std::string aido = R"({"model_type": "rnabert", "add_linear_bias": true, "hidden_size": 16,
      "intermediate_size": 12, "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 16)";
  const std::string layer_norm = "config.json: normalization_type: expected \"LayerNorm\" (no other is built), found ";
  EXPECT_EQ(problems(aido + R"(, "normalization_type": "RMSNorm"})"), layer_norm + "\"RMSNorm\"");
  EXPECT_EQ(problems(aido + "}"), layer_norm + "nothing") << "the class's default is RMSNorm";
  EXPECT_EQ(problems(aido + R"(, "normalization_type": 3})"), layer_norm + "3");
}

TEST(FamilyConfigTest, DropoutThatStrandLacksIsNoted) {
  for (const Released& file : released()) {
    Json json = parse_json(file.config, "config.json").value();
    EXPECT_TRUE(read_family_config(json, "config.json")->notes.empty()) << file.preset;
    for (const char* key : {"attention_dropout", "attention_probs_dropout_prob"}) {
      json[key] = 0.5;
      const auto config = read_family_config(json, "config.json");
      ASSERT_TRUE(config.ok()) << config.error().message();
      EXPECT_EQ(config->notes,
                std::vector<std::string>{concat(key, " 0.5 of config.json is left out: Strand trains without it")});
      json[key] = "much";
      const auto refused = read_family_config(json, "config.json");
      ASSERT_FALSE(refused.ok());
      EXPECT_EQ(refused.error().message(),
                concat("config.json: ", key, ": expected a number that a float holds, found \"much\""));
      json[key] = 0.0;
    }
  }
}

TEST(FamilyConfigTest, OtherModelsAreNamed) {
  for (const char* text :
       {R"({"model_type": "gpt2"})", R"({"model_type": "bert"})", "{}", "[]", "3", R"({"model_type": {"a": 1}})"}) {
    const auto config = read(text);
    ASSERT_FALSE(config.ok()) << text;
    EXPECT_EQ(config.error().code(), ErrorCode::kBadInput) << text;
  }
  EXPECT_NE(read(R"({"model_type": "gpt2"})").error().message().find("\"gpt2\" is not one that is read"),
            std::string::npos);
}

// Property: whatever one key of a released file is set to, the file is read or refused; nothing else happens.
TEST(FamilyConfigTest, AnyValueOfAnyKeyIsReadOrRefused) {
  const std::vector<Json> values = {nullptr,       true,           -1,         0,        1, 3, 1e300, -0.5, "x",
                                    Json::array(), Json::object(), UINT64_MAX, INT64_MIN};
  for (const Released& file : released()) {
    const Json whole = parse_json(file.config, "config.json").value();
    for (const auto& [key, old] : whole.items()) {
      for (const Json& value : values) {
        Json changed = whole;
        changed[key] = value;
        const auto config = read_family_config(changed, "config.json");
        if (!config.ok()) continue;
        EXPECT_GE(config->config.hidden, 1);
        EXPECT_EQ(config->config.hidden % config->config.heads, 0);
        EXPECT_GE(config->config.max_sequence, 2) << file.preset << " " << key << " " << dump_json(value);
      }
    }
  }
}

}  // namespace
}  // namespace strand
