// Published sizes (omni-dna.md sections 1.1 to 1.3 and 9). What the sources leave open is a field with our default.
#include <array>

#include "shared/base/text.h"
#include "shared/job_spec/job_spec.h"

namespace strand {
namespace {

struct OmniDnaSize {
  const char* name;
  int64_t layers, hidden, heads;
};
constexpr std::array<OmniDnaSize, 6> kOmniDna = {{{"omni-dna-20m", 8, 256, 8},
                                                  {"omni-dna-60m", 8, 512, 8},
                                                  {"omni-dna-116m", 12, 768, 16},
                                                  {"omni-dna-300m", 16, 1024, 16},
                                                  {"omni-dna-700m", 16, 1536, 16},
                                                  {"omni-dna-1b", 16, 2048, 16}}};

TransformerConfig omni_dna(const OmniDnaSize& size) {
  TransformerConfig config;  // its defaults are the family's: SwiGLU, RoPE, no biases, tied, 4096 ids, context 250
  config.layers = size.layers;
  config.hidden = size.hidden;
  config.heads = size.heads;
  config.mlp_hidden = 4 * size.hidden;
  if (size.hidden == 2048) {  // the released 1B: layer norm without weights, OLMo-1B's initialisation
    config.norm = NormKind::kLayerNoAffine;
    config.init_kind = InitKind::kMitchell;
  }
  return config;
}

}  // namespace

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const auto& size : kOmniDna) names.emplace_back(size.name);
  return names;
}

Result<TransformerConfig> preset_config(const std::string& name) {
  for (const auto& size : kOmniDna) {
    if (name == size.name) return omni_dna(size);
  }
  const std::string nearest = nearest_name(name, preset_names());
  return bad_input(concat("no preset \"", name, "\"",
                          nearest.empty() ? "" : concat("; did you mean \"", nearest, "\"?"),
                          " Known: ", join(preset_names(), ", ")));
}

}  // namespace strand
