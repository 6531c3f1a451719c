#include "shared/fs/glob.h"

#include <fnmatch.h>

#include "shared/base/text.h"

namespace strand {

namespace {

constexpr const char* kWildcards = "*?[";

// `done` is a folder or empty; `rest` is relative to it.
void expand(FileSystem& fs, const std::string& done, const std::string& rest, std::vector<std::string>* found) {
  const size_t slash = rest.find('/');
  const std::string part = rest.substr(0, slash);
  const bool last = slash == std::string::npos;
  const auto go_on = [&](const std::string& name) {
    if (!last) return expand(fs, done + name + "/", rest.substr(slash + 1), found);
    if (fs.exists(done + name)) found->push_back(done + name);
  };
  if (part.find_first_of(kWildcards) == std::string::npos) return go_on(part);
  const auto names = fs.list_directory(done.empty() ? "." : done);
  if (!names.ok()) return;  // no folder: nothing in it
  for (const std::string& name : *names) {
    if (::fnmatch(part.c_str(), name.c_str(), FNM_PERIOD) == 0) go_on(name);
  }
}

}  // namespace

std::vector<std::string> expand_glob(FileSystem& fs, const std::string& pattern) {
  if (pattern.find_first_of(kWildcards) == std::string::npos || fs.exists(pattern)) return {pattern};
  std::vector<std::string> found;
  const bool absolute = pattern.starts_with('/');
  expand(fs, absolute ? "/" : "", pattern.substr(absolute ? 1 : 0), &found);
  return found;
}

Result<std::vector<std::string>> expand_globs(FileSystem& fs, const std::vector<std::string>& patterns) {
  std::vector<std::string> files;
  for (const std::string& pattern : patterns) {
    const auto found = expand_glob(fs, pattern);
    if (found.empty()) {
      return bad_input(concat(pattern, ": no file fits; expected at least one: check the folder and the wildcards"));
    }
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

}  // namespace strand
