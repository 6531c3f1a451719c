#include "coordinator/job.h"

#include <limits>
#include <stdexcept>

#include "shared/base/text.h"
#include "shared/formats/json.h"

namespace strand {
namespace {

constexpr const char* kNames[kTimeSlots] = {"queued",   "starting",  "training",   "recovering",
                                            "stopping", "paused",    "stopped",    "done",
                                            "failed",   "cancelled", "unattended", "evaluating"};
// The slots that a record of version 1 has, in its order.
constexpr const char* kNames1[] = {"queued",  "starting", "training", "stopping",  "paused",
                                   "stopped", "done",     "failed",   "cancelled", "unattended"};

// Rows: from; columns: to; in the order of JobState. An end reported by the current generation is a fact, so a job that
// was lost, paused or stopped meanwhile may still become done.
//                                    queu  start train recov stop  pause stopd done  fail  canc
constexpr bool kLegal[kJobStates][kJobStates] = {
    /* queued    */ {false, true, true, true, false, true, true, true, true, true},
    /* starting  */ {true, false, true, false, true, false, false, true, true, false},
    /* training  */ {true, false, false, true, true, false, false, true, true, false},
    /* recovering*/ {true, false, true, false, true, false, false, true, true, false},
    /* stopping  */ {true, false, false, false, false, true, true, true, true, true},
    /* paused    */ {true, false, false, false, false, false, true, true, false, true},
    /* stopped   */ {true, false, false, false, false, false, false, true, false, true},
    /* done      */ {false, false, false, false, false, false, false, false, false, false},
    /* failed    */ {true, false, false, false, false, false, false, false, false, true},
    /* cancelled */ {false, false, false, false, false, false, false, false, false, false},
};

Json result_json(const JobFinished& r) {
  return {{"train_loss", r.train_loss},
          {"eval_loss", r.eval_loss},
          {"bits_per_base", r.bits_per_base},
          {"markov_bits_per_base", r.markov_bits_per_base},
          {"markov_order", r.markov_order},
          {"eval_bases", r.eval_bases},
          {"tokens", r.tokens},
          {"tokens_per_second", r.tokens_per_second},
          {"flops_utilization", r.flops_utilization},
          {"digest", {r.digest.high, r.digest.low}},
          {"state_digest", {r.state_digest.high, r.state_digest.low}},
          {"best",
           {{"metric", r.best.metric},
            {"step", r.best.step},
            {"value", r.best.value},
            {"since", r.best.since},
            {"last", r.best.last}}},
          {"dev", r.dev},
          {"test", r.test}};
}

// A number JSON cannot hold (NaN) is written as null.
double number(const Json& json, const char* key) {
  const Json& value = json.at(key);
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

Digest128 digest_of(const Json& pair) {
  return {pair.at(0).get<uint64_t>(), pair.at(1).get<uint64_t>()};
}

JobFinished result_of(const Json& json) {
  JobFinished r;
  r.train_loss = number(json, "train_loss");
  r.eval_loss = number(json, "eval_loss");
  r.bits_per_base = number(json, "bits_per_base");
  r.markov_bits_per_base = number(json, "markov_bits_per_base");
  r.markov_order = json.at("markov_order").get<int32_t>();
  r.eval_bases = json.at("eval_bases").get<int64_t>();
  r.tokens = json.at("tokens").get<int64_t>();
  r.tokens_per_second = number(json, "tokens_per_second");
  r.flops_utilization = number(json, "flops_utilization");
  r.digest = digest_of(json.at("digest"));
  r.state_digest = digest_of(json.at("state_digest"));
  if (json.contains("best")) {  // records of versions that only pretrained have none of these
    const Json& best = json.at("best");
    r.best = {best.at("metric").get<std::string>(), best.at("step").get<Step>(), number(best, "value"),
              best.at("since").get<int64_t>(), best.at("last").get<Step>()};
    r.dev = json.at("dev").get<std::string>();
    r.test = json.at("test").get<std::string>();
  }
  return r;
}

JobState state_of(const Json& json) {
  const auto state = job_state_from_name(json.get<std::string>());
  if (!state) throw std::invalid_argument("no such job state: " + json.get<std::string>());
  return *state;
}

Json members_json(const std::vector<GroupMember>& members) {
  Json json = Json::array();
  for (const GroupMember& m : members) {
    json.push_back({m.worker.value, m.incarnation.value, m.replica, m.stage, m.endpoint});
  }
  return json;
}
std::vector<GroupMember> members_of(const Json& json) {
  std::vector<GroupMember> members;
  for (const Json& m : json) {
    GroupMember member{{m.at(0).get<uint64_t>()}, {m.at(1).get<uint64_t>()}, 0, 0, ""};
    if (m.size() > 2) {  // version 1 knew one worker alone
      member.replica = m.at(2).get<int32_t>();
      member.stage = m.at(3).get<int32_t>();
      member.endpoint = m.at(4).get<std::string>();
    }
    members.push_back(std::move(member));
  }
  return members;
}

Json seconds_json(const JobRecord& record) {
  Json json = Json::object();
  for (int slot = 0; slot < kTimeSlots; ++slot) json[kNames[slot]] = record.seconds[static_cast<size_t>(slot)];
  return json;
}
void read_seconds(const Json& json, JobRecord* record) {
  for (int slot = 0; slot < kTimeSlots; ++slot) {
    double& seconds = record->seconds[static_cast<size_t>(slot)];
    if (json.is_object()) seconds = json.at(kNames[slot]).get<double>();
    for (size_t old = 0; json.is_array() && old < std::size(kNames1); ++old) {
      if (std::string_view(kNames1[old]) == kNames[slot]) seconds = json.at(old).get<double>();
    }
  }
}

JobRecord record_of(const Json& json) {
  JobRecord r;
  r.id = JobId{json.at("id").get<uint64_t>()};
  r.submission = json.at("submission").get<std::string>();
  r.name = json.at("name").get<std::string>();
  r.toml = json.at("toml").get<std::string>();
  r.run_directory = json.at("run_directory").get<std::string>();
  r.priority = json.at("priority").get<int64_t>();
  r.retries = json.at("retries").get<int64_t>();
  r.resumed = json.at("resumed").get<bool>();
  r.state = state_of(json.at("state"));
  r.target = state_of(json.at("target"));
  r.generation = Generation{json.at("generation").get<uint64_t>()};
  r.members = members_of(json.at("members"));
  if (json.contains("leaving")) r.leaving = members_of(json.at("leaving"));
  if (json.contains("away")) r.away = members_of(json.at("away"));
  r.lost = json.at("lost").get<bool>();
  r.numerics = json.at("numerics").get<std::string>();
  r.submitted_wall = json.at("submitted_wall").get<int64_t>();
  r.allocated_wall = json.at("allocated_wall").get<int64_t>();
  r.entered_wall = json.at("entered_wall").get<int64_t>();
  read_seconds(json.at("seconds"), &r);
  r.restarts = json.at("restarts").get<int64_t>();
  r.attempts = json.at("attempts").get<int64_t>();
  r.best_step = json.at("best_step").get<Step>();
  r.failure = json.at("failure").get<uint8_t>();
  r.reason = json.at("reason").get<std::string>();
  r.result_step = json.at("result_step").get<Step>();
  if (!json.at("result").is_null()) r.result = result_of(json.at("result"));
  return r;
}

}  // namespace

const char* job_state_name(JobState state) {
  return kNames[static_cast<int>(state)];
}
const char* time_slot_name(int slot) {
  return kNames[slot];
}

std::optional<JobState> job_state_from_name(std::string_view name) {
  for (int s = 0; s < kJobStates; ++s) {
    if (name == kNames[s]) return static_cast<JobState>(s);
  }
  return std::nullopt;
}

bool transition_is_legal(JobState from, JobState to) {
  return kLegal[static_cast<int>(from)][static_cast<int>(to)];
}

bool job_holds_workers(JobState state) {
  return state == JobState::kStarting || state == JobState::kTraining || state == JobState::kRecovering ||
         state == JobState::kStopping;
}

bool job_is_at_rest(JobState state) {
  return !job_holds_workers(state) && state != JobState::kQueued;
}

std::string encode_job_record(const JobRecord& r) {
  const Json json = {{"version", kJobRecordVersion},
                     {"id", r.id.value},
                     {"submission", r.submission},
                     {"name", r.name},
                     {"toml", r.toml},
                     {"run_directory", r.run_directory},
                     {"priority", r.priority},
                     {"retries", r.retries},
                     {"resumed", r.resumed},
                     {"state", job_state_name(r.state)},
                     {"target", job_state_name(r.target)},
                     {"generation", r.generation.value},
                     {"members", members_json(r.members)},
                     {"leaving", members_json(r.leaving)},
                     {"away", members_json(r.away)},
                     {"lost", r.lost},
                     {"numerics", r.numerics},
                     {"submitted_wall", r.submitted_wall},
                     {"allocated_wall", r.allocated_wall},
                     {"entered_wall", r.entered_wall},
                     {"seconds", seconds_json(r)},
                     {"restarts", r.restarts},
                     {"attempts", r.attempts},
                     {"best_step", r.best_step},
                     {"failure", r.failure},
                     {"reason", r.reason},
                     {"result_step", r.result_step},
                     {"result", r.result ? result_json(*r.result) : Json()}};
  return dump_json(json);
}

Result<JobRecord> decode_job_record(std::string_view text) {
  STRAND_ASSIGN(const Json json, parse_json(text, "job record"));
  try {
    const int version = json.at("version").get<int>();
    if (version > kJobRecordVersion) {
      return bad_input(concat("job record has version ", version, ", this program knows up to ", kJobRecordVersion,
                              "; use the newer program that wrote it"));
    }
    return record_of(json);
  } catch (const std::exception& e) {
    return corrupt(concat("job record: ", e.what()));
  }
}

std::optional<int> job_exit_code(const JobRecord& record) {
  switch (record.state) {
    case JobState::kDone: return 0;
    case JobState::kPaused:
    case JobState::kStopped: return exit_code(Error(ErrorCode::kStopped, ""));
    case JobState::kFailed: return exit_code(Error(static_cast<ErrorCode>(record.failure), ""));
    case JobState::kCancelled: return exit_code(Error(ErrorCode::kGaveUp, ""));
    default: return std::nullopt;
  }
}

}  // namespace strand
