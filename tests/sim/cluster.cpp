#include "tests/sim/cluster.h"

#include <algorithm>

#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "tests/sim/cluster_servers.h"
#include "tests/sim/cluster_worker.h"

namespace strand::sim {

Cluster::Cluster(const ClusterShape& shape, uint64_t seed)
    : random(seed), network(&queue, &random), shape(shape), job(cluster_job(shape.job)) {
  serial = std::make_unique<SerialRun>(serial_job_of(*job));
  ShardChecks::World seen;
  seen.living = [this] {
    std::vector<ShardChecks::Member> living;
    for (const auto& w : workers_) {
      if (w->alive()) living.push_back({w->id(), w->incarnation(), w->protocol()});
    }
    return living;
  };
  seen.plan = [this](Generation generation) -> const GroupPlan& { return plan(generation); };
  seen.newest_plan = [this] { return Generation{plans_.rbegin()->first}; };
  seen.violation = [this](const std::string& text) { violation(text); };
  seen.note = [this](const std::string& text) { note(text); };
  checks = std::make_unique<ShardChecks>(serial.get(), seen);
  queue.after(std::chrono::seconds(1), [] {});  // nothing happens at time 0, which some take for never
  queue.step();
  for (int d = 0; d < shape.data_servers; ++d) {
    data_servers_.push_back(std::make_unique<SimDataServer>(this, static_cast<size_t>(d)));
    data_servers_.back()->start();
  }
  coordinator_ = std::make_unique<SimCoordinator>(this);
  coordinator_->start();
  for (int w = 0; w < shape.job.stages * shape.job.replicas + shape.spares; ++w) {
    workers_.push_back(std::make_unique<SimWorker>(this, WorkerId{static_cast<uint64_t>(w + 1)}));
    workers_.back()->start();
  }
  command("submit");
}

Cluster::~Cluster() = default;

void Cluster::violation(const std::string& text) {
  violations_.push_back(concat("at ", to_seconds(queue.now() - Time{}), " s: ", text));
}

void Cluster::note(const std::string& text) {
  history_.push_back(concat(to_seconds(queue.now() - Time{}), " s: ", text));
}

std::string Cluster::history() const {
  std::string text;
  for (const std::string& line : history_) text += line + "\n";
  for (const std::string& line : violations_) text += line + "\n";
  return text;
}

SimWorker* Cluster::find_worker(WorkerId id) {
  return workers_[id.value - 1].get();
}

SimWorker* Cluster::find_peer(const std::string& peer) {
  const auto found = std::ranges::find_if(workers_, [&](const auto& w) { return w->connected() && w->peer() == peer; });
  return found == workers_.end() ? nullptr : found->get();
}

const JobRecord* Cluster::record() const {
  return record_ ? &*record_ : nullptr;
}

void Cluster::ask_data(SimWorker& worker, uint64_t runner, const DataStream::Letter& letter) {
  SimDataServer* server = data_servers_[letter.server].get();
  network.send(worker.id().value, server->address(),
               [server, runner, at = &worker, message = letter.message] { server->on_message(at, runner, message); });
}

// --- the client -----------------------------------------------------------------------------------------------------

void Cluster::command(const std::string& name) {
  Json arguments = {{"job", 1}};
  if (name == "submit") arguments = {{"toml", job->toml}, {"submission", "once"}};
  command_ = name;
  if (name != "show") note(concat("a client says ", name));
  ask(call_.begin(name, dump_json(arguments), now()));
  watch_call();
}

void Cluster::ask(const WireMessage& request) {
  network.send(kClientAddress, kCoordinatorAddress,
               [this, said = request] { coordinator_->on_message(kClientPeer, said); });
}

void Cluster::watch_call() {
  const Time never = now() + std::chrono::hours(1);
  if (!call_.waiting()) return;
  queue.at(call_.next_event(never), [this, number = call_.request().header.request] {
    if (!call_.waiting() || call_.request().header.request != number) return;
    const ClientCall::Due due = call_.poll(now());
    if (due.expired && command_ == "submit") return command("submit");
    if (due.again) ask(call_.request());
    watch_call();
  });
}

void Cluster::answered(const WireMessage& message) {
  const auto answer = call_.on_message(message);
  if (answer && command_ == "submit" && !answer->ok()) violation("submit: " + answer->error().message());
}

// --- running --------------------------------------------------------------------------------------------------------

void Cluster::run_for(Duration time) {
  const Time end = queue.now() + time;
  while (violations_.empty() && queue.now() < end && queue.step()) {
  }
}

void Cluster::mend_everything() {
  network.faults = {};
  network.mend();
  coordinator_->pause({});
  coordinator_->start();
  coordinator_->is_spared();
  for (const auto& server : data_servers_) {
    server->pause({});
    server->start();
  }
  for (const auto& worker : workers_) {
    worker->pause({});
    worker->start();
    worker->is_spared();
  }
  note("the faults are over");
}

void Cluster::run_quietly(Duration limit) {
  mend_everything();
  const Time end = queue.now() + limit;
  Time looked = queue.now();
  while (violations_.empty() && !(record_ && record_->state == JobState::kDone)) {
    if (!(queue.now() < end) || !queue.step()) {
      const Json shown =
          coordinator_->core() && record_ ? *coordinator_->core()->job_json(record_->id, queue.now()) : Json("no job");
      return violation(concat("the faults are over, but the job does not end:\n", dump_json(shown, 1)));
    }
    if (queue.now() - looked < std::chrono::seconds(2)) continue;
    looked = queue.now();
    if (record_ && job_is_at_rest(record_->state) && !call_.waiting()) command("resume");
  }
  if (violations_.empty()) check_end();
}

}  // namespace strand::sim
