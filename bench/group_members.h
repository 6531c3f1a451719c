// Groups of workers without a coordinator, for measuring: real processes, each with the session, the stage and the hub
// of a worker, over ipc sockets. They take one step when told to, so that several groups can be measured in turns.
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

// Times in seconds since the step was asked for.
struct MemberStep {
  double computed = 0;               // its gradients were handed over
  double committed = 0;              // the record of the step was applied
  double ready = 0;                  // the weights for the next step were there
  double processor = 0;              // of all the process's threads, until then
  std::vector<double> instructions;  // computing time of each instruction of the schedule
};
struct GroupStep {
  double seconds = 0;               // until every member was ready for the next step
  double processor = 0;             // seconds, of all members
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

  GroupStep step();
  const JobSpec& spec() const { return spec_; }
  const GroupShape& shape() const { return shape_; }
  // Of all members since they began.
  std::map<std::string, MessageCount> counted() const;

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
