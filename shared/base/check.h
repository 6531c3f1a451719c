// STRAND_CHECK: an invariant of our own, always on. Input from outside is never checked with it: that is a Result.
#pragma once

#include "shared/base/text.h"

namespace strand {
// Prints file:line, the condition and the message to stderr, then aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* condition, const std::string& message);
}  // namespace strand

#define STRAND_CHECK(condition, ...)                                                                           \
  do {                                                                                                         \
    if (!(condition)) [[unlikely]]                                                                             \
      ::strand::check_failed(__FILE__, __LINE__, #condition, ::strand::concat("" __VA_OPT__(, ) __VA_ARGS__)); \
  } while (false)
