// What workers say.
#include <algorithm>

#include "coordinator/coordinator.h"
#include "shared/base/text.h"

namespace strand {
namespace {

bool is_busy(WorkerState state) {
  return state != WorkerState::kIdle && state != WorkerState::kFailed;
}
bool is_computing(WorkerState state) {
  return state == WorkerState::kTraining || state == WorkerState::kEvaluating;
}

bool has_member(const JobRecord& record, const WorkerEntry& worker) {
  const GenerationMember member{worker.id, worker.incarnation};
  return std::ranges::find(record.members, member) != record.members.end();
}

bool is_report(const Body& body) {
  return std::holds_alternative<StepReport>(body) || std::holds_alternative<PartSaved>(body) ||
         std::holds_alternative<JobFinished>(body) || std::holds_alternative<JobFailed>(body) ||
         std::holds_alternative<Stopped>(body);
}

}  // namespace

void Coordinator::send(const std::string& peer, Header header, Body body) {
  actions_.push_back(SendMessage{peer, WireMessage{header, std::move(body)}});
}

void Coordinator::send_stop(const std::string& peer, JobId job, Generation generation, bool checkpoint) {
  Header header;
  header.job = job;
  header.generation = generation;
  send(peer, header, Stop{checkpoint});
}

void Coordinator::acknowledge(const std::string& peer, const Header& header) {
  send(peer, header, Ack{});
}

void Coordinator::refuse(const std::string& peer, const Header& header, ErrorCode code, const std::string& reason) {
  Header answer;
  answer.request = header.request;
  send(peer, answer, Refused{static_cast<uint8_t>(code), reason});
}

const Coordinator::TrackedJob* Coordinator::job_of(const WorkerEntry& worker) const {
  for (const auto& [id, job] : jobs_) {
    if (job_holds_workers(job.record.state) && has_member(job.record, worker)) return &job;
  }
  return nullptr;
}

Coordinator::TrackedJob* Coordinator::job_of(const WorkerEntry& worker) {
  return const_cast<TrackedJob*>(std::as_const(*this).job_of(worker));
}

bool Coordinator::is_on_current_generation(const TrackedJob& job, const WorkerEntry& worker) const {
  return worker.job == job.record.id && worker.generation == job.record.generation && has_member(job.record, worker);
}

void Coordinator::on_message(const MessageArrived& event, Time now) {
  ++counters_.messages;
  const Header& header = event.message.header;
  const Body& body = event.message.body;
  if (const auto* request = std::get_if<ClientRequest>(&body)) return on_request(event.peer, header, *request, now);
  if (const auto* hello = std::get_if<Hello>(&body)) return on_hello(event.peer, header, *hello, now);
  const auto* heartbeat = std::get_if<Heartbeat>(&body);
  if (!heartbeat && !is_report(body)) {
    ++counters_.unexpected;
    return;
  }
  WorkerEntry* worker = membership_.find(header.sender);
  if (worker && worker->incarnation > header.incarnation) {
    ++counters_.unknown_sender;
    return refuse(event.peer, header, ErrorCode::kConflict,
                  concat("a newer process of worker ", header.sender.value, " has taken its place; stop this one"));
  }
  if (!worker || worker->incarnation != header.incarnation || worker->peer != event.peer) {
    ++counters_.unknown_sender;
    return refuse(event.peer, header, ErrorCode::kUnavailable, "this coordinator has not met you; say hello");
  }
  detector_.heard(worker->id, now);
  if (heartbeat) return on_heartbeat(*worker, header, *heartbeat, now);
  on_report(*worker, event.message, now);
}

// --- hello and heartbeat --------------------------------------------------------------------------------------------

void Coordinator::on_hello(const std::string& peer, const Header& header, const Hello& hello, Time now) {
  if (header.sender.value == 0 || hello.version != config_.version) {
    ++counters_.refused_workers;
    return refuse(peer, header, ErrorCode::kBadInput,
                  header.sender.value == 0
                      ? std::string("a worker needs an id other than 0")
                      : concat("worker program is version ", hello.version, ", the coordinator is version ",
                               config_.version, "; start both from the same build"));
  }
  const Membership::Join join = membership_.hello(peer, header, hello);
  if (join == Membership::Join::kOutdated) {
    ++counters_.unknown_sender;
    return refuse(peer, header, ErrorCode::kConflict,
                  concat("a newer process of worker ", header.sender.value, " has taken its place; stop this one"));
  }
  detector_.heard(header.sender, now);
  Header answer;
  answer.request = header.request;
  send(peer, answer, Welcome{config_.lease.count() / 1000000});
  // A new process of a worker proves that its older one is gone, also when only the journal remembers that one.
  for (auto& [id, job] : jobs_) {
    if (!job_holds_workers(job.record.state)) continue;
    const auto replaced = [&](const GenerationMember& m) {
      return m.worker == header.sender && m.incarnation < header.incarnation;
    };
    if (std::ranges::any_of(job.record.members, replaced)) {
      lose_member(job, now, concat("worker ", header.sender.value, " was started anew"));
    }
  }
  settle_newcomer(*membership_.find(header.sender), now);
}

// Brings what the worker says it is doing and what the journal says together.
void Coordinator::settle_newcomer(WorkerEntry& worker, Time now) {
  TrackedJob* said = job(worker.job);
  if (said && is_on_current_generation(*said, worker)) {
    const JobState state = said->record.state;
    if (job_holds_workers(state) || (state == JobState::kQueued && said->record.lost)) {
      return reattach(*said, worker, now);
    }
  }
  TrackedJob* mine = job_of(worker);
  if (mine) return on_idle_member(*mine, worker, now);
  if (is_busy(worker.state) && worker.job.value != 0) {
    ++counters_.stale_generation;
    send_stop(worker.peer, worker.job, worker.generation, false);
  }
}

// The worker is on the job's current generation, as journalled: nothing is disturbed.
void Coordinator::reattach(TrackedJob& job, const WorkerEntry& worker, Time now) {
  for (const GenerationMember& member : job.record.members) {
    const WorkerEntry* other = membership_.find(member.worker, member.incarnation);
    if (!other || !is_on_current_generation(job, *other)) return;  // the gang is not complete yet
  }
  const bool computing = is_computing(worker.state);
  if (job.record.state == JobState::kQueued) {
    job.record.lost = false;
    move_to(job, computing ? JobState::kTraining : JobState::kStarting, now, "its workers came back");
    job.attached = job.prepared = true;
    return;
  }
  if (!job.attached) {
    job.attached = job.prepared = true;  // first, so that the time since the last transition counts as training
    account(job, now);
    changed(job);
    log_job(job, concat("worker ", worker.id.value, " found again at step ", worker.step), now);
  }
  if (job.record.state == JobState::kStarting && computing) move_to(job, JobState::kTraining, now, "");
  if (job.record.state == JobState::kStopping && worker.state != WorkerState::kStopping) {
    send_stop(worker.peer, job.record.id, job.record.generation, job.record.target != JobState::kCancelled);
  }
}

void Coordinator::on_heartbeat(WorkerEntry& worker, const Header& header, const Heartbeat& body, Time now) {
  worker.state = body.state;
  worker.job = header.job;
  worker.generation = header.generation;
  worker.step = header.step;
  Header answer;
  answer.request = header.request;
  send(worker.peer, answer, Heartbeat{});  // so that the worker knows we are here
  settle_newcomer(worker, now);
}

// The current generation counts on this very process, but it is not at work on it.
void Coordinator::on_idle_member(TrackedJob& job, WorkerEntry& worker, Time now) {
  switch (job.record.state) {
    case JobState::kStarting:  // the assignment was lost, or never sent before we were killed
      job.attached = true;
      if (!job.prepared && !job.awaiting_run) return prepare(job, true);
      if (job.prepared && now - job.assigned_at > config_.lease / 6) send_assignments(job, now);
      return;
    case JobState::kTraining:
      return retry_or_give_up(job, ErrorCode::kUnavailable,
                              concat("worker ", worker.id.value, " no longer knows the job"), false, now);
    case JobState::kStopping: return move_to(job, job.record.target, now, "");
    default: return;
  }
}

// --- reports --------------------------------------------------------------------------------------------------------

Coordinator::TrackedJob* Coordinator::fenced(const WorkerEntry& worker, const Header& header) {
  TrackedJob* found = job(header.job);
  if (!found) {
    ++counters_.unknown_job;
  } else if (header.generation != found->record.generation || !has_member(found->record, worker)) {
    ++counters_.stale_generation;
    found = nullptr;
  }
  if (!found && !job_of(worker)) send_stop(worker.peer, header.job, header.generation, false);
  return found;
}

void Coordinator::on_report(WorkerEntry& worker, const WireMessage& message, Time now) {
  const Header& header = message.header;
  TrackedJob* job = fenced(worker, header);
  if (!job) return;
  worker.job = header.job;
  worker.generation = header.generation;
  worker.step = header.step;
  const std::string peer = worker.peer;
  if (const auto* step = std::get_if<StepReport>(&message.body)) on_step(*job, peer, header, *step, now);
  if (const auto* part = std::get_if<PartSaved>(&message.body)) on_part(*job, peer, header, *part, now);
  if (const auto* finished = std::get_if<JobFinished>(&message.body)) {
    worker.state = WorkerState::kIdle;
    on_finished(*job, peer, header, *finished, now);
  }
  if (const auto* failed = std::get_if<JobFailed>(&message.body)) {
    worker.state = WorkerState::kFailed;
    on_failed(*job, peer, header, *failed, now);
  }
  if (std::holds_alternative<Stopped>(message.body)) {
    worker.state = WorkerState::kIdle;
    on_stopped(*job, peer, header, now);
  }
}

void Coordinator::on_step(TrackedJob& job, const std::string& peer, const Header& header, const StepReport& report,
                          Time now) {
  if (job.progress.add(header.generation, header.step, report, job.catalog)) {
    ++counters_.steps;
    counters_.tokens += static_cast<uint64_t>(std::max<int64_t>(report.tokens, 0));
    actions_.push_back(RecordStep{job.record.id, job.record.run_directory, header.generation, header.step, wall(now),
                                  report, job.progress.totals()});
    if (report.evaluated && !report.best.metric.empty()) log_evaluation(job, header.step, report, now);
    const CheckpointEntry* saved = job.catalog.find(header.step);
    if (saved && saved->generation == header.generation) {  // the part was faster than the report of its step
      const JobTotals totals = job.progress.totals_at(header.step);
      job.catalog.set_totals(header.step, totals.productive_seconds, totals.tokens);
      changed_checkpoint(job, header.step, false);
    }
  } else {
    ++counters_.duplicate_steps;
  }
  if (job.record.state == JobState::kStarting) move_to(job, JobState::kTraining, now, "");
  acknowledge(peer, header);
}

void Coordinator::log_evaluation(const TrackedJob& job, Step step, const StepReport& report, Time now) {
  const BestEvaluation& best = report.best;
  double value = report.eval_loss;
  for (const NamedMetric& metric : report.metrics) {
    if (metric.name == best.metric) value = metric.value;
  }
  const std::string rest = best.step == step ? ", the best so far"
                                             : concat(", ", best.since, " since the best, ",
                                                      format_number(best.value, 4), " at ", best.step);
  log_job(job, concat("dev set at step ", step, ": ", best.metric, " ", format_number(value, 4), rest), now);
}

void Coordinator::on_finished(TrackedJob& job, const std::string& peer, const Header& header, const JobFinished& body,
                              Time now) {
  acknowledge(peer, header);
  if (!transition_is_legal(job.record.state, JobState::kDone)) return;  // said twice, or cancelled meanwhile
  job.record.result = body;
  job.record.result_step = header.step;
  job.record.lost = false;
  job.warning.clear();
  move_to(job, JobState::kDone, now, concat("at step ", header.step));
}

void Coordinator::on_failed(TrackedJob& job, const std::string& peer, const Header& header, const JobFailed& body,
                            Time now) {
  acknowledge(peer, header);
  const JobState state = job.record.state;
  if (!job_holds_workers(state)) return;
  const auto code =
      body.code <= static_cast<uint8_t>(ErrorCode::kGaveUp) ? static_cast<ErrorCode>(body.code) : ErrorCode::kInternal;
  const std::string why = concat("at step ", header.step, ": ", body.reason);
  const bool cancelling = state == JobState::kStopping && job.record.target == JobState::kCancelled;
  if (classify_failure(code) == FailureClass::kNever && !cancelling) {
    fail(job, code, why, now);
  } else if (state == JobState::kStopping) {
    job.record.reason = why;
    move_to(job, job.record.target, now, why);
  } else {
    retry_or_give_up(job, code, why, false, now);
  }
}

void Coordinator::on_stopped(TrackedJob& job, const std::string& peer, const Header& header, Time now) {
  acknowledge(peer, header);
  if (job.record.state == JobState::kStopping) {
    move_to(job, job.record.target, now, concat("at step ", header.step));
  } else if (job_holds_workers(job.record.state)) {
    // Its process was told to leave, not by us: the job goes on with whoever comes.
    job.record.reason = concat("worker left at step ", header.step);
    job.not_before = now + config_.back_off.first;
    move_to(job, JobState::kQueued, now, job.record.reason);
  }
}

}  // namespace strand
