// One worker's part in the group of a job, on the thread of the PeerHub: the commit protocol with its tensors, the mail
// of the pipeline, checkpoints copied aside at the commits they are of. The training thread hears from it what to do
// next, and hands it gradients.
//
// While the training thread computes, the weights it reads stay as they are: with bsp it waits for each range to come
// to the version that it needs, and nothing is committed beyond that before its own gradients are handed over
// (CommitProtocol, "Who reads while who writes"); a new plan, which may change anything, waits until it has put its
// work down. With ssp it computes with a copy.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "shared/base/clock.h"
#include "shared/fs/file_system.h"
#include "shared/job_spec/job_spec.h"
#include "worker/group/peer_hub.h"
#include "worker/group/stage_mailbox.h"
#include "worker/member/member_session.h"
#include "worker/member/range_gate.h"
#include "worker/member/stage_state.h"
#include "worker/model/layout.h"
#include "worker/params/commit_protocol.h"
#include "worker/params/shard_frames.h"
#include "worker/params/shard_store.h"

namespace strand {

struct GroupSessionOptions {
  JobId job;
  WorkerId self;
  Incarnation incarnation;
  JobSpec spec;  // outlived by nobody
  std::string checkpoint_directory;
  int threads = 1;  // of updates and sums
  // On the hub's thread: copies aside what this worker is primary of, at exactly this step, for a checkpoint. Returns
  // the nanoseconds it took.
  std::function<int64_t(const GroupPlan& plan, Step step, const std::vector<uint32_t>& led)> save;
  // On the hub's thread: tells the coordinator, if there is one.
  std::function<void(const PeersSuspected& peers)> accuse;
};

class GroupSession final : public PeerHub::Client, private SessionHost {
 public:
  // `hub`, `state`, `fs` and `clock` outlive it. Attaches itself.
  GroupSession(GroupSessionOptions options, PeerHub* hub, StageState* state, FileSystem* fs, const Clock* clock);
  ~GroupSession() override;

  // --- any thread ---
  // A plan that check_plan accepts. `checkpoints`: of the job, newest first.
  void new_plan(GroupPlan plan, std::vector<Step> checkpoints);
  // The group ends with the next step that is committed; only the norm worker's word counts.
  void stop_after_next_step();

  // --- the training thread ---
  std::optional<SessionNews> next(Duration wait);
  void gradient(GradientReady gradient);
  // The work that the last ComputeStep or AllStepsDone gave is put down, done or not.
  void done_computing();
  // OK as long as no newer plan than `generation`'s has come.
  Status still_wanted(Generation generation) const;
  // Returns when all of these ranges can be read in `version`, that of the weights of the work at hand, and stay so
  // until its last gradient is handed over; at once with ssp. Or, as soon as `still_wanted` says so, with its error:
  // asked at each new plan, and every `slice`. There is no other limit: for as long as a range does not come the
  // protocol names whom it waits for, and a new plan follows.
  Status await(const std::vector<uint32_t>& ranges, Step version, Duration slice,
               const std::function<Status()>& still_wanted);
  // What the work at hand computes with. With ssp others are committed meanwhile, and it is a copy.
  Weights weights() const;
  // For the passes of one (generation, step).
  StageMailbox& mailbox() { return mailbox_; }

  // --- the hub's thread ---
  void on_message(const ShardMessage& message, Frame bulk) override;
  void on_turn() override;

 private:
  // --- what the session needs, on the hub's thread ---
  void send(const SendToWorker& message) override;
  void tell(SessionNews news) override;
  void accuse(const PeersSuspected& peers) override {
    if (options_.accuse) options_.accuse(peers);
  }
  void set_peers(const std::vector<GroupMember>& peers) override { hub_->set_peers(peers); }
  void keep_weights() override;
  void readable(uint32_t range, Step version) override { gate_.open(range, version); }
  int64_t save(const GroupPlan& plan, Step step, const std::vector<uint32_t>& led) override {
    return options_.save(plan, step, led);
  }
  Step choose_checkpoint(const std::vector<Step>& known) override;
  void load(const LoadCheckpoint& load) override;
  Status load_ranges_of(const LoadCheckpoint& load);
  Status initial_weights();

  GroupSessionOptions options_;
  PeerHub* hub_;
  StageState* state_;
  FileSystem* fs_;
  const Clock* clock_;
  ThreadPool pool_;
  Workspace workspace_;
  OpContext context_;
  ShardStore store_;
  ShardFrames frames_;
  MemberSession session_;
  StageMailbox mailbox_;
  RangeGate gate_;

  // The hub's thread only.
  std::vector<float> kept_;  // with ssp: the weights of the step that is being computed
  std::vector<BFloat16> kept_bf16_;
  std::thread loader_;

  // Between the threads.
  std::atomic<uint64_t> newest_generation_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  SessionInbox inbox_;
  std::deque<SessionNews> news_;
};

}  // namespace strand
