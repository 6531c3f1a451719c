// What the validators share.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "shared/base/text.h"
#include "shared/job_spec/job_spec.h"

namespace strand {

// (key, what is wrong with it).
using Report = std::function<void(const std::string&, const std::string&)>;

inline void at_least(const Report& report, const std::string& key, int64_t value, int64_t least) {
  if (value < least) report(key, concat("must be at least ", least, ", found ", value));
}

// Beyond this nothing can be built, and sizes in bytes would not fit a number.
inline void at_most(const Report& report, const std::string& key, int64_t value, int64_t most) {
  if (value > most) report(key, concat("must be at most ", most, ", found ", value));
}

inline void within(const Report& report, const std::string& key, double value, double low, double high_excluded) {
  if (value < low || value >= high_excluded) {
    report(key, concat("must be in [", low, ", ", high_excluded, "), found ", value));
  }
}

// validate_data.cpp: [tokenizer] and [data].
void validate_data(const JobSpec& spec, const Report& report);
// validate_task.cpp.
void validate_objective(const JobSpec& spec, const Report& report);
void validate_task(const JobSpec& spec, const Report& report);

}  // namespace strand
