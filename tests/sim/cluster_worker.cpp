// The process: worker/daemon.cpp without its threads.
#include "tests/sim/cluster_worker.h"

#include "tests/sim/cluster_servers.h"

namespace strand::sim {
namespace {
constexpr Duration kTick = std::chrono::milliseconds(50);
}

SimWorker::SimWorker(Cluster* cluster, WorkerId id) : SimProcess(&cluster->queue), cluster_(cluster) {
  identity_.id = id;
  identity_.hello.host = concat("host", id.value);
  identity_.hello.version = "1";
  identity_.hello.numerics = "cpu=sim";
}

std::string SimWorker::peer() const {
  return concat("w", identity_.id.value, "-", identity_.incarnation.value);
}

void SimWorker::start() {
  if (alive()) return;
  begin_life();
  noticed_ = false;
  identity_.incarnation.value = static_cast<uint64_t>(cluster_->wall(wall_offset_));
  identity_.hello.endpoint = concat("sim://", identity_.id.value, "/", identity_.incarnation.value);
  view_ = std::make_unique<DiskView>(&cluster_->disk, identity_.id.value);
  if (cluster_->shape.plant == ClusterPlant::kManifestBeforePart) view_->lie_about_syncs();
  lifecycle_ = std::make_unique<WorkerLifecycle>(identity_, now());
  reports_.clear();
  tick();
}

void SimWorker::die(bool power, bool noticed) {
  if (!alive()) return;
  end_life();
  noticed_ = noticed;
  runner_.reset();
  if (power) cluster_->disk.lose_unsynced(identity_.id.value, &cluster_->random);
  cluster_->note(concat("worker ", identity_.id.value, power ? " loses power" : " is killed",
                        noticed ? "" : ", and nobody is told"));
}

bool SimWorker::survived() {
  if (!alive()) return false;
  if (!view_->dead()) return true;
  die(true, true);
  return false;
}

// --- the control thread ---------------------------------------------------------------------------------------------

void SimWorker::tick() {
  take_reports();
  if (!alive()) return;
  act(lifecycle_->handle(Tick{}, now()));
  if (!alive()) return;
  // The job has ended, for all of its members: its memory is free for the next one.
  if (lifecycle_->state() == WorkerState::kIdle && lifecycle_->unacknowledged() == 0) runner_.reset();
  later(kTick * cluster_->shape.slowness, [this] { tick(); });
}

void SimWorker::on_message(const WireMessage& message) {
  later(Duration(0), [this, message] { act(lifecycle_->handle(message, now())); });
}

void SimWorker::on_mail(const ShardMail& mail) {
  later(Duration(0), [this, mail] {
    if (runner_) runner_->on_mail(mail);
  });
}

void SimWorker::on_data(uint64_t runner, size_t server, const WireMessage& message, const SimRows& rows) {
  later(Duration(0), [this, runner, server, message, rows] {
    if (runner_ && runner_->number() == runner) runner_->on_data(server, message, rows);
  });
}

void SimWorker::report(TrainingReport report) {
  reports_.push_back(std::move(report));
  later(cluster_->random.between(Duration(0), std::chrono::milliseconds(5)), [this] { take_reports(); });
}

void SimWorker::take_reports() {
  for (auto reports = std::exchange(reports_, {}); alive() && !reports.empty(); reports.pop_front()) {
    act(lifecycle_->handle(reports.front(), now()));
  }
}

void SimWorker::act(const std::vector<WorkerAction>& actions) {
  for (size_t i = 0; i < actions.size(); ++i) {
    if (const auto* send = std::get_if<SendToCoordinator>(&actions[i])) {
      cluster_->network.send(id().value, kCoordinatorAddress, [this, peer = peer(), message = send->message] {
        cluster_->coordinator().on_message(peer, message);
      });
    } else if (const auto* start = std::get_if<StartTraining>(&actions[i])) {
      begin(*start);
    } else if (const auto* stop = std::get_if<StopTraining>(&actions[i])) {
      // A new generation may be gone on with as it is.
      const bool replaced = i + 1 < actions.size() && std::holds_alternative<StartTraining>(actions[i + 1]);
      if (runner_ && !replaced) runner_->stop(stop->checkpoint);
    } else if (const auto* exit = std::get_if<ExitProcess>(&actions[i])) {
      cluster_->note(concat("worker ", id().value, " exits: ", exit->reason.message()));
      die(false, true);
      // Whoever supervises it starts it anew.
      cluster_->queue.after(std::chrono::seconds(1), [this] { this->start(); });
      return;
    }
  }
}

void SimWorker::begin(const StartTraining& start) {
  if (runner_ && runner_->go_on(start)) return;
  runner_.reset();
  runner_ = std::make_unique<SimRunner>(this, start, ++runners_);
}

}  // namespace strand::sim
