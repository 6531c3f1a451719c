// ESM as transformers has it (EsmForMaskedLM), which Nucleotide Transformer v1 is, and NT v2, whose remote code keeps
// the names and puts a SwiGLU where ESM has a GELU (key add_bias_fnn). Norms come first; positions are learned (from
// the row after the padding id) or rotary.
#include "shared/base/text.h"
#include "worker/model/families/config_reader.h"
#include "worker/model/families/family.h"

namespace strand {
namespace {

constexpr int64_t kPad = 1;  // of both published tokenizers

bool recognises(const Json& config) {
  return config.value("model_type", Json()) == "esm";
}

void read_positions(ConfigReader* reader, TransformerConfig* c) {
  const int64_t pad = reader->integer("pad_token_id", 0, 65535, kPad);
  const std::string type = reader->text("position_embedding_type", "absolute");
  if (type != "absolute" && type != "rotary") {
    reader->problem("position_embedding_type: expected \"absolute\" or \"rotary\", found \"" + type + "\"");
  }
  c->positions = type == "rotary" ? PositionKind::kRope : PositionKind::kLearned;
  c->max_sequence = reader->integer("max_position_embeddings", pad + 3, (1 << 20) + pad + 1, 1026) - pad - 1;
  c->position_offset = c->positions == PositionKind::kLearned ? pad + 1 : 0;
}

TransformerConfig read_config(ConfigReader* reader) {
  TransformerConfig c;
  read_positions(reader, &c);
  read_sizes(reader, &c);
  c.mlp_hidden = reader->integer("intermediate_size", 1, 1 << 18);
  c.norm = NormKind::kLayer;
  c.norm_eps = static_cast<float>(reader->number("layer_norm_eps", 1e-12));
  c.embedding_norm = reader->boolean("emb_layer_norm_before", false);
  c.bias = true;
  c.mlp = reader->value("add_bias_fnn") != nullptr ? MlpKind::kSwiGlu : MlpKind::kGelu;
  c.mlp_up_bias = c.mlp_down_bias = reader->boolean("add_bias_fnn", true);
  c.causal = false;
  c.head = HeadKind::kMaskedLm;
  c.head_bias = true;
  c.tied = reader->boolean("tie_word_embeddings", true);
  c.token_dropout = reader->boolean("token_dropout", false);
  c.mask_id = reader->integer("mask_token_id", 0, 65535, c.token_dropout ? std::nullopt : std::optional<int64_t>(0));
  if (c.token_dropout && reader->right({"mask_token_id", "vocab_size"}) && c.mask_id >= c.vocabulary) {
    reader->problem(concat("mask_token_id: ", c.mask_id, " is not one of the ", c.vocabulary, " ids"));
  }
  c.dropout = reader->number("hidden_dropout_prob", 0.1);
  c.init_kind = InitKind::kPlain;
  c.init_std = reader->number("initializer_range", 0.02);
  reader->only("is_folding_model", false);
  return c;
}

Json write_config(const TransformerConfig& c, const SpecialIds& ids) {
  const bool learned = c.positions == PositionKind::kLearned;
  const int64_t pad = learned ? c.position_offset - 1 : ids.pad;
  Json json = {{"architectures", {"EsmForMaskedLM"}},
               {"model_type", "esm"},
               {"attention_probs_dropout_prob", 0.0},
               {"emb_layer_norm_before", c.embedding_norm},
               {"esmfold_config", nullptr},
               {"hidden_dropout_prob", c.dropout},
               {"hidden_size", c.hidden},
               {"initializer_range", c.init_std},
               {"intermediate_size", c.mlp_hidden},
               {"is_folding_model", false},
               {"layer_norm_eps", exact_double(c.norm_eps)},
               {"mask_token_id", c.mask_id},
               {"max_position_embeddings", c.max_sequence + pad + 1},
               {"num_attention_heads", c.heads},
               {"num_hidden_layers", c.layers},
               {"pad_token_id", pad},
               {"position_embedding_type", learned ? "absolute" : "rotary"},
               {"tie_word_embeddings", c.tied},
               {"token_dropout", c.token_dropout},
               {"use_cache", false},
               {"vocab_list", nullptr},
               {"vocab_size", c.vocabulary}};
  if (c.mlp == MlpKind::kSwiGlu) json["add_bias_fnn"] = c.mlp_up_bias;
  return json;
}

std::vector<std::string> misfits(const TransformerConfig& c) {
  Misfits m;
  need_plain_model(&m, c);
  m.need(!c.causal && c.head == HeadKind::kMaskedLm && c.head_bias, "a masked-LM head with a bias, not causal");
  m.need(c.norm == NormKind::kLayer && c.norm_placement == NormPlacement::kPre && c.final_norm,
         "layer norm before the branches and at the end");
  m.need((c.positions == PositionKind::kRope && c.rope_theta == 10000.0f) ||
             (c.positions == PositionKind::kLearned && c.position_offset >= 1),
         "rotary positions of base 10000, or learned ones after a padding row");
  m.need(!c.projected() && c.token_types == 0, "plain token embeddings as wide as the model");
  m.need(c.mlp == MlpKind::kGelu || c.mlp == MlpKind::kSwiGlu, "mlp = \"gelu\" or \"swiglu\"");
  m.need(c.bias && c.mlp_up_bias == c.mlp_down_bias && (c.mlp_up_bias || c.mlp == MlpKind::kSwiGlu),
         "biases, in a SwiGLU both or none");
  return m.take();
}

std::vector<ZeroTensor> zeros(const TransformerConfig& c) {
  return {{"esm.contact_head.regression.weight", {1, c.layers * c.heads}}, {"esm.contact_head.regression.bias", {1}}};
}

}  // namespace

Family esm_family() {
  Family family;
  family.name = "esm";
  family.architecture = "EsmForMaskedLM";
  family.rules = {
      {"embedding", "esm.embeddings.word_embeddings"},
      {"position", "esm.embeddings.position_embeddings"},
      {"embedding_norm", "esm.embeddings.layer_norm"},
      {"blocks.N.attention_norm", "esm.encoder.layer.N.attention.LayerNorm"},
      {"blocks.N.attention.qkv", "esm.encoder.layer.N.attention.self.query", TensorRows::kQuery},
      {"blocks.N.attention.qkv", "esm.encoder.layer.N.attention.self.key", TensorRows::kKey},
      {"blocks.N.attention.qkv", "esm.encoder.layer.N.attention.self.value", TensorRows::kValue},
      {"blocks.N.attention.out", "esm.encoder.layer.N.attention.output.dense"},
      {"blocks.N.mlp_norm", "esm.encoder.layer.N.LayerNorm"},
      {"blocks.N.mlp.up", "esm.encoder.layer.N.intermediate.dense", TensorRows::kGateThenLinear},
      {"blocks.N.mlp.down", "esm.encoder.layer.N.output.dense"},
      {"final_norm", "esm.encoder.emb_layer_norm_after"},
      {"head.transform", "lm_head.dense"},
      {"head.transform_norm", "lm_head.layer_norm"},
      {"head.weight", "lm_head.decoder.weight"},
      {"head.bias", "lm_head.bias"},
  };
  family.prefixes = {"esm.", ""};
  family.aliases = {{"lm_head.decoder.weight", "embedding.weight", "head.weight"},
                    {"lm_head.decoder.bias", "head.bias"}};
  family.recognises = recognises;
  family.read_config = read_config;
  family.write_config = write_config;
  family.misfits = misfits;
  family.zeros = zeros;
  family.ids = {.pad = kPad, .bos = -1, .eos = -1, .mask = 2};
  return family;
}

}  // namespace strand
