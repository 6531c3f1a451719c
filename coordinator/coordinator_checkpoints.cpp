// Run directories, parts, manifests.
#include <algorithm>

#include "coordinator/coordinator.h"
#include "coordinator/part_cover.h"
#include "shared/base/text.h"
#include "shared/job_spec/parameter_table.h"

namespace strand {

void Coordinator::on_run_prepared(const RunPrepared& event, Time now) {
  TrackedJob* job = this->job(event.job);
  if (!job) return;
  if (event.status.ok()) {
    take_catalogue(*job, event, now);
  } else if (!event.create) {
    job->warning = concat(job->record.run_directory, ": ", event.status.error().message());
    log_job(*job, job->warning, now);
  }
  if (!event.create || event.generation != job->record.generation || !job->awaiting_run) return;
  job->awaiting_run = false;
  if (job->record.state != JobState::kStarting && job->record.state != JobState::kRecovering) return;
  Status status = event.status;
  if (status.ok()) status = check_first_start(job->record, job->spec, event);
  if (!status.ok()) {
    const Error error = status.error().with_context(job->record.run_directory);
    return fail(*job, error.code(), error.message(), now);
  }
  job->token = event.token;
  job->prepared = true;
  send_assignments(*job, now);
}

void Coordinator::take_catalogue(TrackedJob& job, const RunPrepared& event, Time now) {
  std::set<Step> present;
  for (const Manifest& manifest : event.manifests) {
    present.insert(manifest.step);
    const CheckpointEntry* known = job.catalog.find(manifest.step);
    if (known && known->generation == manifest.generation) continue;
    CheckpointEntry entry = entry_of(manifest);
    // Killed between manifest and journal, only the metrics file knows.
    const auto journalled = job.journalled.find(manifest.step);
    const bool recorded = event.recorded.through() >= manifest.step;
    JobTotals totals = recorded ? event.recorded.totals_at(manifest.step) : job.progress.totals_at(manifest.step);
    if (journalled != job.journalled.end() && journalled->second.tokens > 0) totals = journalled->second;
    entry.productive_seconds = totals.productive_seconds;
    entry.tokens = totals.tokens;
    job.catalog.commit(std::move(entry));
    if (journalled == job.journalled.end()) changed_checkpoint(job, manifest.step, false);
    if (job.record.numerics.empty()) job.record.numerics = manifest.numerics;
    actions_.push_back(VerifyCheckpoint{job.record.id, manifest.generation, job.record.run_directory, manifest.step});
  }
  for (const DamagedCheckpoint& damaged : event.damaged) {
    present.insert(damaged.step);
    const CheckpointEntry* known = job.catalog.find(damaged.step);
    if (known && known->state == CheckpointState::kDamaged) continue;
    ++counters_.damaged_checkpoints;
    CheckpointEntry entry;
    entry.step = damaged.step;
    job.catalog.commit(entry);
    job.catalog.mark(damaged.step, CheckpointState::kDamaged, damaged.reason);
    log_job(job, concat("checkpoint ", damaged.step, " is damaged and will not be used: ", damaged.reason), now);
  }
  std::set<Step> expected;
  for (const auto& [step, entry] : job.catalog.entries()) expected.insert(step);
  for (const auto& [step, totals] : job.journalled) expected.insert(step);
  for (const Step step : expected) {
    if (present.contains(step)) continue;
    log_job(job, concat("checkpoint ", step, " is gone from ", job.record.run_directory), now);
    job.catalog.remove(step);
    changed_checkpoint(job, step, true);
  }
  job.journalled.clear();
  job.progress.restore(event.recorded);
}

// Before the first generation of a job the run directory must be empty, or hold the run that is to be resumed.
Status Coordinator::check_first_start(const JobRecord& record, const JobSpec& spec, const RunPrepared& event) {
  if (record.generation.value != 1 || event.manifests.empty()) return {};
  if (!record.resumed) {
    return bad_input("already holds checkpoints of another run; resume that one, or choose another run directory");
  }
  const Manifest& newest = event.manifests.back();
  ParsedJob run = parse_job(newest.job_toml, "manifest", record.run_directory, {});
  if (!run.errors.empty()) return {};  // written by another version; the worker compares what matters
  const auto differences = resume_differences(run.spec, spec);
  if (differences.empty()) return {};
  return bad_input(concat("the run to be resumed differs in ", join(differences, "; "),
                          "; undo that, or start a new run in another directory"));
}

Assign Coordinator::assignment_of(const TrackedJob& job) const {
  Assign assign;
  assign.job_toml = job.record.toml;
  assign.run_directory = job.record.run_directory;
  assign.data_endpoints = config_.data_endpoints;
  assign.checkpoints = job.catalog.loadable();
  assign.directory_token = job.token;
  assign.members = job.record.members;
  assign.leaving = job.record.leaving;
  assign.recorded_step = job.progress.recorded_through();
  return assign;
}

void Coordinator::send_assignment(const TrackedJob& job, WorkerEntry& worker, const Assign& assign, Time now) {
  Header header;
  header.job = job.record.id;
  header.generation = job.record.generation;
  header.step = assign.checkpoints.empty() ? 0 : assign.checkpoints.front();
  worker.assigned = now;
  send(worker.peer, header, assign);
}

void Coordinator::send_assignments(TrackedJob& job, Time now) {
  const Assign assign = assignment_of(job);
  for (const auto* list : {&job.record.members, &job.record.leaving}) {
    for (const GroupMember& member : *list) {
      WorkerEntry* worker = membership_.find(member.worker, member.incarnation);
      if (worker) send_assignment(job, *worker, assign, now);
    }
  }
}

// --- parts and manifests --------------------------------------------------------------------------------------------

void Coordinator::on_part(TrackedJob& job, const std::string& peer, const Header& header, const PartSaved& part,
                          Time now) {
  switch (job.catalog.add_part(header.generation, header.step, header.sender, part)) {
    case CheckpointCatalog::Part::kAlreadyCommitted: ++counters_.duplicate_parts; return acknowledge(peer, header);
    case CheckpointCatalog::Part::kUnexpected: ++counters_.misplaced_reports; return acknowledge(peer, header);
    case CheckpointCatalog::Part::kContradiction:
      return refuse_parts(job, concat("parts of checkpoint ", header.step, " contradict each other"), now);
    case CheckpointCatalog::Part::kWaiting: job.waiting[header.step][header.sender] = {peer, header}; return;
    case CheckpointCatalog::Part::kComplete: job.waiting[header.step][header.sender] = {peer, header}; break;
  }
  const auto whole = whole_checkpoint(job, header.step);
  if (!whole.ok()) {
    return refuse_parts(
        job, concat("the parts of checkpoint ", header.step, " do not make the model: ", whole.error().message()), now);
  }
  const PartSaved& merged = *whole;
  Manifest manifest;
  manifest.job = job.record.id;
  manifest.generation = header.generation;
  manifest.step = header.step;
  manifest.next_row = merged.next_row;
  manifest.job_toml = job.record.toml;
  manifest.numerics = job.record.numerics;
  manifest.dataset = merged.dataset;
  manifest.digest = merged.digest;
  manifest.state_digest = merged.state_digest;
  manifest.best = merged.best;
  for (const PartSaved& one : job.catalog.parts(header.step)) {
    manifest.parts.push_back({one.file, one.bytes, one.checksum});
  }
  actions_.push_back(WriteManifest{job.record.id, job.record.run_directory, std::move(manifest)});
}

// What its parts say together, with the digests that they make.
Result<PartSaved> Coordinator::whole_checkpoint(const TrackedJob& job, Step step) {
  const auto parts = job.catalog.parts(step);
  STRAND_ASSIGN(const ModelDigests digests, digests_of_parts(job_parameter_table(job.spec), parts, step));
  PartSaved merged = job.catalog.merged(step);
  merged.digest = digests.digest;
  merged.state_digest = digests.state_digest;
  return merged;
}

// There will be no manifest: a worker is at fault, so an older checkpoint is gone back to.
void Coordinator::refuse_parts(TrackedJob& job, const std::string& why, Time now) {
  ++counters_.contradicting_parts;
  if (job_holds_workers(job.record.state)) retry_or_give_up(job, ErrorCode::kCorrupt, why, false, now);
}

void Coordinator::on_manifest_written(const ManifestWritten& event, Time now) {
  TrackedJob* job = this->job(event.job);
  if (!job) return;
  if (!event.status.ok()) {
    // Not acknowledged: the worker repeats its report, and we try again.
    ++counters_.manifest_failures;
    job->waiting.erase(event.step);
    job->warning = concat("checkpoint ", event.step, " could not be completed: ", event.status.error().message());
    log_job(*job, job->warning, now);
    // A full disk may find room again; a part that is not what was reported never heals.
    if (event.status.error().code() == ErrorCode::kCorrupt && job_holds_workers(job->record.state)) {
      retry_or_give_up(*job, ErrorCode::kCorrupt, job->warning, false, now);
    }
    return;
  }
  const auto parts = job->catalog.parts(event.step);
  if (parts.empty() || event.generation != job->record.generation) return;
  const auto whole = whole_checkpoint(*job, event.step);
  if (!whole.ok()) return;
  CheckpointEntry entry;
  entry.step = event.step;
  entry.generation = event.generation;
  const PartSaved& merged = *whole;
  entry.next_row = merged.next_row;
  entry.digest = merged.digest;
  entry.state_digest = merged.state_digest;
  entry.best = merged.best;
  for (const PartSaved& part : parts) {
    entry.bytes += part.bytes;
    entry.files.push_back(part.file);
  }
  const CheckpointEntry* older = job->catalog.find(event.step);
  if (older && older->state == CheckpointState::kVerified && older->state_digest != entry.state_digest) {
    ++counters_.digest_mismatches;
    log_job(*job,
            concat("step ", event.step, " was replayed and gave another state: ", older->state_digest.hex(),
                   " before, ", entry.state_digest.hex(), " now"),
            now);
  }
  job->catalog.commit(std::move(entry));
  count_checkpoints(*job);
  job->progress.forget_through(event.step);
  job->warning.clear();
  ++counters_.manifests;
  changed_checkpoint(*job, event.step, false);
  log_job(*job, concat("checkpoint ", event.step), now);
  acknowledge_all(&job->waiting[event.step]);
  job->waiting.erase(event.step);
  actions_.push_back(VerifyCheckpoint{event.job, event.generation, job->record.run_directory, event.step});
  if (!job->finished.empty()) end_if_finished(*job, now);
}

void Coordinator::on_verified(const CheckpointVerified& event, Time now) {
  TrackedJob* job = this->job(event.job);
  const CheckpointEntry* entry = job ? job->catalog.find(event.step) : nullptr;
  if (!entry || entry->generation != event.generation) return;  // removed or replaced meanwhile
  if (event.status.ok()) {
    job->catalog.mark(event.step, CheckpointState::kVerified, "");
    return remove_old(*job);
  }
  ++counters_.damaged_checkpoints;
  job->catalog.mark(event.step, CheckpointState::kDamaged, event.status.error().message());
  log_job(*job, concat("checkpoint ", event.step, " is damaged and will not be used: ", event.status.error().message()),
          now);
}

void Coordinator::remove_old(TrackedJob& job) {
  for (const Step step : job.catalog.removable(job.spec.checkpoint.keep)) {
    ++counters_.removed_checkpoints;
    job.catalog.remove(step);
    changed_checkpoint(job, step, true);
    actions_.push_back(RemoveCheckpoint{job.record.run_directory, step});
  }
}

}  // namespace strand
