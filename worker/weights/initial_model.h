// model.init = "DIR": a job starts from the weights of a directory instead of random ones.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "shared/base/hash.h"
#include "shared/base/result.h"
#include "shared/fs/file_system.h"
#include "shared/job_spec/job_spec.h"
#include "shared/job_spec/parameter_table.h"

namespace strand {

struct InitialModel {
  std::string origin;              // what was read
  Digest128 digest;                // of the weights as they are now
  std::vector<std::string> notes;  // what was kept out, what stays as drawn from the seed
};

// Copies into `weights` (in order of `table`, filled from the seed before) every parameter that the directory has
// (model_directory.h). Parameters of a head (head.*, task.*) that it lacks stay as they are; a task's head (task.*) is
// never taken over. kBadInput lists every key of [model] that contradicts the directory, or every parameter that it
// lacks or has in another shape.
Result<InitialModel> load_initial_model(FileSystem& fs, const std::string& directory, const TransformerConfig& config,
                                        const std::vector<ParameterInfo>& table, std::span<float> weights);

// "model.layers: the job has 12, the weights have 24", for each key that decides what a model computes.
std::vector<std::string> model_differences(const TransformerConfig& job, const TransformerConfig& weights);

}  // namespace strand
