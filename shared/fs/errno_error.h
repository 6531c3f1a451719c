// An errno as an Error: what was tried, on which path, the system's words, and the mend.
#pragma once

#include <string>
#include <string_view>

#include "shared/base/result.h"

namespace strand {

// errno_error(ENOSPC, "writing", "runs/a/metrics"): kUnavailable for what waiting may cure (EMFILE, ENFILE, EIO),
// kNotFound for ENOENT, kConflict for EEXIST, else kBadInput: also a full disk, which only a person can mend.
Error errno_error(int number, std::string_view doing, const std::string& path);

}  // namespace strand
