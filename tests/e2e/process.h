// Real `strand` processes for the end-to-end tests: started in a process group of their own, found, killed, awaited.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "shared/formats/json.h"

namespace strand::e2e {

// The path of the program under test: the one built with the tests, or another, which STRAND_E2E_PROGRAM names.
std::string strand_program();

// A folder that goes away with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void write_file(const std::string& path, const std::string& content);
std::string read_file(const std::string& path);
// The fields of every line of a TSV.
std::vector<std::vector<std::string>> tsv(const std::string& text);

class Process {
 public:
  // The program under test with these arguments; stdout and stderr go to files in `folder`. `tag` names them.
  Process(const std::string& folder, const std::string& tag, std::vector<std::string> arguments);
  // Any program, by its name in the PATH.
  static Process of(const std::string& folder, const std::string& tag, std::vector<std::string> command);
  ~Process();  // kills the group if still there
  Process(Process&& other) noexcept;

  // Waits at most this long; false when it still runs.
  bool wait(std::chrono::milliseconds limit);
  int exit_code() const { return exit_code_; }  // 128 + signal when killed
  std::string out() const;
  std::string err() const;
  Json json() const;  // of stdout; null when it is none

  void signal(int number);        // to the started process only
  void signal_group(int number);  // to it and all its children
  // The child of this role ("worker", ...), 0 when there is none.
  pid_t child(const std::string& role) const;
  // The process of the group that was started with `--name NAME`; 0 when there is none.
  pid_t child_named(const std::string& name) const;
  bool running() const { return pid_ != 0; }
  pid_t pid() const { return pid_; }  // 0: ended

 private:
  struct Command {
    std::vector<std::string> words;
  };
  Process(const std::string& folder, const std::string& tag, Command command);
  // The first process of the group, but for the one we started, whose arguments hold this.
  pid_t find_child(const std::string& arguments, bool at_the_beginning) const;

  std::string out_path_, err_path_;
  pid_t pid_ = 0, group_ = 0;
  int exit_code_ = -1;
};

// Runs to the end, at most this long.
Process run(const std::string& folder, const std::string& tag, std::vector<std::string> arguments,
            std::chrono::milliseconds limit = std::chrono::minutes(10));

// A genome with some structure to learn, always the same: `bases` letters in one record.
std::string small_fasta(int bases, unsigned seed);

}  // namespace strand::e2e
