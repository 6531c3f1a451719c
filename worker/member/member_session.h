// What one worker does in the group of a job, as pure functions of (event, now): the commit protocol, and when plans
// are taken up, checkpoints saved and the training thread told what. GroupSession runs it with tensors, threads and a
// disk, tests/sim with none of them.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "shared/job_spec/job_spec.h"
#include "worker/params/commit_protocol.h"

namespace strand {

// --- what the training thread hears, in order -----------------------------------------------------------------------

// Everything this worker holds in the plan is here; training goes on from `base`.
struct GroupReady {
  GroupPlan plan;
  Step base = 0;
};
// Compute the lanes of `step`, then done_computing(). With bsp each range's weights of step - 1 are there when the host
// has been told that they are readable; with ssp the kept weights are what to compute with.
struct ComputeStep {
  Generation generation;
  Step step = 0;
};
struct StepDone {
  Generation generation;
  StepRecord record;
  Time at;
  int64_t checkpoint_wait_nanoseconds = 0;  // copying aside for the checkpoint of this step
};
// The last step is committed and its weights are here.
struct AllStepsDone {
  Generation generation;
};
struct SessionFailed {
  Generation generation;
  Error reason;
};
using SessionNews = std::variant<GroupReady, ComputeStep, StepDone, AllStepsDone, SessionFailed>;

// A plan that check_plan accepts, with the checkpoints of the job, newest first.
struct SessionPlan {
  GroupPlan plan;
  std::vector<Step> checkpoints;
};

// Who has kept this worker waiting for longer than the deadline.
struct PeersSuspected {
  Generation generation;
  std::vector<WorkerId> workers;
  bool training = false;  // everything this worker holds in the plan is here
  Step committed = 0;
};

// How a LoadCheckpoint ended.
struct SessionLoaded {
  Generation generation;
  Step step = 0;
  Status status;
};

// What other threads have for the session until its next turn; the caller guards it. A plan, which may change anything
// under their hands, waits while the training thread works (from ComputeStep or AllStepsDone to done_computing()) and
// while ranges are loaded (to loaded()).
class SessionInbox {
 public:
  struct Batch {
    std::optional<SessionLoaded> loaded;
    std::deque<GradientReady> gradients;
    std::optional<SessionPlan> plan;
    bool stop = false;
  };

  // The newest waits; false for one that is not newer than all before it.
  bool offer(SessionPlan plan);
  void add(GradientReady gradient) { gradients_.push_back(std::move(gradient)); }
  void stop_after_next_step() { stop_ = true; }
  void told(const SessionNews& news);
  void done_computing() { --computing_; }
  void loads() { loading_ = true; }
  void loaded(SessionLoaded loaded) { loaded_ = std::move(loaded); }
  Batch take();

 private:
  Generation newest_;
  std::optional<SessionPlan> plan_;
  std::deque<GradientReady> gradients_;
  std::optional<SessionLoaded> loaded_;
  // Of what was told and is not done: the next step may be told between the last gradient and done_computing().
  int computing_ = 0;
  bool loading_ = false, stop_ = false;
};

// Whom a session needs.
class SessionHost {
 public:
  virtual ~SessionHost() = default;
  virtual void send(const SendToWorker& message) = 0;  // lost or not: it is said again
  virtual void tell(SessionNews news) = 0;             // to the training thread
  // To the coordinator, past the training thread, which may itself be waiting for them or for anything else.
  virtual void accuse(const PeersSuspected& peers) = 0;
  virtual void set_peers(const std::vector<GroupMember>& peers) = 0;
  // The training thread is about to be told to compute with the weights as they are.
  virtual void keep_weights() = 0;
  // RangeReadable.
  virtual void readable(uint32_t range, Step version) = 0;
  // Copies these ranges aside for the checkpoint of exactly this step; returns the nanoseconds it took.
  virtual int64_t save(const GroupPlan& plan, Step step, const std::vector<uint32_t>& led) = 0;
  virtual Step choose_checkpoint(const std::vector<Step>& known) = 0;
  // Begins to put these ranges into the store; SessionInbox::loads() now, loaded() when it is done.
  virtual void load(const LoadCheckpoint& load) = 0;
};

// Of a member of this job with these ranges (cut_ranges).
ProtocolOptions session_options(const JobSpec& spec, JobId job, WorkerId self, Incarnation incarnation,
                                std::vector<PlannedRange> ranges);

class MemberSession {
 public:
  // `store` and `host` outlive it.
  MemberSession(const JobSpec& spec, ProtocolOptions options, RangeStore* store, SessionHost* host, Time now);

  // Call it whenever there is something to take, and at least every few tens of milliseconds.
  void turn(SessionInbox::Batch batch, Time now);
  // Call update_next() while updates_left(), with turns and mail between. One range at a time.
  bool updates_left() const { return protocol_.updates_left() > 0; }
  void update_next(Time now);
  void on_mail(const ShardMail& mail, Time now);

  // Whether a message is of a member of the newest plan taken up.
  bool is_from_the_plan(const Header& header) const;
  const CommitProtocol& protocol() const { return protocol_; }

 private:
  void handle(const ProtocolEvent& event, Time now);
  void act(const ProtocolAction& action, Time now);
  void begin(SessionPlan planned, Time now);
  void recovered(const Recovered& recovered);
  void committed(const StepRecord& record, Time now);
  void loaded(const SessionLoaded& loaded, Time now);
  void look_for_the_end();
  int64_t save(Step step);
  bool is_saved(Step step) const;
  bool saves(Step step) const;
  std::vector<uint32_t> led() const;

  const JobId job_;
  const WorkerId self_;
  const std::vector<PlannedRange> ranges_;
  const Step last_step_;
  const int64_t checkpoint_every_;
  SessionHost* host_;
  CommitProtocol protocol_;
  SessionPlan planned_;
  Time last_tick_;
  bool end_told_ = false;
  Step saved_ = -1;  // newest step saved in this generation
  Step base_ = 0;    // where this generation goes on from
  std::vector<WorkerId> suspects_;
  std::map<WorkerId, ShardMail> early_;  // reports of plans that have not come here yet, the last of each
};

}  // namespace strand
