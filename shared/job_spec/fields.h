// The one list of all keys of a job file: how each is read into a JobSpec and written back.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "shared/job_spec/job_spec.h"
#include "shared/job_spec/toml_reader.h"

namespace strand {

struct Field {
  std::string key;   // "train.steps"
  std::string type;  // as errors and docs/job_file.md say it: "integer", "number", "boolean", "string", "array of
                     // strings", "a | b"
  // Empty when taken, else what is wrong.
  std::function<std::string(JobSpec*, const TomlValue&)> set;
  // As TOML; empty: not written (its default says nothing).
  std::function<std::string(const JobSpec&)> get;
};

const std::vector<Field>& job_fields();
const Field* find_field(const std::string& key);

}  // namespace strand
