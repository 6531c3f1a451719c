#include "tests/unit/coordinator/simulated_cluster.h"

#include <algorithm>

#include "shared/base/check.h"
#include "shared/base/text.h"
#include "shared/plan/group_plan.h"

namespace strand::testing {

namespace {
constexpr Duration kTick = std::chrono::milliseconds(200);
constexpr const char* kClient = "client";
}  // namespace

SimulatedCluster::SimulatedCluster(uint64_t seed, int workers) : random_(seed), workers_(*this) {
  for (int w = 0; w < workers; ++w) workers_.add(concat("host", w), now_);
  start_coordinator();
}

void SimulatedCluster::start_coordinator() {
  CoordinatorConfig config;
  config.directory = "/dir";
  config.data_endpoints = {"ipc:///data"};
  config.version = "1";
  core_ = std::make_unique<Coordinator>(config, now_, now_.nanoseconds);
  const std::vector<std::pair<std::string, std::string>> records(journal_.begin(), journal_.end());
  const Status restored = core_->restore(records, now_);
  STRAND_CHECK(restored.ok(), restored.error().message());
  pending_.clear();
  perform(core_->start(now_), {});
}

void SimulatedCluster::kill_coordinator() {
  core_.reset();
  to_coordinator_.clear();
  start_coordinator();
}

bool SimulatedCluster::all_at_rest() const {
  return std::ranges::all_of(core_->job_ids(), [&](JobId id) { return job_is_at_rest(core_->record(id)->state); });
}

Generation SimulatedCluster::on_worker(size_t index) {
  const auto& task = workers_.at(index).task;
  return task ? task->generation : Generation();
}

void SimulatedCluster::violation(const std::string& what) {
  violations_.push_back(what);
}

// --- what the coordinator does --------------------------------------------------------------------------------------

void SimulatedCluster::step_core(const CoordinatorEvent& event, const Faults& faults) {
  if (core_) perform(core_->handle(event, now_), faults);
}

void SimulatedCluster::perform(std::vector<CoordinatorAction> actions, const Faults& faults) {
  std::deque<std::vector<CoordinatorAction>> batches;  // what each event has led to
  batches.push_back(std::move(actions));
  for (; !batches.empty(); batches.pop_front()) {
    before_batch_.clear();
    for (const CoordinatorAction& action : batches.front()) {
      auto result = perform_one(action, faults);
      if (chance(faults.kill_coordinator)) return kill_coordinator();
      if (result) batches.push_back(core_->handle(*result, now_));
    }
  }
}

std::optional<CoordinatorEvent> SimulatedCluster::perform_one(const CoordinatorAction& action, const Faults& faults) {
  if (const auto* journal = std::get_if<WriteJournal>(&action)) check_journal(*journal);
  if (const auto* message = std::get_if<SendMessage>(&action)) return send(*message);
  if (const auto* run = std::get_if<PrepareRun>(&action)) return prepare(*run);
  if (const auto* manifest = std::get_if<WriteManifest>(&action)) {
    check_and_write_manifest(*manifest);
    return ManifestWritten{manifest->job, manifest->manifest.generation, manifest->manifest.step, {}};
  }
  if (const auto* removal = std::get_if<RemoveCheckpoint>(&action)) {
    auto& manifests = disks_[removal->run_directory].manifests;
    if (manifests.empty() || manifests.rbegin()->first == removal->step) violation("the newest checkpoint was removed");
    manifests.erase(removal->step);
  }
  if (const auto* verify = std::get_if<VerifyCheckpoint>(&action)) {
    CheckpointVerified verified{verify->job, verify->generation, verify->step, {}};
    if (chance(faults.damage)) verified.status = corrupt("flipped byte");
    pending_.push_back(verified);  // later: in the background
  }
  if (const auto* record = std::get_if<RecordStep>(&action)) check_and_record(*record);
  return std::nullopt;
}

std::optional<CoordinatorEvent> SimulatedCluster::send(const SendMessage& message) {
  if (const auto* reply = std::get_if<ClientReply>(&message.message.body)) {
    if (message.message.header.request == last_question_) reply_ = *reply;
    return std::nullopt;
  }
  if (std::holds_alternative<Assign>(message.message.body)) check_assignment(message.message);
  const SimulatedWorker* worker = workers_.find_peer(message.peer);
  if (!worker || worker->unlinked) return SendFailed{message.peer};
  to_workers_.push_back({message.peer, message.message});
  return std::nullopt;
}

RunPrepared SimulatedCluster::prepare(const PrepareRun& run) {
  const Disk& disk = disks_[run.run_directory];
  RunPrepared result;
  result.job = run.job;
  result.generation = run.generation;
  result.create = run.create;
  if (run.create) result.token = "token";
  for (const auto& [step, manifest] : disk.manifests) result.manifests.push_back(manifest);
  result.recorded = disk.recorded;
  return result;
}

// --- the invariants -------------------------------------------------------------------------------------------------

const JobRecord* SimulatedCluster::journalled(JobId job) {
  const auto found = records_.find(job);
  return found == records_.end() ? nullptr : &found->second;
}

void SimulatedCluster::check_journal(const WriteJournal& batch) {
  for (const JournalEntry& entry : batch.entries) {
    if (entry.key.starts_with("job/")) {
      const JobRecord after = *decode_job_record(*entry.value);
      if (const JobRecord* before = journalled(after.id)) {
        check_record(*before, after);
        before_batch_[after.id] = before->generation;
      }
      if (job_holds_workers(after.state)) check_members(after);
      records_[after.id] = after;
    }
    if (entry.value) {
      journal_[entry.key] = *entry.value;
    } else {
      journal_.erase(entry.key);
    }
  }
  check_one_job_each();
}

void SimulatedCluster::check_record(const JobRecord& before, const JobRecord& after) {
  const bool same = before.generation == after.generation;
  if (after.generation < before.generation) violation("a generation went back");
  if (same && before.members != after.members) violation("one generation with two sets of members");
  if (before.state == JobState::kDone && after.state != JobState::kDone) violation("a finished job went on");
  if (before.state != after.state && !transition_is_legal(before.state, after.state)) {
    // Several transitions may share a batch, but only one between two generations.
    if (same && after.state != JobState::kQueued && before.state != JobState::kQueued) {
      violation(concat(job_state_name(before.state), " -> ", job_state_name(after.state)));
    }
  }
}

// Whole replicas, each place taken once, as many as the job may have.
void SimulatedCluster::check_members(const JobRecord& record) {
  const ParallelSpec& spec = workers_.spec_of(record.toml).parallel;
  std::set<std::pair<int32_t, int32_t>> places;
  std::set<WorkerId> workers;
  int64_t replicas = 0;
  for (const GroupMember& m : record.members) {
    places.insert({m.replica, m.stage});
    workers.insert(m.worker);
    replicas = std::max<int64_t>(replicas, m.replica + 1);
    if (m.stage < 0 || m.stage >= spec.stages || m.replica < 0) violation("a place that is not there");
  }
  const auto wanted = static_cast<size_t>(replicas * spec.stages);
  const bool whole = places.size() == wanted && workers.size() == wanted && record.members.size() == wanted;
  if (!whole || replicas < spec.min_replicas || replicas > spec.replicas) {
    violation(concat("a gang of ", record.members.size(), " in ", replicas, " replicas of ", spec.stages));
  }
}

void SimulatedCluster::check_one_job_each() {
  std::map<std::pair<WorkerId, Incarnation>, JobId> owners;
  for (const auto& [id, record] : records_) {
    if (!job_holds_workers(record.state)) continue;
    for (const auto* list : {&record.members, &record.leaving}) {
      for (const GroupMember& m : *list) {
        const auto [found, first] = owners.emplace(std::pair(m.worker, m.incarnation), id);
        if (!first) violation(concat("worker ", m.worker.value, " in jobs ", found->second.value, " and ", id.value));
      }
    }
  }
}

void SimulatedCluster::check_assignment(const WireMessage& message) {
  const JobRecord* record = journalled(message.header.job);
  const auto& assign = std::get<Assign>(message.body);
  if (!record || record->generation != message.header.generation || record->members != assign.members) {
    violation("a generation was used before it was journalled");
  }
  const JobSpec& spec = workers_.spec_of(assign.job_toml);
  const Status plan = check_plan(plan_of(spec, message.header.generation, assign.members, assign.leaving));
  if (!plan.ok()) violation(plan.error().message());
}

void SimulatedCluster::write_part(const std::string& run_directory, const std::string& file) {
  if (!disks_[run_directory].parts.insert(file).second) violation(file + " written twice");
}

bool SimulatedCluster::has_manifest(const std::string& run_directory, Step step) {
  return disks_[run_directory].manifests.contains(step);
}

// Every part of its generation, each of another member, all of them written.
void SimulatedCluster::check_and_write_manifest(const WriteManifest& action) {
  Disk& disk = disks_[action.run_directory];
  const Manifest& manifest = action.manifest;
  const JobRecord* record = journalled(action.job);
  if (!record || record->generation != manifest.generation) violation("a manifest of an older generation");
  std::set<std::string> expected, found;
  for (const GroupMember& m : record ? record->members : std::vector<GroupMember>()) {
    expected.insert(concat("step-", manifest.step, "/g", manifest.generation.value, "-r", m.replica, "-s", m.stage));
  }
  for (const ManifestPart& part : manifest.parts) {
    found.insert(part.file);
    if (!disk.parts.contains(part.file)) violation("a manifest before its part " + part.file);
  }
  if (found != expected) violation(concat("a manifest of ", found.size(), " parts of ", expected.size()));
  if (manifest.state_digest == Digest128{}) violation("a manifest without a digest");
  const auto earlier = disk.ever.find(manifest.step);
  if (earlier != disk.ever.end() && earlier->second != manifest.state_digest.low) violation("another content");
  disk.ever[manifest.step] = manifest.state_digest.low;
  disk.manifests[manifest.step] = manifest;
}

void SimulatedCluster::check_and_record(const RecordStep& action) {
  Disk& disk = disks_[action.run_directory];
  // A step that makes a job grow is recorded after the new generation is journalled, but was taken before.
  const JobRecord* record = journalled(action.job);
  const auto before = before_batch_.find(action.job);
  const bool current = record && record->generation == action.generation;
  if (!current && (before == before_batch_.end() || before->second != action.generation)) {
    violation("a step of an older generation was recorded");
  }
  if (!recorded_once_.insert({action.job.value, action.generation.value, action.step}).second) {
    violation(concat("job ", action.job.value, " generation ", action.generation.value, " step ", action.step,
                     " recorded twice"));
  }
  if (action.step > workers_.reached(action.job, action.generation)) {
    violation("a step was recorded that its generation has not reached");
  }
  steps_[action.job].insert(action.step);
  const JobTotals own{static_cast<double>(action.report.step_nanoseconds) * 1e-9, action.report.tokens};
  if (disk.recorded.generation() != action.generation) disk.recorded.go_on(action.generation, action.report.base);
  (void)disk.recorded.add(action.step, own);
}

// --- time and the network -------------------------------------------------------------------------------------------

SimulatedCluster::Letter SimulatedCluster::take(std::deque<Letter>* letters, const Faults& faults) {
  const size_t at = chance(faults.reorder) ? pick(letters->size()) : 0;
  Letter letter = std::move((*letters)[at]);
  letters->erase(letters->begin() + static_cast<int64_t>(at));
  return letter;
}

// What a coordinator without its checks would take a report for.
void SimulatedCluster::forge(WireMessage* message) {
  const JobRecord* record = journalled(message->header.job);
  if (!record || record->members.empty()) return;
  const bool report =
      std::holds_alternative<PartSaved>(message->body) || std::holds_alternative<StepReport>(message->body);
  if (planted_ == Planted::kForgedGeneration && report) message->header.generation = record->generation;
}

void SimulatedCluster::deliver_to_coordinator(const Faults& faults) {
  if (!lingering_.empty() && chance(0.1)) to_coordinator_.push_back(take(&lingering_, Faults{.reorder = 1}));
  for (auto letters = std::exchange(to_coordinator_, {}); !letters.empty();) {
    Letter letter = take(&letters, faults);
    if (chance(faults.drop) || !core_) continue;
    if (chance(faults.linger)) lingering_.push_back(letter);
    if (planted_ != Planted::kNone) forge(&letter.message);
    for (int times = chance(faults.duplicate) ? 2 : 1; times > 0; --times) {
      step_core(MessageArrived{letter.peer, letter.message}, faults);
    }
  }
}

void SimulatedCluster::deliver_to_workers(const Faults& faults) {
  for (auto letters = std::exchange(to_workers_, {}); !letters.empty();) {
    const Letter letter = take(&letters, faults);
    if (chance(faults.drop)) continue;
    SimulatedWorker* worker = workers_.find_peer(letter.peer);
    if (!worker || worker->cut_off || worker->unlinked) continue;
    for (int times = chance(faults.duplicate) ? 2 : 1; times > 0; --times) worker->inbox.push_back(letter.message);
  }
}

void SimulatedCluster::disturb(const Faults& faults) {
  for (size_t w = 0; w < workers_.size(); ++w) {
    SimulatedWorker& worker = workers_.at(w);
    if (worker.removed) continue;
    if (chance(faults.kill_worker) || worker.dead) workers_.restart(w, now_);
    if (chance(worker.paused ? 10 * faults.pause_worker : faults.pause_worker)) worker.paused = !worker.paused;
    if (chance(worker.cut_off ? 10 * faults.cut_worker : faults.cut_worker)) worker.cut_off = !worker.cut_off;
  }
  if (!chance(faults.command) || !core_) return;
  const std::vector<std::string> commands = {"pause", "resume", "stop", "priority", "resume", "resume"};
  const auto ids = core_->job_ids();
  const Json arguments = {{"job", ids[pick(ids.size())].value}, {"priority", static_cast<int64_t>(pick(5))}};
  WireMessage message;
  message.header.request = ++last_question_;
  message.body = ClientRequest{commands[pick(commands.size())], dump_json(arguments)};
  to_coordinator_.push_back({kClient, message});
}

void SimulatedCluster::tick(const Faults& faults) {
  now_ = now_ + kTick;
  disturb(faults);
  std::vector<std::pair<std::string, WireMessage>> said;
  workers_.turn(now_, &said);
  for (auto& [peer, message] : said) to_coordinator_.push_back({peer, std::move(message)});
  deliver_to_coordinator(faults);
  step_core(TimePassed{}, faults);
  for (const CoordinatorEvent& event : std::exchange(pending_, {})) step_core(event, faults);
  deliver_to_workers(faults);
}

ClientReply SimulatedCluster::ask(const std::string& command, const Json& arguments) {
  WireMessage message;
  message.header.request = ++last_question_;
  message.body = ClientRequest{command, dump_json(arguments)};
  reply_.reset();
  step_core(MessageArrived{kClient, message}, {});
  return reply_.value_or(ClientReply{0, "no answer"});
}

}  // namespace strand::testing
