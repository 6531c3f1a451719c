#include "worker/weights/model_directory.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "ops/core/thread_pool.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "shared/formats/tensor_source.h"
#include "worker/checkpoint/saved_model.h"
#include "worker/model/families/family.h"
#include "worker/model/families/published_weights.h"
#include "worker/params/digest.h"
#include "worker/params/initial_weights.h"

namespace strand {

const std::vector<std::string> kTokenizerFiles = {
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt", "vocab.txt"};

namespace {

constexpr int64_t kImportVersion = 1;

Result<ModelDirectory> load_run(FileSystem& fs, const std::string& directory, Step step) {
  STRAND_ASSIGN(SavedModel saved, load_saved_model(fs, directory, step));
  ModelDirectory model;
  model.origin = concat(directory, ", step ", saved.manifest.step);
  model.step = saved.manifest.step;
  model.config = saved.spec.model.config;
  model.table = saved.shard->table();
  model.weights.assign(saved.shard->weights().begin(), saved.shard->weights().end());
  model.present.assign(model.table.size(), true);
  if (fs.exists(directory + "/store/tokenizer.json")) model.tokenizer_directory = directory + "/store";
  return model;
}

Result<ModelDirectory> load_published(FileSystem& fs, const std::string& directory) {
  const std::string path = directory + "/config.json";
  STRAND_ASSIGN(const std::string text, fs.read_file(path));
  STRAND_ASSIGN(const Json json, parse_json(text, path));
  STRAND_ASSIGN(const FamilyConfig read, read_family_config(json, path));
  STRAND_ASSIGN(const auto source, open_weights(fs, directory));
  ModelDirectory model;
  model.origin = directory;
  model.family = read.family->name;
  model.config = read.config;
  model.table = parameter_table(model.config);
  STRAND_ASSIGN(ReadWeights from, read_published_weights(*read.family, model.config, model.table, *source));
  model.weights = std::move(from.weights);
  model.present = std::move(from.present);
  model.notes = read.notes;
  model.notes.insert(model.notes.end(), from.notes.begin(), from.notes.end());
  for (const std::string& file : kTokenizerFiles) {
    if (fs.exists(directory + "/" + file)) model.tokenizer_directory = directory;
  }
  return model;
}

// Published weights that an import wrote: they must still be the ones it wrote.
Result<ModelDirectory> load_imported(FileSystem& fs, const std::string& directory) {
  const std::string path = directory + "/manifest.json";
  STRAND_ASSIGN(const ImportManifest manifest, read_import_manifest(fs, path));
  STRAND_ASSIGN(ModelDirectory model, load_published(fs, directory));
  if (!model.complete() || model_digest(model.table, model.weights) != manifest.digest) {
    return corrupt(concat(directory, ": the weights' digest is not that of ", path,
                          "; files of the import were changed or damaged: import again"));
  }
  return model;
}

}  // namespace

bool ModelDirectory::complete() const {
  return std::ranges::all_of(present, [](bool there) { return there; });
}

// "RUN/checkpoints/step-200" names a run and a step.
static std::optional<std::pair<std::string, Step>> as_checkpoint(const std::string& path) {
  static const std::string kBetween = "/checkpoints/step-";
  const std::string trimmed = path.substr(0, path.find_last_not_of('/') + 1);
  const size_t at = trimmed.rfind(kBetween);
  if (at == std::string::npos) return std::nullopt;
  const char *begin = trimmed.data() + at + kBetween.size(), *end = trimmed.data() + trimmed.size();
  Step step = 0;
  const auto parsed = std::from_chars(begin, end, step);
  if (begin == end || parsed.ptr != end || parsed.ec != std::errc()) return std::nullopt;
  return std::pair(trimmed.substr(0, at), step);
}

Result<ModelDirectory> load_model_directory(FileSystem& fs, const std::string& directory, Step step) {
  if (const auto checkpoint = as_checkpoint(directory); checkpoint && step < 0) {
    return load_model_directory(fs, checkpoint->first, checkpoint->second);
  }
  if (!fs.exists(directory)) return not_found(concat(directory, ": does not exist; check the spelling of the path"));
  if (fs.exists(directory + "/checkpoints")) return load_run(fs, directory, step);
  if (step > 0) return bad_input(concat(directory, ": has no checkpoints, so no step ", step));
  if (fs.exists(directory + "/weights/manifest.json")) return load_imported(fs, directory + "/weights");
  if (fs.exists(directory + "/config.json")) {
    return fs.exists(directory + "/manifest.json") ? load_imported(fs, directory) : load_published(fs, directory);
  }
  return not_found(concat(directory,
                          ": no model here; expected a run directory (checkpoints/ or weights/ in it) or published"
                          " weights (config.json beside model.safetensors or pytorch_model.bin)"));
}

void draw_absent(ModelDirectory* model, uint64_t seed) {
  ThreadPool pool(1);
  OpContext context;
  context.pool = &pool;
  std::vector<std::string> drawn;
  for (size_t p = 0; p < model->table.size(); ++p) {
    if (model->present[p]) continue;
    const ParameterInfo& parameter = model->table[p];
    fill_initial_weights(context, parameter, seed, model->weights.data() + parameter.first_element);
    model->present[p] = true;
    drawn.push_back(parameter.name);
  }
  if (!drawn.empty()) model->notes.push_back(concat("drawn from seed ", seed, ": ", join(drawn, ", ")));
}

// What a finetuned model has no more: its masked-LM head, say. Libraries draw such a part at random, and warn.
static void note_missing(ModelDirectory* model) {
  std::vector<std::string> missing;
  for (const ParameterInfo& whole : parameter_table(model->config)) {
    const auto is = [&](const ParameterInfo& parameter) { return parameter.name == whole.name; };
    if (std::ranges::none_of(model->table, is)) missing.push_back(whole.name);
  }
  if (!missing.empty()) model->notes.push_back("not in this run, so not written: " + join(missing, ", "));
}

void leave_out_tasks(ModelDirectory* model) {
  size_t kept = 0;
  int64_t elements = 0;
  std::vector<std::string> left;
  for (const ParameterInfo& parameter : model->table) {
    if (parameter.name.starts_with("task.")) {
      left.push_back(parameter.name);
      continue;
    }
    ParameterInfo moved = parameter;
    moved.first_element = elements;
    std::copy_n(model->weights.begin() + parameter.first_element, parameter.elements,
                model->weights.begin() + elements);
    elements += parameter.elements;
    model->table[kept++] = std::move(moved);
  }
  model->table.resize(kept);
  model->present.resize(kept);
  model->weights.resize(static_cast<size_t>(elements));
  if (!left.empty()) model->notes.push_back("not among the weights, a task's head: " + join(left, ", "));
  note_missing(model);
}

Result<ImportManifest> read_import_manifest(FileSystem& fs, const std::string& path) {
  STRAND_ASSIGN(const std::string text, fs.read_file(path));
  STRAND_ASSIGN(const Json json, parse_json(text, path));
  const auto string_of = [&](const char* key) {
    return json.is_object() && json.contains(key) && json[key].is_string() ? json[key].get<std::string>()
                                                                           : std::string();
  };
  ImportManifest manifest;
  manifest.source = string_of("source");
  manifest.family = string_of("family");
  const std::string digest = string_of("digest");
  const bool right = json.is_object() && json.value("strand_weights", Json()) == kImportVersion &&
                     json.value("parameters", Json()).is_number_integer() && digest.size() == 32 &&
                     digest.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!right) {
    return bad_input(concat(path, ": expected strand_weights = ", kImportVersion,
                            ", parameters and digest, as strand import writes them; import again"));
  }
  manifest.parameters = json["parameters"].get<int64_t>();
  manifest.digest.high = std::stoull(digest.substr(0, 16), nullptr, 16);
  manifest.digest.low = std::stoull(digest.substr(16), nullptr, 16);
  return manifest;
}

std::string import_manifest_text(const ImportManifest& manifest) {
  const Json json = {{"strand_weights", kImportVersion},
                     {"source", manifest.source},
                     {"family", manifest.family},
                     {"parameters", manifest.parameters},
                     {"digest", manifest.digest.hex()}};
  return dump_json(json, 2) + "\n";
}

}  // namespace strand
