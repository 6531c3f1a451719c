// strand import and strand export, as functions; the command line only parses options and prints.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "shared/base/hash.h"
#include "shared/base/ids.h"
#include "shared/base/result.h"
#include "shared/fs/file_system.h"
#include "shared/job_spec/job_spec.h"

namespace strand {

// Files that a model's tokenizer lacks beside it, and Python needs: given the directory of what is there (empty:
// nothing is) and the family. The command line knows the tokenizers; whoever only has one of its own gives none.
using MissingTokenizerFiles = std::function<Result<std::vector<std::pair<std::string, std::string>>>(
    const std::string& directory, const std::string& family)>;

// Published weights into a run directory, which then holds weights/: the same weights in fp32 under the names that
// strand export writes, the tokenizer's files, and manifest.json with the digest, written last.
struct ImportOptions {
  std::string directory;      // config.json and weights
  std::string run_directory;  // must be absent or empty
  uint64_t seed = 1;          // of a language-model head that the file lacks
  MissingTokenizerFiles missing_tokenizer_files{};
};
struct ImportedModel {
  std::string run_directory, family;
  TransformerConfig config;
  int64_t parameters = 0;
  Digest128 digest;
  std::vector<std::string> notes;
};
Result<ImportedModel> import_model(FileSystem& fs, const ImportOptions& options);

// A model directory (model_directory.h) as config.json, model.safetensors or its shards, and the tokenizer's files; the
// head of a task, which no published class has, as task_head.safetensors under our names, beside the run's job.toml.
struct ExportOptions {
  std::string source{};
  Step step = -1;           // of a run's checkpoint; -1: the newest valid one
  std::string directory{};  // must be absent or empty
  bool bf16 = false;
  uint64_t shard_bytes = 0;  // 0: one file
  MissingTokenizerFiles missing_tokenizer_files{};
};
struct ExportedModel {
  std::string origin, family, architecture;
  Step step = 0;
  int64_t parameters = 0;
  Digest128 digest;  // of the fp32 weights
  std::vector<std::string> files, notes;
};
Result<ExportedModel> export_model(FileSystem& fs, const ExportOptions& options);

// The [model] table of a job file that trains on from `init`.
std::string model_section(const TransformerConfig& config, const std::string& init);

}  // namespace strand
