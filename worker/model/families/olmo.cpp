// Decoders of the OLMo kind: Omni-DNA under its published names (read), OlmoForCausalLM (layer norm without weights)
// and LlamaForCausalLM (RMS norm), which hold the same models for the usual Python libraries.
#include "shared/base/text.h"
#include "worker/model/families/config_reader.h"
#include "worker/model/families/family.h"

namespace strand {
namespace {

// What all three have in common.
TransformerConfig decoder() {
  TransformerConfig c;
  c.positions = PositionKind::kRope;
  c.mlp = MlpKind::kSwiGlu;
  c.causal = true;
  return c;
}

void need_decoder(Misfits* m, const TransformerConfig& c) {
  need_plain_model(m, c);
  m->need(c.causal && c.head == HeadKind::kLanguageModel && !c.head_bias, "a causal model without a head of its own");
  m->need(c.norm_placement == NormPlacement::kPre && c.final_norm && !c.embedding_norm,
          "norms before the branches and a final one");
  m->need(c.positions == PositionKind::kRope, "positions = \"rope\"");
  m->need(!c.projected() && c.token_types == 0 && !c.token_dropout,
          "plain token embeddings as wide as the model, no token dropout");
  m->need(c.mlp == MlpKind::kSwiGlu, "mlp = \"swiglu\"");
}

// --- as published: OLMo's own names and keys -------------------------------------------------------------------------

bool recognises_native(const Json& config) {
  const Json type = config.value("model_type", Json());
  return type == "olmo-gfm" || type == "hf_olmo" || (type == "olmo" && config.contains("d_model"));
}

NormKind native_norm(ConfigReader* reader) {
  const std::string type = reader->text("layer_norm_type", "default");
  const bool affine = reader->boolean("layer_norm_with_affine", true);
  const bool bias = reader->boolean("bias_for_layer_norm", reader->boolean("include_bias", true));
  if (type == "rms" && affine && !bias) return NormKind::kRms;
  if (type == "default" && !affine) return NormKind::kLayerNoAffine;
  if (type == "default" && bias) return NormKind::kLayer;
  reader->problem(
      concat("layer_norm_type: expected \"rms\" with affine and without bias, or \"default\" without affine",
             " or with bias, found \"", type, "\", affine ", affine, ", bias ", bias));
  return NormKind::kRms;
}

TransformerConfig read_native(ConfigReader* reader) {
  TransformerConfig c = decoder();
  c.layers = reader->integer("n_layers", 1, 1024);
  c.hidden = reader->integer("d_model", 1, 1 << 16);
  c.heads = reader->integer("n_heads", 1, 1 << 16);
  c.vocabulary = reader->integer("embedding_size", 2, 65536, reader->integer("vocab_size", 2, 65536));
  check_heads(reader, c, "n_heads", "d_model");
  // The rows of ff_proj: linear half and gate half.
  const int64_t ratio = reader->integer("mlp_ratio", 1, 64, 4);
  const int64_t usual = reader->right({"mlp_ratio", "d_model"}) ? ratio * c.hidden : 2;
  const int64_t rows = reader->integer("mlp_hidden_size", 2, 1 << 19, usual);
  if (rows % 2 != 0) reader->problem(concat("mlp_hidden_size: ", rows, " has no two halves"));
  c.mlp_hidden = rows / 2;
  c.max_sequence = reader->integer("max_sequence_length", 2, 1 << 20, 1024);
  c.norm = native_norm(reader);
  c.norm_eps = static_cast<float>(reader->number("layer_norm_eps", 1e-5));
  c.rope_theta = static_cast<float>(reader->number("rope_theta", 10000));
  c.bias = c.mlp_up_bias = c.mlp_down_bias = reader->boolean("include_bias", true);
  c.tied = reader->boolean("weight_tying", true);
  c.dropout = reader->number("residual_dropout", 0);
  c.embedding_dropout = reader->number("embedding_dropout", 0);
  reader->only("rope", true);
  reader->only("alibi", false);
  reader->only("activation_type", "swiglu");
  reader->only("block_type", "sequential");
  reader->only("multi_query_attention", false);
  if (reader->right({"n_heads"})) reader->only("n_kv_heads", c.heads);
  reader->only("attention_layer_norm", false);
  reader->only("embedding_layer_norm", false);
  reader->only("norm_after", false);
  reader->only("scale_logits", false);
  reader->only("clip_qkv", nullptr);
  return c;
}

std::vector<std::string> misfits_native(const TransformerConfig&) {
  return {"a file of this family (it is read only; the same model is written as OLMo or Llama)"};
}

// --- transformers: OLMo and Llama ------------------------------------------------------------------------------------

bool recognises_olmo(const Json& config) {
  return config.value("model_type", Json()) == "olmo" && !config.contains("d_model");
}
bool recognises_llama(const Json& config) {
  return config.value("model_type", Json()) == "llama";
}

// rope_theta, or since transformers 5 the same within rope_parameters.
float read_theta(ConfigReader* reader) {
  const Json* rope = reader->value("rope_parameters");
  if (rope == nullptr) return static_cast<float>(reader->number("rope_theta", 10000));
  if (!rope->is_object()) {
    reader->problem("rope_parameters: expected an object, found " + dump_json(*rope).substr(0, 60));
    return 1;
  }
  ConfigReader inner(*rope, "");
  inner.only("rope_type", "default");
  const double theta = inner.number("rope_theta", 10000);
  if (const Status status = inner.status(); !status.ok()) {
    reader->problem("rope_parameters" + status.error().message());
  }
  return static_cast<float>(theta);
}

// The keys that both classes have.
TransformerConfig read_common(ConfigReader* reader) {
  TransformerConfig c = decoder();
  read_sizes(reader, &c);
  c.mlp_hidden = reader->integer("intermediate_size", 1, 1 << 18);
  c.max_sequence = reader->integer("max_position_embeddings", 2, 1 << 20);
  c.bias = reader->boolean("attention_bias", false);
  c.tied = reader->boolean("tie_word_embeddings", false);
  c.rope_theta = read_theta(reader);
  c.init_std = reader->number("initializer_range", 0.02);
  reader->only("hidden_act", "silu");
  if (reader->right({"num_attention_heads", "hidden_size"})) {
    reader->only("num_key_value_heads", c.heads);
    reader->only("head_dim", c.hidden / c.heads);
  }
  reader->only("rope_scaling", nullptr);
  return c;
}

TransformerConfig read_olmo(ConfigReader* reader) {
  TransformerConfig c = read_common(reader);
  c.norm = NormKind::kLayerNoAffine;
  c.norm_eps = 1e-5f;  // fixed in the class
  c.init_kind = InitKind::kMitchell;
  reader->only("clip_qkv", nullptr);
  return c;
}

TransformerConfig read_llama(ConfigReader* reader) {
  TransformerConfig c = read_common(reader);
  c.norm = NormKind::kRms;
  c.norm_eps = static_cast<float>(reader->number("rms_norm_eps", 1e-6));
  c.mlp_up_bias = c.mlp_down_bias = reader->boolean("mlp_bias", false);
  return c;
}

Json write_common(const char* architecture, const char* type, const TransformerConfig& c, const SpecialIds& ids) {
  return {{"architectures", {architecture}},
          {"model_type", type},
          {"attention_bias", c.bias},
          {"attention_dropout", 0.0},
          {"bos_token_id", special_id(ids.bos, c)},
          {"eos_token_id", special_id(ids.eos, c)},
          {"hidden_act", "silu"},
          {"hidden_size", c.hidden},
          {"initializer_range", c.init_std},
          {"intermediate_size", c.mlp_hidden},
          {"max_position_embeddings", c.max_sequence},
          {"num_attention_heads", c.heads},
          {"num_hidden_layers", c.layers},
          {"num_key_value_heads", c.heads},
          {"pad_token_id", special_id(ids.pad, c)},
          {"rope_theta", exact_double(c.rope_theta)},
          {"tie_word_embeddings", c.tied},
          {"use_cache", true},
          {"vocab_size", c.vocabulary}};
}

Json write_olmo(const TransformerConfig& c, const SpecialIds& ids) {
  Json json = write_common("OlmoForCausalLM", "olmo", c, ids);
  json["clip_qkv"] = nullptr;
  return json;
}

Json write_llama(const TransformerConfig& c, const SpecialIds& ids) {
  Json json = write_common("LlamaForCausalLM", "llama", c, ids);
  json["mlp_bias"] = c.mlp_up_bias;
  json["rms_norm_eps"] = exact_double(c.norm_eps);
  return json;
}

std::vector<std::string> misfits_olmo(const TransformerConfig& c) {
  Misfits m;
  need_decoder(&m, c);
  m.need(c.norm == NormKind::kLayerNoAffine && c.norm_eps == 1e-5f, "norm = \"layer-no-affine\" with norm_eps = 1e-5");
  m.need(!c.mlp_up_bias && !c.mlp_down_bias, "no biases in the MLP");
  return m.take();
}

std::vector<std::string> misfits_llama(const TransformerConfig& c) {
  Misfits m;
  need_decoder(&m, c);
  m.need(c.norm == NormKind::kRms, "norm = \"rms\"");
  m.need(c.mlp_up_bias == c.mlp_down_bias, "biases in all of the MLP or none");
  return m.take();
}

// Names that OLMo and Llama share.
std::vector<NameRule> transformers_rules() {
  return {
      {"embedding", "model.embed_tokens"},
      {"blocks.N.attention_norm", "model.layers.N.input_layernorm"},
      {"blocks.N.attention.qkv", "model.layers.N.self_attn.q_proj", TensorRows::kQuery},
      {"blocks.N.attention.qkv", "model.layers.N.self_attn.k_proj", TensorRows::kKey},
      {"blocks.N.attention.qkv", "model.layers.N.self_attn.v_proj", TensorRows::kValue},
      {"blocks.N.attention.out", "model.layers.N.self_attn.o_proj"},
      {"blocks.N.mlp_norm", "model.layers.N.post_attention_layernorm"},
      {"blocks.N.mlp.up", "model.layers.N.mlp.up_proj", TensorRows::kLinearHalf},
      {"blocks.N.mlp.up", "model.layers.N.mlp.gate_proj", TensorRows::kGateHalf},
      {"blocks.N.mlp.down", "model.layers.N.mlp.down_proj"},
      {"final_norm", "model.norm"},
      {"head", "lm_head"},
  };
}

Family transformers_family(const char* name, const char* architecture) {
  Family family;
  family.name = name;
  family.architecture = architecture;
  family.rules = transformers_rules();
  family.prefixes = {"model.", ""};
  family.aliases = {{"lm_head.weight", "embedding.weight", "head.weight"}};
  family.ids = {.pad = 3, .bos = -1, .eos = -1, .mask = 4};  // DNABERT-2's tokenizer, which Omni-DNA uses
  return family;
}

}  // namespace

Family olmo_native_family() {
  Family family;
  family.name = "olmo-gfm";
  family.architecture = "OLMoForCausalLM";
  family.rules = {
      {"embedding", "model.transformer.wte"},
      {"blocks.N.attention_norm", "model.transformer.blocks.N.attn_norm"},
      {"blocks.N.attention.qkv", "model.transformer.blocks.N.att_proj"},
      {"blocks.N.attention.out", "model.transformer.blocks.N.attn_out"},
      {"blocks.N.mlp_norm", "model.transformer.blocks.N.ff_norm"},
      {"blocks.N.mlp.up", "model.transformer.blocks.N.ff_proj"},  // linear half, then gate, as ours
      {"blocks.N.mlp.down", "model.transformer.blocks.N.ff_out"},
      {"final_norm", "model.transformer.ln_f"},
      {"head", "model.transformer.ff_out"},
  };
  family.prefixes = {"model.transformer.", "transformer."};
  family.aliases = {{"word_embeddings.weight", "embedding.weight"},
                    {"model.transformer.ff_out.weight", "embedding.weight", "head.weight"}};
  family.import_only = true;
  family.recognises = recognises_native;
  family.read_config = read_native;
  family.write_config = nullptr;
  family.misfits = misfits_native;
  return family;
}

Family olmo_family() {
  Family family = transformers_family("olmo", "OlmoForCausalLM");
  family.recognises = recognises_olmo;
  family.read_config = read_olmo;
  family.write_config = write_olmo;
  family.misfits = misfits_olmo;
  return family;
}

Family llama_family() {
  Family family = transformers_family("llama", "LlamaForCausalLM");
  family.recognises = recognises_llama;
  family.read_config = read_llama;
  family.write_config = write_llama;
  family.misfits = misfits_llama;
  return family;
}

}  // namespace strand
