#include "worker/model/families/family.h"

#include "shared/base/text.h"

namespace strand {
namespace {

// What no family looks at by itself.
Status check_values(const TransformerConfig& c, const std::string& origin) {
  std::vector<std::string> problems;
  if (!(c.norm_eps > 0)) problems.emplace_back("the norms' epsilon must be above 0");
  if (!(c.rope_theta > 0)) problems.emplace_back("the base of the rotary positions must be above 0");
  if (!(c.init_std > 0)) problems.emplace_back("the deviation of the initial weights must be above 0");
  for (const double dropout : {c.dropout, c.embedding_dropout}) {
    if (!(dropout >= 0 && dropout < 1)) problems.push_back(concat("dropout must be in [0, 1), found ", dropout));
  }
  if (c.positions == PositionKind::kRope && c.head_size() % 2 != 0) {
    problems.push_back(concat("rotary positions need an even head size, found ", c.head_size()));
  }
  if (c.token_dropout && c.mask_id >= c.vocabulary) {
    problems.push_back(concat("the mask token ", c.mask_id, " is not one of the ", c.vocabulary, " ids"));
  }
  if (problems.empty()) return {};
  return bad_input(concat(origin, ": ", join(problems, "; ")));
}

}  // namespace

const std::vector<Family>& families() {
  static const std::vector<Family> all = {opt_family(),       olmo_native_family(), olmo_family(), llama_family(),
                                          dnabert_2_family(), aido_dna_family(),    esm_family()};
  return all;
}

Result<FamilyConfig> read_family_config(const Json& config, const std::string& origin) {
  if (!config.is_object()) return bad_input(concat(origin, ": expected an object of settings"));
  for (const Family& family : families()) {
    if (!family.recognises(config)) continue;
    FamilyConfig read{&family, {}};
    STRAND_ASSIGN(read.config, family.read_config(config, origin));
    STRAND_TRY(check_values(read.config, origin));
    return read;
  }
  return bad_input(concat(origin, ": model_type ", dump_json(config.value("model_type", Json())).substr(0, 60),
                          " is not one that is read; expected opt, olmo-gfm, olmo, llama, esm, rnabert, or bert with"
                          " alibi_starting_size (DNABERT-2)"));
}

Result<const Family*> family_for_export(const TransformerConfig& config) {
  std::string reasons;
  for (const Family& family : families()) {
    if (family.import_only) continue;
    const std::vector<std::string> misfits = family.misfits(config);
    if (misfits.empty()) return &family;
    reasons += concat("\n  ", family.name, " (", family.architecture, ") needs ", join(misfits, "; "));
  }
  return bad_input(
      concat("no published family has models like this one, so no Python library would open it:", reasons));
}

}  // namespace strand
