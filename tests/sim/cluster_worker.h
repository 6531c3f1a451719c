// A worker process of a simulated cluster: what worker/daemon.cpp, GroupRunner, GroupSession and BatchFetcher do with
// threads, sockets and tensors around the production life cycle, session, commit protocol and data stream.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/cluster.h"
#include "tests/sim/symbolic_store.h"
#include "worker/checkpoint/part_file.h"
#include "worker/data_stream.h"
#include "worker/member/member_session.h"
#include "worker/worker.h"

namespace strand::sim {

class SimWorker;
using SimRows = std::shared_ptr<const std::vector<SimRow>>;

// As GroupRunner, for one job. Its events are the process's, and end with it.
class SimRunner final : private SessionHost {
 public:
  SimRunner(SimWorker* process, StartTraining start, uint64_t number);
  ~SimRunner() override;
  void stop(bool checkpoint);
  bool go_on(const StartTraining& start);

  void on_mail(const ShardMail& mail);
  void on_data(size_t server, const WireMessage& message, const SimRows& rows);
  const CommitProtocol* protocol() const { return session_ ? &session_->protocol() : nullptr; }
  uint64_t number() const { return number_; }

 private:
  struct Arrived {
    std::vector<SimRow> rows;
  };
  struct Pass {
    Generation generation;
    Step step = 0;
    int64_t done = 0;  // micro batches of the lanes
    bool asked = false;
    std::map<int64_t, uint64_t> audits;  // by lane
  };
  struct Part {
    PartContent content;
    std::vector<float> numbers;
    Generation generation;
  };

  void later(Duration wait, std::function<void()> what);
  void say(Step step, decltype(TrainingReport::body) body, int64_t work_nanoseconds = 0);

  // The training thread.
  void open_job();
  void open_session();
  void open_dataset();
  void next_news();
  void end(const Status& status);
  void conclude();
  Status on(const GroupReady& ready);
  Status on(const ComputeStep& compute);
  Status on(const StepDone& done);
  Status on(const AllStepsDone& all);
  Status on(const SessionFailed& failed);
  bool still_wanted(Generation generation) const { return newest_ == generation; }
  void read_rows();
  void read_weights();
  void check_reads(const Pass& pass);
  void hand_over(const Pass& pass);
  void done_computing();
  void finish();

  // The fetcher's thread.
  void poll_data();
  void send_data(const DataStream::Output& output);

  // The hub's thread.
  void offer(const StartTraining& start);
  void wake();
  void turn();
  void tick();
  void snapshot();
  void send(const SendToWorker& message) override;
  void tell(SessionNews news) override;
  void accuse(const PeersSuspected& peers) override;
  void set_peers(const std::vector<GroupMember>&) override {}
  void keep_weights() override;
  void readable(uint32_t range, Step version) override { readable_[range] = version; }
  int64_t save(const GroupPlan& plan, Step step, const std::vector<uint32_t>& led) override;
  Step choose_checkpoint(const std::vector<Step>& known) override;
  void load(const LoadCheckpoint& load) override;
  Status load_now(const LoadCheckpoint& load);

  // The writer's thread.
  void write_next();

  SimWorker* process_;
  Cluster* cluster_;
  const uint64_t number_;
  const std::shared_ptr<bool> here_ = std::make_shared<bool>(true);
  StartTraining start_;  // newest
  const JobSpec& spec_;
  const std::string directory_;

  std::unique_ptr<SymbolicStore> store_;
  std::unique_ptr<MemberSession> session_;
  SessionInbox inbox_;
  Generation newest_;
  std::deque<SessionNews> news_;
  bool turn_pending_ = false;
  std::map<uint32_t, Step> readable_;  // as last said
  std::vector<uint64_t> kept_;         // weights that the pass reads, of the first ranges of needed()

  std::unique_ptr<DataStream> stream_;
  DatasetStatus dataset_;
  std::map<RowRange, Arrived> arrived_;
  std::optional<Error> data_error_;

  std::optional<Pass> pass_;
  bool open_ = false, busy_ = false, finished_ = false, ended_ = false;
  bool stop_ = false, checkpoint_on_stop_ = false;
  std::optional<Status> ending_;
  bool finishing_ = false;
  GroupPlan plan_;
  GroupMember self_;
  LaneRun lanes_;
  Step committed_ = 0;
  Generation generation_;  // of what is said
  int64_t tokens_ = 0;

  std::deque<Part> parts_;  // the first is being written
  std::optional<Error> write_failure_;
};

class SimWorker final : public SimProcess {
 public:
  SimWorker(Cluster* cluster, WorkerId id);

  void start();
  // With the power: what it had not synced is lost. `noticed`: the coordinator's transport learns of it.
  void die(bool power, bool noticed);
  void die_while_writing(int calls) { view_->die_in(calls); }
  void is_spared() { view_->die_in(-1); }  // by a death that has not come yet
  void clock_steps(Duration by) { wall_offset_ += by.count(); }

  void on_message(const WireMessage& message);
  void on_mail(const ShardMail& mail);
  void on_data(uint64_t runner, size_t server, const WireMessage& message, const SimRows& rows);

  WorkerId id() const { return identity_.id; }
  Incarnation incarnation() const { return identity_.incarnation; }
  std::string peer() const;
  bool connected() const { return alive() || !noticed_; }
  const CommitProtocol* protocol() const { return runner_ ? runner_->protocol() : nullptr; }
  Cluster& cluster() { return *cluster_; }
  DiskView& view() { return *view_; }
  const WorkerIdentity& identity() const { return identity_; }
  void report(TrainingReport report);
  // After whatever may have killed it in the midst.
  bool survived();

 private:
  void tick();
  void act(const std::vector<WorkerAction>& actions);
  void begin(const StartTraining& start);
  void take_reports();

  Cluster* cluster_;
  WorkerIdentity identity_;
  int64_t wall_offset_ = 0;
  bool noticed_ = false;
  uint64_t runners_ = 0;
  std::unique_ptr<DiskView> view_;
  std::unique_ptr<WorkerLifecycle> lifecycle_;
  std::deque<TrainingReport> reports_;
  std::unique_ptr<SimRunner> runner_;
};

}  // namespace strand::sim
