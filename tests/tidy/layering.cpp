#include <algorithm>
#include <regex>

#include "shared/base/text.h"
#include "tests/tidy/rules.h"

namespace strand::tidy {
namespace {

bool within(std::string_view path, std::string_view folder) {
  return path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

}  // namespace

Result<Layering> Layering::parse(std::string_view text, const std::string& origin) {
  static const std::regex kRule("(folder|door) ([^ :]+):(( [^ ]+)*)");
  Layering layering;
  size_t number = 0;
  for (const std::string& line : split(text, '\n')) {
    ++number;
    if (trim(line).empty() || line.starts_with("#")) continue;
    std::smatch parts;
    if (!std::regex_match(line, parts, kRule)) {
      return bad_input(
          concat(origin, ":", number, ": expected \"folder NAME: FOLDER...\" or \"door PREFIX: PATTERN...\""));
    }
    Rule rule{parts[2].str(), {}};
    for (const std::string& allowed : split(trim(parts[3].str()), ' ')) {
      if (!allowed.empty()) rule.allowed.push_back(allowed);
    }
    (parts[1].str() == "folder" ? layering.folders_ : layering.doors_).push_back(std::move(rule));
  }
  return layering;
}

const Layering::Rule* Layering::folder_of(std::string_view path) const {
  const Rule* longest = nullptr;
  for (const Rule& folder : folders_) {
    if (within(path, folder.name) && (longest == nullptr || folder.name.size() > longest->name.size()))
      longest = &folder;
  }
  return longest;
}

Findings Layering::check(const SourceFile& file, const std::vector<std::string>& sorted_paths) const {
  static const std::regex kInclude("^\\s*#\\s*include\\s*([<\"])([^>\"]+)[>\"].*");
  Findings findings;
  if (folder_of(file.path) == nullptr) {
    findings.push_back(
        {file.path, 1, "layering", "its folder has no line in tests/tidy/layering.txt; move the file or add one"});
    return findings;
  }
  size_t number = 0;
  for (const std::string& line : split(file.text, '\n')) {
    ++number;
    std::smatch parts;
    if (!std::regex_match(line, parts, kInclude)) continue;
    if (parts[1].str() == "\"") {
      check_own(file, number, parts[2].str(), sorted_paths, &findings);
    } else {
      check_library(file, number, parts[2].str(), &findings);
    }
  }
  return findings;
}

void Layering::check_own(const SourceFile& file, size_t line, const std::string& header,
                         const std::vector<std::string>& sorted_paths, Findings* findings) const {
  // What Cap'n Proto makes from schemas/X.capnp is included as schemas/X.capnp.h.
  const std::string stored = header.ends_with(".capnp.h") ? header.substr(0, header.size() - 2) : header;
  if (!std::binary_search(sorted_paths.begin(), sorted_paths.end(), stored)) {
    findings->push_back({file.path, line, "layering",
                         concat("\"", header,
                                "\" is no file of the repository; write the path from its root, and "
                                "libraries in angle brackets")});
    return;
  }
  const Rule* folder = folder_of(file.path);
  const auto allows = [&](const std::string& name) { return within(stored, name); };
  if (allows(folder->name) || std::any_of(folder->allowed.begin(), folder->allowed.end(), allows)) return;
  findings->push_back({file.path, line, "layering",
                       concat(folder->name, " must not include ", header, " (it may include: ",
                              folder->allowed.empty() ? "only itself" : join(folder->allowed, ", "),
                              "); move what both need to shared, or send a message")});
}

void Layering::check_library(const SourceFile& file, size_t line, const std::string& header, Findings* findings) const {
  for (const Rule& door : doors_) {
    if (!header.starts_with(door.name)) continue;
    const auto opens = [&](const std::string& pattern) { return matches(pattern, file.path); };
    if (std::any_of(door.allowed.begin(), door.allowed.end(), opens)) return;
    findings->push_back({file.path, line, "door",
                         concat("<", header, "> may be included only by ", join(door.allowed, ", "),
                                "; use what that file offers, or add to it")});
    return;
  }
}

}  // namespace strand::tidy
