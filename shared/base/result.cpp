#include "shared/base/result.h"

namespace strand {

const char* error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInternal: return "internal";
    case ErrorCode::kBadInput: return "bad_input";
    case ErrorCode::kNotFound: return "not_found";
    case ErrorCode::kUnavailable: return "unavailable";
    case ErrorCode::kDeadline: return "deadline";
    case ErrorCode::kCorrupt: return "corrupt";
    case ErrorCode::kConflict: return "conflict";
    case ErrorCode::kStopped: return "stopped";
    case ErrorCode::kGaveUp: return "gave_up";
  }
  return "unknown";
}

int exit_code(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kBadInput:
    case ErrorCode::kNotFound:
    case ErrorCode::kCorrupt:
    case ErrorCode::kConflict: return 2;
    case ErrorCode::kStopped: return 3;
    case ErrorCode::kGaveUp:
    case ErrorCode::kUnavailable:
    case ErrorCode::kDeadline: return 4;
    case ErrorCode::kInternal: return 1;
  }
  return 1;
}

}  // namespace strand
