// A checkpoint of a run directory, verified and in memory, without any coordinator.
#pragma once

#include <memory>
#include <string>

#include "shared/base/result.h"
#include "shared/fs/file_system.h"
#include "shared/job_spec/job_spec.h"
#include "shared/wire/manifest.h"
#include "worker/params/param_shard.h"

namespace strand {

struct SavedModel {
  Manifest manifest;
  JobSpec spec;  // the job it was saved by
  std::unique_ptr<ParamShard> shard;
};

// The newest checkpoint of <run_directory>/checkpoints whose manifest and parts pass every check, or, of a finetuning
// run, the one that this names as its best; or the one of `step` (>= 0). Damaged ones are logged and passed over;
// kNotFound when none is left.
Result<SavedModel> load_saved_model(FileSystem& fs, const std::string& run_directory, Step step);

}  // namespace strand
