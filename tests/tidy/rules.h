// The rules that tests/tidy enforces on the repository's files. Each is a pure function of a file's path and text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"

namespace strand::tidy {

struct Finding {
  std::string path;
  size_t line = 1;
  std::string rule;
  std::string message;  // what is wrong and how to mend it

  std::string text() const;  // path:line: [rule] message
};
using Findings = std::vector<Finding>;

struct SourceFile {
  std::string path;  // from the repository's root
  std::string text;
};

bool is_cpp(std::string_view path);     // .h .cpp .cu .cuh
bool is_kernel(std::string_view path);  // *_cpu.cpp, *.cu, *-inl.h: longer files are allowed

// `*` stands for any characters, slashes too.
bool matches(std::string_view pattern, std::string_view path);

// layering.txt: which folder may include which, and the doors to libraries.
class Layering {
 public:
  static Result<Layering> parse(std::string_view text, const std::string& origin);

  // Every #include of the file against the table. `exists` says whether the repository holds a path.
  Findings check(const SourceFile& file, const std::vector<std::string>& sorted_paths) const;

 private:
  struct Rule {
    std::string name;  // folder, or the first characters of a header's name
    std::vector<std::string> allowed;
  };
  void check_own(const SourceFile& file, size_t line, const std::string& header,
                 const std::vector<std::string>& sorted_paths, Findings* findings) const;
  void check_library(const SourceFile& file, size_t line, const std::string& header, Findings* findings) const;
  const Rule* folder_of(std::string_view path) const;

  std::vector<Rule> folders_, doors_;
};

// 500 lines; kernels 800.
Findings check_file_length(const SourceFile& file);

// 70 lines from a function's opening brace to its closing one. Counts braces: see function_lengths.
Findings check_function_length(const SourceFile& file);

struct FunctionLength {
  size_t line;  // of the opening brace
  size_t lines;
};
// Bodies outside any other function, in order. Comments, literals and preprocessor lines are skipped; a brace opens a
// function when parentheses precede it in a namespace or class scope.
std::vector<FunctionLength> function_lengths(std::string_view text);

// The text with comments, character, string and raw string literals blanked; line ends stay.
std::string blank_literals(std::string_view text);

// Paths that exist on one machine only, in any text file.
Findings check_machine_paths(const SourceFile& file);

// Work left for later, in any text file.
Findings check_leftovers(const SourceFile& file);

// Links of a Markdown file to files of the repository.
Findings check_links(const SourceFile& file, const std::vector<std::string>& sorted_paths);

// A header says #pragma once, and what it is for in a comment at the top.
Findings check_header(const SourceFile& file);

}  // namespace strand::tidy
