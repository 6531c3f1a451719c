// A coordinator core with a simulated journal, disk, network and workers, all driven by one seed. Every action is
// checked against the invariants as it happens.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "coordinator/coordinator.h"

namespace strand::testing {

// Job text with `steps` steps and a checkpoint every `every`.
std::string job_text(const std::string& name, int64_t steps, int64_t every, int64_t keep, int64_t retries);

struct Faults {
  double drop = 0, duplicate = 0, reorder = 0;
  double kill_coordinator = 0;  // between two actions
  double kill_worker = 0;       // per worker and tick
  double command = 0;           // pause, resume, stop, priority, per tick
  double damage = 0;            // the verifier finds a checkpoint damaged
};

class SimulatedCluster {
 public:
  SimulatedCluster(uint64_t seed, int workers);

  // Sent until it is answered; returns the answer.
  ClientReply ask(const std::string& command, const Json& arguments);
  void tick(const Faults& faults);
  void kill_coordinator();  // the next tick starts another one from the journal
  void kill_worker(size_t index);
  void cut_off_worker(size_t index, bool cut) { workers_[index].cut_off = cut; }

  Coordinator& core() { return *core_; }
  const JobRecord& record(uint64_t job) const { return *core_->record(JobId{job}); }
  bool all_at_rest() const;
  Time now() const { return now_; }
  uint64_t pick(uint64_t n) { return random_() % n; }
  const std::set<Step>& recorded(uint64_t job) { return steps_[JobId{job}]; }
  std::map<Step, Manifest>& disk(const std::string& directory) { return disks_[directory].manifests; }
  uint64_t generation_on_worker(size_t index) const { return workers_[index].generation.value; }
  Step step_on_worker(size_t index) const { return workers_[index].step; }
  // Puts a message on its way as if `from` had sent it.
  void inject(const std::string& peer, const WireMessage& message) { to_coordinator_.push_back({peer, message}); }
  WireMessage from_worker(size_t index, Body body) const;
  std::string peer_of(size_t index) const;

 private:
  struct Disk {
    std::set<std::string> parts;
    std::map<Step, Manifest> manifests;
    std::map<Step, uint64_t> ever;  // state digest of every manifest there was
    RecordedTail recorded;
  };
  struct Worker {
    WorkerId id;
    Incarnation incarnation;
    bool cut_off = false;
    bool welcomed = false;
    WorkerState state = WorkerState::kIdle;
    JobId job;
    Generation generation;
    Assign assign;
    JobSpec spec;
    Step step = 0;
    bool stop = false, checkpoint_on_stop = false;
    uint64_t last_request = 0;
    std::deque<WireMessage> outbox;
    Time heard;
  };
  struct Letter {
    std::string peer;
    WireMessage message;
  };

  void start_coordinator();
  void step_core(const CoordinatorEvent& event, const Faults& faults);
  void perform(std::vector<CoordinatorAction> actions, const Faults& faults);
  std::optional<CoordinatorEvent> perform_one(const CoordinatorAction& action, const Faults& faults);
  void check_journal(const WriteJournal& batch);
  void check_and_write_manifest(const WriteManifest& action);
  void check_and_record(const RecordStep& action);
  RunPrepared prepare(const PrepareRun& run);
  void deliver(std::deque<Letter>& queue, const Faults& faults, bool to_coordinator);
  void worker_turn(Worker& worker);
  void worker_hears(Worker& worker, const WireMessage& message);
  void worker_reports(Worker& worker, Body body);
  void worker_saves(Worker& worker);
  void worker_says(Worker& worker, WireMessage message);
  static Header header_of(Worker& worker);
  bool chance(double probability) { return std::uniform_real_distribution<double>(0, 1)(random_) < probability; }

  std::mt19937_64 random_;
  Time now_{1};
  std::map<std::string, std::string> journal_;
  std::map<std::string, Disk> disks_;
  std::unique_ptr<Coordinator> core_;
  std::deque<CoordinatorEvent> pending_;
  std::vector<Worker> workers_;
  std::deque<Letter> to_coordinator_, to_workers_;
  std::map<JobId, std::set<Step>> steps_;
  std::set<std::tuple<uint64_t, uint64_t, Step>> recorded_once_;
  std::optional<ClientReply> reply_;
  uint64_t last_question_ = 0, last_incarnation_ = 100;
};

}  // namespace strand::testing
