// What clients are shown. schemas/README.md describes the keys.
#include <algorithm>

#include "coordinator/coordinator.h"
#include "coordinator/run_directory.h"
#include "coordinator/straggler.h"
#include "shared/base/text.h"
#include "shared/plan/group_plan.h"

namespace strand {
namespace {

constexpr size_t kShownHistory = 50;

Json seconds_or_null(int64_t wall) {
  return wall == 0 ? Json() : Json(static_cast<double>(wall) * 1e-9);
}
Json positive_or_null(double value) {
  return value > 0 ? Json(value) : Json();
}

const char* worker_state_name(WorkerState state) {
  constexpr const char* kNames[] = {"idle", "loading", "training", "evaluating", "stopping", "failed"};
  const auto index = static_cast<size_t>(state);
  return index < std::size(kNames) ? kNames[index] : "unknown";
}

Json worker_json(const WorkerEntry& worker) {
  return {{"worker", worker.id.value},
          {"host", worker.hello.host},
          {"pid", worker.hello.pid},
          {"state", worker_state_name(worker.state)},
          {"version", worker.hello.version},
          {"numerics", worker.hello.numerics},
          {"step", worker.step},
          {"work_seconds",
           worker.work_nanoseconds > 0 ? Json(static_cast<double>(worker.work_nanoseconds) * 1e-9) : Json()}};
}

Json checkpoints_json(const CheckpointCatalog& catalog, const std::string& run_directory) {
  Json list = Json::array();
  for (auto it = catalog.entries().rbegin(); it != catalog.entries().rend(); ++it) {
    const CheckpointEntry& entry = it->second;
    const bool readable = entry.generation.value != 0;
    list.push_back({{"step", entry.step},
                    {"state", checkpoint_state_name(entry.state)},
                    {"path", concat(run_directory, "/checkpoints/step-", entry.step)},
                    {"bytes", entry.bytes},
                    {"parts", entry.files.size()},
                    {"generation", entry.generation.value},
                    {"digest", readable ? Json(entry.digest.hex()) : Json()},
                    {"state_digest", readable ? Json(entry.state_digest.hex()) : Json()},
                    {"best_step", entry.best.metric.empty() ? Json() : Json(entry.best.step)},
                    {"reason", entry.reason}});
  }
  return list;
}

// A task's metrics: of the result once there is one, else the newest evaluation's.
void add_task(Json& json, const std::optional<JobFinished>& result, const JobProgress& progress,
              const CheckpointCatalog& catalog, const std::string& run_directory) {
  const auto set = [](const std::string& text) {
    const auto parsed = parse_json(text.empty() ? "null" : text, "metrics");
    return parsed.ok() ? *parsed : Json();
  };
  const auto& evaluation = progress.latest_evaluation();
  BestEvaluation best;
  if (catalog.newest() != nullptr) best = catalog.newest()->best;
  if (evaluation) best = evaluation->best;
  if (result) best = result->best;
  json["metric"] = best.metric.empty() ? Json() : Json(best.metric);
  json["best_step"] = best.metric.empty() ? Json() : Json(best.step);
  json["best_value"] = best.metric.empty() ? Json() : Json(best.value);
  json["dev"] = result ? set(result->dev) : evaluation ? metrics_json(*evaluation) : Json();
  json["test"] = result ? set(result->test) : Json();
  if (!best.metric.empty() && catalog.find(best.step) != nullptr) {
    json["checkpoint"] = concat(run_directory, "/checkpoints/step-", best.step);
  }
}

// A run resumed at its end took no step of its own: its last loss is in the records.
Json train_loss(const std::optional<JobFinished>& result, const std::optional<StepReport>& latest) {
  if (result && result->tokens > 0) return result->train_loss;
  return latest ? Json(latest->loss) : Json();
}

// The numbers of DESIGN section 7: of the finished job when there is a result, else the newest known.
void add_results(Json& json, const std::optional<JobFinished>& result, const JobProgress& progress,
                 const CheckpointEntry* newest) {
  const auto& latest = progress.latest();
  const auto& evaluation = progress.latest_evaluation();
  json["train_loss"] = train_loss(result, latest);
  const bool evaluated = result && (result->eval_bases > 0 || !result->dev.empty());
  json["eval_loss"] = evaluated ? Json(result->eval_loss) : evaluation ? Json(evaluation->eval_loss) : Json();
  json["bits_per_base"] = evaluated    ? Json(result->bits_per_base)
                          : evaluation ? Json(evaluation->eval_bits_per_base)
                                       : Json();
  json["eval_step"] = evaluated || !evaluation ? Json() : Json(progress.evaluation_step());
  json["markov_bits_per_base"] = result ? positive_or_null(result->markov_bits_per_base) : Json();
  json["markov_order"] = result && result->markov_bits_per_base > 0 ? Json(result->markov_order) : Json();
  json["eval_bases"] = evaluated && result->eval_bases > 0 ? Json(result->eval_bases) : Json();
  const int64_t tokens = progress.totals().tokens;
  json["tokens"] = tokens > 0 || !result ? tokens : result->tokens;
  json["tokens_per_second"] = result ? Json(result->tokens_per_second) : positive_or_null(progress.tokens_per_second());
  json["flops_utilization"] = result ? Json(result->flops_utilization) : Json();
  json["digest"] = result ? Json(result->digest.hex()) : newest ? Json(newest->digest.hex()) : Json();
  json["state_digest"] = result ? Json(result->state_digest.hex()) : newest ? Json(newest->state_digest.hex()) : Json();
}

}  // namespace

// Committed-step time over wall time since the first allocation; time at rest (paused, stopped, failed, ended) is the
// user's and not counted.
double Coordinator::goodput(const TrackedJob& job, Time now) const {
  const JobRecord& record = job.record;
  if (record.allocated_wall == 0) return 0;
  const int64_t end = job_is_at_rest(record.state) ? record.entered_wall : wall(now);
  double elapsed = static_cast<double>(end - record.allocated_wall) * 1e-9;
  for (const JobState rest : {JobState::kPaused, JobState::kStopped, JobState::kFailed}) {
    elapsed -= record.seconds[static_cast<size_t>(rest)];
  }
  return elapsed > 0 ? std::min(1.0, job.progress.totals().productive_seconds / elapsed) : 0;
}

// What generation a worker says it is on may lag behind the job's.
Json Coordinator::members_json(const TrackedJob& job) const {
  Json members = Json::array();
  const auto add = [&](const GroupMember& member, bool leaving) {
    const auto found = membership_.workers().find(member.worker);
    const bool here = found != membership_.workers().end() && found->second.incarnation == member.incarnation;
    Json json = here ? worker_json(found->second) : Json{{"worker", member.worker.value}, {"state", "away"}};
    json["generation"] = here && found->second.job == job.record.id ? Json(found->second.generation.value) : Json();
    json["replica"] = leaving ? Json() : Json(member.replica);
    json["stage"] = leaving ? Json() : Json(member.stage);
    members.push_back(std::move(json));
  };
  for (const GroupMember& member : job.record.members) add(member, false);
  for (const GroupMember& member : job.record.leaving) add(member, true);
  return members;
}

Json Coordinator::stragglers_json(const TrackedJob& job) const {
  std::vector<WorkTime> times;
  if (!job_holds_workers(job.record.state) || job.record.members.empty()) return Json::array();
  const bool even = job.spec.parallel.lane_shares.empty();  // else the shares are to make the times equal
  const auto lanes = deal_lanes(job.spec.train.lanes, job.record.members.back().replica + 1, {});
  for (const GroupMember& member : job.record.members) {
    const auto found = membership_.workers().find(member.worker);
    if (found == membership_.workers().end() || found->second.incarnation != member.incarnation) continue;
    if (found->second.generation != job.record.generation) continue;
    const int64_t own = even ? lanes[static_cast<size_t>(member.replica)].count : 1;
    times.push_back({member.worker, found->second.work_nanoseconds, member.stage, own});
  }
  Json json = Json::array();
  for (const Straggler& slow : find_stragglers(times)) {
    json.push_back({{"worker", slow.worker.value},
                    {"work_seconds", static_cast<double>(slow.nanoseconds) * 1e-9},
                    {"median_of_others", static_cast<double>(slow.others) * 1e-9}});
  }
  return json;
}

Json Coordinator::summarise(const TrackedJob& job, Time now) const {
  const JobRecord& record = job.record;
  const auto& latest = job.progress.latest();
  const auto exit_code = job_exit_code(record);
  return {{"id", record.id.value},
          {"job", record.name},
          {"state", job_state_name(record.state)},
          {"waiting", waiting_reason(job, now)},
          {"priority", record.priority},
          {"step", record.result ? record.result_step : job.progress.step()},
          {"steps", job.spec.train.steps},
          {"train_loss", train_loss(record.result, latest)},
          {"run_directory", record.run_directory},
          {"submitted", seconds_or_null(record.submitted_wall)},
          {"exit_code", exit_code ? Json(*exit_code) : Json()}};
}

Json Coordinator::describe(const TrackedJob& job, Time now) const {
  const JobRecord& record = job.record;
  const auto& latest = job.progress.latest();
  const CheckpointEntry* newest = job.catalog.newest();
  Json json = summarise(job, now);
  if (!record.result && newest) json["step"] = std::max(job.progress.step(), newest->step);
  add_results(json, record.result, job.progress, newest);
  json["goodput"] = goodput(job, now);
  json["checkpoint"] = newest ? Json(concat(record.run_directory, "/checkpoints/step-", newest->step)) : Json();
  if (job.spec.job.kind == "finetune") {
    add_task(json, record.result, job.progress, job.catalog, record.run_directory);
  }
  json["latest"] = latest ? step_json(job.progress.step(), *latest) : Json();
  json["generation"] = record.generation.value;
  json["restarts"] = record.restarts;
  json["attempts"] = record.attempts;
  json["retries"] = record.retries;
  json["reason"] = record.reason;
  json["warning"] = job.warning;
  json["failure"] = record.failure == 255 ? Json() : Json(error_code_name(static_cast<ErrorCode>(record.failure)));
  json["target"] = record.state == JobState::kStopping ? Json(job_state_name(record.target)) : Json();
  json["first_allocated"] = seconds_or_null(record.allocated_wall);
  auto seconds = record.seconds;
  seconds[static_cast<size_t>(time_slot(job))] +=
      std::max(0.0, static_cast<double>(wall(now) - record.entered_wall) * 1e-9);
  for (int slot = 0; slot < kTimeSlots; ++slot) {
    json["seconds"][time_slot_name(slot)] = seconds[static_cast<size_t>(slot)];
  }
  const int64_t replicas = record.members.empty() ? 0 : record.members.back().replica + 1;
  json["replicas"] = replicas;
  json["wanted_replicas"] = job.spec.parallel.replicas;
  json["stages"] = job.spec.parallel.stages;
  json["backup"] = job.spec.parallel.backup && replicas > 1
                       ? "in two replicas: the loss of one worker loses no committed step"
                       : "none: a lost worker's steps since the last checkpoint are replayed";
  json["workers"] = members_json(job);
  json["stragglers"] = stragglers_json(job);
  json["history"] = Json::array();
  for (size_t i = job.history.size() - std::min(job.history.size(), kShownHistory); i < job.history.size(); ++i) {
    const HistoryEntry& entry = job.history[i];
    json["history"].push_back({{"time", static_cast<double>(entry.wall) * 1e-9},
                               {"generation", entry.generation.value},
                               {"text", entry.text}});
  }
  json["checkpoints"] = checkpoints_json(job.catalog, record.run_directory);
  json["counters"] = counters_json();
  return json;
}

Result<Json> Coordinator::job_json(JobId id, Time now) const {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return not_found(concat("no job ", id.value));
  return describe(found->second, now);
}

Json Coordinator::jobs_json(Time now) const {
  Json jobs = Json::array();
  for (const auto& [id, job] : jobs_) jobs.push_back(summarise(job, now));
  return {{"jobs", jobs}};
}

Json Coordinator::workers_json() const {
  Json workers = Json::array();
  for (const auto& [id, worker] : membership_.workers()) {
    Json json = worker_json(worker);
    const TrackedJob* job = job_of(worker);
    json["job"] = job ? Json(job->record.id.value) : Json();
    workers.push_back(std::move(json));
  }
  return {{"workers", workers}};
}

Json Coordinator::counters_json() const {
  const CoordinatorCounters& c = counters_;
  return {{"messages", c.messages},
          {"undecodable", c.undecodable},
          {"unknown_sender", c.unknown_sender},
          {"unknown_job", c.unknown_job},
          {"stale_generation", c.stale_generation},
          {"unexpected", c.unexpected},
          {"duplicate_steps", c.duplicate_steps},
          {"duplicate_parts", c.duplicate_parts},
          {"contradicting_parts", c.contradicting_parts},
          {"misplaced_reports", c.misplaced_reports},
          {"refused_workers", c.refused_workers},
          {"refused_keys", c.refused_keys},
          {"connections_lost", c.connections_lost},
          {"cut_off", c.cut_off},
          {"preemptions", c.preemptions},
          {"leases_expired", c.leases_expired},
          {"generations", c.generations},
          {"restarts", c.restarts},
          {"given_up", c.given_up},
          {"steps", c.steps},
          {"tokens", c.tokens},
          {"digest_mismatches", c.digest_mismatches},
          {"manifests", c.manifests},
          {"manifest_failures", c.manifest_failures},
          {"damaged_checkpoints", c.damaged_checkpoints},
          {"removed_checkpoints", c.removed_checkpoints},
          {"requests", c.requests},
          {"refused_requests", c.refused_requests}};
}

}  // namespace strand
