#include "tests/unit/coordinator/simulated_workers.h"

#include <algorithm>

#include "shared/base/text.h"
#include "shared/job_spec/parameter_table.h"
#include "shared/plan/model_digest.h"

namespace strand::testing {

std::string SimulatedWorker::peer() const {
  return concat("w", identity.id.value, "-", identity.incarnation.value);
}

bool SimulatedWorker::works_on(JobId job, Generation generation) const {
  return !dead && !paused && task && !ended && task->job == job && task->generation == generation;
}

SimulatedWorker& SimulatedWorkers::add(const std::string& host, Time now) {
  workers_.emplace_back();
  workers_.back().identity.id = WorkerId{workers_.size()};
  workers_.back().identity.hello.host = host;
  restart(workers_.size() - 1, now);
  return workers_.back();
}

void SimulatedWorkers::restart(size_t index, Time now) {
  SimulatedWorker fresh;
  forget(workers_[index]);
  fresh.identity = workers_[index].identity;
  fresh.slow = workers_[index].slow;
  fresh.unfit = workers_[index].unfit;
  fresh.identity.incarnation = Incarnation{++last_incarnation_};
  Hello& hello = fresh.identity.hello;
  hello.version = "1";
  hello.numerics = "cpu=sim";
  hello.endpoint = concat("sim://", fresh.identity.id.value, "/", last_incarnation_);
  fresh.lifecycle = std::make_unique<WorkerLifecycle>(fresh.identity, now);
  workers_[index] = std::move(fresh);
}

SimulatedWorker* SimulatedWorkers::find_peer(const std::string& peer) {
  for (SimulatedWorker& worker : workers_) {
    if (!worker.dead && worker.peer() == peer) return &worker;
  }
  return nullptr;
}

Step SimulatedWorkers::committed(JobId job) const {
  const auto found = committed_.find(job);
  return found == committed_.end() ? 0 : found->second;
}

Step SimulatedWorkers::reached(JobId job, Generation generation) const {
  const auto found = reached_.find({job, generation});
  return found == reached_.end() ? 0 : found->second;
}

const JobSpec& SimulatedWorkers::spec_of(const std::string& toml) {
  const auto found = specs_.find(toml);
  if (found != specs_.end()) return found->second;
  return specs_[toml] = parse_job(toml, "assigned", "/", {}).spec;
}

// --- a turn ---------------------------------------------------------------------------------------------------------

void SimulatedWorkers::turn(Time now, std::vector<std::pair<std::string, WireMessage>>* said) {
  said_ = said;
  for (size_t i = 0; i < workers_.size(); ++i) {
    SimulatedWorker& worker = workers_[i];
    if (worker.dead || worker.paused) continue;
    for (auto inbox = std::exchange(worker.inbox, {}); !inbox.empty(); inbox.pop_front()) {
      act(worker, worker.lifecycle->handle(inbox.front(), now), now);
    }
    act(worker, worker.lifecycle->handle(Tick{}, now), now);
    train(worker, now);
  }
}

void SimulatedWorkers::act(SimulatedWorker& worker, const std::vector<WorkerAction>& actions, Time now) {
  for (const WorkerAction& action : actions) {
    if (const auto* send = std::get_if<SendToCoordinator>(&action)) {
      if (!worker.cut_off && !worker.unlinked) said_->emplace_back(worker.peer(), send->message);
    } else if (const auto* start = std::get_if<StartTraining>(&action)) {
      if (worker.task && worker.task->job != start->job) forget(worker);
      worker.task = *start;
      worker.spec = spec_of(start->assign.job_toml);
      worker.loaded = worker.saved = worker.ended = worker.stop = false;
      const bool other_stage = !start->leaving && start->self.stage != worker.held_stage;
      if (!start->continues || worker.held_job != start->job || other_stage) worker.held_step = -1;
      if (start->assign.directory_token != "token") disk_.violation("another run directory");
    } else if (const auto* stop = std::get_if<StopTraining>(&action)) {
      worker.stop = true;
      worker.checkpoint_on_stop = stop->checkpoint;
    } else if (std::holds_alternative<ExitProcess>(action)) {
      worker.dead = true;  // whoever supervises it gives up: it was told that its place is taken
    }
  }
  (void)now;
}

void SimulatedWorkers::report(SimulatedWorker& worker, decltype(TrainingReport::body) body, Time now) {
  TrainingReport said{worker.task->job, worker.task->generation, worker.step, std::move(body), 0};
  said.work_nanoseconds = 50'000'000 * worker.slow;
  act(worker, worker.lifecycle->handle(said, now), now);
}

// The first member of a complete generation acts for all of it.
void SimulatedWorkers::train(SimulatedWorker& worker, Time now) {
  if (!worker.task || worker.ended) return;
  if (worker.unfit) {
    worker.ended = true;
    return report(worker, JobFailed{static_cast<uint8_t>(ErrorCode::kBadInput), "sees another file system", true}, now);
  }
  if (const auto code = std::exchange(worker.failure, std::nullopt)) {
    worker.ended = true;
    worker.held_step = -1;
    return report(worker, JobFailed{static_cast<uint8_t>(*code), "told to fail", false}, now);
  }
  if (worker.stop) {
    const bool place = !worker.task->leaving;
    if (place && worker.loaded && worker.checkpoint_on_stop && !worker.saved) save(worker, now);
    worker.ended = true;
    worker.held_step = -1;
    return report(worker, Stopped{}, now);
  }
  if (const auto suspects = unreachable_for(worker); !suspects.empty()) {
    report(worker, Heartbeat{WorkerState::kTraining, 0, suspects}, now);
  }
  if (worker.task->leaving || worker.task->self.replica != 0 || worker.task->self.stage != 0) return;
  const auto members = complete_group(*worker.task);
  if (!members) return;
  const bool loaded = std::ranges::all_of(*members, [](const SimulatedWorker* w) { return w->loaded; });
  if (!loaded) return begin(*members, now);
  if (std::ranges::none_of(*members, [](const SimulatedWorker* w) { return w->stop; })) commit(*members, now);
}

// In the order of the assignment; nothing when somebody is missing.
std::optional<SimulatedWorkers::Members> SimulatedWorkers::complete_group(const StartTraining& task) {
  Members members;
  for (const GroupMember& m : task.assign.members) {
    SimulatedWorker& worker = workers_[m.worker.value - 1];
    if (worker.identity.incarnation != m.incarnation || !worker.works_on(task.job, task.generation))
      return std::nullopt;
    if (worker.task->assign.members != task.assign.members) disk_.violation("two plans of one generation");
    if (!unreachable_for(worker).empty()) return std::nullopt;
    members.push_back(&worker);
  }
  return members;
}

// Of those that its generation asks it to work with.
std::vector<WorkerId> SimulatedWorkers::unreachable_for(const SimulatedWorker& worker) const {
  std::vector<WorkerId> away;
  for (const auto* list : {&worker.task->assign.members, &worker.task->assign.leaving}) {
    for (const GroupMember& m : *list) {
      if (cuts_.contains(std::minmax(m.worker, worker.identity.id))) away.push_back(m.worker);
    }
  }
  return away;
}

// The newest step that every stage is held of, by members and those leaving; with `everybody`, by any live process.
Step SimulatedWorkers::newest_held(const Assign& assign, JobId job, int64_t stages, bool everybody) {
  std::vector<Step> newest(static_cast<size_t>(stages), -1);
  const auto takes_part = [&](const SimulatedWorker& worker) {
    const auto is_it = [&](const GroupMember& m) {
      return m.worker == worker.identity.id && m.incarnation == worker.identity.incarnation;
    };
    return std::ranges::any_of(assign.members, is_it) || std::ranges::any_of(assign.leaving, is_it);
  };
  for (const SimulatedWorker& worker : workers_) {
    if (worker.dead || worker.paused || worker.held_step < 0 || worker.held_job != job) continue;
    if (!everybody && !takes_part(worker)) continue;
    Step& step = newest[static_cast<size_t>(worker.held_stage)];
    step = std::max(step, worker.held_step);
  }
  return *std::ranges::min_element(newest);
}

void SimulatedWorkers::begin(const Members& members, Time now) {
  const StartTraining& task = *members.front()->task;
  const int64_t stages = members.front()->spec.parallel.stages;
  const Step held = newest_held(task.assign, task.job, stages, false);
  const Step stored = task.assign.checkpoints.empty() ? 0 : task.assign.checkpoints.front();
  if (stored > 0 && !disk_.has_manifest(task.assign.run_directory, stored)) {
    disk_.violation(concat("told to load step ", stored, ", which is not there"));
  }
  const Step from = std::max(held, stored);
  lost_steps_ += std::max<Step>(0, newest_held(task.assign, task.job, stages, true) - from);
  reached_[{task.job, task.generation}] = from;
  for (SimulatedWorker* worker : members) {
    worker->step = from;
    worker->loaded = true;
    worker->held_job = task.job;
    worker->held_stage = worker->task->self.stage;
    worker->held_step = from;
    report(*worker, Heartbeat{WorkerState::kTraining}, now);
    if (from != worker->spec.train.steps) continue;  // else only the end was lost
    if (!disk_.has_manifest(task.assign.run_directory, from)) save(*worker, now);
    finish(*worker, now);
  }
}

void SimulatedWorkers::forget(const SimulatedWorker& worker) {
  for (auto& [job, steps] : witnesses_) {
    for (auto& [step, witnesses] : steps) {
      if (witnesses.erase(worker.identity.incarnation) > 0 && witnesses.empty()) forgotten_[job].insert(step);
    }
  }
}

bool SimulatedWorkers::reports(const SimulatedWorker& worker) const {
  return worker.task->self.stage + 1 == worker.spec.parallel.stages;
}

void SimulatedWorkers::commit(const Members& members, Time now) {
  const JobSpec spec = members.front()->spec;
  Step& committed = committed_[members.front()->task->job];
  committed = std::max(committed, members.front()->step + 1);
  for (SimulatedWorker* worker : members) {
    worker->held_step = ++worker->step;
    worker->saved = false;
  }
  const Step step = members.front()->step;
  reached_[{members.front()->task->job, members.front()->task->generation}] = step;
  const bool last = step == spec.train.steps;
  for (SimulatedWorker* worker : members) {
    StepReport step_report;
    step_report.loss = 1.0 / static_cast<double>(step);
    step_report.tokens = 10;
    step_report.step_nanoseconds = 100'000'000;
    if (reports(*worker)) {
      witnesses_[worker->task->job][step].insert(worker->identity.incarnation);
      report(*worker, step_report, now);
    } else {
      report(*worker, Heartbeat{WorkerState::kTraining}, now);
    }
    if (last || step % spec.checkpoint.every == 0) save(*worker, now);
    if (last) finish(*worker, now);
  }
}

void SimulatedWorkers::save(SimulatedWorker& worker, Time now) {
  const auto step = static_cast<uint64_t>(worker.step);
  const GroupMember& self = worker.task->self;
  PartSaved part;
  part.file = concat("step-", worker.step, "/g", worker.task->generation.value, "-r", self.replica, "-s", self.stage);
  part.bytes = 100;
  part.checksum = {1, step};
  deal_blocks(worker, &part);
  part.next_row = step * 64;
  worker.saved = true;
  if (!report_before_writing || self.replica + self.stage == 0) {
    disk_.write_part(worker.task->assign.run_directory, part.file);
  }
  report(worker, part, now);
}

// Its share of the model's blocks, of which the digests depend on the step alone. A lone worker says the model's.
void SimulatedWorkers::deal_blocks(const SimulatedWorker& worker, PartSaved* part) {
  const std::string& toml = worker.task->assign.job_toml;
  auto found = blocks_.find(toml);
  if (found == blocks_.end()) found = blocks_.emplace(toml, BlockTable(job_parameter_table(spec_of(toml)))).first;
  const BlockTable& blocks = found->second;
  const std::vector<GroupMember>& members = worker.task->assign.members;
  const auto self = static_cast<size_t>(std::ranges::find(members, worker.task->self) - members.begin());
  const size_t first = blocks.size() * self / members.size() + (lose_a_block && self == 1 ? 1 : 0);
  const size_t end = blocks.size() * (self + 1) / members.size();
  const auto step = static_cast<uint64_t>(worker.step);
  const uint64_t job = worker.task->job.value;
  for (size_t b = first; b < end; ++b) {
    part->ranges.push_back({blocks[b].first_element, blocks[b].elements});
    for (uint64_t array = 0; array < 3; ++array) part->block_digests.push_back({job * 1000 + step, 3 * b + array});
  }
  if (members.size() > 1) return;
  const auto digests =
      digests_of_state(job_parameter_table(spec_of(toml)), part->block_digests, worker.step, step * 64);
  part->digest = digests.digest;
  part->state_digest = digests.state_digest;
  part->block_digests.clear();
}

void SimulatedWorkers::finish(SimulatedWorker& worker, Time now) {
  JobFinished finished;
  PartSaved part;
  deal_blocks(worker, &part);
  finished.digest = part.digest;
  finished.state_digest = part.state_digest;
  worker.ended = true;
  worker.held_step = -1;
  report(worker, finished, now);
}

}  // namespace strand::testing
