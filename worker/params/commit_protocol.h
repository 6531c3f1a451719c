// The parameter server's protocol in one worker, as a pure function of (event, now): gradients in, committed steps out,
// through any loss, order and repetition of messages and any change of the group (DESIGN section 5, Commit). No clock,
// thread or socket in here; tensors are added and updated by a RangeStore. docs/parameter_shards.md tells the protocol.
//
// Who reads while who writes. With bsp step t + 1 starts as soon as the record of t is here: its ranges are updated one
// by one (UpdateNext), copies of others arrive one by one, and each is said to be readable when it is. The training
// thread waits for exactly version t of a range before it first reads it. So it never reads what is being written; and
// nothing that it still reads is written to, since nothing of t + 1 is:
//   1. A range is written to version t + 1 only when the record of t + 1 is here: updated by it, or pulled after it.
//   2. That record is made from sums over all lanes of each use of each range, and so of this worker's own lanes too:
//      it has handed over the gradients of every use of every range that it computes with.
//   3. The gradient of a use is handed over when nothing adds to it any more; after the last one of the step nothing of
//      the step is computed, and so nothing read (StageStep::ready). Evaluations of t come before the step.
//   4. Conversely every range is at t before its first use in t + 1, so every update of t is done and every pull of t
//      answered before the record of t + 1 can be: no range is ever two versions behind, no pull is answered with t
//      + 1.
// Recovery may write anything: a plan is taken up only when the training thread has put its work down (SessionInbox).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "shared/base/clock.h"
#include "shared/plan/group_plan.h"
#include "shared/wire/shard_messages.h"
#include "worker/params/piece_tree.h"
#include "worker/params/range_store.h"

namespace strand {

// A message between workers with its bulk frame: pieces, sums and data have one, others none. Whoever receives one from
// a network has checked that the frame fits the range.
struct ShardMail {
  ShardMessage message;
  BulkRef bulk;
};

// --- events ---------------------------------------------------------------------------------------------------------
struct ProtocolTick {};
// From the coordinator: a plan that check_plan accepts. Older ones than the newest heard change nothing.
struct NewPlan {
  GroupPlan plan;
};
// From the training thread, about the StartStep of `generation`: one use of one range, summed over this worker's lanes.
struct GradientReady {
  Generation generation;
  Step step = 0;
  uint32_t range = 0;
  uint32_t use = 0;
  struct Piece {
    LaneSubtree subtree;  // of largest_subtrees(this replica's run), in order
    BulkRef sum;
    std::vector<LaneNumbers> numbers;  // of the subtree's lanes, with use 0 of this stage's first range; else empty
  };
  std::vector<Piece> pieces;
};
// Answers to ChooseCheckpoint and LoadCheckpoint.
struct CheckpointChosen {
  Generation generation;
  Step step = 0;
};
struct CheckpointLoaded {
  Generation generation;
  Step step = 0;
};
// The group is to stop with a checkpoint. All must stop after the same step, so only the norm worker heeds it: it marks
// the next record as the last one. A new plan forgets it.
struct StopAfterNextStep {};
// Updates the next of the ranges that a commit has left behind (updates_left()), in the order in which blocks are
// computed. Other events may come between two of them.
struct UpdateNext {};
using ProtocolEvent = std::variant<ProtocolTick, NewPlan, GradientReady, CheckpointChosen, CheckpointLoaded, ShardMail,
                                   StopAfterNextStep, UpdateNext>;

// --- actions --------------------------------------------------------------------------------------------------------
struct SendToWorker {
  WorkerId to;
  ShardMail message;
};
// Compute this replica's lanes of `step`: with bsp from version step - 1 of each range, once it is readable; with ssp
// from the weights that are here now. What was computing for an older generation is void.
struct StartStep {
  Generation generation;
  Step step = 0;
};
// The weights of this range that are here are of `version`; -1: there are none. Of every range that this worker
// computes with (needed()), when training begins and whenever it has changed since.
struct RangeReadable {
  uint32_t range = 0;
  Step version = 0;
};
// The record of the step is here, and the sums that update what this worker holds: nothing but its own death can keep
// it from having applied the step. Every member says so; the coordinator records a step once. Who needs the updated
// ranges says UpdateNext as long as updates_left().
struct StepCommitted {
  StepRecord record;
};
// Never applied: its loss or norm is not finite, or it predicts nothing. The group stands still from here on.
struct StepFailed {
  StepRecord record;
};
// On the norm worker alone: what is held is not enough; which checkpoint is the newest valid one (0: initial weights)?
struct ChooseCheckpoint {
  Generation generation;
};
// Put these ranges, at that step, into the store.
struct LoadCheckpoint {
  Generation generation;
  Step step = 0;
  std::vector<uint32_t> ranges;
};
// Everything this worker holds in the new plan is here at version `base`; training goes on.
struct Recovered {
  Generation generation;
  Step base = 0;
  bool reloaded = false;
};
// `worker` has kept this one waiting for longer than the deadline; said again after every further one.
struct Suspect {
  WorkerId worker;
  std::string waiting_for;  // "gradient_piece", "holdings_report", ...
  // It has not answered something that was said to it: dead, asleep, or the way is cut. Else it has not said something
  // yet, which it may still be computing.
  bool silent = false;
};
// Not in the newest plan, or left out of it and no longer needed: nothing is held any more.
struct Released {
  Generation generation;
};
using ProtocolAction = std::variant<SendToWorker, StartStep, RangeReadable, StepCommitted, StepFailed, ChooseCheckpoint,
                                    LoadCheckpoint, Recovered, Suspect, Released>;

struct ProtocolOptions {
  JobId job;
  WorkerId self;
  Incarnation incarnation;
  std::vector<PlannedRange> ranges;  // of the whole job (cut_ranges)
  int64_t staleness = 0;             // K of ssp: step t may start from weights at or after version t - 1 - K
  Step last_step = 0;                // no step is started after it
  Duration resend = std::chrono::milliseconds(500);  // of the first repetition; doubles up to eight times this
  Duration deadline = std::chrono::seconds(20);      // before Suspect
};

class CommitProtocol {
 public:
  // `store` outlives the protocol and is called from handle() only.
  CommitProtocol(ProtocolOptions options, RangeStore* store);

  std::vector<ProtocolAction> handle(const ProtocolEvent& event, Time now);

  Generation generation() const { return plan_.generation; }
  const GroupPlan& plan() const { return plan_; }  // the newest heard, also when this worker has no place in it
  // Newest step whose record this worker has, or recovery began from.
  Step committed() const { return committed_; }
  // Held ranges that are not updated to committed() yet.
  size_t updates_left() const { return updates_.size(); }
  bool training() const { return phase_ == Phase::kTraining; }
  // Of a held range, as its numbers are; -1: not held.
  Step version(uint32_t range) const;
  bool holds_sum(uint32_t range, Step step) const { return sums_.contains({step, range}); }
  bool holds_sum(uint32_t range, Step step, Generation made_in) const {
    const auto found = sums_.find({step, range});
    return found != sums_.end() && found->second.told.made_in == made_in;
  }
  // Of a range whose weights this worker computes with, held or copied; -1: not here yet.
  Step readable(uint32_t range) const;
  // Ranges whose weights this worker computes with.
  const std::vector<uint32_t>& needed() const { return needed_; }
  // The oldest version among them: weights of this version or later are here. -1: some are not here yet.
  Step fresh() const;
  // Ranges that this worker is the primary of: its part of a checkpoint.
  const std::vector<uint32_t>& led() const { return led_; }
  // Messages of other generations or of nobody in the plan, and malformed ones.
  uint64_t dropped() const { return dropped_; }
  // The newest generation whose decision this worker has heard.
  Generation decided() const { return decided_; }
  // Everything said has been heard.
  bool quiet() const { return outbox_.empty(); }

 private:
  enum class Phase {
    kOut,        // no plan, or not in it
    kGathering,  // reports of a new generation are on their way
    kRestoring,  // the base is known, not every held range is here
    kTraining,
    kLeaving,   // gives what it holds to members that ask
    kReleased,  // has left; still answers what it is told again
    kFailed
  };
  struct Holding {
    Step version = 0;
    bool planned = true;
  };
  struct Sum {
    HeldSum told;  // what others are told of it
    BulkRef bulk;
  };
  struct Pending {
    WorkerId to;
    ShardMail message;
    Time first_sent, next_send;
    Duration wait{};
    int64_t suspicions = 0;
  };
  using StepRange = std::pair<Step, uint32_t>;

  // commit_protocol.cpp: the door.
  void on_plan(const GroupPlan& plan);
  void on_tick();
  void on_mail(const ShardMail& m);
  void dispatch(const ShardMail& m);
  void suspect_whom_we_wait_for();
  std::vector<std::pair<WorkerId, std::string>> awaited() const;
  uint64_t send(WorkerId to, ShardBody body, Step step, BulkRef bulk, bool until_answered);
  void answer(const Header& to, ShardBody body, BulkRef bulk);
  template <class Action>
  void say(Action action) {
    actions_.emplace_back(std::move(action));
  }

  // commit_steps.cpp: one step. Each returns whether the message is taken and may be acknowledged.
  void on_gradient(const GradientReady& ready);
  bool on_piece(const Header& header, const GradientPiece& piece, const BulkRef& bulk);
  bool on_sum(const Header& header, const GradientSum& sum, const BulkRef& bulk);
  bool on_partials(const Header& header, const PartialNorms& partials);
  bool on_norm(const Header& header, const GlobalNorm& norm);
  void on_ack(const Header& header);
  void on_pull(const Header& header, const PullRange& pull);
  void on_data(const Header& header, const RangeData& data, const BulkRef& bulk);
  void summed(Step step, uint32_t range, const PieceTree& tree);
  void settle(Step step, uint32_t range);
  void close_norm(Step step);
  void commit(const StepRecord& record);
  void update_next();
  void say_readable(uint32_t range) { say(RangeReadable{range, readable(range)}); }
  void advance();  // whatever can be done now: partial norms, copies, the next step
  void say_partial_norms();
  void pull_copies();
  void start_step();
  void answer_waiting();
  bool answer_pull(const Header& header, const PullRange& pull);
  void forget_steps_up_to(Step step);

  // commit_recovery.cpp: a new generation.
  void report_holdings();
  bool on_report(const Header& header, const HoldingsReport& report);
  void decide_if_all_reported();
  void say_decision();
  void on_checkpoint_chosen(const CheckpointChosen& chosen);
  bool on_decision(const Header& header, const RecoveryDecision& decision);
  void keep_what_is_right(const RecoveryDecision& decision);
  void fetch_what_is_missing(const RecoveryDecision& decision);
  void on_checkpoint_loaded(const CheckpointLoaded& loaded);
  void try_training();
  void drop_everything();

  bool is_primary(uint32_t range) const;
  bool is_backup(uint32_t range) const;
  bool is_planned(uint32_t range) const { return is_primary(range) || is_backup(range); }
  WorkerId holder(uint32_t range, int replica) const;
  WorkerId norm_worker() const { return norm_member(plan_).worker; }
  bool in_window(Step step) const { return step > committed_ && step <= committed_ + 2 + options_.staleness; }
  bool receiving() const { return phase_ == Phase::kRestoring || phase_ == Phase::kTraining; }

  ProtocolOptions options_;
  RangeStore* store_;
  Time now_;
  std::vector<ProtocolAction> actions_;
  std::deque<ShardMail> to_self_;
  uint64_t last_request_ = 0, dropped_ = 0;

  // The generation.
  GroupPlan plan_;
  Phase phase_ = Phase::kOut;
  int replica_ = 0, stage_ = 0;
  std::vector<RangeHolders> holders_;
  std::vector<LaneRun> runs_;  // by replica
  std::vector<uint32_t> needed_, led_;
  Generation joined_;  // the one before plan_ that this worker took part in
  Generation decided_;
  bool reloaded_ = false;        // by that decision
  std::vector<WorkerId> stale_;  // whom it named stale
  Time waiting_since_;
  std::map<uint64_t, Pending> outbox_;  // by request, until answered

  // What is held.
  std::map<uint32_t, Holding> holdings_;
  std::map<StepRange, Sum> sums_;
  std::map<uint32_t, Step> copies_;  // needed ranges that are not held
  std::deque<StepRecord> records_;   // of the newest steps, at most two
  std::deque<uint32_t> updates_;     // held ranges that records_.back() is still to be applied to
  Step committed_ = 0, base_ = 0;    // base_: where this generation began

  // The steps at work.
  Step started_ = 0, told_norms_ = 0;
  bool stop_wanted_ = false, stopped_ = false;      // told so; the record of the last step is applied
  std::set<std::pair<uint32_t, uint32_t>> handed_;  // (range, use) of started_ that the training thread has given
  bool computing_ = false;
  std::map<StepRange, PieceTree> trees_;                            // as primary
  std::map<Step, std::set<uint32_t>> settled_;                      // summed here and at the backup
  std::map<uint64_t, std::pair<Header, PullRange>> waiting_pulls_;  // by arrival
  uint64_t last_pull_ = 0;

  // As norm worker.
  std::map<Step, std::map<WorkerId, PartialNorms>> partials_;
  std::map<WorkerId, HoldingsReport> reports_;
  RecoveryDecision decision_;
};

}  // namespace strand
