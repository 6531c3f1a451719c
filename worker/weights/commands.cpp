#include "worker/weights/commands.h"

#include <algorithm>

#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "shared/formats/safetensors.h"
#include "worker/model/families/family.h"
#include "worker/model/families/published_weights.h"
#include "worker/params/digest.h"
#include "worker/weights/initial_model.h"
#include "worker/weights/model_directory.h"

namespace strand {
namespace {

Status claim_empty(FileSystem& fs, const std::string& directory) {
  if (fs.exists(directory)) {
    STRAND_ASSIGN(const std::vector<std::string> names, fs.list_directory(directory));
    if (!names.empty()) {
      return bad_input(concat(directory, ": is not empty (", names.front(), names.size() > 1 ? ", ..." : "",
                              "); choose another directory, or empty this one"));
    }
  }
  return fs.make_directories(directory);
}

// The padding id that the tokenizer beside the weights names, else the family's.
SpecialIds special_ids(FileSystem& fs, const Family& family, const std::string& tokenizer_directory) {
  SpecialIds ids = family.ids;
  if (tokenizer_directory.empty()) return ids;
  const auto text = fs.read_file(tokenizer_directory + "/tokenizer.json");
  if (!text.ok()) return ids;
  const auto json = parse_json(*text, "tokenizer.json");
  if (!json.ok() || !json->is_object()) return ids;  // whoever loads the tokenizer says what is wrong with it
  const Json tokens = json->value("added_tokens", Json::array());
  for (const Json& token : tokens) {
    if (!token.is_object()) continue;
    const Json content = token.value("content", Json()), id = token.value("id", Json());
    if ((content == "[PAD]" || content == "<pad>") && id.is_number_integer()) ids.pad = id.get<int64_t>();
  }
  return ids;
}

Status copy_tokenizer(FileSystem& fs, const std::string& from, const std::string& to, std::vector<std::string>* files) {
  if (from.empty()) return {};
  for (const std::string& name : kTokenizerFiles) {
    if (!fs.exists(from + "/" + name)) continue;
    STRAND_ASSIGN(const std::string content, fs.read_file(from + "/" + name));
    STRAND_TRY(write_file_atomically(fs, to + "/" + name, content));
    files->push_back(name);
  }
  return {};
}

struct PublishedForm {
  bool bf16 = false;
  uint64_t shard_bytes = 0;
  const MissingTokenizerFiles& missing_tokenizer_files;
};

// Weights, tokenizer and config.json, in this order: a directory with a config.json is whole.
Result<std::vector<std::string>> write_published(FileSystem& fs, const ModelDirectory& model, const Family& family,
                                                 const std::string& directory, const PublishedForm& form) {
  STRAND_ASSIGN(std::vector<TensorToWrite> tensors, tensors_to_write(family, model.config, model.table, model.weights));
  SafetensorsOptions options;
  options.type = form.bf16 ? TensorType::kBF16 : TensorType::kF32;
  STRAND_ASSIGN(std::vector<std::string> files,
                write_safetensors_model(fs, directory, std::move(tensors), form.shard_bytes, options));
  STRAND_TRY(copy_tokenizer(fs, model.tokenizer_directory, directory, &files));
  if (form.missing_tokenizer_files) {
    STRAND_ASSIGN(const auto missing, form.missing_tokenizer_files(model.tokenizer_directory, family.name));
    for (const auto& [name, content] : missing) {
      STRAND_TRY(write_file_atomically(fs, directory + "/" + name, content));
      files.push_back(name);
    }
  }
  Json config = family.write_config(model.config, special_ids(fs, family, model.tokenizer_directory));
  config["torch_dtype"] = form.bf16 ? "bfloat16" : "float32";
  files.emplace_back("config.json");
  STRAND_TRY(write_file_atomically(fs, directory + "/config.json", dump_json(config, 2) + "\n"));
  return files;
}

// The parameters of a task, taken aside before they are left out.
std::vector<TensorToWrite> task_head(const ModelDirectory& model) {
  std::vector<TensorToWrite> tensors;
  for (const ParameterInfo& parameter : model.table) {
    if (!parameter.name.starts_with("task.")) continue;
    const auto* first = model.weights.data() + parameter.first_element;
    tensors.push_back({parameter.name, parameter.shape,
                       [values = std::vector<float>(first, first + parameter.elements)](std::span<float> out) {
                         std::ranges::copy(values, out.begin());
                         return Status();
                       }});
  }
  return tensors;
}

// With the job file, which says pooling and labels.
Status write_task_head(FileSystem& fs, const ExportOptions& options, std::vector<TensorToWrite> head,
                       std::vector<std::string>* files) {
  files->emplace_back("task_head.safetensors");
  STRAND_TRY(write_safetensors(fs, options.directory + "/" + files->back(), std::move(head)));
  const std::string job = options.source + "/job.toml";
  if (!fs.exists(job)) return {};
  STRAND_ASSIGN(const std::string text, fs.read_file(job));
  files->emplace_back("job.toml");
  return write_file_atomically(fs, options.directory + "/" + files->back(), text);
}

}  // namespace

Result<ImportedModel> import_model(FileSystem& fs, const ImportOptions& options) {
  STRAND_ASSIGN(ModelDirectory model, load_model_directory(fs, options.directory));
  if (model.family.empty()) {
    return bad_input(concat(options.directory, ": is a run directory already; import takes published weights"));
  }
  draw_absent(&model, options.seed);
  STRAND_ASSIGN(const Family* family, family_for_export(model.config));
  STRAND_TRY(claim_empty(fs, options.run_directory));
  const std::string weights = options.run_directory + "/weights";
  STRAND_TRY(fs.make_directories(weights));
  STRAND_TRY(
      write_published(fs, model, *family, weights, {.missing_tokenizer_files = options.missing_tokenizer_files}));
  ImportedModel out{options.run_directory,
                    model.family,
                    model.config,
                    parameter_count(model.config),
                    model_digest(model.table, model.weights),
                    model.notes};
  const ImportManifest manifest{options.directory, model.family, out.parameters, out.digest};
  STRAND_TRY(write_file_atomically(fs, weights + "/manifest.json", import_manifest_text(manifest)));
  return out;
}

Result<ExportedModel> export_model(FileSystem& fs, const ExportOptions& options) {
  STRAND_ASSIGN(ModelDirectory model, load_model_directory(fs, options.source, options.step));
  std::vector<TensorToWrite> head = task_head(model);
  leave_out_tasks(&model);
  if (!model.complete()) {
    return bad_input(concat(options.source,
                            ": has no language-model head; import it first, which draws one: strand"
                            " import ",
                            options.source));
  }
  STRAND_ASSIGN(const Family* family, family_for_export(model.config));
  STRAND_TRY(claim_empty(fs, options.directory));
  ExportedModel out;
  if (!head.empty()) STRAND_TRY(write_task_head(fs, options, std::move(head), &out.files));
  const PublishedForm form{options.bf16, options.shard_bytes, options.missing_tokenizer_files};
  STRAND_ASSIGN(const auto written, write_published(fs, model, *family, options.directory, form));
  out.files.insert(out.files.end(), written.begin(), written.end());
  out.origin = model.origin;
  out.family = family->name;
  out.architecture = family->architecture;
  out.step = model.step;
  out.parameters = static_cast<int64_t>(model.weights.size());
  out.digest = model_digest(model.table, model.weights);
  out.notes = model.notes;
  return out;
}

std::string model_section(const TransformerConfig& config, const std::string& init) {
  // The preset that needs the fewest overrides names the model best; every key is written anyway.
  JobSpec spec;
  spec.model.config = config;
  spec.model.init = init;
  size_t fewest = SIZE_MAX;
  for (const std::string& name : preset_names()) {
    const auto preset = preset_config(name);
    const size_t differences = preset.ok() ? model_differences(*preset, config).size() : SIZE_MAX;
    if (differences >= fewest) continue;
    fewest = differences;
    spec.model.preset = name;
  }
  const std::string all = effective_job_toml(spec);
  const size_t begin = all.find("[model]");
  const size_t end = all.find("\n\n", begin);
  return all.substr(begin, end == std::string::npos ? end : end + 1 - begin);
}

}  // namespace strand
