#include "tests/e2e/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "shared/base/check.h"

namespace strand::e2e {

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "strand-e2e-XXXXXX").string();
  STRAND_CHECK(mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  if (std::getenv("STRAND_E2E_KEEP") != nullptr) return;  // to look at what a failure left behind
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void write_file(const std::string& path, const std::string& content) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<std::vector<std::string>> tsv(const std::string& text) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    rows.emplace_back();
    std::istringstream fields(line);
    for (std::string field; std::getline(fields, field, '\t');) rows.back().push_back(field);
  }
  return rows;
}

std::string strand_program() {
  const char* other = std::getenv("STRAND_E2E_PROGRAM");
  return other != nullptr ? other : STRAND_PROGRAM;
}

Process::Process(const std::string& folder, const std::string& tag, std::vector<std::string> arguments)
    : Process(folder, tag, [&] {
        arguments.insert(arguments.begin(), strand_program());
        return Command{std::move(arguments)};
      }()) {}

Process Process::of(const std::string& folder, const std::string& tag, std::vector<std::string> command) {
  return Process(folder, tag, Command{std::move(command)});
}

Process::Process(const std::string& folder, const std::string& tag, Command command)
    : out_path_(folder + "/" + tag + ".out"), err_path_(folder + "/" + tag + ".err") {
  std::vector<char*> argv;
  for (std::string& word : command.words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_ = fork();
  STRAND_CHECK(pid_ >= 0);
  if (pid_ == 0) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that is killed leaves nobody behind
    ::signal(SIGINT, SIG_DFL);  // ignored in what a shell runs in the background, and our program leaves that as it is
    const int out = open(out_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    const int err = open(err_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    if (chdir(folder.c_str()) != 0) _exit(126);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  setpgid(pid_, pid_);
  group_ = pid_;
}

Process::Process(Process&& other) noexcept
    : out_path_(std::move(other.out_path_)),
      err_path_(std::move(other.err_path_)),
      pid_(std::exchange(other.pid_, 0)),
      group_(other.group_),
      exit_code_(other.exit_code_) {}

Process::~Process() {
  if (pid_ == 0) return;
  signal_group(SIGKILL);
  wait(std::chrono::seconds(10));
}

bool Process::wait(std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (pid_ != 0) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      pid_ = 0;
      break;
    }
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

std::string Process::out() const {
  return read_file(out_path_);
}
std::string Process::err() const {
  return read_file(err_path_);
}

Json Process::json() const {
  auto parsed = parse_json(out(), out_path_);
  return parsed.ok() ? *parsed : Json();
}

void Process::signal(int number) {
  if (pid_ != 0) kill(pid_, number);
}

void Process::signal_group(int number) {
  kill(-group_, number);
}

pid_t Process::find_child(const std::string& arguments, bool at_the_beginning) const {
  std::error_code gone;  // processes come and go while we look
  for (const auto& entry : std::filesystem::directory_iterator("/proc", gone)) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto pid = static_cast<pid_t>(std::stol(name));
    if (pid == group_ || getpgid(pid) != group_) continue;
    const std::string command = read_file(entry.path().string() + "/cmdline");  // arguments end with NUL
    const size_t first = command.find('\0');
    if (first == std::string::npos) continue;
    const size_t found = command.find(arguments, first + 1);
    if (at_the_beginning ? found == first + 1 : found != std::string::npos) return pid;
  }
  return 0;
}

pid_t Process::child(const std::string& role) const {
  return find_child(role + '\0', true);
}

pid_t Process::child_named(const std::string& name) const {
  return find_child(std::string("--name") + '\0' + name + '\0', false);
}

Process run(const std::string& folder, const std::string& tag, std::vector<std::string> arguments,
            std::chrono::milliseconds limit) {
  Process process(folder, tag, std::move(arguments));
  process.wait(limit);
  return process;
}

std::string small_fasta(int bases, unsigned seed) {
  // Each base mostly repeats what stood seven before it, so that a model has something to learn.
  std::mt19937 random(seed);
  std::string sequence;
  for (int i = 0; i < bases; ++i) {
    const bool copy = i >= 7 && random() % 3 != 0;
    sequence += copy ? sequence[static_cast<size_t>(i - 7)] : "ACGT"[random() % 4];
  }
  std::string fasta = ">small a made-up genome\n";
  for (size_t i = 0; i < sequence.size(); i += 70) fasta += sequence.substr(i, 70) + "\n";
  return fasta;
}

}  // namespace strand::e2e
