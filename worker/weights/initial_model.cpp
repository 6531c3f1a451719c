#include "worker/weights/initial_model.h"

#include <algorithm>
#include <map>
#include <set>

#include "shared/base/text.h"
#include "shared/formats/tensor_types.h"
#include "shared/job_spec/fields.h"
#include "worker/params/digest.h"
#include "worker/weights/model_directory.h"

namespace strand {
namespace {

bool is_head(const std::string& name) {
  return (name.starts_with("head.") && !name.starts_with("head.project_out")) || name.starts_with("task.");
}

// Keys that name no part of what the model computes.
std::set<std::string> free_keys(const TransformerConfig& c) {
  std::set<std::string> keys = {
      "model.preset",    "model.init",    "model.dropout", "model.dropout_in_mlp", "model.embedding_dropout",
      "model.init_kind", "model.init_std"};
  if (c.positions != PositionKind::kLearned) keys.insert({"model.max_sequence", "model.position_offset"});
  if (c.positions != PositionKind::kRope) keys.insert("model.rope_theta");
  if (!c.token_dropout) keys.insert("model.mask_id");
  return keys;
}

JobSpec spec_of(const TransformerConfig& config) {
  JobSpec spec;
  spec.model.config = config;
  spec.model.config.embedding_width = config.projected() ? config.embedding_width : 0;
  return spec;
}

}  // namespace

std::vector<std::string> model_differences(const TransformerConfig& job, const TransformerConfig& weights) {
  const std::set<std::string> free = free_keys(job);
  const JobSpec a = spec_of(job), b = spec_of(weights);
  std::vector<std::string> differences;
  for (const Field& field : job_fields()) {
    if (!field.key.starts_with("model.") || free.contains(field.key) || field.get(a) == field.get(b)) continue;
    differences.push_back(concat(field.key, ": the job has ", field.get(a), ", the weights have ", field.get(b)));
  }
  return differences;
}

Result<InitialModel> load_initial_model(FileSystem& fs, const std::string& directory, const TransformerConfig& config,
                                        const std::vector<ParameterInfo>& table, std::span<float> weights) {
  auto loaded = load_model_directory(fs, directory);
  if (!loaded.ok()) return bad_input(concat("model.init: ", loaded.error().message()));
  const ModelDirectory& model = *loaded;
  const std::vector<std::string> differences = model_differences(config, model.config);
  if (!differences.empty()) {
    return bad_input(concat("model.init: ", model.origin,
                            " holds another model than [model] describes; set its keys to"
                            " the weights' values:\n  ",
                            join(differences, "\n  ")));
  }
  std::map<std::string, size_t> index;
  for (size_t p = 0; p < model.table.size(); ++p) {
    if (model.present[p] && !model.table[p].name.starts_with("task.")) index[model.table[p].name] = p;
  }
  InitialModel out{model.origin, {}, model.notes};
  std::vector<std::string> problems, drawn;
  for (const ParameterInfo& parameter : table) {
    const auto found = index.find(parameter.name);
    if (found == index.end() && is_head(parameter.name)) {
      drawn.push_back(parameter.name);
    } else if (found == index.end()) {
      problems.push_back(concat("missing   ", parameter.name, ", expected ", shape_text(parameter.shape)));
    } else if (const ParameterInfo& from = model.table[found->second]; from.shape != parameter.shape) {
      problems.push_back(concat("misshapen ", parameter.name, ", expected ", shape_text(parameter.shape), ", found ",
                                shape_text(from.shape)));
    } else {
      std::copy_n(model.weights.begin() + from.first_element, from.elements, weights.begin() + parameter.first_element);
    }
  }
  if (!problems.empty()) {
    return bad_input(concat("model.init: ", model.origin, ": ", problems.size(),
                            " parameters do not fit the job's model:\n  ", join(problems, "\n  ")));
  }
  if (!drawn.empty()) out.notes.push_back(concat("drawn from train.seed: ", join(drawn, ", ")));
  out.digest = model_digest(table, weights);
  return out;
}

}  // namespace strand
