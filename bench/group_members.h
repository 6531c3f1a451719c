// Groups of workers without a coordinator, for measuring: real processes, each with the session, the stage and the hub
// of a worker, over ipc sockets. They take some steps when told to, so that several groups can be measured in turns.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "shared/job_spec/job_spec.h"

namespace strand {

struct GroupShape {
  int stages = 1, replicas = 1;
  int threads = 1;     // of each member
  bool plain = false;  // one process with Trainer::step, without any of a group's parts
};

// Steps in a row. Times in seconds since they were asked for.
struct MemberStep {
  double computed = 0;               // the last gradients were handed over
  double ready = 0;                  // all weights for the step after them were there
  double processor = 0;              // of all the process's threads, until then
  double last_pass = 0;              // from the start of the last step's computing to its end
  std::vector<double> instructions;  // computing time of each instruction of the last step
};
struct GroupStep {
  double seconds = 0;               // a step, until every member was ready for the one after the last
  double processor = 0;             // seconds a step, of all members
  double tail = 0;                  // from the last gradient of all to then
  std::vector<MemberStep> members;  // replica 0 stage 0, replica 0 stage 1, ...
};
// What the members sent each other, by the name of the message.
struct MessageCount {
  uint64_t messages = 0, bytes = 0;
};

class ForkedGroup {
 public:
  // Forks; the caller has no other threads yet. `count` looks into every message, which takes a little time.
  ForkedGroup(JobSpec spec, GroupShape shape, bool count = false);
  ~ForkedGroup();
  ForkedGroup(const ForkedGroup&) = delete;

  // This many steps, one right after the other.
  GroupStep step(int64_t steps = 1);
  const JobSpec& spec() const { return spec_; }
  const GroupShape& shape() const { return shape_; }
  // Of all members since they began.
  std::map<std::string, MessageCount> counted() const;
  // Likewise: bytes of weights that came from others while the receiver had begun to compute its first block.
  uint64_t pulled_in_passes() const;

 private:
  struct Child {
    pid_t pid = 0;
    int tell = -1, hear = -1;
  };
  struct Shared;

  JobSpec spec_;
  GroupShape shape_;
  std::string folder_;
  Shared* shared_ = nullptr;
  std::vector<Child> children_;
};

}  // namespace strand
