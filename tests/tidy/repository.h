// The repository's files, and the programs that judge them.
#pragma once

#include <string>
#include <vector>

#include "tests/tidy/rules.h"

namespace strand::tidy {

// Paths from the root of what git tracks and is there (without git: every file outside build, runs and dot folders),
// sorted.
std::vector<std::string> list_repository();

// The text of a file of the repository.
SourceFile read_source(const std::string& path);

// Runs a shell command; its exit status and what it said on both outputs.
struct Outcome {
  int status;
  std::string output;
};
Outcome run(const std::string& command);

// A file name for the shell.
std::string shell_quoted(const std::string& text);

}  // namespace strand::tidy
