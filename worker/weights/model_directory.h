// A model as a directory: what `strand digest`, `strand export` and model.init take. Four kinds, tried in this order:
//   a run of strand run     DIR/checkpoints/step-S/{manifest, parts}       (docs/checkpoint_format.md)
//   one of its checkpoints DIR/checkpoints/step-S
//   a run of strand import  DIR/weights/{manifest.json, published weights}
//   published weights       DIR/{config.json, model.safetensors or pytorch_model.bin or shards of either}
// docs/weights_format.md describes the last two.
#pragma once

#include <string>
#include <vector>

#include "shared/base/hash.h"
#include "shared/base/ids.h"
#include "shared/base/result.h"
#include "shared/fs/file_system.h"
#include "shared/job_spec/job_spec.h"
#include "shared/job_spec/parameter_table.h"

namespace strand {

struct ModelDirectory {
  std::string origin;  // "runs/x, step 200", "models/opt-125m"
  std::string family;  // of published weights: "opt"; empty for a run
  Step step = 0;
  TransformerConfig config;
  std::vector<ParameterInfo> table;  // of the model; a finetuned one's task.* too
  std::vector<float> weights;        // in table order
  std::vector<bool> present;         // for each parameter; the elements of an absent one are 0
  std::vector<std::string> notes;    // what was kept out, what is absent
  std::string tokenizer_directory;   // where tokenizer.json and its like are, if anywhere

  bool complete() const;
};

// Reads and verifies; `step` >= 0 names a checkpoint of a run, else the newest valid one counts. kNotFound when it is
// none of them; kBadInput or kCorrupt, naming the file, when it is damaged or contradicts itself.
Result<ModelDirectory> load_model_directory(FileSystem& fs, const std::string& directory, Step step = -1);

// Draws the absent parameters from `seed`, as a job with this train.seed would (params/initial_weights.h), and says so
// in the notes.
void draw_absent(ModelDirectory* model, uint64_t seed);

// Removes what belongs to a task (task.*): no published class has it. Says so in the notes, and what else of the
// configuration's model is not there (a finetuned one has no masked-LM head).
void leave_out_tasks(ModelDirectory* model);

// Files that make a tokenizer, where a directory has them.
extern const std::vector<std::string> kTokenizerFiles;

// DIR/weights/manifest.json of an import: written last.
struct ImportManifest {
  std::string source, family;
  int64_t parameters = 0;
  Digest128 digest;
};
Result<ImportManifest> read_import_manifest(FileSystem& fs, const std::string& path);
std::string import_manifest_text(const ImportManifest& manifest);

}  // namespace strand
