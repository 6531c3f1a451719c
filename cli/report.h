// What `strand run` says at the end, from the coordinator's account of the job.
#pragma once

#include <string>

#include "shared/formats/json.h"

namespace strand {

// The keys that every result has, in order, taken from `show`; absent ones are null. A finetuned job's has "metric",
// "best_step", "best_value", "dev" and "test" too.
Json run_result(const Json& show);
// A task's metrics for people, dev beside test (objects of shared/metrics/prediction_json.h, or null).
std::string task_table(const Json& dev, const Json& test);
// The same for people: bits per base beside the Markov model, or a task's metrics; speed, digests, the checkpoint.
std::string run_report(const Json& result, const Json& show, const std::string& run_directory);

}  // namespace strand
