// What must hold at every message and action, seen from outside all workers at once.
#include <algorithm>

#include "tests/sim/shard_world.h"

namespace strand::sim {

ShardWorld::Process* ShardWorld::living(WorkerId id) {
  Process& p = workers_[index_of(id)];
  return p.alive ? &p : nullptr;
}

void ShardWorld::check_sent(Process& p, const SendToWorker& action) {
  const Header& header = action.message.message.header;
  const ShardBody& body = action.message.message.body;
  sent_[{header.step, shard_message_name(body)}].insert({header.sender.value, header.request});
  if (const auto* sum = std::get_if<GradientSum>(&body)) {
    const auto [leader, first] = leaders_.try_emplace({header.generation.value, sum->range}, p.id);
    if (leader->second != p.id) {
      violation(concat("range ", sum->range, " has two leaders in generation ", header.generation.value));
    }
  }
  if (const auto* norm = std::get_if<GlobalNorm>(&body)) {
    if (norms_checked_.insert({header.generation.value, norm->record.step}).second) check_norm(p, norm->record.step);
  }
  if (const auto* decision = std::get_if<RecoveryDecision>(&body)) {
    if (decisions_checked_.insert(header.generation.value).second) check_decision(p, *decision);
  }
}

// The commit: a norm exists only when every range is summed by all its holders.
void ShardWorld::check_norm(Process& p, Step step) {
  const GroupPlan& plan = plans_.at(p.protocol->generation().value);
  if (norm_member(plan).worker != p.id) violation(concat("worker ", p.id.value, " is not the norm worker"));
  const auto& ranges = serial_->job().ranges;
  const std::vector<RangeHolders> holders = assign_holders(ranges, plan.replicas, plan.backup);
  for (uint32_t range = 0; range < ranges.size(); ++range) {
    for (const int replica : {holders[range].primary, holders[range].backup}) {
      if (replica < 0) continue;
      const GroupMember& m = member_at(plan, replica, ranges[range].place.stage);
      const Process* holder = living(m.worker);
      if (holder == nullptr || holder->incarnation != m.incarnation) continue;
      if (holder->protocol->generation() > plan.generation) continue;
      if (holder->protocol->generation() == plan.generation &&
          (holder->protocol->holds_sum(range, step) || holder->protocol->version(range) >= step)) {
        continue;
      }
      violation(concat("the norm of step ", step, " is sent, but worker ", m.worker.value, " lacks range ", range));
    }
  }
}

ShardWorld::Had ShardWorld::had(const Process& p) const {
  Had had{p.protocol->decided(), {}, {}};
  for (uint32_t range = 0; range < serial_->job().ranges.size(); ++range) {
    had.versions.push_back(p.protocol->version(range));
    had.sums.push_back(p.protocol->holds_sum(range, committed_));
  }
  return had;
}

// For people who look at a failing seed.
void ShardWorld::tell_holdings(const Process& decider, const GroupMember& m) {
  const Process* p = living(m.worker);
  if (p == nullptr || p->incarnation != m.incarnation) {
    history_.push_back(concat("  worker ", m.worker.value, " is gone"));
    return;
  }
  const Had has = p == &decider ? had_ : had(*p);
  std::string versions;
  for (const Step version : has.versions) versions += concat(" ", version);
  history_.push_back(concat("  worker ", m.worker.value, " of generation ", p->protocol->generation().value,
                            ", left out of ", p->left_out.value, ", decided ", has.decided.value, ", at:", versions));
}

// No committed step is lost while every range has a holder who has it, and who has not missed a decision without it or
// a reload.
void ShardWorld::check_decision(Process& p, const RecoveryDecision& decision) {
  const GroupPlan& plan = plans_.at(p.protocol->generation().value);
  if (plan.generation < decided_) {  // of sleepers who woke up late: it binds nobody who took part in a newer one
    history_.push_back(concat(to_seconds(queue_.now() - Time{}), " s: generation ", plan.generation.value,
                              " decides after generation ", decided_.value, ", for nobody"));
    return;
  }
  std::vector<bool> kept(serial_->job().ranges.size());
  for (const auto* list : {&plan.members, &plan.leaving}) {
    for (const GroupMember& m : *list) {
      const Process* holder = living(m.worker);
      if (holder == nullptr) continue;
      const Had has = holder == &p ? had_ : had(*holder);
      if (has.decided < std::max(holder->left_out, last_reload_)) continue;  // of a way that was given up
      for (size_t range = 0; range < kept.size(); ++range) {
        const Step version = has.versions[range];
        if (version >= committed_ || (version >= 0 && version == committed_ - 1 && has.sums[range])) kept[range] = true;
      }
    }
  }
  const bool all_kept = std::find(kept.begin(), kept.end(), false) == kept.end();
  const bool lost = decision.reload ? decided_.value != 0 : decision.base < committed_;
  if (lost && all_kept) {
    for (const auto* list : {&plan.members, &plan.leaving}) {
      for (const GroupMember& m : *list) tell_holdings(p, m);
    }
    violation(concat("step ", committed_, " was committed and is held, but generation ", plan.generation.value,
                     decision.reload ? " reloads " : " goes on from ", decision.base));
  }
  decided_ = plan.generation;
  if (decision.reload) last_reload_ = plan.generation;
  for (Process& other : workers_) {
    if (find_member(plan, other.id) == nullptr) other.left_out = plan.generation;
  }
  reloads_ += decision.reload;
  if (decision.reload || decision.base < committed_) committed_ = decision.base;
  history_.push_back(concat(to_seconds(queue_.now() - Time{}), " s: generation ", plan.generation.value,
                            decision.reload ? " reloads " : " goes on from ", decision.base));
}

void ShardWorld::check_committed(Process& p, const StepRecord& record) {
  StepRecord expected = serial_->record(record.step);
  expected.made_in = record.made_in;
  if (record != expected) violation(concat("worker ", p.id.value, ": another record of step ", record.step));
  if (p.protocol->generation() >= decided_) committed_ = std::max(committed_, record.step);
}

// Plant::kClosedOnCount: as many partial norms as there are workers have come, some perhaps twice. A round closed on
// that count would take what is missing as nothing.
void ShardWorld::close_on_count(Process& to, const ShardMail& mail) {
  const Header& header = mail.message.header;
  if (!std::holds_alternative<PartialNorms>(mail.message.body)) return;
  if (header.generation != to.protocol->generation()) return;
  const GroupPlan& plan = plans_.at(header.generation.value);
  if (++norm_count_[{header.generation.value, header.step}] + 1 != plan.members.size()) return;
  const auto& ranges = serial_->job().ranges;
  const std::vector<RangeHolders> holders = assign_holders(ranges, plan.replicas, plan.backup);
  for (const GroupMember& m : plan.members) {
    if (m.worker == to.id || m.worker == header.sender) continue;
    PartialNorms nothing;
    for (uint32_t range = 0; range < ranges.size(); ++range) {
      if (ranges[range].place.stage != m.stage || holders[range].primary != m.replica) continue;
      nothing.ranges.push_back({range, std::vector<double>(static_cast<size_t>(ranges[range].blocks))});
    }
    ShardMail made{{header, nothing}, nullptr};
    made.message.header.sender = m.worker;
    made.message.header.incarnation = m.incarnation;
    happens(to, made);
  }
}

}  // namespace strand::sim
