// import, export and import again: the same weights, whatever the family.
#include <gtest/gtest.h>

#include <bit>

#include "shared/base/text.h"
#include "shared/formats/tensor_source.h"
#include "tests/unit/weights/tiny_models.h"
#include "worker/weights/commands.h"
#include "worker/weights/initial_model.h"
#include "worker/weights/model_directory.h"

namespace strand {
namespace {

class RoundTripTest : public testing::Test {
 protected:
  ImportedModel import(const std::string& from, const std::string& to) {
    auto model = import_model(fs_, {from, to, 1});
    EXPECT_TRUE(model.ok()) << model.error().message();
    return model.ok() ? *model : ImportedModel{};
  }
  ExportedModel export_to(const std::string& to, ExportOptions options) {
    options.directory = to;
    auto model = export_model(fs_, options);
    EXPECT_TRUE(model.ok()) << model.error().message();
    return model.ok() ? *model : ExportedModel{};
  }
  FaultyFileSystem fs_;
};

TEST_F(RoundTripTest, EveryPresetsArchitecture) {
  for (const std::string& preset : preset_names()) {
    SCOPED_TRACE(preset);
    const TinyModel model = tiny_model(preset);
    const Family& family = *family_for_export(model.config).value();
    put_published(fs_, "/src/" + preset, model, family);
    const ImportedModel imported = import("/src/" + preset, "/run/" + preset);
    EXPECT_EQ(imported.digest, model.digest());
    EXPECT_EQ(imported.parameters, static_cast<int64_t>(model.weights.size()));
    EXPECT_TRUE(imported.notes.empty()) << join(imported.notes, "; ");
    const ExportedModel exported = export_to("/out/" + preset, {.source = "/run/" + preset});
    EXPECT_EQ(exported.digest, model.digest());
    EXPECT_EQ(import("/out/" + preset, "/again/" + preset).digest, model.digest());
    const auto read = load_model_directory(fs_, "/again/" + preset);
    ASSERT_TRUE(read.ok()) << read.error().message();
    EXPECT_EQ(read->weights, model.weights);
    EXPECT_TRUE(model_differences(model.config, read->config).empty());
    // Byte for byte the same files.
    EXPECT_EQ(fs_.read_file("/run/" + preset + "/weights/model.safetensors").value(),
              fs_.read_file("/out/" + preset + "/model.safetensors").value());
    EXPECT_EQ(fs_.read_file("/run/" + preset + "/weights/config.json").value(),
              fs_.read_file("/out/" + preset + "/config.json").value());
  }
}

TEST_F(RoundTripTest, UntiedMatricesAndModelsWithoutBiases) {
  TransformerConfig untied = shrunk("omni-dna-300m");
  untied.tied = false;
  TransformerConfig plain_opt = shrunk("opt-125m");
  plain_opt.bias = plain_opt.mlp_up_bias = plain_opt.mlp_down_bias = false;
  plain_opt.norm = NormKind::kLayerNoAffine;
  plain_opt.final_norm = false;
  plain_opt.tied = false;
  TransformerConfig esm = shrunk("nt-v1-500m");  // as ESM-2: rotary, tied
  esm.positions = PositionKind::kRope;
  esm.position_offset = 0;
  esm.tied = true;
  esm.embedding_norm = true;
  int number = 0;
  for (const TransformerConfig& config : {untied, plain_opt, esm}) {
    SCOPED_TRACE(++number);
    const TinyModel model = model_of(config);
    const std::string name = concat(number);
    put_published(fs_, "/src" + name, model, *family_for_export(config).value());
    EXPECT_EQ(import("/src" + name, "/run" + name).digest, model.digest());
    export_to("/out" + name, {.source = "/run" + name});
    EXPECT_EQ(import("/out" + name, "/again" + name).digest, model.digest());
  }
}

// Omni-DNA as released, with OLMo's own names and keys, becomes a model the usual libraries open.
TEST_F(RoundTripTest, OmniDnaUnderItsPublishedNames) {
  for (const bool rms : {true, false}) {
    const TinyModel model = tiny_model(rms ? "omni-dna-300m" : "omni-dna-1b");
    const std::string source = rms ? "/rms" : "/layer";
    ASSERT_TRUE(fs_.make_directories(source).ok());
    ASSERT_TRUE(write_safetensors(fs_, source + "/model.safetensors", published(model, family_named("olmo-gfm"))).ok());
    put_text(fs_, source + "/config.json",
             concat(R"({"model_type": "olmo-gfm", "d_model": 16, "n_layers": 2, "n_heads": 4, "vocab_size": 37,
                        "embedding_size": 37, "mlp_hidden_size": 24, "max_sequence_length": 20, "weight_tying": true,
                        "include_bias": false, "bias_for_layer_norm": false, "layer_norm_type": )",
                    rms ? "\"rms\"" : "\"default\"", R"(, "layer_norm_with_affine": )", rms ? "true}" : "false}"));
    EXPECT_EQ(import(source, source + "-run").digest, model.digest());
    const ExportedModel exported = export_to(source + "-out", {.source = source + "-run"});
    EXPECT_EQ(exported.architecture, rms ? "LlamaForCausalLM" : "OlmoForCausalLM");
    EXPECT_EQ(import(source + "-out", source + "-again").digest, model.digest());
  }
}

// A pytorch_model.bin that torch itself wrote (tests/parity/exports.py --golden): half precision, lm_head.weight tied
// to the embedding within one storage. Each value is ((7 i + length of the name) mod 101 - 50) / 64 for element i.
TEST(TorchsOwnFileTest, IsReadTensorByTensor) {
  const auto fs = make_posix_file_system();
  const std::string directory = "tests/golden/opt_half";
  auto source = open_weights(*fs, directory);
  ASSERT_TRUE(source.ok()) << source.error().message();
  EXPECT_EQ((*source)->tensors().size(), 21u);
  for (const TensorInfo& tensor : (*source)->tensors()) {
    EXPECT_EQ(tensor.type, TensorType::kF16);
    const std::string name = tensor.name == "lm_head.weight" ? "model.decoder.embed_tokens.weight" : tensor.name;
    std::vector<float> values(static_cast<size_t>(tensor.elements));
    ASSERT_TRUE((*source)->read(tensor.name, values).ok());
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(values[i], (static_cast<float>((7 * i + name.size()) % 101) - 50) / 64) << tensor.name << " " << i;
    }
  }
  const auto model = load_model_directory(*fs, directory);
  ASSERT_TRUE(model.ok()) << model.error().message();
  EXPECT_TRUE(model->complete());
  EXPECT_EQ(model->config.embedding_width, 4);
  EXPECT_EQ(model->config.norm_placement, NormPlacement::kPost);
}

TEST_F(RoundTripTest, ShardsAndBf16) {
  const TinyModel model = tiny_model("nt-v1-500m");
  put_published(fs_, "/src", model, family_named("esm"));
  const ExportedModel shards = export_to("/shards", {.source = "/src", .shard_bytes = 4000});
  EXPECT_GT(shards.files.size(), 4u);
  EXPECT_TRUE(fs_.exists("/shards/model.safetensors.index.json"));
  EXPECT_EQ(import("/shards", "/run").digest, model.digest());
  const ExportedModel bf16 = export_to("/bf16", {.source = "/src", .bf16 = true});
  EXPECT_EQ(bf16.digest, model.digest()) << "the digest is that of the fp32 weights";
  const auto read = load_model_directory(fs_, "/bf16");
  ASSERT_TRUE(read.ok()) << read.error().message();
  for (size_t i = 0; i < model.weights.size(); ++i) {
    const float rounded = std::bit_cast<float>(static_cast<uint32_t>(float_to_bf16(model.weights[i])) << 16);
    ASSERT_EQ(read->weights[i], rounded) << i;
  }
  EXPECT_NE(fs_.read_file("/bf16/config.json").value().find("\"torch_dtype\": \"bfloat16\""), std::string::npos);
}

TEST_F(RoundTripTest, TheTokenizerTravelsAlongAndNamesThePaddingId) {
  const TinyModel model = tiny_model("omni-dna-300m");
  put_published(fs_, "/src", model, family_named("llama"));
  const std::string tokenizer = R"({"added_tokens": [{"id": 9, "content": "[PAD]"}, {"id": 1, "content": "[CLS]"}]})";
  put_text(fs_, "/src/tokenizer.json", tokenizer);
  put_text(fs_, "/src/vocab.txt", "A\nC\n");
  import("/src", "/run");
  const ExportedModel exported = export_to("/out", {.source = "/run"});
  EXPECT_EQ(fs_.read_file("/out/tokenizer.json").value(), tokenizer);
  EXPECT_EQ(fs_.read_file("/out/vocab.txt").value(), "A\nC\n");
  EXPECT_EQ(parse_json(fs_.read_file("/out/config.json").value(), "config.json").value()["pad_token_id"], 9);
  EXPECT_EQ(exported.files,
            (std::vector<std::string>{"model.safetensors", "tokenizer.json", "vocab.txt", "config.json"}));
}

TEST_F(RoundTripTest, NothingIsWrittenIntoADirectoryThatHoldsSomething) {
  put_published(fs_, "/src", tiny_model("opt-125m"), family_named("opt"));
  ASSERT_TRUE(fs_.make_directories("/full").ok());
  put_text(fs_, "/full/notes.txt", "mine");
  const auto exported = export_model(fs_, {.source = "/src", .directory = "/full"});
  ASSERT_FALSE(exported.ok());
  EXPECT_EQ(exported.error().code(), ErrorCode::kBadInput);
  EXPECT_NE(exported.error().message().find("/full: is not empty (notes.txt)"), std::string::npos);
  EXPECT_FALSE(import_model(fs_, {"/src", "/full", 1}).ok());
  EXPECT_EQ(fs_.list_directory("/full").value(), std::vector<std::string>{"notes.txt"});
}

TEST_F(RoundTripTest, AMissingHeadIsDrawnFromTheSeed) {
  const TinyModel model = tiny_model("nt-v2-100m");
  ASSERT_TRUE(fs_.make_directories("/src").ok());
  auto tensors = published(model, family_named("esm"));
  std::erase_if(tensors, [](const TensorToWrite& t) { return t.name.starts_with("lm_head."); });
  ASSERT_TRUE(write_safetensors(fs_, "/src/model.safetensors", tensors).ok());
  put_text(fs_, "/src/config.json", dump_json(family_named("esm").write_config(model.config, {.pad = 1})));
  const auto refused = export_model(fs_, {.source = "/src", .directory = "/out"});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("has no language-model head; import it first"), std::string::npos);
  const auto one = import_model(fs_, {"/src", "/one", 1});
  const auto same = import_model(fs_, {"/src", "/same", 1});
  const auto other = import_model(fs_, {"/src", "/other", 2});
  ASSERT_TRUE(one.ok() && same.ok() && other.ok()) << one.error().message();
  EXPECT_EQ(one->digest, same->digest);
  EXPECT_NE(one->digest, other->digest);
  ASSERT_EQ(one->notes.size(), 2u);
  EXPECT_EQ(one->notes[1],
            "drawn from seed 1: head.transform.weight, head.transform.bias, head.transform_norm.weight,"
            " head.transform_norm.bias, head.weight, head.bias");
  const auto read = load_model_directory(fs_, "/one");
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_TRUE(std::equal(model.weights.begin(), model.weights.begin() + 37 * 16, read->weights.begin()));
}

// Property: whatever byte of an import's files changes, it is not taken for what was imported.
TEST_F(RoundTripTest, AnImportIsVerified) {
  put_published(fs_, "/src", tiny_model("opt-125m"), family_named("opt"));
  import("/src", "/run");
  ASSERT_TRUE(load_model_directory(fs_, "/run").ok());
  ASSERT_TRUE(load_model_directory(fs_, "/run/weights").ok()) << "its published weights are a model directory, too";
  const std::string path = "/run/weights/model.safetensors";
  const size_t size = fs_.read_file(path).value().size();
  for (size_t at = 16; at < size; at += 97) {
    fs_.flip_bit(path, at, 0);
    const auto read = load_model_directory(fs_, "/run");
    EXPECT_FALSE(read.ok()) << "byte " << at;
    fs_.flip_bit(path, at, 0);
  }
  ASSERT_TRUE(load_model_directory(fs_, "/run").ok());
  put_text(fs_, "/run/weights/manifest.json", "{}");
  EXPECT_FALSE(load_model_directory(fs_, "/run").ok());
}

TEST_F(RoundTripTest, DirectoriesWithoutAModel) {
  EXPECT_EQ(load_model_directory(fs_, "/nowhere").error().code(), ErrorCode::kNotFound);
  ASSERT_TRUE(fs_.make_directories("/empty").ok());
  EXPECT_NE(load_model_directory(fs_, "/empty").error().message().find("no model here"), std::string::npos);
  put_published(fs_, "/src", tiny_model("opt-125m"), family_named("opt"));
  EXPECT_NE(load_model_directory(fs_, "/src", 7).error().message().find("has no checkpoints, so no step 7"),
            std::string::npos);
}

// A finetuned model: a task's head in place of the language model's.
TEST(ModelDirectoryTest, ATasksHeadIsLeftOut) {
  const TinyModel whole = tiny_model("nt-v1-500m");
  ModelDirectory model;
  model.config = whole.config;
  const ParameterInfo head{"task.head.0.weight", {2, 16}, InitRule::kZeros, 0, DecayGroup::kMatrix, 0, 32};
  std::vector<float> expected;
  for (const ParameterInfo& parameter : whole.table) {
    if (parameter.name == "final_norm.weight") {  // wherever it stands
      model.table.push_back(head);
      model.table.back().first_element = static_cast<int64_t>(model.weights.size());
      model.weights.resize(model.weights.size() + 32, 5.0f);
    }
    if (parameter.name.starts_with("head.")) continue;
    model.table.push_back(parameter);
    model.table.back().first_element = static_cast<int64_t>(model.weights.size());
    const auto from = whole.weights.begin() + parameter.first_element;
    model.weights.insert(model.weights.end(), from, from + parameter.elements);
    expected.insert(expected.end(), from, from + parameter.elements);
  }
  model.present.assign(model.table.size(), true);
  leave_out_tasks(&model);
  EXPECT_EQ(model.weights, expected);
  EXPECT_EQ(model.present.size(), model.table.size());
  for (const ParameterInfo& parameter : model.table) {
    EXPECT_FALSE(parameter.name.starts_with("task."));
    const ParameterInfo& before = whole.parameter(parameter.name);
    EXPECT_EQ(model.weights[static_cast<size_t>(parameter.first_element)],
              whole.weights[static_cast<size_t>(before.first_element)])
        << parameter.name;
  }
  ASSERT_EQ(model.notes.size(), 2u);
  EXPECT_EQ(model.notes[0], "not among the weights, a task's head: task.head.0.weight");
  EXPECT_TRUE(model.notes[1].starts_with("not in this run, so not written: head.transform.weight")) << model.notes[1];
}

TEST(ModelSectionTest, IsAJobFilesModelTable) {
  for (const std::string& preset : preset_names()) {
    TransformerConfig config = preset_config(preset).value();
    config.layers += 1;
    const std::string section = model_section(config, "/runs/x");
    EXPECT_TRUE(section.starts_with("[model]\n")) << section;
    const ParsedJob job = parse_job(section + "[job]\nname = \"x\"\n[data]\nfiles = [\"/g.fna\"]\n", "x", "/", {});
    EXPECT_EQ(job.spec.model.config, config) << section;
    EXPECT_EQ(job.spec.model.init, "/runs/x");
    EXPECT_EQ(job.spec.model.config.layers, config.layers);
  }
}

// Every command that takes a model loads it with this; a job's model.init, too.
TEST_F(RoundTripTest, AConfigurationFarBeyondTheWeightsIsBadInput) {
  put_published(fs_, "/src", tiny_model("opt-125m"), family_named("opt"));
  Json config = parse_json(fs_.read_file("/src/config.json").value(), "config.json").value();
  config["hidden_size"] = config["word_embed_proj_dim"] = 1 << 16;
  config["num_hidden_layers"] = 1024;
  put_text(fs_, "/src/config.json", dump_json(config));
  const auto model = load_model_directory(fs_, "/src");
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().code(), ErrorCode::kBadInput);
  EXPECT_NE(model.error().message().find("tensors do not fit the configuration (opt)"), std::string::npos);
}

TEST_F(RoundTripTest, WhatAnImportLeavesOutOfTrainingIsAmongItsNotes) {
  put_published(fs_, "/src", tiny_model("opt-125m"), family_named("opt"));
  Json config = parse_json(fs_.read_file("/src/config.json").value(), "config.json").value();
  config["attention_dropout"] = 0.5;
  put_text(fs_, "/src/config.json", dump_json(config));
  EXPECT_EQ(import("/src", "/run").notes,
            std::vector<std::string>{"attention_dropout 0.5 of config.json is left out: Strand trains without it"});
}

}  // namespace
}  // namespace strand
