// What `strand run` says at the end, from the coordinator's account of the job.
#pragma once

#include <string>

#include "shared/formats/json.h"

namespace strand {

// The keys of DESIGN section 7, in order, taken from `show`; absent ones are null.
Json run_result(const Json& show);
// The same for people: bits per base beside the Markov model, speed, digests, where the checkpoint is.
std::string run_report(const Json& result, const Json& show, const std::string& run_directory);

}  // namespace strand
