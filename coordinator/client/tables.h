// The coordinator's answers as text for people.
#pragma once

#include <string>

#include "shared/formats/json.h"

namespace strand {

std::string jobs_table(const Json& jobs);
std::string workers_table(const Json& workers);
std::string job_table(const Json& show);
std::string checkpoints_table(const Json& checkpoints);
std::string metrics_table(const Json& records);

}  // namespace strand
