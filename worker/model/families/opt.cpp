// OPT (Zhang et al., 2022) as transformers has it: OPTForCausalLM. Layer norm before the branches (125M) or after
// (350M), learned positions from row 2, ReLU, embeddings projected in and out when their width differs.
#include "worker/model/families/config_reader.h"
#include "worker/model/families/family.h"

namespace strand {
namespace {

constexpr int64_t kPositionOffset = 2;

bool recognises(const Json& config) {
  return config.value("model_type", Json()) == "opt";
}

TransformerConfig read_config(ConfigReader* reader) {
  TransformerConfig c;
  c.positions = PositionKind::kLearned;
  c.position_offset = kPositionOffset;
  read_sizes(reader, &c);
  c.mlp_hidden = reader->integer("ffn_dim", 1, 1 << 18);
  const int64_t width = reader->integer("word_embed_proj_dim", 1, 1 << 16, c.hidden);
  c.embedding_width = width == c.hidden ? 0 : width;
  c.max_sequence = reader->integer("max_position_embeddings", 2, 1 << 20);
  c.norm = reader->boolean("layer_norm_elementwise_affine", true) ? NormKind::kLayer : NormKind::kLayerNoAffine;
  c.norm_eps = 1e-5f;  // torch's default; the class has no key for it
  const bool before = reader->boolean("do_layer_norm_before", true);
  c.norm_placement = before ? NormPlacement::kPre : NormPlacement::kPost;
  c.final_norm = before && !reader->boolean("_remove_final_layer_norm", false);
  c.mlp = MlpKind::kRelu;
  reader->only("activation_function", "relu");
  c.bias = c.mlp_up_bias = c.mlp_down_bias = reader->boolean("enable_bias", true);
  c.tied = reader->boolean("tie_word_embeddings", true);
  c.dropout = reader->number("dropout", 0.1);
  c.init_kind = InitKind::kPlain;
  c.init_std = reader->number("init_std", 0.02);
  return c;
}

Json write_config(const TransformerConfig& c, const SpecialIds& ids) {
  Json json = {{"architectures", {"OPTForCausalLM"}},
               {"model_type", "opt"},
               {"activation_function", "relu"},
               {"attention_dropout", 0.0},
               {"bos_token_id", special_id(ids.bos, c)},
               {"do_layer_norm_before", c.norm_placement == NormPlacement::kPre},
               {"dropout", c.dropout},
               {"enable_bias", c.bias},
               {"eos_token_id", special_id(ids.eos, c)},
               {"ffn_dim", c.mlp_hidden},
               {"hidden_size", c.hidden},
               {"init_std", c.init_std},
               {"layer_norm_elementwise_affine", c.norm == NormKind::kLayer},
               {"layerdrop", 0.0},
               {"max_position_embeddings", c.max_sequence},
               {"num_attention_heads", c.heads},
               {"num_hidden_layers", c.layers},
               {"pad_token_id", special_id(ids.pad, c)},
               {"tie_word_embeddings", c.tied},
               {"use_cache", true},
               {"vocab_size", c.vocabulary},
               {"word_embed_proj_dim", c.embedding_size()}};
  if (c.norm_placement == NormPlacement::kPre && !c.final_norm) json["_remove_final_layer_norm"] = true;
  return json;
}

std::vector<std::string> misfits(const TransformerConfig& c) {
  Misfits m;
  need_plain_model(&m, c);
  m.need(c.causal && c.head == HeadKind::kLanguageModel && !c.head_bias, "a causal model without a head of its own");
  m.need(c.norm != NormKind::kRms && !c.embedding_norm, "layer norm, none on the embeddings");
  m.need(c.norm_eps == 1e-5f, "norm_eps = 1e-5");
  m.need(c.norm_placement == NormPlacement::kPre || !c.final_norm, "no final norm after norms that come last");
  m.need(c.positions == PositionKind::kLearned && c.position_offset == kPositionOffset, "learned positions from row 2");
  m.need(c.token_types == 0 && !c.token_dropout, "no token types, no token dropout");
  m.need(c.mlp == MlpKind::kRelu, "mlp = \"relu\"");
  m.need(c.bias == c.mlp_up_bias && c.bias == c.mlp_down_bias, "biases everywhere or nowhere");
  return m.take();
}

}  // namespace

Family opt_family() {
  Family family;
  family.name = "opt";
  family.architecture = "OPTForCausalLM";
  family.rules = {
      {"embedding", "model.decoder.embed_tokens"},
      {"embedding.project_in", "model.decoder.project_in"},
      {"position", "model.decoder.embed_positions"},
      {"blocks.N.attention_norm", "model.decoder.layers.N.self_attn_layer_norm"},
      {"blocks.N.attention.qkv", "model.decoder.layers.N.self_attn.q_proj", TensorRows::kQuery},
      {"blocks.N.attention.qkv", "model.decoder.layers.N.self_attn.k_proj", TensorRows::kKey},
      {"blocks.N.attention.qkv", "model.decoder.layers.N.self_attn.v_proj", TensorRows::kValue},
      {"blocks.N.attention.out", "model.decoder.layers.N.self_attn.out_proj"},
      {"blocks.N.mlp_norm", "model.decoder.layers.N.final_layer_norm"},
      {"blocks.N.mlp.up", "model.decoder.layers.N.fc1"},
      {"blocks.N.mlp.down", "model.decoder.layers.N.fc2"},
      {"final_norm", "model.decoder.final_layer_norm"},
      {"head.project_out", "model.decoder.project_out"},
      {"head", "lm_head"},
  };
  // Released files differ: 125M, 1.3B, 2.7B and 66B have the first, the others the second.
  family.prefixes = {"model.decoder.", "decoder."};
  family.aliases = {{"lm_head.weight", "embedding.weight", "head.weight"}};
  family.recognises = recognises;
  family.read_config = read_config;
  family.write_config = write_config;
  family.misfits = misfits;
  family.ids = {.pad = 1, .bos = 2, .eos = 2, .mask = -1};
  return family;
}

}  // namespace strand
