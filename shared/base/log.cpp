#include "shared/base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <mutex>

namespace strand {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarning: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::shared_ptr<spdlog::logger>& logger() {
  static std::shared_ptr<spdlog::logger> instance = [] {
    auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    auto made = std::make_shared<spdlog::logger>("strand", sink);
    made->set_level(spdlog::level::warn);
    return made;
  }();
  return instance;
}

// Values with spaces, quotes or line ends are quoted, so that a line stays one line and splits back into fields.
std::string quoted(const std::string& value) {
  if (!value.empty() && value.find_first_of(" \"\n\r\t=") == std::string::npos) return value;
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else if (c != '\r') {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace

void init_log(std::string_view role, const std::string& path, LogLevel file_level, LogLevel stderr_level) {
  std::vector<spdlog::sink_ptr> sinks;
  auto err = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  err->set_level(to_spdlog(stderr_level));
  sinks.push_back(err);
  if (!path.empty()) {
    try {
      auto file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path, false);
      file->set_level(to_spdlog(file_level));
      sinks.push_back(file);
    } catch (const spdlog::spdlog_ex& e) {
      std::fprintf(stderr, "cannot log to %s: %s; logging to stderr only\n", path.c_str(), e.what());
    }
  }
  auto made = std::make_shared<spdlog::logger>("strand", sinks.begin(), sinks.end());
  made->set_level(spdlog::level::debug);
  made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l " + std::string(role) + " %v", spdlog::pattern_time_type::utc);
  made->flush_on(spdlog::level::info);
  logger() = made;
}

void log_event(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  const auto spd_level = to_spdlog(level);
  if (!logger()->should_log(spd_level)) return;
  std::string line(event);
  for (const auto& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    line += quoted(field.value);
  }
  logger()->log(spd_level, spdlog::string_view_t(line.data(), line.size()));
}

void flush_log() {
  logger()->flush();
}

}  // namespace strand
