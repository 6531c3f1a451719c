// What the logs and step records of a run tell of its generations: where each began, how long each part of a recovery
// took, and whether a committed step was lost that somebody still held.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/e2e/group_job.h"

namespace strand::e2e {

struct Kill {
  double time = 0;   // seconds of the wall clock
  std::string name;  // of the process's log
};

// A member of a generation that has said that all it holds is there.
struct ReadyMember {
  double time = 0;
  int replica = 0, stage = 0, base = 0;
};

struct GenerationSeen {
  double begun = 0;    // the coordinator made it
  double decided = 0;  // the first member heard where it goes on from; 0: no line of that
  double ready = 0;    // the last of its members
  bool from_checkpoint = false;
  int base = -1;  // -1: nobody was ready
  std::map<std::string, ReadyMember> members;
  double first_step = 0;  // recorded; 0: none
  int newest_step = 0;
  // All members of whole replicas were ready.
  bool complete(int stages) const;
};

// Seconds.
struct Recovery {
  double detect = 0, agree = 0, move = 0, first_step = 0;
  double total() const { return detect + agree + move + first_step; }
};

class RecoveryLog {
 public:
  // The logs must be there whole: call it when the run has ended.
  RecoveryLog(const std::string& logs, const std::string& run_directory, int stages);

  const std::map<int, GenerationSeen>& generations() const { return generations_; }
  double median_step() const { return median_step_; }
  double longest_step() const { return longest_step_; }

  // A line for each generation, and what the coordinator said of the job, for the messages of tests.
  std::string story() const;
  // Of a worker's kill that no other kill came near; nothing when one did, or when no generation followed.
  std::optional<Recovery> recovery_after(const Kill& kill, const std::vector<Kill>& all) const;
  // A sentence for each generation that began below the newest recorded step, though of each stage a worker that held
  // its state lived.
  std::vector<std::string> lost_steps(const std::vector<Kill>& kills) const;

 private:
  void read_coordinator(const std::string& path);
  void read_worker(const std::string& name, const std::string& path);
  void read_steps(const std::string& run_directory);
  bool no_holder_left(const GenerationSeen& held, const GenerationSeen& next, const std::vector<Kill>& kills) const;

  int stages_;
  std::map<int, GenerationSeen> generations_;
  std::string said_;
  double median_step_ = 0, longest_step_ = 0;
};

double wall_seconds();
// "detect 0.1 agree 0.0 move 0.0 first step 0.2 total 0.3", median and worst of each part, in a line each.
std::string recovery_table(const std::vector<Recovery>& recoveries);

}  // namespace strand::e2e
