#include "cli/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <thread>

#include "shared/base/log.h"
#include "shared/base/text.h"

namespace strand {
namespace {

constexpr Duration kMaxBackOff = std::chrono::seconds(5);
constexpr Duration kHealthy = std::chrono::seconds(30);

// The last line a child wrote to stderr: why it gave up.
std::string last_words(const std::string& path) {
  std::ifstream in(path);
  std::string line, last;
  while (std::getline(in, line)) {
    if (!trim(line).empty()) last = line;
  }
  return last;
}

[[noreturn]] void become(const ChildSpec& spec, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);  // the parent died before prctl
  signal(SIGINT, SIG_IGN);            // Ctrl-C reaches the whole group; the supervisor decides what it means
  const int log = open(spec.stderr_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  dup2(null, STDIN_FILENO);
  dup2(log >= 0 ? log : null, STDOUT_FILENO);
  dup2(log >= 0 ? log : null, STDERR_FILENO);
  std::vector<char*> arguments;
  static char program[] = "strand";
  arguments.push_back(program);
  for (const std::string& argument : spec.arguments) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  execv("/proc/self/exe", arguments.data());
  _exit(127);
}

}  // namespace

Supervisor::~Supervisor() {
  stop(std::chrono::seconds(2));
}

Status Supervisor::start(const ChildSpec& spec) {
  children_.push_back(Child{spec, 0, {}, {}});
  return launch(&children_.back());
}

Status Supervisor::launch(Child* child) {
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return unavailable(concat("cannot start the ", child->spec.role, " process: ", std::strerror(errno)));
  if (pid == 0) become(child->spec, parent);
  child->pid = pid;
  child->started = clock_.now();
  log_info("child_started", {{"role", child->spec.role}, {"pid", pid}});
  return {};
}

Status Supervisor::poll() {
  for (Child& child : children_) {
    if (child.pid != 0) {
      int wait_status = 0;
      if (waitpid(child.pid, &wait_status, WNOHANG) == child.pid) STRAND_TRY(on_death(&child, wait_status));
    } else if (!(clock_.now() < child.restart_at)) {
      ++restarts_;
      STRAND_TRY(launch(&child));
    }
  }
  return {};
}

Status Supervisor::on_death(Child* child, int wait_status) {
  child->pid = 0;
  if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 2) {
    return bad_input(concat(child->spec.role, ": ", last_words(child->spec.stderr_path)));
  }
  if (clock_.now() - child->started > kHealthy) child->back_off = std::chrono::milliseconds(100);
  child->restart_at = clock_.now() + child->back_off;
  log_warning("child_died", {{"role", child->spec.role},
                             {"how", WIFSIGNALED(wait_status) ? concat("signal ", WTERMSIG(wait_status))
                                                              : concat("exit code ", WEXITSTATUS(wait_status))},
                             {"restart_in_ms", child->back_off.count() / 1000000}});
  child->back_off = std::min(child->back_off * 2, kMaxBackOff);
  return {};
}

void Supervisor::stop(Duration grace) {
  for (const Child& child : children_) {
    if (child.pid != 0) kill(child.pid, SIGTERM);
  }
  const Time end = clock_.now() + grace;
  for (Child& child : children_) {
    while (child.pid != 0 && waitpid(child.pid, nullptr, WNOHANG) == 0) {
      if (end < clock_.now()) kill(child.pid, SIGKILL);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  children_.clear();
}

}  // namespace strand
