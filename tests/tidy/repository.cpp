#include "tests/tidy/repository.h"

#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "shared/base/text.h"

namespace strand::tidy {
namespace {

std::vector<std::string> walk() {
  namespace fs = std::filesystem;
  std::vector<std::string> paths;
  for (auto entry = fs::recursive_directory_iterator("."); entry != fs::recursive_directory_iterator(); ++entry) {
    const std::string path = entry->path().lexically_normal().generic_string();
    const bool skipped = path == "build" || path == "runs" || (path.starts_with('.') && path != ".ci");
    if (entry->is_directory() && skipped) entry.disable_recursion_pending();
    if (entry->is_regular_file()) paths.push_back(path);
  }
  return paths;
}

}  // namespace

Outcome run(const std::string& command) {
  Outcome outcome{-1, {}};
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return outcome;
  char piece[4096];
  while (const size_t bytes = fread(piece, 1, sizeof piece, pipe)) outcome.output.append(piece, bytes);
  const int status = pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

std::string shell_quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::vector<std::string> list_repository() {
  const Outcome tracked = run("git -c core.quotePath=off ls-files");
  std::vector<std::string> paths = tracked.status == 0 ? split(tracked.output, '\n') : walk();
  std::erase_if(paths, [](const std::string& path) { return !std::filesystem::is_regular_file(path); });
  std::sort(paths.begin(), paths.end());
  return paths;
}

SourceFile read_source(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {path, std::string(std::istreambuf_iterator<char>(in), {})};
}

}  // namespace strand::tidy
