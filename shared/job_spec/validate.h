// What a job may ask for: sizes that fit together, and what this version builds. Pure; files are looked at by load_job.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "shared/job_spec/job_spec.h"

namespace strand {

// Calls report(key, message) for everything that is wrong.
void validate_job(const JobSpec& spec,
                  const std::function<void(const std::string& key, const std::string& message)>& report);

}  // namespace strand
