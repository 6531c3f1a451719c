#include "worker/model/families/family.h"

#include <set>

#include "shared/base/text.h"
#include "worker/model/families/config_reader.h"

namespace strand {
namespace {

// What no family looks at by itself.
void check_values(const TransformerConfig& c, ConfigReader* reader) {
  const auto above_zero = [&](double value, const char* what) {
    if (!(value > 0)) reader->problem(concat(what, " must be above 0, found ", value));
  };
  above_zero(c.norm_eps, "the norms' epsilon");
  above_zero(c.rope_theta, "the base of the rotary positions");
  above_zero(c.init_std, "the deviation of the initial weights");
  const std::set<double> dropouts = {c.dropout, c.embedding_dropout};  // often of one key
  for (const double dropout : dropouts) {
    if (!(dropout >= 0 && dropout < 1)) reader->problem(concat("dropout must be in [0, 1), found ", dropout));
  }
}

// Kinds of dropout that Strand lacks. They change no output of a model, only what a job that trains on from it does.
std::vector<std::string> dropout_notes(ConfigReader* reader) {
  std::vector<std::string> notes;
  for (const char* key : {"attention_dropout", "attention_probs_dropout_prob", "activation_dropout", "layerdrop"}) {
    const double found = reader->number(key, 0.0);
    if (found != 0) notes.push_back(concat(key, " ", found, " of config.json is left out: Strand trains without it"));
  }
  return notes;
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
    ConfigReader reader(config, origin);
    FamilyConfig read{&family, family.read_config(&reader), {}};
    check_values(read.config, &reader);
    read.notes = dropout_notes(&reader);
    STRAND_TRY(reader.status());
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
