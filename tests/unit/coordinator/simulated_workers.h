// Simulated worker processes: the production life cycle, and in place of the training thread a model of what a
// generation does together. A step is committed when every member of one generation is there, at work on it, and none
// has been told to stop; a process remembers the state of its stage as of that step. A new generation goes on from what
// its members and those leaving still hold of every stage, else from the newest checkpoint.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "shared/job_spec/job_spec.h"
#include "shared/plan/block_table.h"
#include "worker/worker.h"

namespace strand::testing {

// What the workers need of the world around them.
class SimulatedDisk {
 public:
  virtual ~SimulatedDisk() = default;
  // Created exclusively; a second time is a violation.
  virtual void write_part(const std::string& run_directory, const std::string& file) = 0;
  virtual bool has_manifest(const std::string& run_directory, Step step) = 0;
  virtual void violation(const std::string& what) = 0;
};

struct SimulatedWorker {
  WorkerIdentity identity;
  std::unique_ptr<WorkerLifecycle> lifecycle;
  bool cut_off = false;              // from the coordinator, not from the other workers
  bool unlinked = false;             // likewise, and the coordinator is told so when it speaks to it
  bool paused = false;               // SIGSTOP
  bool dead = false;                 // its process has ended
  bool removed = false;              // and is not started anew
  bool unfit = false;                // sees another run directory
  int slow = 1;                      // its own work takes so many times as long
  std::optional<ErrorCode> failure;  // its training thread ends with this, once
  std::deque<WireMessage> inbox;

  // The training thread.
  std::optional<StartTraining> task;
  JobSpec spec;
  bool loaded = false, saved = false, ended = false;
  bool stop = false, checkpoint_on_stop = false;
  Step step = 0;
  // What its memory holds: the state of this stage of this job, as of this step. -1: nothing.
  JobId held_job;
  int32_t held_stage = 0;
  Step held_step = -1;

  std::string peer() const;
  bool works_on(JobId job, Generation generation) const;
};

class SimulatedWorkers {
 public:
  explicit SimulatedWorkers(SimulatedDisk& disk) : disk_(disk) {}

  // One more worker, of the next id.
  SimulatedWorker& add(const std::string& host, Time now);
  // A new process in its place, which knows nothing.
  void restart(size_t index, Time now);
  // Everybody's turn: time, messages, one step of each generation that is complete. What they say to the coordinator.
  void turn(Time now, std::vector<std::pair<std::string, WireMessage>>* said);

  SimulatedWorker& at(size_t index) { return workers_[index]; }
  size_t size() const { return workers_.size(); }
  // Null for a process that is gone.
  SimulatedWorker* find_peer(const std::string& peer);
  // Committed steps that a later generation did not start from, although every stage had a live holder.
  int64_t lost_steps() const { return lost_steps_; }
  Step committed(JobId job) const;
  // The newest step that this generation holds: what it began from, or has committed since.
  Step reached(JobId job, Generation generation) const;
  // Steps that at some time no process could tell of any more: all of the last stage that took them were killed, or had
  // gone to another job.
  const std::set<Step>& forgotten(JobId job) { return forgotten_[job]; }
  // These two no longer reach each other.
  void cut(WorkerId a, WorkerId b) { cuts_.insert(std::minmax(a, b)); }
  const JobSpec& spec_of(const std::string& toml);
  // A worker bug to be found: its part is reported before it is written.
  bool report_before_writing = false;
  // Another one: the second member leaves a block out of its part.
  bool lose_a_block = false;

 private:
  using Members = std::vector<SimulatedWorker*>;

  void act(SimulatedWorker& worker, const std::vector<WorkerAction>& actions, Time now);
  void report(SimulatedWorker& worker, decltype(TrainingReport::body) body, Time now);
  void train(SimulatedWorker& worker, Time now);
  void begin(const Members& members, Time now);
  void commit(const Members& members, Time now);
  void save(SimulatedWorker& worker, Time now);
  void deal_blocks(const SimulatedWorker& worker, PartSaved* part);
  void finish(SimulatedWorker& worker, Time now);
  Step newest_held(const Assign& assign, JobId job, int64_t stages, bool everybody);
  std::optional<Members> complete_group(const StartTraining& task);
  void forget(const SimulatedWorker& worker);
  bool reports(const SimulatedWorker& worker) const;
  std::vector<WorkerId> unreachable_for(const SimulatedWorker& worker) const;

  SimulatedDisk& disk_;
  std::deque<SimulatedWorker> workers_;
  std::map<std::string, JobSpec> specs_;
  std::map<std::string, BlockTable> blocks_;
  std::map<JobId, Step> committed_;
  std::map<std::pair<JobId, Generation>, Step> reached_;
  std::map<JobId, std::map<Step, std::set<Incarnation>>> witnesses_;
  std::map<JobId, std::set<Step>> forgotten_;
  std::set<std::pair<WorkerId, WorkerId>> cuts_;
  std::vector<std::pair<std::string, WireMessage>>* said_ = nullptr;
  uint64_t last_incarnation_ = 100;
  int64_t lost_steps_ = 0;
};

}  // namespace strand::testing
