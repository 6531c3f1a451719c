// Names and shapes of the families, which rows go where, and what is refused.
#include "worker/model/families/published_weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "shared/base/text.h"
#include "tests/unit/weights/tiny_models.h"

namespace strand {
namespace {

std::map<std::string, std::string> names_and_shapes(const std::string& preset, const std::string& family) {
  const auto table = parameter_table(preset_config(preset).value());
  const auto tensors = published_tensors(family_named(family), table);
  EXPECT_TRUE(tensors.ok()) << tensors.error().message();
  std::map<std::string, std::string> out;
  for (const PublishedTensor& tensor : *tensors) out[tensor.name] = shape_text(tensor.shape);
  return out;
}

// Names and shapes as the released files have them (transformers' modeling files; AIDO.RNA's index for AIDO.DNA).
TEST(PublishedTensorsTest, NamesAndShapesOfReleasedModels) {
  struct Case {
    const char *preset, *family, *name, *shape;
  };
  const std::vector<Case> cases = {
      {"opt-125m", "opt", "model.decoder.embed_tokens.weight", "[50272, 768]"},
      {"opt-125m", "opt", "model.decoder.embed_positions.weight", "[2050, 768]"},
      {"opt-125m", "opt", "model.decoder.layers.11.self_attn.k_proj.bias", "[768]"},
      {"opt-125m", "opt", "model.decoder.layers.11.fc1.weight", "[3072, 768]"},
      {"opt-125m", "opt", "model.decoder.final_layer_norm.weight", "[768]"},
      {"opt-350m", "opt", "model.decoder.project_in.weight", "[1024, 512]"},
      {"opt-350m", "opt", "model.decoder.project_out.weight", "[512, 1024]"},
      {"opt-350m", "opt", "model.decoder.layers.23.final_layer_norm.bias", "[1024]"},
      {"omni-dna-1b", "olmo-gfm", "model.transformer.blocks.15.ff_proj.weight", "[16384, 2048]"},
      {"omni-dna-1b", "olmo-gfm", "model.transformer.blocks.0.att_proj.weight", "[6144, 2048]"},
      {"omni-dna-300m", "olmo-gfm", "model.transformer.ln_f.weight", "[1024]"},
      {"omni-dna-300m", "llama", "model.layers.15.mlp.gate_proj.weight", "[4096, 1024]"},
      {"omni-dna-300m", "llama", "model.layers.3.post_attention_layernorm.weight", "[1024]"},
      {"omni-dna-1b", "olmo", "model.layers.0.self_attn.o_proj.weight", "[2048, 2048]"},
      {"nt-v1-500m", "esm", "esm.embeddings.position_embeddings.weight", "[1002, 1280]"},
      {"nt-v1-500m", "esm", "esm.encoder.layer.23.intermediate.dense.weight", "[5120, 1280]"},
      {"nt-v1-500m", "esm", "lm_head.decoder.weight", "[4105, 1280]"},
      {"nt-v1-500m", "esm", "lm_head.bias", "[4105]"},
      {"nt-v2-500m", "esm", "esm.encoder.layer.28.intermediate.dense.weight", "[8192, 1024]"},
      {"nt-v2-500m", "esm", "esm.encoder.emb_layer_norm_after.bias", "[1024]"},
      {"dnabert-2-117m", "dnabert-2", "bert.embeddings.token_type_embeddings.weight", "[2, 768]"},
      {"dnabert-2-117m", "dnabert-2", "bert.encoder.layer.11.attention.self.Wqkv.bias", "[2304]"},
      {"dnabert-2-117m", "dnabert-2", "bert.encoder.layer.0.mlp.gated_layers.weight", "[6144, 768]"},
      {"dnabert-2-117m", "dnabert-2", "cls.predictions.decoder.bias", "[4096]"},
      {"dna-fm-7b", "aido-dna", "bert.encoder.layer.31.mlp.gate_proj.weight", "[11584, 4352]"},
      {"dna-fm-7b", "aido-dna", "bert.encoder.layer.0.attention.ln.bias", "[4352]"},
      {"dna-fm-7b", "aido-dna", "cls.predictions.transform.LayerNorm.weight", "[4352]"},
  };
  for (const Case& c : cases) {
    const auto names = names_and_shapes(c.preset, c.family);
    ASSERT_TRUE(names.contains(c.name)) << c.preset << ": " << c.name;
    EXPECT_EQ(names.at(c.name), c.shape) << c.preset << ": " << c.name;
  }
  const auto v2 = names_and_shapes("nt-v2-500m", "esm");
  EXPECT_FALSE(v2.contains("esm.encoder.layer.0.output.dense.bias")) << "NT v2 has no biases in its MLP";
  EXPECT_FALSE(names_and_shapes("opt-350m", "opt").contains("model.decoder.final_layer_norm.weight"));
  EXPECT_FALSE(names_and_shapes("opt-125m", "opt").contains("lm_head.weight")) << "tied: stored once";
}

// Property: for every preset and every family that takes it, the published tensors are a cover of all parameters, each
// element once, and no name is there twice.
TEST(PublishedTensorsTest, PiecesCoverEveryElementOnce) {
  for (const std::string& preset : preset_names()) {
    const TransformerConfig config = preset_config(preset).value();
    const auto table = parameter_table(config);
    int taken = 0;
    for (const Family& family : families()) {
      if (!family.import_only && !family.misfits(config).empty()) continue;
      const auto tensors = published_tensors(family, table);
      if (!tensors.ok()) continue;
      ++taken;
      std::map<size_t, std::map<int64_t, int64_t>> covered;
      std::map<std::string, int> names;
      for (const PublishedTensor& tensor : *tensors) {
        EXPECT_EQ(++names[tensor.name], 1) << tensor.name;
        int64_t elements = 0;
        for (const ParameterPiece& piece : tensor.pieces) {
          elements += piece.elements;
          EXPECT_TRUE(covered[piece.parameter].emplace(piece.first, piece.elements).second) << tensor.name;
        }
        EXPECT_EQ(elements, shape_elements(tensor.shape)) << tensor.name;
      }
      for (size_t p = 0; p < table.size(); ++p) {
        int64_t at = 0;
        for (const auto& [first, elements] : covered[p]) {
          ASSERT_EQ(first, at) << preset << " as " << family.name << ": " << table[p].name;
          at += elements;
        }
        ASSERT_EQ(at, table[p].elements) << preset << " as " << family.name << ": " << table[p].name;
      }
    }
    EXPECT_GE(taken, 1) << "no family takes " << preset;
  }
}

// The values of a written tensor.
std::vector<float> written(const std::vector<TensorToWrite>& tensors, const std::string& name) {
  for (const TensorToWrite& tensor : tensors) {
    if (tensor.name != name) continue;
    std::vector<float> values(static_cast<size_t>(shape_elements(tensor.shape).value()));
    EXPECT_TRUE(tensor.fill(values).ok());
    return values;
  }
  ADD_FAILURE() << name << " is not written";
  return {};
}

// Ours: the linear half of mlp.up is all 1, the gate half all 2; q, k and v are all 1, 2 and 3.
TinyModel marked(const std::string& preset) {
  TinyModel model = tiny_model(preset);
  const auto mark = [&](const std::string& name, size_t parts) {
    const std::span<float> values = model.values(name);
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(1 + i * parts / values.size());
  };
  mark("blocks.1.attention.qkv.weight", 3);
  if (model.config.bias) mark("blocks.1.attention.qkv.bias", 3);
  if (model.config.gated_mlp()) mark("blocks.1.mlp.up.weight", 2);
  return model;
}

TEST(PublishedTensorsTest, HalvesAndThirdsGoWhereEachFamilyHasThem) {
  const auto all = [](const std::vector<float>& values, float expected) {
    return !values.empty() && std::ranges::all_of(values, [&](float x) { return x == expected; });
  };
  const auto halves = [&](const std::vector<float>& v, float first, float second) {
    const auto middle = v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2);
    return all({v.begin(), middle}, first) && all({middle, v.end()}, second);
  };
  const TinyModel opt_model = marked("opt-125m");
  const auto opt = published(opt_model, family_named("opt"));
  EXPECT_TRUE(all(written(opt, "model.decoder.layers.1.self_attn.q_proj.bias"), 1));
  EXPECT_TRUE(all(written(opt, "model.decoder.layers.1.self_attn.k_proj.weight"), 2));
  EXPECT_TRUE(all(written(opt, "model.decoder.layers.1.self_attn.v_proj.weight"), 3));
  const TinyModel llama_model = marked("omni-dna-300m");
  const auto llama = published(llama_model, family_named("llama"));
  EXPECT_TRUE(all(written(llama, "model.layers.1.mlp.up_proj.weight"), 1));
  EXPECT_TRUE(all(written(llama, "model.layers.1.mlp.gate_proj.weight"), 2));
  const TinyModel native_model = marked("omni-dna-300m");
  const auto native = published(native_model, family_named("olmo-gfm"));
  EXPECT_TRUE(halves(written(native, "model.transformer.blocks.1.ff_proj.weight"), 1, 2)) << "up, then gate";
  const TinyModel v2_model = marked("nt-v2-100m");
  const auto v2 = published(v2_model, family_named("esm"));
  EXPECT_TRUE(halves(written(v2, "esm.encoder.layer.1.intermediate.dense.weight"), 2, 1)) << "SiLU on the first half";
  const TinyModel dnabert_model = marked("dnabert-2-117m");
  const auto dnabert = published(dnabert_model, family_named("dnabert-2"));
  EXPECT_TRUE(halves(written(dnabert, "bert.encoder.layer.1.mlp.gated_layers.weight"), 2, 1))
      << "GELU on the first half";
  const TinyModel aido_model = marked("dna-fm-300m");
  const auto aido = published(aido_model, family_named("aido-dna"));
  EXPECT_TRUE(all(written(aido, "bert.encoder.layer.1.mlp.gate_proj.weight"), 2));
  EXPECT_TRUE(all(written(aido, "bert.encoder.layer.1.attention.self.value.bias"), 3));
}

class ReadTest : public testing::Test {
 protected:
  // Writes `tensors` and reads them as `model`'s.
  Result<ReadWeights> read(const TinyModel& model, const Family& family, std::vector<TensorToWrite> tensors) {
    EXPECT_TRUE(fs_.make_directories("/m").ok());
    EXPECT_TRUE(write_safetensors(fs_, "/m/model.safetensors", std::move(tensors)).ok());
    auto source = open_weights(fs_, "/m");
    EXPECT_TRUE(source.ok()) << source.error().message();
    auto read = read_published_weights(family, model.config, model.table, **source);
    if (read.ok()) weights_ = read->weights;
    return read;
  }
  static void rename(std::vector<TensorToWrite>* tensors, const std::string& from, const std::string& to) {
    for (TensorToWrite& tensor : *tensors) {
      if (tensor.name.starts_with(from)) tensor.name = to + tensor.name.substr(from.size());
    }
  }
  static void drop(std::vector<TensorToWrite>* tensors, const std::string& prefix) {
    std::erase_if(*tensors, [&](const TensorToWrite& tensor) { return tensor.name.starts_with(prefix); });
  }
  static TensorToWrite constant(const std::string& name, std::vector<int64_t> shape, float value) {
    return {name, std::move(shape), [value](std::span<float> out) -> Status {
              std::ranges::fill(out, value);
              return {};
            }};
  }
  FaultyFileSystem fs_;
  std::vector<float> weights_;
};

TEST_F(ReadTest, OtherPrefixesOfTheSameFamily) {
  const TinyModel opt = tiny_model("opt-350m");
  auto tensors = published(opt, family_named("opt"));
  rename(&tensors, "model.decoder.", "decoder.");
  ASSERT_TRUE(read(opt, family_named("opt"), tensors).ok());
  EXPECT_EQ(weights_, opt.weights);
  const TinyModel aido = tiny_model("dna-fm-300m");
  tensors = published(aido, family_named("aido-dna"));
  rename(&tensors, "bert.", "");
  ASSERT_TRUE(read(aido, family_named("aido-dna"), tensors).ok());
  EXPECT_EQ(weights_, aido.weights);
}

TEST_F(ReadTest, EveryProblemIsListedAtOnce) {
  const TinyModel model = tiny_model("opt-125m");
  auto tensors = published(model, family_named("opt"));
  drop(&tensors, "model.decoder.layers.1.fc2.bias");
  drop(&tensors, "model.decoder.layers.0.self_attn.q_proj.weight");
  drop(&tensors, "model.decoder.embed_positions.weight");
  tensors.push_back(constant("model.decoder.embed_positions.weight", {99, 16}, 0));
  tensors.push_back(constant("model.decoder.layers.2.fc1.weight", {12, 16}, 0));
  const auto result = read(model, family_named("opt"), tensors);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), ErrorCode::kBadInput);
  const std::string& message = result.error().message();
  EXPECT_TRUE(message.starts_with("/m/model.safetensors: 4 tensors do not fit")) << message;
  for (const char* line : {"missing   model.decoder.layers.1.fc2.bias, expected [16]",
                           "missing   model.decoder.layers.0.self_attn.q_proj.weight, expected [16, 16]",
                           "misshapen model.decoder.embed_positions.weight, expected [22, 16], found [99, 16]",
                           "surplus   model.decoder.layers.2.fc1.weight [12, 16]"}) {
    EXPECT_NE(message.find(line), std::string::npos) << line << "\n" << message;
  }
}

// Sorted out by names and shapes alone: the weights of this configuration would be 100 TB.
TEST_F(ReadTest, AConfigurationFarBeyondItsFileIsRefusedWithTheFirstProblems) {
  const TinyModel model = tiny_model("opt-125m");
  TinyModel far{model.config, {}, {}};
  far.config.layers = 1024;
  far.config.hidden = 1 << 16;
  far.config.mlp_hidden = 1 << 18;
  far.table = parameter_table(far.config);
  EXPECT_GT(parameter_count(far.config), int64_t{1} << 45);
  const auto result = read(far, family_named("opt"), published(model, family_named("opt")));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), ErrorCode::kBadInput);
  const std::string& message = result.error().message();
  EXPECT_TRUE(message.starts_with("/m/model.safetensors: 16388 tensors do not fit")) << message.substr(0, 200);
  EXPECT_NE(message.find("misshapen model.decoder.embed_tokens.weight, expected [37, 65536], found [37, 16]"),
            std::string::npos);
  EXPECT_NE(message.find("missing   model.decoder.layers.2.fc1.weight, expected [262144, 65536]"), std::string::npos);
  EXPECT_TRUE(message.ends_with("\n  and 16288 more")) << message.substr(message.size() - 100);
  EXPECT_EQ(std::ranges::count(message, '\n'), 101);
}

// Far too small to hold a model, and a view says how large each tensor is.
class ViewsOfOneElement final : public TensorSource {
 public:
  ViewsOfOneElement(const Family& family, const std::vector<ParameterInfo>& table) : TensorSource("x.bin") {
    std::vector<TensorInfo> tensors;
    const auto published = published_tensors(family, table);
    EXPECT_TRUE(published.ok()) << published.error().message();
    for (const PublishedTensor& tensor : *published) {
      tensors.push_back({tensor.name, TensorType::kF32, tensor.shape, *shape_elements(tensor.shape), "x.bin"});
    }
    EXPECT_TRUE(set_tensors(std::move(tensors), 4).ok());
  }
  Status read_tensor(size_t, std::span<float>) override { return internal_error("nothing may be read"); }
};

TEST_F(ReadTest, ViewsThatAreLargerThanTheirFileAreRefused) {
  TransformerConfig config = shrunk("opt-125m");
  config.layers = 1024;
  config.hidden = 1 << 16;
  const auto table = parameter_table(config);
  ViewsOfOneElement source(family_named("opt"), table);
  const auto result = read_published_weights(family_named("opt"), config, table, source);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), ErrorCode::kBadInput);
  EXPECT_NE(result.error().message().find("only 4 bytes of tensors are stored"), std::string::npos)
      << result.error().message();
}

TEST_F(ReadTest, AFileWithoutTensorsAndShardsAreNamed) {
  const TinyModel model = tiny_model("opt-125m");
  const auto none = read(model, family_named("opt"), {});
  ASSERT_FALSE(none.ok());
  EXPECT_TRUE(none.error().message().starts_with("/m/model.safetensors: 36 tensors do not fit"))
      << none.error().message();
  auto tensors = published(model, family_named("opt"));
  drop(&tensors, "model.decoder.layers.1.fc2.bias");
  drop(&tensors, "model.decoder.layers.0.fc1.weight");
  tensors.push_back(constant("model.decoder.layers.0.fc1.weight", {3, 2}, 0));
  tensors.push_back(constant("model.decoder.layers.2.fc1.weight", {5}, 0));
  ASSERT_TRUE(fs_.make_directories("/s").ok());
  const auto files = write_safetensors_model(fs_, "/s", std::move(tensors), /*shard_bytes=*/4000, {});
  ASSERT_TRUE(files.ok()) << files.error().message();
  auto source = open_weights(fs_, "/s");
  ASSERT_TRUE(source.ok()) << source.error().message();
  const auto result = read_published_weights(family_named("opt"), model.config, model.table, **source);
  ASSERT_FALSE(result.ok());
  const std::string& message = result.error().message();
  EXPECT_TRUE(message.starts_with("/s/model.safetensors.index.json: 3 tensors do not fit")) << message;
  for (const char* line : {"fc1.weight, expected [12, 16], found [3, 2], in ", "layers.2.fc1.weight [5], in "}) {
    const size_t at = message.find(line);
    ASSERT_NE(at, std::string::npos) << line << "\n" << message;
    const size_t begin = at + std::string_view(line).size();
    const std::string shard = message.substr(begin, message.find('\n', begin) - begin);
    EXPECT_TRUE(shard.starts_with("/s/model-000")) << message;
    const auto alone = open_weights(fs_, shard);
    ASSERT_TRUE(alone.ok()) << shard;
    EXPECT_NE((*alone)->find(concat("model.decoder.layers.", line[0] == 'l' ? 2 : 0, ".fc1.weight")), nullptr) << shard;
  }
}

TEST_F(ReadTest, BuffersArePassedOverAndTaskHeadsAreKeptOutWithANote) {
  const TinyModel model = tiny_model("nt-v2-100m");
  auto tensors = published(model, family_named("esm"));
  tensors.push_back(constant("esm.encoder.layer.0.attention.self.rotary_embeddings.inv_freq", {2}, 1));
  tensors.push_back(constant("esm.embeddings.position_ids", {1, 20}, 1));
  tensors.push_back(constant("esm.pooler.dense.weight", {16, 16}, 1));
  tensors.push_back(constant("classifier.out_proj.weight", {2, 16}, 1));
  const auto result = read(model, family_named("esm"), tensors);
  ASSERT_TRUE(result.ok()) << result.error().message();
  EXPECT_EQ(weights_, model.weights);
  ASSERT_EQ(result->notes.size(), 1u);
  EXPECT_EQ(result->notes[0], "kept out: classifier.out_proj.weight [2, 16], a task's head");
}

TEST_F(ReadTest, AFileWithoutALanguageModelHeadSaysSo) {
  const TinyModel model = tiny_model("nt-v1-500m");
  auto tensors = published(model, family_named("esm"));
  drop(&tensors, "lm_head.");
  const auto result = read(model, family_named("esm"), tensors);
  ASSERT_TRUE(result.ok()) << result.error().message();
  for (size_t p = 0; p < model.table.size(); ++p) {
    EXPECT_EQ(result->present[p], !model.table[p].name.starts_with("head.")) << model.table[p].name;
  }
  ASSERT_EQ(result->notes.size(), 1u);
  EXPECT_NE(result->notes[0].find("no language-model head in the file: lm_head.dense.weight"), std::string::npos);
  // In part is another matter.
  tensors = published(model, family_named("esm"));
  drop(&tensors, "lm_head.dense.bias");
  const auto part = read(model, family_named("esm"), tensors);
  ASSERT_FALSE(part.ok());
  EXPECT_NE(part.error().message().find("missing   lm_head.dense.bias, expected [16]"), std::string::npos);
}

TEST_F(ReadTest, ATiedMatrixStoredTwiceMustBeEqual) {
  TinyModel model = tiny_model("opt-125m");
  auto tensors = published(model, family_named("opt"));
  tensors.push_back({"lm_head.weight", {37, 16}, [&](std::span<float> out) -> Status {
                       std::ranges::copy(model.values("embedding.weight"), out.begin());
                       return {};
                     }});
  ASSERT_TRUE(read(model, family_named("opt"), tensors).ok());
  tensors.back().fill = [&](std::span<float> out) -> Status {
    std::ranges::copy(model.values("embedding.weight"), out.begin());
    out[5] += 1;
    return {};
  };
  const auto result = read(model, family_named("opt"), tensors);
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message().find("lm_head.weight differs from embedding.weight at element 5"),
            std::string::npos)
      << result.error().message();
}

// DNABERT-2 keeps the bias of the logits at the decoder, other BERTs beside it: either alone is enough.
TEST_F(ReadTest, ABiasUnderItsOtherNameAlone) {
  const TinyModel model = tiny_model("dnabert-2-117m");
  auto tensors = published(model, family_named("dnabert-2"));
  rename(&tensors, "cls.predictions.decoder.bias", "cls.predictions.bias");
  const auto result = read(model, family_named("dnabert-2"), tensors);
  ASSERT_TRUE(result.ok()) << result.error().message();
  EXPECT_EQ(weights_, model.weights);
}

TEST_F(ReadTest, WeightsThatAreNoNumbersAreRefused) {
  for (const float bad : {std::nanf(""), INFINITY}) {
    TinyModel model = tiny_model("omni-dna-300m");
    model.values("blocks.1.mlp.up.weight")[7] = bad;
    const auto result = read(model, family_named("llama"), published(model, family_named("llama")));
    ASSERT_FALSE(result.ok());
    EXPECT_NE(result.error().message().find("blocks.1.mlp.up.weight holds"), std::string::npos);
    EXPECT_NE(result.error().message().find("at element 7"), std::string::npos) << result.error().message();
  }
}

}  // namespace
}  // namespace strand
