// The coordinator's decisions as a pure function of (event, now). No clock, thread, socket, disk or random number in
// here: the daemon (daemon.h) performs the actions, the tests simulate them.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/accusations.h"
#include "coordinator/checkpoint_catalog.h"
#include "coordinator/event.h"
#include "coordinator/failure_detector.h"
#include "coordinator/gang.h"
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
  Duration lease = std::chrono::seconds(4);  // every other time-out is a multiple of it
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
  uint64_t misplaced_reports = 0;  // of a member that does not report that
  uint64_t refused_workers = 0;
  uint64_t refused_keys = 0;      // connections turned away for their key
  uint64_t connections_lost = 0;  // workers gone before their lease ran out
  uint64_t cut_off = 0;           // workers that their peers could not reach
  uint64_t preemptions = 0;
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
  using WaitingAcks = std::map<WorkerId, WaitingAck>;  // one each: a repeated report is the same one
  struct HistoryEntry {
    uint64_t number = 0;
    int64_t wall = 0;
    Generation generation;
    std::string text;
  };
  struct LostWorker {
    WorkerEntry entry;
    std::string why;
  };
  struct TrackedJob {
    explicit TrackedJob(Exclusions excluded) : exclusions(std::move(excluded)) {}
    JobRecord record;
    JobSpec spec;
    CheckpointCatalog catalog;
    JobProgress progress;
    Exclusions exclusions;
    std::map<WorkerId, size_t> places;  // in record.members
    bool attached = false;              // since this coordinator began: assigned by it, or its workers have come back
    bool prepared = false;              // run directory looked at for the current generation
    bool awaiting_run = false;          // a PrepareRun is under way
    bool evaluating = false;            // says the member that reports
    std::string token;
    std::map<Step, JobTotals> journalled;  // checkpoints the journal knows
    std::map<Step, WaitingAcks> waiting;   // parts to acknowledge once their manifest is durable
    WaitingAcks finished, left;            // ends to acknowledge once every member has reported one
    std::string lost_leaving;              // how a leaving worker was lost, until the job has gone on without it
    std::optional<JobFinished> result;     // of the member that reports
    std::set<WorkerId> computing;          // members of the current generation that have said so
    Accusations accusations;               // within the current generation
    std::optional<Time> accused;           // since when there are any
    // The processes of the newest generation that has taken a step: they reached each other.
    std::set<std::pair<WorkerId, Incarnation>> proven;
    Generation proven_in;
    std::deque<HistoryEntry> history;  // the newest transitions, as journalled
    Time not_before, stop_deadline;
    std::optional<Time> waits_since;   // ready to start, but not with all its replicas yet
    std::optional<Time> counted_loss;  // the last one that counted as a restart
    Time generation_began;
    std::string warning;  // last thing that went wrong and is being retried
  };
  using Jobs = std::map<JobId, TrackedJob>;

  // coordinator.cpp: time and transitions.
  Status restore_job(const std::string& key, const std::string& value, Time now);
  Status restore_checkpoint(const std::string& key, const std::string& value);
  Status restore_history(const std::string& key, const std::string& value);
  void on_time(Time now);
  void lose_silent(Time now);
  void move_to(TrackedJob& job, JobState to, Time now, const std::string& why);
  void account(TrackedJob& job, Time now);
  int time_slot(const TrackedJob& job) const;
  void retry_or_give_up(TrackedJob& job, ErrorCode code, const std::string& why, bool lost, Time now);
  bool count_restart(TrackedJob& job, const std::string& why, ErrorCode code, Duration* wait, Time now);
  void fail(TrackedJob& job, ErrorCode code, const std::string& why, Time now);
  void begin_stop(TrackedJob& job, JobState target, Time now, const std::string& why);
  void stop_members(const TrackedJob& job, bool checkpoint);
  void prepare(TrackedJob& job, bool create);
  void log_job(const TrackedJob& job, const std::string& text, Time now);
  void note(TrackedJob& job, const std::string& text, Time now);
  void changed(const TrackedJob& job) { dirty_.insert(job.record.id); }
  void changed_checkpoint(const TrackedJob& job, Step step, bool removed);
  std::vector<CoordinatorAction> take_actions();

  // coordinator_gangs.cpp: admission, generations.
  void admit(Time now);
  bool try_start(TrackedJob& job, const std::set<WorkerId>& kept, Time now);
  bool refuse_numerics(TrackedJob& job, const GangNeed& need, Time now);
  bool make_room(TrackedJob& job, const GangNeed& need, const std::vector<Candidate>& candidates, Time now);
  GangNeed need_of(const TrackedJob& job, const std::vector<Candidate>& candidates) const;
  std::vector<Candidate> candidates_of(const TrackedJob& job, const std::set<WorkerId>& kept, Time now) const;
  void judge(std::vector<Candidate>* candidates, const GangNeed& need, const TrackedJob& job, Time now) const;
  std::string waiting_reason(const TrackedJob& job, Time now) const;
  std::string growth_reason(const TrackedJob& job, Time now) const;
  void begin_generation(TrackedJob& job, std::vector<GroupMember> members, JobState to, Time now,
                        const std::string& why);
  void set_members(TrackedJob& job, std::vector<GroupMember> members, std::vector<GroupMember> leaving);
  void hold(TrackedJob& job, bool holds);
  std::vector<Incarnation> held_processes(WorkerId worker) const;  // oldest first

  // coordinator_losses.cpp: losses, growth, cuts between workers.
  void try_grow(TrackedJob& job, Time now);
  bool go_on(TrackedJob& job, ErrorCode code, const std::string& why, bool counts, Time now);
  void dismiss_leaving(TrackedJob& job);
  void lose_workers(const std::vector<LostWorker>& lost, Time now);
  void lose_process(WorkerId worker, Incarnation incarnation, const std::string& host, Time now,
                    const std::string& why);
  void go_on_without_leaving(TrackedJob& job, Time now);
  void lose_member(TrackedJob& job, Time now, const std::string& why);
  void hear_accusations(TrackedJob& job, WorkerId accuser, const std::vector<WorkerId>& suspects, Time now);
  void judge_accusations(TrackedJob& job, Time now);
  static void prove(TrackedJob& job);
  bool is_alive(const GroupMember& member);
  // Whoever may have what the job has come to, and can be asked: its members, those without a place in its newest
  // generation, and those who were away and are heard again.
  std::vector<GroupMember> holders_of(const JobRecord& record);
  static bool holds_state(const TrackedJob& job, const GroupMember& member);
  // It is still at this job, maybe in an older generation.
  static bool is_at(const JobRecord& record, const WorkerEntry& worker);
  // An older generation may be gone back to for what this worker holds of it.
  bool may_be_asked(const WorkerEntry& worker);

  // coordinator_workers.cpp: messages of workers.
  void on_message(const MessageArrived& event, Time now);
  void on_hello(const std::string& peer, const Header& header, const Hello& hello, Time now);
  bool refuse_hello(const std::string& peer, const Header& header, const Hello& hello);
  bool keep_waiting(const std::string& peer, const Header& header, const Hello& hello, Time now);
  bool seems_outdated(const Header& header);
  void on_send_failed(const SendFailed& event, Time now);
  void probe(WorkerEntry& worker, Time now);
  void probe_members(Time now);
  void settle_newcomer(WorkerEntry& worker, Time now);
  void come_back(TrackedJob& job, bool computing, Time now);
  void reattach(TrackedJob& job, WorkerEntry& worker, Time now);
  void on_heartbeat(WorkerEntry& worker, const Header& header, const Heartbeat& body, Time now);
  void on_idle_member(TrackedJob& job, WorkerEntry& worker, Time now);
  // The job whose current generation counts on this very process, as a member or leaving; null when it is free.
  const TrackedJob* job_of(const WorkerEntry& worker) const;
  TrackedJob* job_of(const WorkerEntry& worker);
  static bool is_member(const TrackedJob& job, WorkerId worker, Incarnation incarnation);
  static bool is_leaving(const TrackedJob& job, WorkerId worker, Incarnation incarnation);
  static bool is_on_current_generation(const TrackedJob& job, const WorkerEntry& worker);
  bool is_complete(const TrackedJob& job);
  void send(const std::string& peer, Header header, Body body);
  void send_stop(const std::string& peer, JobId job, Generation generation, bool checkpoint);
  void acknowledge(const std::string& peer, const Header& header);
  void acknowledge_all(WaitingAcks* waiting);
  void refuse(const std::string& peer, const Header& header, ErrorCode code, const std::string& reason);

  // coordinator_reports.cpp: what members of a generation report.
  void on_report(WorkerEntry& worker, const WireMessage& message, Time now);
  TrackedJob* fenced(const WorkerEntry& worker, const Header& header);
  static bool is_at_last_stage(const TrackedJob& job, WorkerId worker);
  static bool reports_steps(const TrackedJob& job, WorkerId worker);
  void on_step(TrackedJob& job, const std::string& peer, const Header& header, const StepReport& report, Time now);
  void record_step(TrackedJob& job, const Header& header, const StepReport& report, Time now);
  void count_checkpoints(TrackedJob& job);
  void log_evaluation(const TrackedJob& job, Step step, const StepReport& report, Time now);
  void on_finished(TrackedJob& job, const std::string& peer, const Header& header, const JobFinished& body, Time now);
  void end_if_finished(TrackedJob& job, Time now);
  static bool know_result(TrackedJob& job);
  void on_failed(TrackedJob& job, WorkerEntry& worker, const Header& header, const JobFailed& body, Time now);
  void on_stopped(TrackedJob& job, const std::string& peer, const Header& header, Time now);
  void member_left(TrackedJob& job, Time now, const std::string& why);

  // coordinator_checkpoints.cpp: run directories, parts, manifests.
  void on_run_prepared(const RunPrepared& event, Time now);
  void take_catalogue(TrackedJob& job, const RunPrepared& event, Time now);
  static Status check_first_start(const JobRecord& record, const JobSpec& spec, const RunPrepared& event);
  void send_assignments(TrackedJob& job, Time now);
  void send_assignment(const TrackedJob& job, WorkerEntry& worker, const Assign& assign, Time now);
  Assign assignment_of(const TrackedJob& job) const;
  void on_part(TrackedJob& job, const std::string& peer, const Header& header, const PartSaved& part, Time now);
  static Result<PartSaved> whole_checkpoint(const TrackedJob& job, Step step);
  void refuse_parts(TrackedJob& job, const std::string& why, Time now);
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
  Json summarise(const TrackedJob& job, Time now) const;
  double goodput(const TrackedJob& job, Time now) const;
  Json members_json(const TrackedJob& job) const;
  Json stragglers_json(const TrackedJob& job) const;

  // How long a worker that failed a job too often is left out of it, or one that the others do not reach: they notice
  // that in a minute.
  Exclusions no_exclusions() const {
    return {config_.lease * 15, std::max<Duration>(config_.lease * 30, std::chrono::minutes(2))};
  }
  int64_t wall(Time now) const { return now.nanoseconds + wall_offset_; }

  CoordinatorConfig config_;
  int64_t wall_offset_;
  Time started_;
  Jobs jobs_;
  uint64_t last_job_ = 0;
  Membership membership_;
  FailureDetector detector_;
  // Processes that a job counts on, also those leaving. One that is gone may be counted on for a moment longer, beside
  // a newer process of the same worker.
  std::map<std::pair<WorkerId, Incarnation>, JobId> held_;
  CoordinatorCounters counters_;
  bool draining_ = false;
  bool consider_ = false;  // something happened that may let a job start
  std::deque<LoggedEvent> log_;
  uint64_t last_event_ = 0;
  // What the event at hand has led to.
  std::set<JobId> dirty_;
  std::vector<JournalEntry> entries_;  // checkpoints, history
  std::vector<CoordinatorAction> actions_;
};

}  // namespace strand
