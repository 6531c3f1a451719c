// The coordinator's process and the data servers' of a simulated cluster: coordinator/daemon.cpp and
// dataserver/daemon.cpp without threads and sockets.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "coordinator/coordinator.h"
#include "coordinator/journal.h"
#include "coordinator/step_recorder.h"
#include "dataserver/stream.h"
#include "tests/sim/cluster_worker.h"

namespace strand::sim {

class SimCoordinator final : public SimProcess {
 public:
  explicit SimCoordinator(Cluster* cluster) : SimProcess(&cluster->queue), cluster_(cluster) {}

  void start();
  void die(bool power);
  // Dies between two of its actions, the `actions`-th from now, or within a call to the disk.
  void die_in_actions(int actions) { countdown_ = actions; }
  void die_while_writing(int calls) { view_->die_in(calls); }
  void is_spared() {
    countdown_ = -1;
    view_->die_in(-1);
  }
  void clock_steps(Duration by) { wall_offset_ += by.count(); }

  void on_message(const std::string& peer, const WireMessage& message);
  const Coordinator* core() const { return core_.get(); }

 private:
  void tick();
  void step(const CoordinatorEvent& event);
  void perform(std::vector<CoordinatorAction> actions);
  std::optional<CoordinatorEvent> perform_one(const CoordinatorAction& action);
  std::optional<CoordinatorEvent> send(const SendMessage& message);
  std::optional<CoordinatorEvent> write(const WriteManifest& action);
  void verify(const VerifyCheckpoint& action);
  bool survived();

  Cluster* cluster_;
  int64_t wall_offset_ = 0;
  int countdown_ = -1;
  std::unique_ptr<DiskView> view_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<StepRecorder> recorder_;
  std::unique_ptr<Coordinator> core_;
};

class SimDataServer final : public SimProcess {
 public:
  SimDataServer(Cluster* cluster, size_t number) : SimProcess(&cluster->queue), cluster_(cluster), number_(number) {}

  void start();
  void die();
  uint64_t address() const { return kFirstDataServer + number_; }
  // From this runner of this worker.
  void on_message(SimWorker* worker, uint64_t runner, const WireMessage& message);

 private:
  void act(SimWorker* worker, uint64_t runner, const DataActions& actions);
  void reply(SimWorker* worker, uint64_t runner, const Header& header, Body body, SimRows rows);

  Cluster* cluster_;
  size_t number_;
  std::unique_ptr<DataStreamServer> stream_;
};

}  // namespace strand::sim
