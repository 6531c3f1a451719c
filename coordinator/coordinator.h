// The coordinator's decisions as a pure function of (event, now). No clock, thread, socket, disk or random number in
// here: the daemon (daemon.h) performs the actions, the tests simulate them.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/checkpoint_catalog.h"
#include "coordinator/event.h"
#include "coordinator/failure_detector.h"
#include "coordinator/job.h"
#include "coordinator/job_progress.h"
#include "coordinator/job_queue.h"
#include "coordinator/membership.h"
#include "coordinator/retry.h"
#include "shared/formats/json.h"
#include "shared/job_spec/job_spec.h"

namespace strand {

struct CoordinatorConfig {
  std::string directory;                     // a submitted job without a run directory gets one in here
  std::vector<std::string> data_endpoints;   // handed to workers
  std::string version;                       // of this program; a worker of another one is refused
  Duration lease = std::chrono::seconds(6);  // every other time-out is a multiple of it
  BackOff back_off;
};

// Everything that was dropped or went wrong, counted. All rise only.
struct CoordinatorCounters {
  uint64_t messages = 0;
  uint64_t undecodable = 0;
  uint64_t unknown_sender = 0;  // not introduced, or an older process of a known worker
  uint64_t unknown_job = 0;
  uint64_t stale_generation = 0;
  uint64_t unexpected = 0;  // a kind of message nobody sends to a coordinator
  uint64_t duplicate_steps = 0, duplicate_parts = 0, contradicting_parts = 0;
  uint64_t refused_workers = 0;
  uint64_t refused_keys = 0;  // connections turned away for their key
  uint64_t leases_expired = 0, generations = 0, restarts = 0, given_up = 0;
  uint64_t steps = 0, tokens = 0;
  uint64_t digest_mismatches = 0;  // a replayed step that did not give the same bits
  uint64_t manifests = 0, manifest_failures = 0, damaged_checkpoints = 0, removed_checkpoints = 0;
  uint64_t requests = 0, refused_requests = 0;
};

// One thing that happened, for `strand submit --follow` and `events`.
struct LoggedEvent {
  uint64_t number = 0;
  int64_t wall = 0;
  JobId job;
  std::string text;
};

class Coordinator {
 public:
  Coordinator(CoordinatorConfig config, Time now, int64_t wall_nanoseconds);

  // Before anything else: what the journal holds (keys as written by WriteJournal). kCorrupt or kBadInput, naming the
  // record, for one that cannot be read.
  Status restore(const std::vector<std::pair<std::string, std::string>>& records, Time now);
  // First actions after restore().
  std::vector<CoordinatorAction> start(Time now);
  std::vector<CoordinatorAction> handle(const CoordinatorEvent& event, Time now);
  // When handle(TimePassed) next has something to do.
  Time next_event(Time now) const;

  const CoordinatorCounters& counters() const { return counters_; }
  // The transport counts these.
  void set_refused_keys(uint64_t total) { counters_.refused_keys = total; }
  // What clients are shown; schemas/README.md lists the keys.
  Json jobs_json(Time now) const;
  Json workers_json() const;
  Json counters_json() const;
  Result<Json> job_json(JobId id, Time now) const;
  std::vector<JobId> job_ids() const;
  // Those with a number above `after`, oldest first; the oldest are forgotten.
  std::vector<LoggedEvent> events_after(uint64_t after) const;
  const JobRecord* record(JobId id) const;

 private:
  struct WaitingAck {
    std::string peer;
    Header header;
  };
  struct TrackedJob {
    JobRecord record;
    JobSpec spec;
    CheckpointCatalog catalog;
    JobProgress progress;
    bool attached = false;      // since this coordinator began: assigned by it, or its workers have come back
    bool prepared = false;      // run directory looked at for the current generation
    bool awaiting_run = false;  // a PrepareRun is under way
    std::string token;
    std::map<Step, JobTotals> journalled;             // checkpoints the journal knows
    std::map<Step, std::vector<WaitingAck>> waiting;  // parts to acknowledge once their manifest is durable
    Time not_before, assigned_at, stop_deadline;
    std::string warning;  // last thing that went wrong and is being retried
  };
  using Jobs = std::map<JobId, TrackedJob>;

  // coordinator.cpp: time, queue, transitions.
  void on_time(Time now);
  void admit(Time now);
  bool try_start(TrackedJob& job, Time now);
  std::vector<const WorkerEntry*> choose_gang(const TrackedJob& job, int64_t wanted, std::string* mismatch) const;
  void move_to(TrackedJob& job, JobState to, Time now, const std::string& why);
  void account(TrackedJob& job, Time now);
  void lose_member(TrackedJob& job, Time now, const std::string& why);
  void retry_or_give_up(TrackedJob& job, ErrorCode code, const std::string& why, bool lost, Time now);
  void fail(TrackedJob& job, ErrorCode code, const std::string& why, Time now);
  void begin_stop(TrackedJob& job, JobState target, Time now);
  void stop_members(const TrackedJob& job, bool checkpoint);
  void prepare(TrackedJob& job, bool create);
  void log_job(const TrackedJob& job, const std::string& text, Time now);
  void changed(const TrackedJob& job) { dirty_.insert(job.record.id); }
  void changed_checkpoint(const TrackedJob& job, Step step, bool removed);
  std::vector<CoordinatorAction> take_actions();

  // coordinator_workers.cpp: messages of workers.
  void on_message(const MessageArrived& event, Time now);
  void on_hello(const std::string& peer, const Header& header, const Hello& hello, Time now);
  void settle_newcomer(WorkerEntry& worker, Time now);
  void reattach(TrackedJob& job, const WorkerEntry& worker, Time now);
  void on_heartbeat(WorkerEntry& worker, const Header& header, const Heartbeat& body, Time now);
  void on_idle_member(TrackedJob& job, WorkerEntry& worker, Time now);
  void on_report(WorkerEntry& worker, const WireMessage& message, Time now);
  void on_step(TrackedJob& job, const std::string& peer, const Header& header, const StepReport& report, Time now);
  void log_evaluation(const TrackedJob& job, Step step, const StepReport& report, Time now);
  void on_finished(TrackedJob& job, const std::string& peer, const Header& header, const JobFinished& body, Time now);
  void on_failed(TrackedJob& job, const std::string& peer, const Header& header, const JobFailed& body, Time now);
  void on_stopped(TrackedJob& job, const std::string& peer, const Header& header, Time now);
  TrackedJob* fenced(const WorkerEntry& worker, const Header& header);
  // The job whose current generation counts on this very process; null when it is free.
  const TrackedJob* job_of(const WorkerEntry& worker) const;
  TrackedJob* job_of(const WorkerEntry& worker);
  bool is_on_current_generation(const TrackedJob& job, const WorkerEntry& worker) const;
  void send(const std::string& peer, Header header, Body body);
  void send_stop(const std::string& peer, JobId job, Generation generation, bool checkpoint);
  void acknowledge(const std::string& peer, const Header& header);
  void refuse(const std::string& peer, const Header& header, ErrorCode code, const std::string& reason);

  // coordinator_checkpoints.cpp: run directories, parts, manifests.
  void on_run_prepared(const RunPrepared& event, Time now);
  void take_catalogue(TrackedJob& job, const RunPrepared& event, Time now);
  static Status check_first_start(const JobRecord& record, const JobSpec& spec, const RunPrepared& event);
  void send_assignments(TrackedJob& job, Time now);
  void on_part(TrackedJob& job, const std::string& peer, const Header& header, const PartSaved& part, Time now);
  void on_manifest_written(const ManifestWritten& event, Time now);
  void on_verified(const CheckpointVerified& event, Time now);
  void remove_old(TrackedJob& job);

  // coordinator_commands.cpp: requests of clients.
  void on_request(const std::string& peer, const Header& header, const ClientRequest& request, Time now);
  Result<Json> command(const std::string& name, const Json& arguments, Time now);
  Result<Json> submit(const Json& arguments, Time now);
  Result<Json> resume_submitted(TrackedJob& job, const JobSpec& spec, Time now);
  Result<Json> change_job(const std::string& name, TrackedJob& job, const Json& arguments, Time now);
  Status stop_or_rest(TrackedJob& job, JobState target, Time now);
  Status requeue(TrackedJob& job, Time now);
  Json events_json(const Json& arguments) const;
  Result<TrackedJob*> find_job(const Json& arguments);
  TrackedJob* job(JobId id);

  // job_json.cpp
  Json describe(const TrackedJob& job, Time now) const;
  Json summarise(const TrackedJob& job) const;
  double goodput(const TrackedJob& job, Time now) const;

  int64_t wall(Time now) const { return now.nanoseconds + wall_offset_; }

  CoordinatorConfig config_;
  int64_t wall_offset_;
  Time started_;
  Jobs jobs_;
  uint64_t last_job_ = 0;
  Membership membership_;
  FailureDetector detector_;
  CoordinatorCounters counters_;
  bool draining_ = false;
  std::deque<LoggedEvent> log_;
  uint64_t last_event_ = 0;
  // What the event at hand has led to.
  std::set<JobId> dirty_;
  std::vector<JournalEntry> checkpoint_entries_;
  std::vector<CoordinatorAction> actions_;
};

}  // namespace strand
