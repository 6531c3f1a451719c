// What clients ask for. schemas/README.md lists commands, arguments and answers.
#include <algorithm>

#include "coordinator/coordinator.h"
#include "shared/base/text.h"

namespace strand {
namespace {

Error conflict(std::string message) {
  return {ErrorCode::kConflict, std::move(message)};
}

std::string text_argument(const Json& arguments, const char* key) {
  const auto found = arguments.find(key);
  return found != arguments.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool flag(const Json& arguments, const char* key, bool otherwise) {
  const auto found = arguments.find(key);
  return found != arguments.end() && found->is_boolean() ? found->get<bool>() : otherwise;
}

uint64_t number_argument(const Json& arguments, const char* key) {
  const auto found = arguments.find(key);
  return found != arguments.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

}  // namespace

void Coordinator::on_request(const std::string& peer, const Header& header, const ClientRequest& request, Time now) {
  ++counters_.requests;
  Header answer;
  answer.request = header.request;
  auto arguments = parse_json(request.json.empty() ? "{}" : request.json, "arguments of " + request.command);
  Result<Json> reply = bad_input(concat("arguments of ", request.command, ": expected a JSON object"));
  if (!arguments.ok()) {
    reply = arguments.error();
  } else if (arguments->is_object()) {
    reply = command(request.command, *arguments, now);
  }
  if (reply.ok()) {
    send(peer, answer, ClientReply{255, dump_json(*reply)});
  } else {
    ++counters_.refused_requests;
    send(peer, answer, ClientReply{static_cast<uint8_t>(reply.error().code()), reply.error().message()});
  }
}

Result<Json> Coordinator::command(const std::string& name, const Json& arguments, Time now) {
  static const std::vector<std::string> kCommands = {"submit", "jobs",    "show",     "stop",    "cancel",
                                                     "pause",  "resume",  "priority", "metrics", "checkpoints",
                                                     "events", "workers", "shutdown"};
  if (std::ranges::find(kCommands, name) == kCommands.end()) {
    const std::string nearest = nearest_name(name, kCommands);
    return bad_input(concat("no such command: ", name, nearest.empty() ? "" : "; did you mean " + nearest + "?"));
  }
  if (name == "submit") return submit(arguments, now);
  if (name == "jobs") return jobs_json(now);
  if (name == "workers") return workers_json();
  if (name == "events") return events_json(arguments);
  if (name == "shutdown") {
    draining_ = true;
    for (auto& [id, job] : jobs_) {
      if (!flag(arguments, "stop_jobs", true)) break;
      if (job_holds_workers(job.record.state)) STRAND_TRY(stop_or_rest(job, JobState::kStopped, now));
    }
    if (!flag(arguments, "stop_jobs", true)) actions_.push_back(StopDaemon{});
    return Json{{"stopping", true}};
  }
  if (name == "metrics" && !arguments.contains("job")) return counters_json();
  STRAND_ASSIGN(TrackedJob* const found, find_job(arguments));
  if (name == "show") return describe(*found, now);
  if (name == "checkpoints") {
    const Json shown = describe(*found, now);
    return Json{{"id", shown["id"]}, {"run_directory", shown["run_directory"]}, {"checkpoints", shown["checkpoints"]}};
  }
  if (name == "metrics") {
    const Json shown = describe(*found, now);
    return Json{{"id", shown["id"]}, {"run_directory", shown["run_directory"]}, {"latest", shown["latest"]}};
  }
  return change_job(name, *found, arguments, now);
}

Result<Coordinator::TrackedJob*> Coordinator::find_job(const Json& arguments) {
  const auto wanted = arguments.find("job");
  if (wanted == arguments.end()) return bad_input("which job? give its number or name");
  uint64_t number = 0;
  if (wanted->is_number_unsigned()) number = wanted->get<uint64_t>();
  const std::string text = wanted->is_string() ? wanted->get<std::string>() : std::string();
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (!text.empty() && text.size() < 19 && std::ranges::all_of(text, digit)) number = std::stoull(text);
  if (TrackedJob* found = job(JobId{number})) return found;
  std::vector<std::string> names;
  for (auto it = jobs_.rbegin(); it != jobs_.rend(); ++it) {  // the newest of that name
    if (!text.empty() && it->second.record.name == text) return &it->second;
    names.push_back(it->second.record.name);
  }
  const std::string nearest = nearest_name(text, names);
  return not_found(concat("no job ", text.empty() ? std::to_string(number) : text,
                          nearest.empty() ? "; `strand jobs` lists them" : "; did you mean " + nearest + "?"));
}

// --- submit ---------------------------------------------------------------------------------------------------------

Result<Json> Coordinator::submit(const Json& arguments, Time now) {
  const std::string toml = text_argument(arguments, "toml"), token = text_argument(arguments, "submission");
  const std::string directory = text_argument(arguments, "run_directory");
  const bool resume = flag(arguments, "resume", false);
  if (draining_) return unavailable("the coordinator is shutting down");
  ParsedJob parsed = parse_job(toml, "submitted job", directory.empty() ? config_.directory : directory, {});
  if (!parsed.errors.empty()) return job_errors("submitted job", parsed.errors);
  if (toml.empty()) return bad_input("submit: expected the job's text under \"toml\"");
  for (auto& [id, known] : jobs_) {
    if (!token.empty() && known.record.submission == token) return describe(known, now);  // the answer was lost
    if (directory.empty() || known.record.run_directory != directory) continue;
    if (known.record.state == JobState::kCancelled && !resume) continue;
    if (resume) return resume_submitted(known, parsed.spec, now);
    return conflict(concat(directory, " belongs to job ", id.value, " (", job_state_name(known.record.state),
                           "); continue it with --resume, or choose another directory"));
  }
  TrackedJob job(no_exclusions());
  JobRecord& record = job.record;
  record.id = JobId{++last_job_};
  record.submission = token;
  record.name = parsed.spec.job.name;
  record.toml = effective_job_toml(parsed.spec);
  record.run_directory =
      directory.empty() ? concat(config_.directory, "/", record.name, "-", record.id.value) : directory;
  record.priority = parsed.spec.job.priority;
  record.retries = parsed.spec.job.retries;
  record.resumed = resume;
  record.submitted_wall = record.entered_wall = wall(now);
  job.spec = std::move(parsed.spec);
  job.not_before = now;
  consider_ = true;
  const JobId id = record.id;
  TrackedJob& kept = jobs_.insert_or_assign(id, std::move(job)).first->second;
  changed(kept);
  note(kept, "submitted", now);
  return describe(kept, now);
}

Result<Json> Coordinator::resume_submitted(TrackedJob& job, const JobSpec& spec, Time now) {
  JobRecord& record = job.record;
  const auto differences = resume_differences(job.spec, spec);
  if (!differences.empty()) {
    return bad_input(
        concat("a resumed run may change only [parallel], [checkpoint], [evaluate], priority and retries, "
               "but: ",
               join(differences, "; "), "; undo that, or start a new run in another directory"));
  }
  if (record.state == JobState::kDone) return describe(job, now);
  if (record.state == JobState::kCancelled) {
    return conflict(concat("job ", record.id.value, " was cancelled; start a new run in another directory"));
  }
  const bool other = record.toml != effective_job_toml(spec);
  job.spec = spec;
  record.toml = effective_job_toml(spec);
  record.priority = spec.job.priority;
  record.retries = spec.job.retries;
  STRAND_TRY(requeue(job, now));
  // Already under way as it was before: once more, with what was changed.
  if (other && job_holds_workers(record.state)) begin_stop(job, JobState::kQueued, now, "with other settings");
  return describe(job, now);
}

// A person asks for it, so what failed before is forgiven.
Status Coordinator::requeue(TrackedJob& job, Time now) {
  JobRecord& record = job.record;
  if (record.state == JobState::kDone || record.state == JobState::kCancelled) {
    return conflict(concat("job ", record.id.value, " is ", job_state_name(record.state), " and cannot go on"));
  }
  record.attempts = 0;
  job.not_before = now;
  job.exclusions = no_exclusions();
  consider_ = true;
  changed(job);
  if (record.state == JobState::kStopping) {
    record.target = JobState::kQueued;
  } else if (job_is_at_rest(record.state)) {
    record.failure = 255;
    record.reason.clear();
    move_to(job, JobState::kQueued, now, "resumed");
  }
  return {};
}

// --- the rest -------------------------------------------------------------------------------------------------------

Result<Json> Coordinator::change_job(const std::string& name, TrackedJob& job, const Json& arguments, Time now) {
  if (name == "stop") STRAND_TRY(stop_or_rest(job, JobState::kStopped, now));
  if (name == "pause") STRAND_TRY(stop_or_rest(job, JobState::kPaused, now));
  if (name == "cancel") STRAND_TRY(stop_or_rest(job, JobState::kCancelled, now));
  if (name == "resume") STRAND_TRY(requeue(job, now));
  if (name == "priority") {
    const auto priority = arguments.find("priority");
    if (priority == arguments.end() || !priority->is_number_integer()) {
      return bad_input("priority: expected a whole number; larger goes first");
    }
    job.record.priority = priority->get<int64_t>();
    consider_ = true;
    changed(job);
  }
  return summarise(job, now);
}

Status Coordinator::stop_or_rest(TrackedJob& job, JobState target, Time now) {
  const JobState state = job.record.state;
  if (state == target || (state == JobState::kStopping && job.record.target == target)) return {};
  if (job_holds_workers(state)) {
    begin_stop(job, target, now, "");
    return {};
  }
  if (!transition_is_legal(state, target)) {
    return conflict(concat("job ", job.record.id.value, " is ", job_state_name(state), "; it cannot become ",
                           job_state_name(target)));
  }
  job.record.lost = false;
  stop_members(job, false);  // a lost generation that may still be at work
  move_to(job, target, now, "");
  return {};
}

Json Coordinator::events_json(const Json& arguments) const {
  const uint64_t after = number_argument(arguments, "after"), only = number_argument(arguments, "job");
  Json events = Json::array();
  for (const LoggedEvent& event : events_after(after)) {
    if (only != 0 && event.job.value != only) continue;
    events.push_back({{"number", event.number},
                      {"time", static_cast<double>(event.wall) * 1e-9},
                      {"job", event.job.value},
                      {"text", event.text}});
  }
  return {{"last", last_event_}, {"events", events}};
}

}  // namespace strand
