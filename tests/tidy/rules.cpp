#include "tests/tidy/rules.h"

#include <algorithm>
#include <filesystem>
#include <regex>

#include "shared/base/text.h"

namespace strand::tidy {
namespace {

constexpr size_t kFileLines = 500;
constexpr size_t kKernelLines = 800;
constexpr size_t kFunctionLines = 70;

size_t count_lines(std::string_view text) {
  const size_t ends = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  return ends + (!text.empty() && text.back() != '\n');
}

// Calls visit(number, line) for each line, from 1.
template <class Visit>
void for_each_line(std::string_view text, Visit visit) {
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    visit(number, std::string(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace

std::string Finding::text() const {
  return concat(path, ":", line, ": [", rule, "] ", message);
}

bool is_cpp(std::string_view path) {
  for (const char* ending : {".h", ".cpp", ".cu", ".cuh"}) {
    if (path.ends_with(ending)) return true;
  }
  return false;
}

bool is_kernel(std::string_view path) {
  return path.ends_with("_cpu.cpp") || path.ends_with(".cu") || path.ends_with("-inl.h");
}

bool matches(std::string_view pattern, std::string_view path) {
  if (pattern.empty()) return path.empty();
  if (pattern.front() != '*') {
    return !path.empty() && path.front() == pattern.front() && matches(pattern.substr(1), path.substr(1));
  }
  for (size_t skip = 0; skip <= path.size(); ++skip) {
    if (matches(pattern.substr(1), path.substr(skip))) return true;
  }
  return false;
}

Findings check_file_length(const SourceFile& file) {
  const size_t limit = is_kernel(file.path) ? kKernelLines : kFileLines;
  const size_t lines = count_lines(file.text);
  if (lines <= limit) return {};
  return {{file.path, limit + 1, "file length",
           concat(lines, " lines, the limit is ", limit, "; move one purpose to a file of its own")}};
}

Findings check_function_length(const SourceFile& file) {
  Findings findings;
  for (const FunctionLength& function : function_lengths(file.text)) {
    if (function.lines <= kFunctionLines) continue;
    findings.push_back({file.path, function.line, "function length",
                        concat(function.lines, " lines, the limit is ", kFunctionLines,
                               "; give its parts names, as functions of their own")});
  }
  return findings;
}

Findings check_machine_paths(const SourceFile& file) {
  // Written in two parts, so that this file passes its own rule.
  static const std::regex kPath(
      "(^|[^A-Za-z0-9_.~}$-])(/"
      "work/|/"
      "home/[a-z]|/"
      "root/|/"
      "Users/|[A-Z]:\\\\"
      "Users)");
  Findings findings;
  for_each_line(file.text, [&](size_t number, const std::string& line) {
    std::smatch match;
    if (!std::regex_search(line, match, kPath)) return;
    findings.push_back(
        {file.path, number, "machine path",
         concat("\"", match[2].str(), "\" exists on one machine only; say it relative to the repository")});
  });
  return findings;
}

Findings check_leftovers(const SourceFile& file) {
  static const std::regex kWord(
      "\\b(TO"
      "DO|FIX"
      "ME)\\b");
  Findings findings;
  for_each_line(file.text, [&](size_t number, const std::string& line) {
    std::smatch match;
    if (!std::regex_search(line, match, kWord)) return;
    findings.push_back(
        {file.path, number, "leftover",
         concat("\"", match[1].str(), "\": do it now, or write down in docs what is not there and why")});
  });
  return findings;
}

Findings check_links(const SourceFile& file, const std::vector<std::string>& sorted_paths) {
  static const std::regex kLink("\\]\\(([^)\\s]+)\\)");
  static const std::regex kElsewhere("^([a-z]+:|#).*");
  const std::filesystem::path folder = std::filesystem::path(file.path).parent_path();
  const auto exists = [&](const std::string& path) {
    const auto at = std::lower_bound(sorted_paths.begin(), sorted_paths.end(), path);
    return at != sorted_paths.end() && (*at == path || at->starts_with(path.ends_with('/') ? path : path + "/"));
  };
  Findings findings;
  bool in_code = false;
  for_each_line(file.text, [&](size_t number, const std::string& line) {
    if (trim(line).starts_with("```")) in_code = !in_code;
    if (in_code) return;
    for (std::sregex_iterator link(line.begin(), line.end(), kLink), end; link != end; ++link) {
      const std::string target = (*link)[1].str();
      if (std::regex_match(target, kElsewhere)) continue;
      const std::string path = (folder / target.substr(0, target.find('#'))).lexically_normal().generic_string();
      if (path == "." || path == "./" || exists(path)) continue;
      findings.push_back(
          {file.path, number, "link",
           concat("(", target, ") leads to ", path, ", which the repository does not hold; correct the link")});
    }
  });
  return findings;
}

Findings check_header(const SourceFile& file) {
  Findings findings;
  if (file.text.find("#pragma once\n") == std::string::npos && !file.path.ends_with("-inl.h")) {
    findings.push_back({file.path, 1, "header", "no \"#pragma once\"; add it after the opening comment"});
  }
  if (!file.text.starts_with("//")) {
    findings.push_back({file.path, 1, "header", "does not open with a comment; say in a line what the header is for"});
  }
  return findings;
}

}  // namespace strand::tidy
