// The repository against its own rules. A failure names file, line, rule and mend.
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "shared/base/text.h"
#include "tests/tidy/repository.h"

namespace strand::tidy {
namespace {

const std::vector<std::string>& paths() {
  static const std::vector<std::string> list = list_repository();
  return list;
}

// Applies `check` to every file that `chosen` takes.
template <class Chosen, class Check>
void expect_tidy(Chosen chosen, Check check) {
  size_t files = 0;
  for (const std::string& path : paths()) {
    if (!chosen(path)) continue;
    ++files;
    for (const Finding& finding : check(read_source(path))) ADD_FAILURE() << finding.text();
  }
  EXPECT_GT(files, 0u) << "no file was looked at: the rule is blind";
}

bool is_header(const std::string& path) {
  return path.ends_with(".h");
}

// Text written by people, not data.
bool is_text(const std::string& path) {
  for (const char* ending :
       {".md", ".py", ".sh", ".toml", ".txt", ".cmake", ".capnp", ".json", "/run", "check", "quickstart"}) {
    if (path.ends_with(ending)) return !path.starts_with("tests/fuzz/corpus/") && !path.starts_with("tests/golden/");
  }
  return is_cpp(path);
}

TEST(Tidy, Layering) {
  const auto layering = Layering::parse(read_source("tests/tidy/layering.txt").text, "tests/tidy/layering.txt");
  ASSERT_TRUE(layering.ok()) << layering.error().message();
  expect_tidy(is_cpp, [&](const SourceFile& file) { return layering.value().check(file, paths()); });
}

TEST(Tidy, FileLength) {
  expect_tidy(is_cpp, check_file_length);
}

TEST(Tidy, FunctionLength) {
  expect_tidy(is_cpp, check_function_length);
}

TEST(Tidy, Headers) {
  expect_tidy(is_header, check_header);
}

TEST(Tidy, NoPathsOfOneMachine) {
  expect_tidy(is_text, check_machine_paths);
}

TEST(Tidy, NothingLeftForLater) {
  expect_tidy(is_text, check_leftovers);
}

TEST(Tidy, LinksLeadSomewhere) {
  expect_tidy([](const std::string& path) { return path.ends_with(".md"); },
              [](const SourceFile& file) { return check_links(file, paths()); });
}

// Debian 12's version: others format some lines differently.
constexpr const char* kFormatVersion = "14.";

TEST(Tidy, ClangFormat) {
  const Outcome version = run("clang-format --version");
  if (version.status != 0 || version.output.find(concat("version ", kFormatVersion)) == std::string::npos) {
    GTEST_SKIP() << "clang-format " << kFormatVersion << "x is not installed";
  }
  std::string command = "clang-format --dry-run -Werror --ferror-limit=1";
  for (const std::string& path : paths()) {
    if (is_cpp(path)) command += " " + shell_quoted(path);
  }
  const Outcome outcome = run(command);
  EXPECT_EQ(outcome.status, 0) << outcome.output << "mend: clang-format -i FILE";
}

// Tests' headers, and those that belong to a compiler or a target loop of their own, are no public headers.
bool compiles_alone(const std::string& path) {
  const bool product = !path.starts_with("tests/") && !path.starts_with("bench/");
  return product && is_header(path) && !path.ends_with("-inl.h") && !path.starts_with("ops/cuda/");
}

TEST(Tidy, EveryHeaderCompilesAlone) {
  std::vector<std::string> headers;
  for (const std::string& path : paths()) {
    if (compiles_alone(path)) headers.push_back(path);
  }
  ASSERT_FALSE(headers.empty());
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::string failures;
  const auto work = [&] {
    for (size_t i = next++; i < headers.size(); i = next++) {
      const Outcome outcome =
          run(concat(shell_quoted(STRAND_COMPILER), " -std=c++20 -fsyntax-only -w -fmax-errors=1 -I. -x c++ ",
                     shell_quoted(headers[i])));
      if (outcome.status == 0) continue;
      const std::scoped_lock lock(mutex);
      failures += concat(headers[i], ":1: [header] does not compile alone; include what it uses:\n", outcome.output);
    }
  };
  std::thread other(work);
  work();
  other.join();
  EXPECT_TRUE(failures.empty()) << failures;
}

}  // namespace
}  // namespace strand::tidy
