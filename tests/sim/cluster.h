// A whole cluster in one thread on virtual time: the production coordinator with its journal and run directory, worker
// life cycles with the session and commit protocol of their group, checkpoint files, data streams and data servers, and
// a client. Everything random follows from one seed.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "coordinator/client/client_call.h"
#include "coordinator/event.h"
#include "coordinator/job.h"
#include "tests/sim/cluster_job.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/shard_checks.h"
#include "tests/sim/shared_disk.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/sim_process.h"
#include "worker/data_stream.h"

namespace strand::sim {

class SimCoordinator;
class SimDataServer;
class SimWorker;

// Defects put between production code and the world, to see that they are found.
enum class ClusterPlant {
  kNothing,
  kNoFencing,          // whatever reaches a worker's shard is made to look as of its generation
  kClosedOnCount,      // the norm is closed by as many messages as there are workers, whoever sent them
  kNormBeforeAck,      // the primary takes a sum on its way to the backup as held by it
  kManifestBeforePart  // a part is reported, and so named by a manifest, before it is durable
};

struct ClusterShape {
  JobShape job;
  int spares = 0, data_servers = 2;
  Duration lease = std::chrono::seconds(2);
  Duration shortest_pass = std::chrono::milliseconds(20), longest_pass = std::chrono::milliseconds(200);
  int64_t slowness = 1;  // processes look at the time so many times less often: long runs cost less
  ClusterPlant plant = ClusterPlant::kNothing;
};

// Addresses in the network: workers have their ids, from 1.
constexpr uint64_t kCoordinatorAddress = 0, kClientAddress = 1000, kFirstDataServer = 2000;
constexpr const char* kClientPeer = "client";

class Cluster {
 public:
  Cluster(const ClusterShape& shape, uint64_t seed);
  ~Cluster();

  // --- the world, for its processes ---
  EventQueue queue;
  SimRandom random;
  SimNetwork network;
  SharedDisk disk;
  const ClusterShape shape;
  const std::shared_ptr<const ClusterJob> job;
  std::unique_ptr<SerialRun> serial;
  std::unique_ptr<ShardChecks> checks;
  // What stays of the coordinator when it dies.
  std::map<std::string, std::string, std::less<>> journal;

  Time now() const { return queue.now(); }
  int64_t wall(int64_t offset) const { return (int64_t{1} << 60) + queue.now().nanoseconds + offset; }
  Duration some(int64_t low_milliseconds, int64_t high_milliseconds) {
    return random.between(std::chrono::milliseconds(low_milliseconds), std::chrono::milliseconds(high_milliseconds));
  }
  void violation(const std::string& text);
  void note(const std::string& text);

  SimCoordinator& coordinator() { return *coordinator_; }
  SimWorker& worker(size_t index) { return *workers_[index]; }
  SimWorker* find_worker(WorkerId id);
  SimWorker* find_peer(const std::string& peer);  // null: its process is gone
  size_t workers() const { return workers_.size(); }
  SimDataServer& data_server(size_t index) { return *data_servers_[index]; }
  size_t data_servers() const { return data_servers_.size(); }

  void ask_data(SimWorker& worker, uint64_t runner, const DataStream::Letter& letter);
  std::vector<ShardMail> forged_norms(const ShardMail& mail, WorkerId to, const GroupPlan& plan) {
    return closed_on_count(plan, job->ranges, mail, to, &norm_count_);
  }

  // --- what the coordinator does, checked (cluster_checks.cpp) ---
  void journalled(const WriteJournal& batch);
  void assigned(const WireMessage& message);
  void recorded(const RecordStep& action);
  // With the power of its machine go the last lines of the metrics, and so what it knows of them.
  void records_lost() { recorded_.clear(); }
  void manifest_written(const WriteManifest& action);
  void check_end();

  // --- the client, as `strand` asks ---
  // An earlier command that waits is given up. One that nobody answers in time is given up too, but `submit` is made
  // anew, with the same token.
  void command(const std::string& name);
  void answered(const WireMessage& message);

  // --- running ---
  void run_for(Duration time);
  // No faults from here on: everybody is alive and awake, and the job must end.
  void run_quietly(Duration limit);
  const JobRecord* record() const;  // as journalled last; null before it is submitted
  const std::vector<std::string>& violations() const { return violations_; }
  std::string history() const;
  int generations() const { return static_cast<int>(plans_.size()); }

 private:
  void ask(const WireMessage& request);
  void watch_call();
  void mend_everything();
  const GroupPlan& plan(Generation generation) const;

  std::unique_ptr<SimCoordinator> coordinator_;
  std::vector<std::unique_ptr<SimWorker>> workers_;
  std::vector<std::unique_ptr<SimDataServer>> data_servers_;
  std::optional<JobRecord> record_;
  std::map<uint64_t, GroupPlan> plans_;
  std::set<std::pair<uint64_t, Step>> recorded_;  // (generation, step)
  NormCount norm_count_;
  ClientCall call_{std::chrono::seconds(10)};
  std::string command_;
  std::vector<std::string> violations_, history_;
};

}  // namespace strand::sim
