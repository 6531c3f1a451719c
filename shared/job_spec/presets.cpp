// Published sizes. What the sources leave open is a field with our default; docs/job_file.md ("Presets") says which
// figures are published, which were worked out and which are ours.
#include "shared/base/text.h"
#include "shared/job_spec/job_spec.h"

namespace strand {
namespace {

struct Preset {
  std::string name;
  TransformerConfig config;
};
using Presets = std::vector<Preset>;

struct Size {
  const char* name;
  int64_t layers, hidden, heads, mlp_hidden;
};

TransformerConfig with_size(TransformerConfig config, const Size& size) {
  config.layers = size.layers;
  config.hidden = size.hidden;
  config.heads = size.heads;
  config.mlp_hidden = size.mlp_hidden;
  return config;
}

// omni-dna.md sections 1.1 to 1.3: the defaults of TransformerConfig are the family's.
void add_omni_dna(Presets* presets) {
  for (const Size& size : {Size{"omni-dna-20m", 8, 256, 8, 1024}, Size{"omni-dna-60m", 8, 512, 8, 2048},
                           Size{"omni-dna-116m", 12, 768, 16, 3072}, Size{"omni-dna-300m", 16, 1024, 16, 4096},
                           Size{"omni-dna-700m", 16, 1536, 16, 6144}, Size{"omni-dna-1b", 16, 2048, 16, 8192}}) {
    TransformerConfig config = with_size({}, size);
    if (size.hidden == 2048) {  // the released 1B: layer norm without weights, OLMo-1B's initialisation
      config.norm = NormKind::kLayerNoAffine;
      config.init_kind = InitKind::kMitchell;
    }
    presets->push_back({size.name, config});
  }
}

// What all the others share: layer norm with weight and bias, biases everywhere, N(0, 0.02).
TransformerConfig biased() {
  TransformerConfig config;
  config.norm = NormKind::kLayer;
  config.bias = config.mlp_up_bias = config.mlp_down_bias = true;
  config.init_kind = InitKind::kPlain;
  return config;
}

TransformerConfig masked_encoder() {
  TransformerConfig config = biased();
  config.causal = false;
  config.head = HeadKind::kMaskedLm;
  config.head_bias = true;
  return config;
}

// lingo-dnafm-formats.md section C1 (facebook/opt-125m and opt-350m, config.json).
void add_opt(Presets* presets) {
  TransformerConfig opt = biased();
  opt.vocabulary = 50272;
  opt.max_sequence = 2048;
  opt.positions = PositionKind::kLearned;
  opt.position_offset = 2;
  opt.mlp = MlpKind::kRelu;
  opt.dropout = 0.1;
  presets->push_back({"opt-125m", with_size(opt, {"", 12, 768, 12, 3072})});
  opt.embedding_width = 512;
  opt.norm_placement = NormPlacement::kPost;
  opt.final_norm = false;
  presets->push_back({"opt-350m", with_size(opt, {"", 24, 1024, 16, 4096})});
}

// Section C5 (zhihan1996/DNABERT-2-117M, config.json and bert_layers.py). ALiBi has no longest row; max_sequence is the
// released max_position_embeddings.
void add_dnabert_2(Presets* presets) {
  TransformerConfig config = masked_encoder();
  config.vocabulary = 4096;
  config.max_sequence = 512;
  config.norm_eps = 1e-12f;
  config.norm_placement = NormPlacement::kPost;
  config.embedding_norm = true;
  config.final_norm = false;
  config.positions = PositionKind::kAlibi;
  config.token_types = 2;
  config.mlp = MlpKind::kGeGlu;
  config.mlp_up_bias = false;
  config.mask_id = 4;
  config.dropout = config.embedding_dropout = 0.1;
  config.dropout_in_mlp = true;
  presets->push_back({"dnabert-2-117m", with_size(config, {"", 12, 768, 12, 3072})});
}

// Section C6 (InstaDeepAI/nucleotide-transformer-*, config.json). 50M and 250M of v2: the configurations that
// tcztzy/evo.cpp pins by checksum (configs/geneb-esm-models.json).
void add_nucleotide_transformers(Presets* presets) {
  TransformerConfig config = masked_encoder();
  config.norm_eps = 1e-12f;
  config.tied = false;
  config.mask_id = 2;

  TransformerConfig v1 = config;
  v1.vocabulary = 4105;
  v1.max_sequence = 1000;
  v1.positions = PositionKind::kLearned;
  v1.position_offset = 2;
  v1.mlp = MlpKind::kGelu;
  v1.token_dropout = true;
  for (const Size& size : {Size{"nt-v1-500m", 24, 1280, 20, 5120}, Size{"nt-v1-2.5b", 32, 2560, 20, 10240}}) {
    presets->push_back({size.name, with_size(v1, size)});
  }

  TransformerConfig v2 = config;
  v2.vocabulary = 4107;
  v2.max_sequence = 2048;
  v2.mlp_up_bias = v2.mlp_down_bias = false;
  for (const Size& size : {Size{"nt-v2-50m", 12, 512, 16, 2048}, Size{"nt-v2-100m", 22, 512, 16, 2048},
                           Size{"nt-v2-250m", 24, 768, 16, 3072}, Size{"nt-v2-500m", 29, 1024, 16, 4096}}) {
    presets->push_back({size.name, with_size(v2, size)});
  }
}

// Section B1 (genbio-ai/AIDO.DNA-300M, config.json). The 7B's config.json was not found: its sizes are the model
// card's, the rest is taken from the 300M.
void add_dna_fm(Presets* presets) {
  TransformerConfig config = masked_encoder();
  config.vocabulary = 16;
  config.max_sequence = 4000;
  config.mask_id = 1;
  for (const Size& size : {Size{"dna-fm-300m", 24, 1024, 16, 2688}, Size{"dna-fm-7b", 32, 4352, 32, 11584}}) {
    presets->push_back({size.name, with_size(config, size)});
  }
}

const Presets& presets() {
  static const Presets all = [] {
    Presets made;
    add_omni_dna(&made);
    add_opt(&made);
    add_dnabert_2(&made);
    add_nucleotide_transformers(&made);
    add_dna_fm(&made);
    return made;
  }();
  return all;
}

}  // namespace

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Preset& preset : presets()) names.push_back(preset.name);
  return names;
}

Result<TransformerConfig> preset_config(const std::string& name) {
  for (const Preset& preset : presets()) {
    if (name == preset.name) return preset.config;
  }
  const std::string nearest = nearest_name(name, preset_names());
  return bad_input(concat("no preset \"", name, "\"",
                          nearest.empty() ? "." : concat("; did you mean \"", nearest, "\"?"),
                          " Known: ", join(preset_names(), ", ")));
}

}  // namespace strand
