// Time, the queue and the transitions of jobs.
#include "coordinator/coordinator.h"

#include <algorithm>
#include <utility>

#include "shared/base/check.h"
#include "shared/base/text.h"

namespace strand {
namespace {

constexpr size_t kKeptEvents = 1000;
constexpr size_t kKeptHistory = 200;  // transitions of a job
constexpr int kStopLeases = 30;       // how long a stopping worker may take to write its checkpoint, in leases

std::string decimal_key(uint64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(20 - digits.size(), '0') + digits;
}

std::string job_key(JobId id) {
  return "job/" + decimal_key(id.value);
}
std::string history_key(JobId id, uint64_t number) {
  return "history/" + decimal_key(id.value) + "/" + decimal_key(number);
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
  for (const auto& [key, value] : records) {
    if (key.starts_with("job/")) STRAND_TRY(restore_job(key, value, now));
  }
  for (const auto& [key, value] : records) {
    if (key.starts_with("checkpoint/")) STRAND_TRY(restore_checkpoint(key, value));
    if (key.starts_with("history/")) STRAND_TRY(restore_history(key, value));
  }
  return {};
}

Status Coordinator::restore_job(const std::string& key, const std::string& value, Time now) {
  auto record = decode_job_record(value);
  if (!record.ok()) return record.error().with_context("journal: " + key);
  TrackedJob restored(no_exclusions());
  restored.record = std::move(record).value();
  ParsedJob parsed = parse_job(restored.record.toml, "journalled job", restored.record.run_directory, {});
  restored.spec = std::move(parsed.spec);
  restored.stop_deadline = now + config_.lease * kStopLeases;
  restored.generation_began = now;
  const JobId id = restored.record.id;
  last_job_ = std::max(last_job_, id.value);
  TrackedJob& job = jobs_.insert_or_assign(id, std::move(restored)).first->second;
  set_members(job, job.record.members, job.record.leaving);
  return {};
}

Status Coordinator::restore_checkpoint(const std::string& key, const std::string& value) {
  STRAND_ASSIGN(const Json json, parse_json(value, "journal: " + key));
  try {
    TrackedJob* owner = job(JobId{json.at("job").get<uint64_t>()});
    if (!owner) return {};
    owner->journalled[json.at("step").get<Step>()] = {json.at("productive_seconds").get<double>(),
                                                      json.at("tokens").get<int64_t>()};
  } catch (const std::exception& e) {
    return corrupt(concat("journal: ", key, ": ", e.what()));
  }
  return {};
}

Status Coordinator::restore_history(const std::string& key, const std::string& value) {
  STRAND_ASSIGN(const Json json, parse_json(value, "journal: " + key));
  try {
    TrackedJob* owner = job(JobId{json.at("job").get<uint64_t>()});
    if (!owner) return {};
    owner->history.push_back({json.at("number").get<uint64_t>(), json.at("time").get<int64_t>(),
                              Generation{json.at("generation").get<uint64_t>()}, json.at("text").get<std::string>()});
  } catch (const std::exception& e) {
    return corrupt(concat("journal: ", key, ": ", e.what()));
  }
  return {};
}

std::vector<CoordinatorAction> Coordinator::start(Time now) {
  for (auto& [id, job] : jobs_) {
    for (const auto* list : {&job.record.members, &job.record.leaving}) {
      for (const GroupMember& member : *list) {
        if (job_holds_workers(job.record.state)) detector_.heard(member.worker, now);
      }
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
  if (const auto* failed = std::get_if<SendFailed>(&event)) on_send_failed(*failed, now);
  if (std::holds_alternative<UndecodableArrived>(event)) ++counters_.undecodable;
  if (std::holds_alternative<TimePassed>(event)) on_time(now);
  if (std::exchange(consider_, false)) admit(now);
  return take_actions();
}

std::vector<CoordinatorAction> Coordinator::take_actions() {
  std::vector<JournalEntry> entries = std::move(entries_);
  entries_.clear();
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
  entries_.push_back(std::move(entry));
}

Time Coordinator::next_event(Time now) const {
  Time next = now + config_.lease / (held_.empty() ? 4 : 16);  // the failure detector wants to be asked often
  std::vector<QueuedJob> queued;
  for (const auto& [id, job] : jobs_) {
    if (job.record.state == JobState::kQueued) queued.push_back({id, job.record.priority, job.not_before, 1});
    if (job.record.state == JobState::kStopping) next = std::min(next, job.stop_deadline);
  }
  return std::min(next, next_ready(queued, now, next));
}

void Coordinator::lose_silent(Time now) {
  const std::vector<WorkerId> silent = detector_.expired(now);
  counters_.leases_expired += silent.size();
  const auto why = [&](WorkerId worker) {
    return concat("worker ", worker.value, " has been silent for ", to_seconds(config_.lease), " s");
  };
  std::vector<LostWorker> known;
  for (const WorkerId worker : silent) {
    if (const WorkerEntry* entry = membership_.find(worker)) known.push_back({*entry, why(worker)});
  }
  lose_workers(known, now);
  for (const WorkerId worker : silent) {  // those that only the journal tells of
    if (std::ranges::any_of(known, [&](const LostWorker& lost) { return lost.entry.id == worker; })) continue;
    for (const Incarnation process : held_processes(worker)) lose_process(worker, process, "", now, why(worker));
  }
}

void Coordinator::on_time(Time now) {
  consider_ = true;
  lose_silent(now);
  probe_members(now);
  for (auto& [id, job] : jobs_) {
    judge_accusations(job, now);
    go_on_without_leaving(job, now);
  }
  bool busy = false;
  for (auto& [id, job] : jobs_) {
    if (job.record.state == JobState::kStopping && job.stop_deadline < now) {
      stop_members(job, false);
      move_to(job, job.record.target, now, "not all workers stopped in time");
    }
    busy = busy || job_holds_workers(job.record.state);
  }
  if (draining_ && !busy) actions_.push_back(StopDaemon{});
}

void Coordinator::prepare(TrackedJob& job, bool create) {
  job.awaiting_run = job.awaiting_run || create;
  const JobRecord& record = job.record;
  actions_.push_back(PrepareRun{record.id, record.generation, record.run_directory, record.toml, create});
}

// --- transitions ----------------------------------------------------------------------------------------------------

int Coordinator::time_slot(const TrackedJob& job) const {
  if (job_holds_workers(job.record.state) && !job.attached) return kUnattended;
  if (job.record.state == JobState::kTraining && job.evaluating) return kEvaluatingSlot;
  return static_cast<int>(job.record.state);
}

void Coordinator::account(TrackedJob& job, Time now) {
  JobRecord& record = job.record;
  const int64_t passed = std::max<int64_t>(0, wall(now) - record.entered_wall);  // the wall clock may be set back
  record.seconds[static_cast<size_t>(time_slot(job))] += static_cast<double>(passed) * 1e-9;
  record.entered_wall = wall(now);
}

void Coordinator::move_to(TrackedJob& job, JobState to, Time now, const std::string& why) {
  const JobState from = job.record.state;
  STRAND_CHECK(transition_is_legal(from, to), "job ", job.record.id.value, ": ", job_state_name(from), " -> ",
               job_state_name(to));
  account(job, now);
  const bool held = job_holds_workers(from), holds = job_holds_workers(to);
  job.record.state = to;
  if (held && !holds) hold(job, false);
  if (!holds && !(to == JobState::kQueued && job.record.lost)) {  // else that very generation may come back
    job.record.leaving.clear();
    job.record.away.clear();
    acknowledge_all(&job.finished);
    acknowledge_all(&job.left);
  }
  if (!held && holds) hold(job, true);
  job.waits_since.reset();
  consider_ = true;
  changed(job);
  note(job, concat(job_state_name(from), " -> ", job_state_name(to), why.empty() ? "" : ": ", why), now);
}

void Coordinator::log_job(const TrackedJob& job, const std::string& text, Time now) {
  log_.push_back({++last_event_, wall(now), job.record.id, text});
  if (log_.size() > kKeptEvents) log_.pop_front();
}

// A transition: also part of the job's durable history.
void Coordinator::note(TrackedJob& job, const std::string& text, Time now) {
  log_job(job, text, now);
  const JobId id = job.record.id;
  const uint64_t number = job.history.empty() ? 1 : job.history.back().number + 1;
  job.history.push_back({number, wall(now), job.record.generation, text});
  entries_.push_back({history_key(id, number), dump_json({{"version", 1},
                                                          {"job", id.value},
                                                          {"number", number},
                                                          {"time", wall(now)},
                                                          {"generation", job.record.generation.value},
                                                          {"text", text}})});
  if (job.history.size() <= kKeptHistory) return;
  entries_.push_back({history_key(id, job.history.front().number), std::nullopt});
  job.history.pop_front();
}

// False: one failure too many without a new step; the job has failed.
bool Coordinator::count_restart(TrackedJob& job, const std::string& why, ErrorCode code, Duration* wait, Time now) {
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
    return false;
  }
  record.attempts = decision.attempts;
  ++record.restarts;
  ++counters_.restarts;
  *wait = decision.wait;
  return true;
}

void Coordinator::retry_or_give_up(TrackedJob& job, ErrorCode code, const std::string& why, bool lost, Time now) {
  Duration wait{};
  if (!count_restart(job, why, code, &wait, now)) return;
  job.record.lost = lost;
  job.not_before = now + wait;
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
  for (const auto* list : {&job.record.members, &job.record.leaving}) {
    for (const GroupMember& member : *list) {
      const WorkerEntry* worker = membership_.find(member.worker, member.incarnation);
      if (!worker || !is_on_current_generation(job, *worker)) continue;
      if (worker->state == WorkerState::kIdle || worker->state == WorkerState::kFailed) continue;
      send_stop(worker->peer, job.record.id, job.record.generation, checkpoint);
    }
  }
}

void Coordinator::begin_stop(TrackedJob& job, JobState target, Time now, const std::string& why) {
  job.record.target = target;
  job.stop_deadline = now + config_.lease * kStopLeases;
  changed(job);
  if (job.record.state != JobState::kStopping) {
    move_to(job, JobState::kStopping, now, concat("to be ", job_state_name(target), why.empty() ? "" : ": ", why));
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
