// Time, the queue and the transitions of jobs.
#include "coordinator/coordinator.h"

#include <algorithm>

#include "shared/base/check.h"
#include "shared/base/text.h"

namespace strand {
namespace {

constexpr size_t kKeptEvents = 1000;
constexpr int kStopLeases = 20;  // how long a stopping worker may take to write its checkpoint, in leases

std::string decimal_key(uint64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(20 - digits.size(), '0') + digits;
}

std::string job_key(JobId id) {
  return "job/" + decimal_key(id.value);
}
std::string checkpoint_key(JobId id, Step step) {
  return "checkpoint/" + decimal_key(id.value) + "/" + decimal_key(static_cast<uint64_t>(step));
}

}  // namespace

Coordinator::Coordinator(CoordinatorConfig config, Time now, int64_t wall_nanoseconds)
    : config_(std::move(config)),
      wall_offset_(wall_nanoseconds - now.nanoseconds),
      started_(now),
      detector_(config_.lease) {}

Status Coordinator::restore(const std::vector<std::pair<std::string, std::string>>& records, Time now) {
  std::vector<std::pair<std::string, Json>> checkpoints;
  for (const auto& [key, value] : records) {
    if (key.starts_with("job/")) {
      auto record = decode_job_record(value);
      if (!record.ok()) return record.error().with_context("journal: " + key);
      TrackedJob job;
      job.record = std::move(record).value();
      ParsedJob parsed = parse_job(job.record.toml, "journalled job", job.record.run_directory, {});
      job.spec = std::move(parsed.spec);
      job.stop_deadline = now + config_.lease * kStopLeases;
      last_job_ = std::max(last_job_, job.record.id.value);
      const JobId id = job.record.id;
      jobs_.insert_or_assign(id, std::move(job));
    } else if (key.starts_with("checkpoint/")) {
      STRAND_ASSIGN(Json json, parse_json(value, "journal: " + key));
      checkpoints.emplace_back(key, std::move(json));
    }
  }
  for (const auto& [key, json] : checkpoints) {
    try {
      TrackedJob* owner = job(JobId{json.at("job").get<uint64_t>()});
      if (!owner) continue;
      owner->journalled[json.at("step").get<Step>()] = {json.at("productive_seconds").get<double>(),
                                                        json.at("tokens").get<int64_t>()};
    } catch (const std::exception& e) {
      return corrupt(concat("journal: ", key, ": ", e.what()));
    }
  }
  return {};
}

std::vector<CoordinatorAction> Coordinator::start(Time now) {
  for (auto& [id, job] : jobs_) {
    for (const GenerationMember& member : job.record.members) {
      if (job_holds_workers(job.record.state)) detector_.heard(member.worker, now);
    }
    prepare(job, false);
  }
  return take_actions();
}

std::vector<CoordinatorAction> Coordinator::handle(const CoordinatorEvent& event, Time now) {
  if (const auto* arrived = std::get_if<MessageArrived>(&event)) on_message(*arrived, now);
  if (const auto* prepared = std::get_if<RunPrepared>(&event)) on_run_prepared(*prepared, now);
  if (const auto* written = std::get_if<ManifestWritten>(&event)) on_manifest_written(*written, now);
  if (const auto* verified = std::get_if<CheckpointVerified>(&event)) on_verified(*verified, now);
  if (std::holds_alternative<UndecodableArrived>(event)) ++counters_.undecodable;
  if (std::holds_alternative<TimePassed>(event)) on_time(now);
  admit(now);
  return take_actions();
}

std::vector<CoordinatorAction> Coordinator::take_actions() {
  std::vector<JournalEntry> entries = std::move(checkpoint_entries_);
  checkpoint_entries_.clear();
  for (const JobId id : dirty_) entries.push_back({job_key(id), encode_job_record(jobs_.at(id).record)});
  dirty_.clear();
  std::vector<CoordinatorAction> actions;
  if (!entries.empty()) actions.push_back(WriteJournal{std::move(entries)});
  for (CoordinatorAction& action : actions_) actions.push_back(std::move(action));
  actions_.clear();
  return actions;
}

void Coordinator::changed_checkpoint(const TrackedJob& job, Step step, bool removed) {
  JournalEntry entry{checkpoint_key(job.record.id, step), std::nullopt};
  const CheckpointEntry* found = job.catalog.find(step);
  if (!removed && found) {
    entry.value = dump_json({{"version", 1},
                             {"job", job.record.id.value},
                             {"step", step},
                             {"generation", found->generation.value},
                             {"productive_seconds", found->productive_seconds},
                             {"tokens", found->tokens}});
  }
  checkpoint_entries_.push_back(std::move(entry));
}

Time Coordinator::next_event(Time now) const {
  Time next = now + config_.lease / 4;  // the failure detector wants to be asked often
  std::vector<QueuedJob> queued;
  for (const auto& [id, job] : jobs_) {
    if (job.record.state == JobState::kQueued) queued.push_back({id, job.record.priority, job.not_before, 1});
    if (job.record.state == JobState::kStopping) next = std::min(next, job.stop_deadline);
  }
  return std::min(next, next_ready(queued, now, next));
}

void Coordinator::on_time(Time now) {
  for (const WorkerId worker : detector_.expired(now)) {
    ++counters_.leases_expired;
    membership_.remove(worker);
    const auto counts_on = [&](const GenerationMember& m) { return m.worker == worker; };
    for (auto& [id, job] : jobs_) {
      if (!job_holds_workers(job.record.state)) continue;
      if (std::ranges::none_of(job.record.members, counts_on)) continue;
      lose_member(job, now, concat("worker ", worker.value, " has been silent for ", to_seconds(config_.lease), " s"));
    }
  }
  bool busy = false;
  for (auto& [id, job] : jobs_) {
    if (job.record.state == JobState::kStopping && job.stop_deadline < now) {
      stop_members(job, false);
      move_to(job, job.record.target, now, "the worker did not stop in time");
    }
    busy = busy || job_holds_workers(job.record.state);
  }
  if (draining_ && !busy) actions_.push_back(StopDaemon{});
}

// --- the queue ------------------------------------------------------------------------------------------------------

void Coordinator::admit(Time now) {
  if (draining_) return;
  std::vector<QueuedJob> queued;
  for (const auto& [id, job] : jobs_) {
    if (job.record.state != JobState::kQueued) continue;
    const auto& parallel = job.spec.parallel;
    queued.push_back({id, job.record.priority, job.not_before, parallel.min_replicas * parallel.stages});
  }
  for (const QueuedJob& next : queue_order(std::move(queued), now)) {
    if (!try_start(jobs_.at(next.id), now)) return;
  }
}

std::vector<const WorkerEntry*> Coordinator::choose_gang(const TrackedJob& job, int64_t wanted,
                                                         std::string* mismatch) const {
  std::vector<const WorkerEntry*> free;
  const bool pinned = job.spec.train.deterministic && !job.record.numerics.empty() && job.catalog.newest();
  for (const auto& [id, worker] : membership_.workers()) {
    std::string difference;
    if (pinned) difference = fingerprint_difference(job.record.numerics, worker.hello.numerics);
    if (!pinned && job.spec.train.deterministic && !free.empty()) {  // one gang, one fingerprint
      difference = fingerprint_difference(free.front()->hello.numerics, worker.hello.numerics);
    }
    if (!difference.empty()) {
      *mismatch = difference;
    } else if (!job_of(worker)) {
      free.push_back(&worker);
    }
  }
  // After a failure another machine is tried first.
  const auto was_member = [&](const WorkerEntry* w) {
    const GenerationMember member{w->id, w->incarnation};
    return std::ranges::find(job.record.members, member) != job.record.members.end();
  };
  std::ranges::stable_sort(free, {}, was_member);
  if (static_cast<int64_t>(free.size()) > wanted) free.resize(static_cast<size_t>(wanted));
  return free;
}

// False when the job has to wait for workers, and those behind it with it.
bool Coordinator::try_start(TrackedJob& job, Time now) {
  const auto& parallel = job.spec.parallel;
  std::string mismatch;
  const auto gang = choose_gang(job, parallel.replicas * parallel.stages, &mismatch);
  if (gang.empty() && !mismatch.empty()) {
    const auto other = [&](const auto& entry) { return entry.second.hello.numerics != job.record.numerics; };
    if (!std::ranges::all_of(membership_.workers(), other)) return false;
    fail(job, ErrorCode::kBadInput,
         concat("this job's checkpoints were made with other numerics than any worker here has (", mismatch,
                "); resume it with the build and kind of machine it began on, or start a new job with "
                "train.deterministic = false"),
         now);
    return true;
  }
  const auto replicas = static_cast<int64_t>(gang.size()) / parallel.stages;
  if (replicas < std::max<int64_t>(parallel.min_replicas, 1)) return false;
  JobRecord& record = job.record;
  record.generation = Generation{record.generation.value + 1};
  record.members.clear();
  for (int64_t i = 0; i < replicas * parallel.stages; ++i) {
    record.members.push_back({gang[static_cast<size_t>(i)]->id, gang[static_cast<size_t>(i)]->incarnation});
  }
  if (!job.catalog.newest()) record.numerics = gang.front()->hello.numerics;
  if (record.allocated_wall == 0) record.allocated_wall = wall(now);
  record.lost = false;
  job.attached = true;
  job.prepared = false;
  job.waiting.clear();
  job.catalog.forget_pending();
  ++counters_.generations;
  move_to(job, JobState::kStarting, now, concat("generation ", record.generation.value));
  prepare(job, true);
  return true;
}

void Coordinator::prepare(TrackedJob& job, bool create) {
  job.awaiting_run = job.awaiting_run || create;
  const JobRecord& record = job.record;
  actions_.push_back(PrepareRun{record.id, record.generation, record.run_directory, record.toml, create});
}

// --- transitions ----------------------------------------------------------------------------------------------------

void Coordinator::account(TrackedJob& job, Time now) {
  JobRecord& record = job.record;
  const bool unattended = job_holds_workers(record.state) && !job.attached;
  const int slot = unattended ? kUnattended : static_cast<int>(record.state);
  const int64_t passed = std::max<int64_t>(0, wall(now) - record.entered_wall);  // the wall clock may be set back
  record.seconds[static_cast<size_t>(slot)] += static_cast<double>(passed) * 1e-9;
  record.entered_wall = wall(now);
}

void Coordinator::move_to(TrackedJob& job, JobState to, Time now, const std::string& why) {
  const JobState from = job.record.state;
  STRAND_CHECK(transition_is_legal(from, to), "job ", job.record.id.value, ": ", job_state_name(from), " -> ",
               job_state_name(to));
  account(job, now);
  job.record.state = to;
  changed(job);
  log_job(job, concat(job_state_name(from), " -> ", job_state_name(to), why.empty() ? "" : ": ", why), now);
}

void Coordinator::log_job(const TrackedJob& job, const std::string& text, Time now) {
  log_.push_back({++last_event_, wall(now), job.record.id, text});
  if (log_.size() > kKeptEvents) log_.pop_front();
}

void Coordinator::lose_member(TrackedJob& job, Time now, const std::string& why) {
  if (job.record.state == JobState::kStopping) {
    move_to(job, job.record.target, now, why);
  } else {
    retry_or_give_up(job, ErrorCode::kUnavailable, why, true, now);
  }
}

void Coordinator::retry_or_give_up(TrackedJob& job, ErrorCode code, const std::string& why, bool lost, Time now) {
  JobRecord& record = job.record;
  const bool progressed = job.progress.best_step() > record.best_step;
  const RetryDecision decision = decide_retry(record.attempts, record.retries, progressed, config_.back_off);
  record.best_step = std::max(record.best_step, job.progress.best_step());
  record.reason = why;
  if (!decision.again) {
    ++counters_.given_up;
    fail(job, ErrorCode::kGaveUp,
         concat("given up after ", record.attempts, " restarts without a new step; the last reason was: ", why, " (",
                error_code_name(code), "); mend it, then resume the job"),
         now);
    return;
  }
  record.attempts = decision.attempts;
  ++record.restarts;
  ++counters_.restarts;
  record.lost = lost;
  job.not_before = now + decision.wait;
  if (!lost) stop_members(job, false);
  move_to(job, JobState::kQueued, now, why);
}

void Coordinator::fail(TrackedJob& job, ErrorCode code, const std::string& why, Time now) {
  stop_members(job, false);
  job.record.failure = static_cast<uint8_t>(code);
  job.record.reason = why;
  move_to(job, JobState::kFailed, now, why);
}

// Only those that are still at work on the current generation.
void Coordinator::stop_members(const TrackedJob& job, bool checkpoint) {
  for (const GenerationMember& member : job.record.members) {
    const WorkerEntry* worker = membership_.find(member.worker, member.incarnation);
    if (!worker || !is_on_current_generation(job, *worker)) continue;
    if (worker->state == WorkerState::kIdle || worker->state == WorkerState::kFailed) continue;
    send_stop(worker->peer, job.record.id, job.record.generation, checkpoint);
  }
}

void Coordinator::begin_stop(TrackedJob& job, JobState target, Time now) {
  job.record.target = target;
  job.stop_deadline = now + config_.lease * kStopLeases;
  changed(job);
  if (job.record.state != JobState::kStopping) {
    move_to(job, JobState::kStopping, now, concat("to be ", job_state_name(target)));
  }
  stop_members(job, target != JobState::kCancelled);
}

// --- what others look at --------------------------------------------------------------------------------------------

Coordinator::TrackedJob* Coordinator::job(JobId id) {
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : &found->second;
}

const JobRecord* Coordinator::record(JobId id) const {
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : &found->second.record;
}

std::vector<JobId> Coordinator::job_ids() const {
  std::vector<JobId> ids;
  for (const auto& [id, job] : jobs_) ids.push_back(id);
  return ids;
}

std::vector<LoggedEvent> Coordinator::events_after(uint64_t after) const {
  std::vector<LoggedEvent> events;
  for (const LoggedEvent& event : log_) {
    if (event.number > after) events.push_back(event);
  }
  return events;
}

}  // namespace strand
