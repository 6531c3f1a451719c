// A coordinator core with a simulated journal, disk, network and workers, all driven by one seed. Every action is
// checked against the invariants as it happens; what breaks one is in violations().
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "coordinator/coordinator.h"
#include "tests/unit/coordinator/job_text.h"
#include "tests/unit/coordinator/simulated_workers.h"

namespace strand::testing {

struct Faults {
  double drop = 0, duplicate = 0, reorder = 0;
  double linger = 0;            // a copy of what a worker says arrives again, much later
  double kill_coordinator = 0;  // between two actions
  double kill_worker = 0;       // per worker and tick; it is started anew
  double pause_worker = 0;      // per worker and tick; as likely to wake up, ten times
  double cut_worker = 0;        // from the coordinator, likewise
  double command = 0;           // pause, resume, stop, priority, per tick
  double damage = 0;            // the verifier finds a checkpoint damaged
};

// Defects that a checker must find.
enum class Planted {
  kNone,
  kForgedGeneration,  // the receiver's check of generations is gone: every report counts as one of today
  kEarlyReport,       // a worker reports its part before it is written
};

class SimulatedCluster final : public SimulatedDisk {
 public:
  // `workers` of them on as many hosts.
  SimulatedCluster(uint64_t seed, int workers);

  // Sent until it is answered; returns the answer.
  ClientReply ask(const std::string& command, const Json& arguments);
  Json show(uint64_t job) { return *core_->job_json(JobId{job}, now_); }
  void tick(const Faults& faults);
  void ticks(int count) {
    for (int i = 0; i < count; ++i) tick({});
  }
  void kill_coordinator();                    // the next tick starts another one from the journal
  void stop_coordinator() { core_.reset(); }  // until start_coordinator()
  void start_coordinator();
  void kill_worker(size_t index) { workers_.restart(index, now_); }  // and started anew
  void remove_worker(size_t index) { workers_.at(index).dead = workers_.at(index).removed = true; }
  void cut_off_worker(size_t index, bool cut) { workers_.at(index).cut_off = cut; }
  void unlink_worker(size_t index, bool unlinked) { workers_.at(index).unlinked = unlinked; }
  SimulatedWorker& add_worker(const std::string& host) { return workers_.add(host, now_); }
  SimulatedWorkers& workers() { return workers_; }
  void plant(Planted bug) {
    planted_ = bug;
    workers_.report_before_writing = bug == Planted::kEarlyReport;
  }

  Coordinator& core() { return *core_; }
  const JobRecord& record(uint64_t job) const { return *core_->record(JobId{job}); }
  bool all_at_rest() const;
  Time now() const { return now_; }
  uint64_t pick(uint64_t n) { return random_() % n; }
  const std::set<Step>& recorded(uint64_t job) { return steps_[JobId{job}]; }
  std::map<Step, Manifest>& disk(const std::string& directory) { return disks_[directory].manifests; }
  uint64_t generation_on_worker(size_t index) { return on_worker(index).value; }
  Step step_on_worker(size_t index) { return workers_.at(index).step; }
  const std::vector<std::string>& violations() const { return violations_; }

  // SimulatedDisk
  void write_part(const std::string& run_directory, const std::string& file) override;
  bool has_manifest(const std::string& run_directory, Step step) override;
  void violation(const std::string& what) override;

 private:
  struct Disk {
    std::set<std::string> parts;
    std::map<Step, Manifest> manifests;
    std::map<Step, uint64_t> ever;  // state digest of every manifest there was
    RecordedSteps recorded;
  };
  struct Letter {
    std::string peer;
    WireMessage message;
  };

  void step_core(const CoordinatorEvent& event, const Faults& faults);
  void perform(std::vector<CoordinatorAction> actions, const Faults& faults);
  std::optional<CoordinatorEvent> perform_one(const CoordinatorAction& action, const Faults& faults);
  std::optional<CoordinatorEvent> send(const SendMessage& message);
  void check_journal(const WriteJournal& batch);
  void check_record(const JobRecord& before, const JobRecord& after);
  void check_members(const JobRecord& record);
  void check_one_job_each();
  void check_assignment(const WireMessage& message);
  void check_and_write_manifest(const WriteManifest& action);
  void check_and_record(const RecordStep& action);
  const JobRecord* journalled(JobId job);
  RunPrepared prepare(const PrepareRun& run);
  void disturb(const Faults& faults);
  void deliver_to_coordinator(const Faults& faults);
  void deliver_to_workers(const Faults& faults);
  Letter take(std::deque<Letter>* letters, const Faults& faults);
  void forge(WireMessage* message);
  Generation on_worker(size_t index);
  bool chance(double probability) {
    return probability > 0 && std::uniform_real_distribution<double>(0, 1)(random_) < probability;
  }

  std::mt19937_64 random_;
  Time now_{1};
  std::map<std::string, std::string> journal_;
  std::map<JobId, JobRecord> records_;        // as journalled
  std::map<JobId, Generation> before_batch_;  // of jobs that the batch at hand has changed
  std::map<std::string, Disk> disks_;
  std::unique_ptr<Coordinator> core_;
  std::deque<CoordinatorEvent> pending_;
  SimulatedWorkers workers_;
  std::deque<Letter> to_coordinator_, to_workers_;
  std::deque<Letter> lingering_;
  std::map<JobId, std::set<Step>> steps_;
  std::set<std::tuple<uint64_t, uint64_t, Step>> recorded_once_;
  std::optional<ClientReply> reply_;
  uint64_t last_question_ = 0;
  Planted planted_ = Planted::kNone;
  std::vector<std::string> violations_;
};

}  // namespace strand::testing
