// A group of workers that run the production commit protocol on symbols, in one thread and virtual time, with a
// coordinator that only makes plans. Every message and action is checked as it happens.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/event_queue.h"
#include "tests/sim/serial_run.h"
#include "tests/sim/shard_checks.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/sim_random.h"
#include "tests/sim/symbolic_store.h"
#include "worker/params/commit_protocol.h"

namespace strand::sim {

// Defects put between the protocol and the network, to see that they are found.
enum class Plant {
  kNothing,
  kNoFencing,      // whatever arrives is made to look as of the receiver's generation
  kClosedOnCount,  // the norm is closed by as many messages as there are workers, whoever sent them
  kNormBeforeAck,  // the primary takes a sum on its way to the backup as held by it
  kReadTooEarly,   // the training thread does not wait for the weights of a range before it reads them
};

struct WorldShape {
  int stages = 1, replicas = 1, spares = 0;
  int ranges_per_stage = 2;
  int64_t lanes = 4, staleness = 0;
  std::vector<int64_t> lane_shares;  // of as many replicas as there can be; empty: even
  bool tied = false, backup = true;
  Step last_step = 12;
  Plant plant = Plant::kNothing;
};

class ShardWorld {
 public:
  ShardWorld(const WorldShape& shape, uint64_t seed);

  SimNetwork& network() { return network_; }
  SimRandom& random() { return random_; }
  EventQueue& queue() { return queue_; }

  // Faults; workers are numbered from 0.
  void crash(size_t worker);
  void restart(size_t worker);  // as another incarnation, with nothing
  void pause(size_t worker, Duration how_long);
  void want_replicas(int replicas);
  size_t workers() const { return workers_.size(); }

  // Runs until every member has applied the last step, or `limit` of virtual time has gone by (then a violation).
  void run(Duration limit);
  void run_for(Duration time);

  void violation(const std::string& text);
  const std::vector<std::string>& violations() const { return violations_; }
  int reloads() const { return checks_->reloads(); }
  int generations() const { return static_cast<int>(generation_); }
  Step committed() const { return checks_->committed(); }
  // Messages of one kind for a step, each counted once however often it was sent.
  size_t messages_of(Step step, const std::string& kind) const;
  std::string history() const;

 private:
  // The training thread at work: reads range after range, then hands over gradients.
  struct Pass {
    StartStep start;
    std::vector<size_t> order;      // of reading: places in needed(), by block, a borrowed embedding last
    size_t reads = 0;               // of these
    std::vector<uint64_t> weights;  // by place
    bool waits = false;             // for the next one to be readable
  };
  struct Process {
    WorkerId id;
    Incarnation incarnation;
    bool alive = false, known = true;  // known: the coordinator counts on it
    Time paused_until;
    int stage = -1;          // in its last plan
    LoadCheckpoint loading;  // the newest
    bool updating = false;   // an update is about to be done
    std::shared_ptr<Pass> pass;
    std::map<uint32_t, Step> readable;  // as last said
    std::unique_ptr<SymbolicStore> store;
    std::unique_ptr<CommitProtocol> protocol;
  };

  // shard_world.cpp
  void start(Process& p);
  void happens(Process& p, const ProtocolEvent& event);
  void when_awake(size_t worker, Incarnation incarnation, const ProtocolEvent& event);
  void tick(size_t worker, Incarnation incarnation);
  void deliver(size_t to, const ShardMail& mail);
  void perform(Process& p, const ProtocolAction& action);
  void send(Process& p, const SendToWorker& action);
  void start_pass(Process& p, const StartStep& start);
  void read_next(size_t worker, Incarnation incarnation, const std::shared_ptr<Pass>& pass);
  bool is_readable(const Process& p, uint32_t range) const;
  void check_still_there(const Process& p, const GradientReady& ready);
  void hand_over(Process& p);
  bool finished() const;
  void check_end();
  size_t index_of(WorkerId id) const { return static_cast<size_t>(id.value - 1); }
  static ShardChecks::Member member(const Process& p) { return {p.id, p.incarnation, p.protocol.get()}; }

  // The coordinator.
  void replan_after(Duration wait);
  void replan();
  void tell_plan(size_t worker, Incarnation incarnation, const GroupPlan& plan);

  WorldShape shape_;
  EventQueue queue_;
  SimRandom random_;
  SimNetwork network_;
  std::unique_ptr<SerialRun> serial_;
  std::vector<Process> workers_;
  uint64_t generation_ = 0, incarnations_ = 0;
  int wanted_ = 1;
  std::map<uint64_t, GroupPlan> plans_;
  std::vector<std::string> violations_, history_;

  std::unique_ptr<ShardChecks> checks_;
  std::map<std::pair<Step, std::string>, std::set<std::pair<uint64_t, uint64_t>>> sent_;  // (sender, request)
  NormCount norm_count_;
};

}  // namespace strand::sim
