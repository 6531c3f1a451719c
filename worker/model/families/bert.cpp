// Encoders under BERT's names. DNABERT-2: MosaicBERT's block (norms last, ALiBi, GEGLU, one Wqkv). AIDO.DNA (DNA FM):
// RNABert, norms first, rotary positions, SwiGLU.
#include "worker/model/families/config_reader.h"
#include "worker/model/families/family.h"

namespace strand {
namespace {

void masked_head(TransformerConfig* c) {
  c->causal = false;
  c->head = HeadKind::kMaskedLm;
  c->head_bias = true;
  c->tied = true;
  c->init_kind = InitKind::kPlain;
}

void need_masked_head(Misfits* m, const TransformerConfig& c) {
  need_plain_model(m, c);
  m->need(!c.causal && c.head == HeadKind::kMaskedLm && c.head_bias && c.tied,
          "a tied masked-LM head with a bias, not causal");
  m->need(c.norm == NormKind::kLayer, "norm = \"layer\"");
  m->need(!c.projected() && !c.token_dropout, "token embeddings as wide as the model, no token dropout");
}

// --- DNABERT-2 -------------------------------------------------------------------------------------------------------

bool recognises_dnabert_2(const Json& config) {
  return config.value("model_type", Json()) == "bert" && config.contains("alibi_starting_size");
}

TransformerConfig read_dnabert_2(ConfigReader* reader) {
  TransformerConfig c;
  masked_head(&c);
  c.positions = PositionKind::kAlibi;
  read_sizes(reader, &c);
  c.mlp_hidden = reader->integer("intermediate_size", 1, 1 << 18);
  c.max_sequence = reader->integer("max_position_embeddings", 2, 1 << 20, 512);
  c.norm = NormKind::kLayer;
  c.norm_eps = static_cast<float>(reader->number("layer_norm_eps", 1e-12));
  c.norm_placement = NormPlacement::kPost;
  c.embedding_norm = true;
  c.final_norm = false;
  c.token_types = reader->integer("type_vocab_size", 1, 65536, 2);
  c.mlp = MlpKind::kGeGlu;
  c.bias = c.mlp_down_bias = true;
  c.mlp_up_bias = false;
  c.dropout = c.embedding_dropout = reader->number("hidden_dropout_prob", 0.1);
  c.dropout_in_mlp = true;
  c.init_std = reader->number("initializer_range", 0.02);
  reader->only("hidden_act", "gelu");
  reader->only("tie_word_embeddings", true);
  return c;
}

Json write_dnabert_2(const TransformerConfig& c, const SpecialIds& ids) {
  return {{"architectures", {"BertForMaskedLM"}},
          {"model_type", "bert"},
          {"alibi_starting_size", c.max_sequence},
          {"attention_probs_dropout_prob", 0.0},
          {"classifier_dropout", nullptr},
          {"hidden_act", "gelu"},
          {"hidden_dropout_prob", c.dropout},
          {"hidden_size", c.hidden},
          {"initializer_range", c.init_std},
          {"intermediate_size", c.mlp_hidden},
          {"layer_norm_eps", exact_double(c.norm_eps)},
          {"max_position_embeddings", c.max_sequence},
          {"num_attention_heads", c.heads},
          {"num_hidden_layers", c.layers},
          {"pad_token_id", special_id(ids.pad, c)},
          {"position_embedding_type", "absolute"},
          {"type_vocab_size", c.token_types},
          {"use_cache", true},
          {"vocab_size", c.vocabulary}};
}

std::vector<std::string> misfits_dnabert_2(const TransformerConfig& c) {
  Misfits m;
  need_masked_head(&m, c);
  m.need(c.norm_placement == NormPlacement::kPost && c.embedding_norm && !c.final_norm,
         "norms after the branches and on the embeddings");
  m.need(c.positions == PositionKind::kAlibi && c.token_types >= 1, "ALiBi and token types");
  m.need(c.mlp == MlpKind::kGeGlu && c.bias && !c.mlp_up_bias && c.mlp_down_bias,
         "mlp = \"geglu\", biases everywhere but in mlp.up");
  return m.take();
}

// --- AIDO.DNA --------------------------------------------------------------------------------------------------------

bool recognises_aido(const Json& config) {
  return config.value("model_type", Json()) == "rnabert";
}

TransformerConfig read_aido(ConfigReader* reader) {
  TransformerConfig c;
  masked_head(&c);
  c.positions = PositionKind::kRope;
  read_sizes(reader, &c);
  c.mlp_hidden = reader->integer("intermediate_size", 1, 1 << 18);
  c.max_sequence = reader->integer("max_position_embeddings", 2, 1 << 20, 512);
  c.norm = NormKind::kLayer;
  c.norm_eps = static_cast<float>(reader->number("layer_norm_eps", 1e-5));
  c.mlp = MlpKind::kSwiGlu;
  c.bias = c.mlp_up_bias = c.mlp_down_bias = reader->boolean("add_linear_bias");
  c.dropout = c.embedding_dropout = reader->number("hidden_dropout_prob", 0);
  c.init_std = reader->number("initializer_range", 0.02);
  reader->need("normalization_type", "LayerNorm");  // the class's default is RMSNorm
  reader->only("hidden_act", "swiglu");
  reader->only("position_embedding_type", "rope");
  reader->only("rotary_percent", 1.0);
  reader->only("seq_len_interpolation_factor", nullptr);
  reader->only("tie_word_embeddings", true);
  return c;
}

Json write_aido(const TransformerConfig& c, const SpecialIds& ids) {
  return {{"architectures", {"RNABertForMaskedLM"}},
          {"model_type", "rnabert"},
          {"add_linear_bias", c.bias},
          {"attention_probs_dropout_prob", 0.0},
          {"hidden_act", "swiglu"},
          {"hidden_dropout_prob", c.dropout},
          {"hidden_size", c.hidden},
          {"initializer_range", c.init_std},
          {"intermediate_size", c.mlp_hidden},
          {"layer_norm_eps", exact_double(c.norm_eps)},
          {"max_position_embeddings", c.max_sequence},
          {"normalization_type", "LayerNorm"},
          {"num_attention_heads", c.heads},
          {"num_hidden_layers", c.layers},
          {"pad_token_id", special_id(ids.pad, c)},
          {"position_embedding_type", "rope"},
          {"rotary_percent", 1.0},
          {"seq_len_interpolation_factor", nullptr},
          {"tokenizer_type", "BertWordPieceLowerCase"},
          {"type_vocab_size", 2},
          {"use_cache", true},
          {"vocab_size", c.vocabulary}};
}

std::vector<std::string> misfits_aido(const TransformerConfig& c) {
  Misfits m;
  need_masked_head(&m, c);
  m.need(c.norm_placement == NormPlacement::kPre && !c.embedding_norm && c.final_norm,
         "norms before the branches and at the end, none on the embeddings");
  m.need(c.positions == PositionKind::kRope && c.rope_theta == 10000.0f, "rotary positions of base 10000");
  m.need(c.token_types == 0, "no token types");
  m.need(c.mlp == MlpKind::kSwiGlu && c.bias == c.mlp_up_bias && c.bias == c.mlp_down_bias,
         "mlp = \"swiglu\", biases everywhere or nowhere");
  return m.take();
}

}  // namespace

Family dnabert_2_family() {
  Family family;
  family.name = "dnabert-2";
  family.architecture = "BertForMaskedLM";
  family.rules = {
      {"embedding", "bert.embeddings.word_embeddings"},
      {"token_type", "bert.embeddings.token_type_embeddings"},
      {"embedding_norm", "bert.embeddings.LayerNorm"},
      {"blocks.N.attention_norm", "bert.encoder.layer.N.attention.output.LayerNorm"},
      {"blocks.N.attention.qkv", "bert.encoder.layer.N.attention.self.Wqkv"},
      {"blocks.N.attention.out", "bert.encoder.layer.N.attention.output.dense"},
      {"blocks.N.mlp_norm", "bert.encoder.layer.N.mlp.layernorm"},
      {"blocks.N.mlp.up", "bert.encoder.layer.N.mlp.gated_layers", TensorRows::kGateThenLinear},
      {"blocks.N.mlp.down", "bert.encoder.layer.N.mlp.wo"},
      {"head.transform", "cls.predictions.transform.dense"},
      {"head.transform_norm", "cls.predictions.transform.LayerNorm"},
      {"head.bias", "cls.predictions.decoder.bias"},
  };
  family.prefixes = {"bert.", ""};
  family.aliases = {{"cls.predictions.decoder.weight", "embedding.weight"}, {"cls.predictions.bias", "head.bias"}};
  family.recognises = recognises_dnabert_2;
  family.read_config = read_dnabert_2;
  family.write_config = write_dnabert_2;
  family.misfits = misfits_dnabert_2;
  family.ids = {.pad = 3, .bos = -1, .eos = -1, .mask = 4};
  return family;
}

Family aido_dna_family() {
  Family family;
  family.name = "aido-dna";
  family.architecture = "RNABertForMaskedLM";
  family.rules = {
      {"embedding", "bert.embeddings.word_embeddings"},
      {"blocks.N.attention_norm", "bert.encoder.layer.N.attention.ln"},
      {"blocks.N.attention.qkv", "bert.encoder.layer.N.attention.self.query", TensorRows::kQuery},
      {"blocks.N.attention.qkv", "bert.encoder.layer.N.attention.self.key", TensorRows::kKey},
      {"blocks.N.attention.qkv", "bert.encoder.layer.N.attention.self.value", TensorRows::kValue},
      {"blocks.N.attention.out", "bert.encoder.layer.N.attention.output.dense"},
      {"blocks.N.mlp_norm", "bert.encoder.layer.N.ln"},
      {"blocks.N.mlp.up", "bert.encoder.layer.N.mlp.up_proj", TensorRows::kLinearHalf},
      {"blocks.N.mlp.up", "bert.encoder.layer.N.mlp.gate_proj", TensorRows::kGateHalf},
      {"blocks.N.mlp.down", "bert.encoder.layer.N.mlp.down_proj"},
      {"final_norm", "bert.encoder.ln"},
      {"head.transform", "cls.predictions.transform.dense"},
      {"head.transform_norm", "cls.predictions.transform.LayerNorm"},
      {"head.bias", "cls.predictions.bias"},
  };
  family.prefixes = {"bert.", ""};
  family.aliases = {{"cls.predictions.decoder.weight", "embedding.weight"},
                    {"cls.predictions.decoder.bias", "head.bias"}};
  family.recognises = recognises_aido;
  family.read_config = read_aido;
  family.write_config = write_aido;
  family.misfits = misfits_aido;
  family.ids = {.pad = 0, .bos = 11, .eos = 12, .mask = 1};
  return family;
}

}  // namespace strand
