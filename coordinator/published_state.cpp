#include "coordinator/published_state.h"

#include "shared/base/text.h"

namespace strand {
namespace {

// A label value of the Prometheus text format.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out + "\"";
}

}  // namespace

std::string PublishedState::metrics_text(const Json& counters, const Json& jobs) {
  for (const auto& [name, value] : counters.items()) {
    Counter& counter = registry_.counter(concat("strand_coordinator_", name, "_total"), name + " since the start");
    counter.add(value.get<uint64_t>() - counter.value());
  }
  for (int state = 0; state < kJobStates; ++state) {
    const char* name = job_state_name(static_cast<JobState>(state));
    double count = 0;
    for (const Json& job : jobs["jobs"]) count += job["state"] == name;
    registry_.gauge(concat("strand_jobs_", name), concat("jobs that are ", name)).set(count);
  }
  std::string text = registry_.prometheus_text();
  for (const auto& [key, help] : {std::pair{"step", "newest committed step"}, {"train_loss", "nats per token"}}) {
    text += concat("# HELP strand_job_", key, " ", help, "\n# TYPE strand_job_", key, " gauge\n");
    for (const Json& job : jobs["jobs"]) {
      if (!job[key].is_number()) continue;
      text += concat("strand_job_", key, "{id=\"", job["id"].get<uint64_t>(),
                     "\",job=", quoted(job["job"].get<std::string>()), "} ", job[key].get<double>(), "\n");
    }
  }
  return text;
}

void PublishedState::update(const Coordinator& core, Time now) {
  std::map<std::string, std::string> json;
  const Json jobs = core.jobs_json(now);
  json["/jobs"] = dump_json(jobs, 2);
  json["/workers"] = dump_json(core.workers_json(), 2);
  for (const JobId id : core.job_ids()) {
    const auto job = core.job_json(id, now);
    if (job.ok()) json[concat("/jobs/", id.value)] = dump_json(*job, 2);
  }
  std::string metrics = metrics_text(core.counters_json(), jobs);
  std::lock_guard lock(mutex_);
  json_.swap(json);
  metrics_.swap(metrics);
  updated_ = now;
}

HttpAnswer PublishedState::answer(const std::string& path, Time now, Duration lease) const {
  std::lock_guard lock(mutex_);
  if (path == "/metrics") return {200, "text/plain; version=0.0.4", metrics_};
  if (path == "/healthz") {
    if (now - updated_ < lease) return {200, "text/plain", "ok\n"};
    return {503, "text/plain", concat("the coordinator has not moved for ", to_seconds(now - updated_), " s\n")};
  }
  const auto found = json_.find(path);
  if (found != json_.end()) return {200, "application/json", found->second + "\n"};
  return {404, "application/json",
          dump_json({{"error", concat("no ", path, "; there are /metrics /jobs /jobs/ID /workers /healthz")}}) + "\n"};
}

}  // namespace strand
