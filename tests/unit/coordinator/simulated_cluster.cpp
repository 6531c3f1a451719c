#include "tests/unit/coordinator/simulated_cluster.h"

#include <gtest/gtest.h>

#include "shared/base/text.h"

namespace strand::testing {

namespace {
constexpr Duration kTick = std::chrono::milliseconds(200);
constexpr const char* kClient = "client";
}  // namespace

std::string job_text(const std::string& name, int64_t steps, int64_t every, int64_t keep, int64_t retries) {
  JobSpec spec;
  spec.job.name = name;
  spec.job.retries = retries;
  spec.data.files = {"/genome.fna"};
  spec.data.holdout.fraction = 0.05;
  spec.train.steps = steps;
  spec.train.warmup = 1;
  spec.checkpoint.every = every;
  spec.checkpoint.keep = keep;
  return effective_job_toml(spec);
}

SimulatedCluster::SimulatedCluster(uint64_t seed, int workers) : random_(seed) {
  for (int w = 0; w < workers; ++w) {
    Worker worker;
    worker.id = WorkerId{static_cast<uint64_t>(w + 1)};
    worker.incarnation = Incarnation{++last_incarnation_};
    workers_.push_back(worker);
  }
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
  ASSERT_TRUE(restored.ok()) << restored.error().message();
  pending_.clear();
  perform(core_->start(now_), {});
}

void SimulatedCluster::kill_coordinator() {
  core_.reset();
  to_coordinator_.clear();
  start_coordinator();
}

void SimulatedCluster::kill_worker(size_t index) {
  Worker fresh;
  fresh.id = workers_[index].id;
  fresh.incarnation = Incarnation{++last_incarnation_};
  workers_[index] = fresh;
}

std::string SimulatedCluster::peer_of(size_t index) const {
  return concat("w", workers_[index].id.value, "-", workers_[index].incarnation.value);
}

bool SimulatedCluster::all_at_rest() const {
  for (const JobId id : core_->job_ids()) {
    if (!job_is_at_rest(core_->record(id)->state)) return false;
  }
  return true;
}

// --- the coordinator's side -----------------------------------------------------------------------------------------

void SimulatedCluster::step_core(const CoordinatorEvent& event, const Faults& faults) {
  perform(core_->handle(event, now_), faults);
}

void SimulatedCluster::perform(std::vector<CoordinatorAction> actions, const Faults& faults) {
  std::deque<CoordinatorAction> queue(actions.begin(), actions.end());
  while (!queue.empty()) {
    const CoordinatorAction action = queue.front();
    queue.pop_front();
    auto result = perform_one(action, faults);
    if (chance(faults.kill_coordinator)) return kill_coordinator();
    if (!result) continue;
    for (const CoordinatorAction& next : core_->handle(*result, now_)) queue.push_back(next);
  }
}

void SimulatedCluster::check_journal(const WriteJournal& batch) {
  for (const JournalEntry& entry : batch.entries) {
    if (entry.key.starts_with("job/") && journal_.contains(entry.key)) {
      const JobRecord before = *decode_job_record(journal_[entry.key]);
      const JobRecord after = *decode_job_record(*entry.value);
      EXPECT_GE(after.generation, before.generation) << "a generation went back";
      if (before.state == JobState::kDone) {
        EXPECT_EQ(after.state, JobState::kDone) << "a finished job went on";
      }
    }
    if (entry.value) {
      journal_[entry.key] = *entry.value;
    } else {
      journal_.erase(entry.key);
    }
  }
}

void SimulatedCluster::check_and_write_manifest(const WriteManifest& action) {
  Disk& disk = disks_[action.run_directory];
  const Manifest& manifest = action.manifest;
  for (const ManifestPart& part : manifest.parts) {
    EXPECT_TRUE(disk.parts.contains(part.file)) << "a manifest before its part " << part.file;
  }
  const auto earlier = disk.ever.find(manifest.step);
  if (earlier != disk.ever.end()) {
    EXPECT_EQ(earlier->second, manifest.state_digest.low) << "another content";
  }
  disk.ever[manifest.step] = manifest.state_digest.low;
  disk.manifests[manifest.step] = manifest;
}

void SimulatedCluster::check_and_record(const RecordStep& action) {
  Disk& disk = disks_[action.run_directory];
  const bool first = recorded_once_.insert({action.job.value, action.generation.value, action.step}).second;
  EXPECT_TRUE(first) << "job " << action.job.value << " generation " << action.generation.value << " step "
                     << action.step << " recorded twice";
  steps_[action.job].insert(action.step);
  if (disk.recorded.generation != action.generation) disk.recorded.steps.clear();
  disk.recorded.generation = action.generation;
  disk.recorded.totals = action.totals;
  const JobTotals own{static_cast<double>(action.report.step_nanoseconds) * 1e-9, action.report.tokens};
  add_to_history(&disk.recorded.steps, action.step, own, action.totals);
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

std::optional<CoordinatorEvent> SimulatedCluster::perform_one(const CoordinatorAction& action, const Faults& faults) {
  if (const auto* journal = std::get_if<WriteJournal>(&action)) check_journal(*journal);
  if (const auto* send = std::get_if<SendMessage>(&action)) {
    if (const auto* reply = std::get_if<ClientReply>(&send->message.body)) {
      if (send->message.header.request == last_question_) reply_ = *reply;
    } else {
      to_workers_.push_back({send->peer, send->message});
    }
    if (std::holds_alternative<Assign>(send->message.body)) {
      const std::string digits = std::to_string(send->message.header.job.value);
      const auto found = journal_.find("job/" + std::string(20 - digits.size(), '0') + digits);
      EXPECT_NE(found, journal_.end());
      EXPECT_EQ(decode_job_record(found->second)->generation, send->message.header.generation)
          << "a generation was used before it was journalled";
    }
  }
  if (const auto* run = std::get_if<PrepareRun>(&action)) return prepare(*run);
  if (const auto* manifest = std::get_if<WriteManifest>(&action)) {
    check_and_write_manifest(*manifest);
    return ManifestWritten{manifest->job, manifest->manifest.generation, manifest->manifest.step, {}};
  }
  if (const auto* removal = std::get_if<RemoveCheckpoint>(&action)) {
    auto& manifests = disks_[removal->run_directory].manifests;
    EXPECT_FALSE(manifests.empty());
    if (!manifests.empty()) {
      EXPECT_NE(manifests.rbegin()->first, removal->step) << "the newest checkpoint was removed";
    }
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

// --- time and the network -------------------------------------------------------------------------------------------

void SimulatedCluster::deliver(std::deque<Letter>& queue, const Faults& faults, bool to_coordinator) {
  std::deque<Letter> letters;
  letters.swap(queue);
  while (!letters.empty()) {
    const size_t at = chance(faults.reorder) ? pick(letters.size()) : 0;
    const Letter letter = letters[at];
    letters.erase(letters.begin() + static_cast<int64_t>(at));
    if (chance(faults.drop)) continue;
    const int times = chance(faults.duplicate) ? 2 : 1;
    for (int t = 0; t < times; ++t) {
      if (to_coordinator) {
        step_core(MessageArrived{letter.peer, letter.message}, faults);
        continue;
      }
      for (size_t w = 0; w < workers_.size(); ++w) {
        if (letter.peer == peer_of(w) && !workers_[w].cut_off) worker_hears(workers_[w], letter.message);
      }
    }
  }
}

void SimulatedCluster::tick(const Faults& faults) {
  now_ = now_ + kTick;
  for (size_t w = 0; w < workers_.size(); ++w) {
    if (chance(faults.kill_worker)) kill_worker(w);
    worker_turn(workers_[w]);
  }
  if (chance(faults.command)) {
    const std::vector<std::string> commands = {"pause", "resume", "stop", "priority", "resume", "resume"};
    const auto ids = core_->job_ids();
    const Json arguments = {{"job", ids[pick(ids.size())].value}, {"priority", static_cast<int64_t>(pick(5))}};
    WireMessage message;
    message.header.request = ++last_question_;
    message.body = ClientRequest{commands[pick(commands.size())], dump_json(arguments)};
    to_coordinator_.push_back({kClient, message});
  }
  deliver(to_coordinator_, faults, true);
  step_core(TimePassed{}, faults);
  std::deque<CoordinatorEvent> verified;
  verified.swap(pending_);
  for (const CoordinatorEvent& event : verified) step_core(event, faults);
  deliver(to_workers_, faults, false);
}

ClientReply SimulatedCluster::ask(const std::string& command, const Json& arguments) {
  WireMessage message;
  message.header.request = ++last_question_;
  message.body = ClientRequest{command, dump_json(arguments)};
  reply_.reset();
  step_core(MessageArrived{kClient, message}, {});
  return reply_.value_or(ClientReply{0, "no answer"});
}

// --- the workers ----------------------------------------------------------------------------------------------------

Header SimulatedCluster::header_of(Worker& worker) {
  Header header;
  header.request = ++worker.last_request;
  header.job = worker.job;
  header.generation = worker.generation;
  header.sender = worker.id;
  header.incarnation = worker.incarnation;
  header.step = worker.step;
  return header;
}

WireMessage SimulatedCluster::from_worker(size_t index, Body body) const {
  Worker copy = workers_[index];
  copy.last_request += 1000000;
  return {header_of(copy), std::move(body)};
}

void SimulatedCluster::worker_says(Worker& worker, WireMessage message) {
  if (worker.cut_off) return;
  to_coordinator_.push_back({concat("w", worker.id.value, "-", worker.incarnation.value), std::move(message)});
}

void SimulatedCluster::worker_reports(Worker& worker, Body body) {
  worker.outbox.push_back({header_of(worker), std::move(body)});
}

void SimulatedCluster::worker_saves(Worker& worker) {
  PartSaved part;
  part.file = concat("step-", worker.step, "/g", worker.generation.value, "-0-1");
  part.bytes = 100;
  part.checksum = {1, static_cast<uint64_t>(worker.step)};
  part.digest = {2, worker.job.value * 1000 + static_cast<uint64_t>(worker.step)};
  part.state_digest = {3, worker.job.value * 1000 + static_cast<uint64_t>(worker.step)};
  part.next_row = static_cast<uint64_t>(worker.step) * 64;
  auto& parts = disks_[worker.assign.run_directory].parts;
  EXPECT_TRUE(parts.insert(part.file).second) << part.file << " written twice";
  worker_reports(worker, part);
}

void SimulatedCluster::worker_turn(Worker& worker) {
  if (!worker.welcomed || now_ - worker.heard > std::chrono::seconds(6)) {
    Hello hello;
    hello.version = "1";
    hello.numerics = "cpu=sim";
    hello.state = worker.state;
    worker_says(worker, {header_of(worker), hello});
  } else {
    worker_says(worker, {header_of(worker), Heartbeat{worker.state}});
  }
  if (worker.state == WorkerState::kLoading) worker.state = WorkerState::kTraining;
  if (worker.state == WorkerState::kTraining && worker.stop) {
    if (worker.checkpoint_on_stop && worker.step % worker.spec.checkpoint.every != 0) worker_saves(worker);
    worker_reports(worker, Stopped{});
    worker.state = WorkerState::kIdle;
  } else if (worker.state == WorkerState::kTraining) {
    ++worker.step;
    StepReport report;
    report.loss = 1.0 / static_cast<double>(worker.step);
    report.tokens = 10;
    report.step_nanoseconds = 100000000;
    worker_reports(worker, report);
    const bool last = worker.step == worker.spec.train.steps;
    if (last || worker.step % worker.spec.checkpoint.every == 0) worker_saves(worker);
    if (last) {
      JobFinished finished;
      finished.digest = {2, worker.job.value * 1000 + static_cast<uint64_t>(worker.step)};
      worker_reports(worker, finished);
      worker.state = WorkerState::kIdle;
    }
  }
  for (const WireMessage& message : worker.outbox) {  // what ends a phase waits until all before it are acknowledged
    const bool barrier = !std::holds_alternative<StepReport>(message.body);
    if (barrier && &message != &worker.outbox.front()) break;
    worker_says(worker, message);
    if (barrier) break;
  }
}

void SimulatedCluster::worker_hears(Worker& worker, const WireMessage& message) {
  const Header& header = message.header;
  if (header.job.value != 0 && header.job == worker.job && header.generation < worker.generation) return;
  worker.heard = now_;
  if (std::holds_alternative<Welcome>(message.body)) worker.welcomed = true;
  if (std::holds_alternative<Refused>(message.body)) worker.welcomed = false;
  if (std::holds_alternative<Ack>(message.body)) {
    std::erase_if(worker.outbox, [&](const WireMessage& m) { return m.header.request == header.request; });
  }
  if (const auto* stop = std::get_if<Stop>(&message.body)) {
    const bool ours = header.job == worker.job && header.generation == worker.generation;
    if (ours && worker.state != WorkerState::kIdle) {
      worker.stop = true;
      worker.checkpoint_on_stop = stop->checkpoint;
    }
  }
  const auto* assign = std::get_if<Assign>(&message.body);
  if (!assign || (header.job == worker.job && header.generation == worker.generation)) return;
  worker.job = header.job;
  worker.generation = header.generation;
  worker.assign = *assign;
  worker.spec = parse_job(assign->job_toml, "assigned", "/", {}).spec;
  worker.step = assign->checkpoints.empty() ? 0 : assign->checkpoints.front();
  worker.state = WorkerState::kLoading;
  worker.stop = false;
  worker.outbox.clear();
  EXPECT_EQ(assign->directory_token, "token");
  const auto& manifests = disks_[assign->run_directory].manifests;
  if (worker.step != 0) {
    EXPECT_TRUE(manifests.contains(worker.step)) << "told to load what is not there";
  }
  if (worker.step == worker.spec.train.steps) {  // everything was done, only the result was lost
    worker.state = WorkerState::kIdle;
    worker_reports(worker, JobFinished{});
  }
}

}  // namespace strand::testing
