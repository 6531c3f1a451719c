// What must hold of all that the coordinator does, and at the end. ShardChecks has what holds between workers.
#include <algorithm>

#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "tests/sim/cluster_servers.h"

namespace strand::sim {

const GroupPlan& Cluster::plan(Generation generation) const {
  return plans_.at(generation.value);
}

void Cluster::journalled(const WriteJournal& batch) {
  for (const JournalEntry& entry : batch.entries) {
    if (!entry.key.starts_with("job/")) continue;
    const auto decoded = decode_job_record(*entry.value);
    if (!decoded.ok()) return violation(decoded.error().message());
    const JobRecord& after = *decoded;
    if (record_) {
      if (after.generation < record_->generation) violation("a generation went back");
      const bool same = after.generation == record_->generation;
      if (same && after.members != record_->members) violation("one generation with two sets of members");
      if (record_->state == JobState::kDone && after.state != JobState::kDone) violation("a finished job went on");
    }
    if (!record_ || record_->state != after.state || record_->generation != after.generation) {
      note(concat("job ", job_state_name(after.state), ", generation ", after.generation.value, ", ",
                  after.members.size(), " members, ", after.leaving.size(), " leaving: ", after.reason));
    }
    if (after.generation.value > 0 && !plans_.contains(after.generation.value)) {
      plans_[after.generation.value] = plan_of(job->spec, after.generation, after.members, after.leaving);
    }
    // No seed gives the job bad input, and nothing of its own may fail for good.
    const auto code = static_cast<ErrorCode>(after.failure);
    const bool forever = code == ErrorCode::kBadInput || code == ErrorCode::kInternal;
    if (after.state == JobState::kFailed && forever) violation(concat("the job failed for good: ", after.reason));
    record_ = after;
  }
}

void Cluster::assigned(const WireMessage& message) {
  const auto& assign = std::get<Assign>(message.body);
  const auto planned = plans_.find(message.header.generation.value);
  if (planned == plans_.end() || planned->second.members != assign.members) {
    violation("a generation was used before it was journalled");
  }
  if (record_->generation != message.header.generation) violation("an older generation is still assigned");
}

// Each step of a generation once, with the rows that the run's numbers name.
void Cluster::recorded(const RecordStep& action) {
  if (!recorded_.insert({action.generation.value, action.step}).second) {
    violation(concat("step ", action.step, " of generation ", action.generation.value, " recorded twice"));
  }
  uint64_t audit = 0;
  for (int64_t lane = 0; lane < job->spec.train.lanes; ++lane) audit += lane_audit(job->spec, action.step, lane);
  if (action.report.audit != audit) violation(concat("step ", action.step, " took other rows than its own"));
}

// It is there: so must be what it names, whatever happens to those who wrote it, and it must be what one process has.
void Cluster::manifest_written(const WriteManifest& action) {
  const Manifest& manifest = action.manifest;
  const std::string folder = action.run_directory + "/checkpoints/";
  for (const ManifestPart& part : manifest.parts) {
    if (!disk.is_durable(folder + part.file)) violation(concat("a manifest names ", part.file, ", not durable yet"));
  }
  if (!disk.is_durable(concat(folder, "step-", manifest.step, "/manifest"))) violation("a manifest is not durable");
  if (!record_ || record_->generation != manifest.generation) violation("a manifest of an older generation");
  const ModelDigests expected = digests_at(*job, serial.get(), manifest.step);
  if (manifest.digest != expected.digest || manifest.state_digest != expected.state_digest) {
    violation(concat("the checkpoint of step ", manifest.step, " is not what one process has"));
  }
}

void Cluster::check_end() {
  const Step last = job->spec.train.steps;
  const ModelDigests expected = digests_at(*job, serial.get(), last);
  const auto& result = record_->result;
  if (record_->result_step != last || !result || result->digest != expected.digest ||
      result->state_digest != expected.state_digest) {
    violation("the job ends in other bits than one process");
  }
}

}  // namespace strand::sim
