// Child processes of `strand run`: started with parent-death SIGKILL in our process group, restarted with back-off when
// they die. Used from one thread, which must be the one that lives longest (the parent-death signal follows the
// thread).
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/result.h"

namespace strand {

struct ChildSpec {
  std::string role;                    // "worker": names log files
  std::vector<std::string> arguments;  // of this same program
  std::string stderr_path;             // appended to
};

class Supervisor {
 public:
  explicit Supervisor(const Clock& clock) : clock_(clock) {}
  ~Supervisor();  // SIGTERM, a grace period of two seconds, SIGKILL

  Status start(const ChildSpec& spec);
  // Reaps the dead and restarts them when their back-off (0.1 s doubled up to 5 s, forgotten after 30 s of life) is
  // over. A child that refuses its input (exit code 2) is not restarted: its words are the error.
  Status poll();
  // No more restarts; SIGTERM to all, waits up to `grace`, then SIGKILL.
  void stop(Duration grace);
  uint64_t restarts() const { return restarts_; }

 private:
  struct Child {
    ChildSpec spec;
    pid_t pid = 0;  // 0: waiting for its restart
    Time started, restart_at;
    Duration back_off{std::chrono::milliseconds(100)};
  };
  Status launch(Child* child);
  Status on_death(Child* child, int wait_status);

  const Clock& clock_;
  std::vector<Child> children_;
  uint64_t restarts_ = 0;
};

}  // namespace strand
