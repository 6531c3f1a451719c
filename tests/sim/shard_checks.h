// What must hold at every message and action of a group of workers, seen from outside all of them at once: one leader
// of a range in a generation, a norm only of sums that all live holders have, no committed step dropped while it is
// held, the record that one process computes.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/serial_run.h"
#include "worker/params/commit_protocol.h"

namespace strand::sim {

class ShardChecks {
 public:
  // A process; `protocol` is null while it does not work on the job.
  struct Member {
    WorkerId id;
    Incarnation incarnation;
    const CommitProtocol* protocol = nullptr;
  };
  struct World {
    std::function<std::vector<Member>()> living;
    std::function<const GroupPlan&(Generation)> plan;
    std::function<Generation()> newest_plan;
    std::function<void(const std::string&)> violation, note;  // note: for people who look at a failing seed
  };
  ShardChecks(SerialRun* serial, World world) : serial_(serial), world_(std::move(world)) {}

  // Before a member handles anything while it does not train, or a plan: its own decision changes it at once.
  void before(const Member& m) { had_ = {m.id, had(m)}; }
  void sent(const Member& m, const SendToWorker& action);
  void committed(const Member& m, const StepRecord& record);
  void loading(const Member& m, const LoadCheckpoint& load);
  void recovered(const Member& m, const Recovered& recovered);

  // The newest step applied anywhere since the last reload.
  Step committed() const { return committed_; }
  int reloads() const { return reloads_; }

 private:
  struct Had {
    Generation decided;
    std::vector<Step> versions;
    std::vector<bool> sums;  // of step committed_
  };
  Had had(const Member& m) const;
  Had has_now(const Member& decider, const Member& m) const;
  const Member* find(const std::vector<Member>& living, WorkerId id) const;
  Generation left_out(const Member& m) const;
  void check_norm(const Member& m, Step step);
  void check_decision(const Member& m, const RecoveryDecision& decision);
  void tell_holdings(const Member& decider, const std::vector<Member>& living, const GroupMember& m);

  SerialRun* serial_;
  World world_;
  Step committed_ = 0;
  std::map<Step, Generation> made_in_;  // of each committed step, its record
  int reloads_ = 0;
  Generation decided_, last_reload_;
  std::map<std::pair<uint64_t, uint32_t>, WorkerId> leaders_;  // (generation, range)
  std::set<std::pair<uint64_t, Step>> norms_checked_;
  std::set<uint64_t> decisions_checked_;
  // The newest generation that decided without this process.
  std::map<std::pair<WorkerId, Incarnation>, Generation> left_out_;
  std::pair<WorkerId, Had> had_;
};

// --- defects to be found --------------------------------------------------------------------------------------------

// The norm worker's round closed on a count: where as many partial norms have come as there are other members, some
// perhaps twice, it gets empty ones of those that are missing. `count`: kept by the caller.
using NormCount = std::map<std::pair<uint64_t, Step>, size_t>;
std::vector<ShardMail> closed_on_count(const GroupPlan& plan, const std::vector<PlannedRange>& ranges,
                                       const ShardMail& mail, WorkerId to, NormCount* count);
// What the backup will say of a sum once it holds it, before it does.
ShardMail early_acknowledgement(const SendToWorker& sum, Incarnation backup);

}  // namespace strand::sim
