// Logging, the only door to spdlog. One line is one event with key=value fields:
//   2026-01-02T03:04:05.678Z info worker step_committed step=5 loss=1.93
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

#include "shared/base/text.h"

namespace strand {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

struct LogField {
  template <class T>
  LogField(std::string_view key_, const T& value_) : key(key_), value(concat(value_)) {}
  std::string_view key;
  std::string value;
};

// Called once by a main. `role` is the process ("worker"); an empty path logs to stderr only. Lines at `stderr_level`
// and above also go to stderr. Before init_log, lines go to stderr from kWarning up.
void init_log(std::string_view role, const std::string& path, LogLevel file_level, LogLevel stderr_level);

void log_event(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});
inline void log_debug(std::string_view e, std::initializer_list<LogField> f = {}) {
  log_event(LogLevel::kDebug, e, f);
}
inline void log_info(std::string_view e, std::initializer_list<LogField> f = {}) {
  log_event(LogLevel::kInfo, e, f);
}
inline void log_warning(std::string_view e, std::initializer_list<LogField> f = {}) {
  log_event(LogLevel::kWarning, e, f);
}
inline void log_error(std::string_view e, std::initializer_list<LogField> f = {}) {
  log_event(LogLevel::kError, e, f);
}
void flush_log();

}  // namespace strand
