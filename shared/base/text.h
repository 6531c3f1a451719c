// Small text helpers that several folders need.
#pragma once

#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace strand {

// concat("step ", 5, " of ", 10): the arguments written one after another.
template <class... Args>
std::string concat(const Args&... args) {
  std::ostringstream out;
  (out << ... << args);
  return std::move(out).str();
}

std::vector<std::string> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view trim(std::string_view text);

// The candidate with the smallest edit distance to `name`; empty when none is within half of its length.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

// 1234567 -> "1,234,567"; 37765120 bytes -> "36.0 MiB"; 3723 seconds -> "1 h 02 min".
std::string with_thousands(int64_t value);
std::string human_bytes(uint64_t bytes);
std::string human_seconds(double seconds);

// Fixed decimals: format_number(1.93051, 4) -> "1.9305". "nan" and "inf" as such.
std::string format_number(double value, int decimals);

}  // namespace strand
