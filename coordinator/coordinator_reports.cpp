// What members of a generation report: steps, parts, ends.
#include <algorithm>

#include "coordinator/coordinator.h"
#include "shared/base/text.h"

namespace strand {
// Where the losses are known.
bool Coordinator::is_at_last_stage(const TrackedJob& job, WorkerId worker) {
  const auto place = job.places.find(worker);
  return place != job.places.end() && job.record.members[place->second].stage == job.record.members.back().stage;
}

bool Coordinator::reports_steps(const TrackedJob& job, WorkerId worker) {
  return is_at_last_stage(job, worker) && job.record.members[job.places.at(worker)].replica == 0;
}

// Null, and counted: a job nobody knows, an older generation, or a process that the current one does not count on.
Coordinator::TrackedJob* Coordinator::fenced(const WorkerEntry& worker, const Header& header) {
  TrackedJob* found = job(header.job);
  if (!found) {
    ++counters_.unknown_job;
  } else if (header.generation != found->record.generation || !is_member(*found, worker.id, worker.incarnation)) {
    const bool leaving =
        header.generation == found->record.generation && is_leaving(*found, worker.id, worker.incarnation);
    if (!leaving) ++counters_.stale_generation;
    found = nullptr;
  }
  if (!found && !job_of(worker) && !may_be_asked(worker)) send_stop(worker.peer, header.job, header.generation, false);
  return found;
}

void Coordinator::on_report(WorkerEntry& worker, const WireMessage& message, Time now) {
  const Header& header = message.header;
  TrackedJob* job = fenced(worker, header);
  const bool leaving_ends = !job && std::holds_alternative<Stopped>(message.body);
  if (leaving_ends) {  // told so by us; nothing follows from it
    worker.state = WorkerState::kIdle;
    acknowledge(worker.peer, header);
  }
  if (!job) return;
  worker.job = header.job;
  worker.generation = header.generation;
  worker.step = header.step;
  worker.astray.reset();
  const std::string peer = worker.peer;
  if (const auto* step = std::get_if<StepReport>(&message.body)) on_step(*job, peer, header, *step, now);
  if (const auto* part = std::get_if<PartSaved>(&message.body)) on_part(*job, peer, header, *part, now);
  if (const auto* finished = std::get_if<JobFinished>(&message.body)) {
    worker.state = WorkerState::kIdle;
    on_finished(*job, peer, header, *finished, now);
  }
  if (const auto* failed = std::get_if<JobFailed>(&message.body)) {
    worker.state = WorkerState::kFailed;
    on_failed(*job, worker, header, *failed, now);
  }
  if (std::holds_alternative<Stopped>(message.body)) {
    worker.state = WorkerState::kIdle;
    on_stopped(*job, peer, header, now);
  }
}

// --- steps ----------------------------------------------------------------------------------------------------------

void Coordinator::on_step(TrackedJob& job, const std::string& peer, const Header& header, const StepReport& report,
                          Time now) {
  const bool again = header.step <= report.base;  // told by all who know: its members may still be on their way
  if (!again && !is_at_last_stage(job, header.sender)) {
    ++counters_.misplaced_reports;
    return acknowledge(peer, header);
  }
  if (!again && reports_steps(job, header.sender)) {
    const bool first = job.record.state == JobState::kStarting || job.record.state == JobState::kRecovering;
    if (first) move_to(job, JobState::kTraining, now, "");
    dismiss_leaving(job);
    prove(job);
  }
  if (!job.progress.add(header.generation, header.step, report, job.catalog)) {
    ++counters_.duplicate_steps;
    return acknowledge(peer, header);
  }
  record_step(job, header, report, now);
  acknowledge(peer, header);
  try_grow(job, now);
}

void Coordinator::record_step(TrackedJob& job, const Header& header, const StepReport& report, Time now) {
  ++counters_.steps;
  counters_.tokens += static_cast<uint64_t>(std::max<int64_t>(report.tokens, 0));
  actions_.push_back(RecordStep{job.record.id, job.record.run_directory, header.generation, header.step, wall(now),
                                report, job.progress.totals()});
  if (report.evaluated && !report.best.metric.empty()) log_evaluation(job, header.step, report, now);
  count_checkpoints(job);  // a part may be faster than the report of its step
}

// Those that are not known any more, behind a later checkpoint, stay as they are.
void Coordinator::count_checkpoints(TrackedJob& job) {
  std::vector<Step> uncounted;
  for (const auto& [step, entry] : job.catalog.entries()) {
    const bool ours = entry.generation == job.record.generation && entry.tokens == 0;
    if (ours && step <= job.progress.recorded_through()) uncounted.push_back(step);
  }
  for (const Step step : uncounted) {
    const JobTotals totals = job.progress.totals_at(step);
    if (totals.tokens == 0) continue;  // nor is a journal entry written for it at every step
    job.catalog.set_totals(step, totals.productive_seconds, totals.tokens);
    changed_checkpoint(job, step, false);
  }
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

// --- ends -----------------------------------------------------------------------------------------------------------

// Acknowledged once everybody has finished: whoever is not is asked again, also by a coordinator that was restarted
// meanwhile and remembers none of it.
void Coordinator::on_finished(TrackedJob& job, const std::string& peer, const Header& header, const JobFinished& body,
                              Time now) {
  if (!transition_is_legal(job.record.state, JobState::kDone))
    return acknowledge(peer, header);  // said twice, cancelled
  job.finished[header.sender] = {peer, header};
  if (reports_steps(job, header.sender)) {
    job.result = body;
    job.record.result_step = header.step;
  }
  end_if_finished(job, now);
}

void Coordinator::end_if_finished(TrackedJob& job, Time now) {
  if (!transition_is_legal(job.record.state, JobState::kDone)) return;
  const auto finished = [&](const GroupMember& m) { return job.finished.contains(m.worker); };
  if (!std::ranges::all_of(job.record.members, finished)) {
    if (job.record.state == JobState::kStopping) member_left(job, now, "");
    return;
  }
  if (!know_result(job)) return;  // looked at again when the manifest is there, and when they repeat themselves
  job.record.result = job.result;
  job.record.lost = false;
  job.warning.clear();
  move_to(job, JobState::kDone, now, concat("at step ", job.record.result_step));
  acknowledge_all(&job.finished);
}

// Where nobody holds the whole, its checkpoint says the digests: of the last step, and of the best where one was
// chosen. False: that checkpoint is still to come.
bool Coordinator::know_result(TrackedJob& job) {
  if (!job.result || job.result->digest != Digest128{}) return true;
  const Step last = job.record.result_step;
  const CheckpointEntry* saved = job.catalog.find(last);
  if (!saved || saved->state_digest == Digest128{} || !job.catalog.parts(last).empty()) return false;
  const BestEvaluation& best = job.result->best;
  const CheckpointEntry* chosen = best.metric.empty() ? saved : job.catalog.find(best.step);
  if (chosen) job.result->digest = chosen->digest;
  job.result->state_digest = saved->state_digest;
  return true;
}

void Coordinator::on_failed(TrackedJob& job, WorkerEntry& worker, const Header& header, const JobFailed& body,
                            Time now) {
  acknowledge(worker.peer, header);
  const JobState state = job.record.state;
  if (!job_holds_workers(state)) return;
  const auto code =
      body.code <= static_cast<uint8_t>(ErrorCode::kGaveUp) ? static_cast<ErrorCode>(body.code) : ErrorCode::kInternal;
  const bool alone = job.record.members.size() == 1;
  const std::string why = concat(alone ? "" : concat("worker ", worker.id.value, " (", worker.hello.host, ") "),
                                 "at step ", header.step, ": ", body.reason);
  const FailureClass kind = classify_failure(code);
  if (body.elsewhere) job.exclusions.bar(worker.id, worker.incarnation);
  if (body.elsewhere && go_on(job, code, why, false, now)) return;
  const bool cancelling = state == JobState::kStopping && job.record.target == JobState::kCancelled;
  if ((kind == FailureClass::kNever || body.elsewhere) && !cancelling) return fail(job, code, why, now);
  if (state == JobState::kStopping) {
    job.record.reason = why;
    job.left[header.sender] = {};
    return member_left(job, now, why);
  }
  if (kind == FailureClass::kElsewhere) job.exclusions.failed(worker.id, worker.hello.host, now);
  if (kind != FailureClass::kReload && go_on(job, code, why, true, now)) return;
  if (job_holds_workers(job.record.state)) retry_or_give_up(job, code, why, false, now);
}

void Coordinator::on_stopped(TrackedJob& job, const std::string& peer, const Header& header, Time now) {
  const std::string at = concat("at step ", header.step);
  if (job.record.state == JobState::kStopping) {
    job.left[header.sender] = {peer, header};
    return member_left(job, now, at);
  }
  acknowledge(peer, header);
  if (!job_holds_workers(job.record.state)) return;
  // Its process was told to leave, not by us: the job goes on with whoever comes.
  const std::string why = concat("worker ", header.sender.value, " left ", at);
  WorkerEntry* worker = membership_.find(header.sender);
  if (worker) worker->state = WorkerState::kFailed;  // no longer part of this generation
  const bool goes_on = go_on(job, ErrorCode::kUnavailable, why, false, now);
  if (worker) worker->state = WorkerState::kIdle;
  if (goes_on) return;
  job.record.reason = why;
  job.not_before = now + config_.back_off.first;
  stop_members(job, false);
  move_to(job, JobState::kQueued, now, why);
}

// The job rests once every member has left, finished or died.
void Coordinator::member_left(TrackedJob& job, Time now, const std::string& why) {
  const auto is_out = [&](const GroupMember& m) {
    if (job.left.contains(m.worker) || job.finished.contains(m.worker)) return true;
    if (membership_.find(m.worker, m.incarnation)) return false;
    return membership_.find(m.worker) || !detector_.watches(m.worker);  // else it has yet to find us again
  };
  if (!std::ranges::all_of(job.record.members, is_out)) {
    // The others may be waiting for one that is gone: they get less time for their checkpoint.
    if (!std::ranges::all_of(job.record.members, [&](const auto& m) { return is_alive(m); })) {
      job.stop_deadline = std::min(job.stop_deadline, now + config_.lease * 4);
    }
    return;
  }
  move_to(job, job.record.target, now, why);
}

}  // namespace strand
