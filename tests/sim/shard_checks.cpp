#include "tests/sim/shard_checks.h"

#include <algorithm>

#include "shared/base/text.h"

namespace strand::sim {

const ShardChecks::Member* ShardChecks::find(const std::vector<Member>& living, WorkerId id) const {
  const auto found = std::ranges::find_if(living, [&](const Member& m) { return m.id == id; });
  return found == living.end() ? nullptr : &*found;
}

Generation ShardChecks::left_out(const Member& m) const {
  const auto found = left_out_.find({m.id, m.incarnation});
  return found == left_out_.end() ? Generation() : found->second;
}

void ShardChecks::sent(const Member& m, const SendToWorker& action) {
  const Header& header = action.message.message.header;
  const ShardBody& body = action.message.message.body;
  if (const auto* sum = std::get_if<GradientSum>(&body)) {
    const auto [leader, first] = leaders_.try_emplace({header.generation.value, sum->range}, m.id);
    if (leader->second != m.id) {
      world_.violation(concat("range ", sum->range, " has two leaders in generation ", header.generation.value));
    }
  }
  if (const auto* norm = std::get_if<GlobalNorm>(&body)) {
    if (norms_checked_.insert({header.generation.value, norm->record.step}).second) check_norm(m, norm->record.step);
  }
  if (const auto* decision = std::get_if<RecoveryDecision>(&body)) {
    if (decisions_checked_.insert(header.generation.value).second) check_decision(m, *decision);
  }
}

// Of a group of one nothing is sent.
void ShardChecks::loading(const Member& m, const LoadCheckpoint& load) {
  if (!decisions_checked_.insert(load.generation.value).second) return;
  check_decision(m, {load.step, true, {}, {}, {}});
}

void ShardChecks::recovered(const Member& m, const Recovered& recovered) {
  if (!decisions_checked_.insert(recovered.generation.value).second) return;
  check_decision(m, {recovered.base, recovered.reloaded, {}, {}, {}});
}

// The commit: a norm exists only when every range is summed by all its holders.
void ShardChecks::check_norm(const Member& m, Step step) {
  const GroupPlan& plan = world_.plan(m.protocol->generation());
  if (norm_member(plan).worker != m.id) world_.violation(concat("worker ", m.id.value, " is not the norm worker"));
  const auto& ranges = serial_->job().ranges;
  const std::vector<RangeHolders> holders = assign_holders(ranges, plan.replicas, plan.backup);
  const auto living = world_.living();
  for (uint32_t range = 0; range < ranges.size(); ++range) {
    for (const int replica : {holders[range].primary, holders[range].backup}) {
      if (replica < 0) continue;
      const GroupMember& place = member_at(plan, replica, ranges[range].place.stage);
      const Member* holder = find(living, place.worker);
      if (!holder || !holder->protocol || holder->incarnation != place.incarnation) continue;
      // It has gone on; or it began anew, without a plan yet, when its job had come to rest.
      const Generation its = holder->protocol->generation();
      if (its > plan.generation || (its == Generation{} && world_.newest_plan() > plan.generation)) continue;
      if (holder->protocol->generation() == plan.generation &&
          (holder->protocol->holds_sum(range, step) || holder->protocol->version(range) >= step)) {
        continue;
      }
      world_.violation(
          concat("the norm of step ", step, " is sent, but worker ", place.worker.value, " lacks range ", range));
    }
  }
}

ShardChecks::Had ShardChecks::had(const Member& m) const {
  Had had{m.protocol->decided(), {}, {}};
  const auto made_in = made_in_.find(committed_);
  for (uint32_t range = 0; range < serial_->job().ranges.size(); ++range) {
    had.versions.push_back(m.protocol->version(range));
    // Of another generation it is of another try, which the record is not of.
    had.sums.push_back(made_in != made_in_.end() && m.protocol->holds_sum(range, committed_, made_in->second));
  }
  return had;
}

ShardChecks::Had ShardChecks::has_now(const Member& decider, const Member& m) const {
  return m.id == decider.id && had_.first == m.id ? had_.second : had(m);
}

void ShardChecks::tell_holdings(const Member& decider, const std::vector<Member>& living, const GroupMember& m) {
  const Member* p = find(living, m.worker);
  if (!p || !p->protocol || p->incarnation != m.incarnation) {
    return world_.note(concat("  worker ", m.worker.value, " is gone"));
  }
  const Had has = has_now(decider, *p);
  std::string versions;
  for (const Step version : has.versions) versions += concat(" ", version);
  world_.note(concat("  worker ", m.worker.value, " of generation ", p->protocol->generation().value, ", left out of ",
                     left_out(*p).value, ", decided ", has.decided.value, ", at:", versions));
}

// No committed step is lost while every range has a holder who has it, and who has not missed a decision without it or
// a reload.
void ShardChecks::check_decision(const Member& decider, const RecoveryDecision& decision) {
  const GroupPlan& plan = world_.plan(decider.protocol->generation());
  if (plan.generation < decided_) {  // of sleepers who woke up late: it binds nobody who took part in a newer one
    return world_.note(
        concat("generation ", plan.generation.value, " decides after generation ", decided_.value, ", for nobody"));
  }
  const auto living = world_.living();
  std::vector<bool> kept(serial_->job().ranges.size());
  for (const auto* list : {&plan.members, &plan.leaving}) {
    for (const GroupMember& m : *list) {
      const Member* holder = find(living, m.worker);
      if (!holder || !holder->protocol || holder->incarnation != m.incarnation) continue;
      const Had has = has_now(decider, *holder);
      if (has.decided < std::max(left_out(*holder), last_reload_)) continue;  // of a way that was given up
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
      for (const GroupMember& m : *list) tell_holdings(decider, living, m);
    }
    world_.violation(concat("step ", committed_, " was committed and is held, but generation ", plan.generation.value,
                            decision.reload ? " reloads " : " goes on from ", decision.base));
  }
  decided_ = plan.generation;
  if (decision.reload) last_reload_ = plan.generation;
  for (const Member& other : living) {
    if (find_member(plan, other.id) == nullptr) left_out_[{other.id, other.incarnation}] = plan.generation;
  }
  reloads_ += decision.reload;
  if (decision.reload || decision.base < committed_) committed_ = decision.base;
  world_.note(
      concat("generation ", plan.generation.value, decision.reload ? " reloads " : " goes on from ", decision.base));
}

void ShardChecks::committed(const Member& m, const StepRecord& record) {
  StepRecord expected = serial_->record(record.step);
  expected.made_in = record.made_in;
  expected.last = record.last;
  if (record != expected) world_.violation(concat("worker ", m.id.value, ": another record of step ", record.step));
  if (m.protocol->generation() < decided_) return;
  committed_ = std::max(committed_, record.step);
  made_in_[record.step] = std::max(made_in_[record.step], record.made_in);
}

// --- defects to be found --------------------------------------------------------------------------------------------

std::vector<ShardMail> closed_on_count(const GroupPlan& plan, const std::vector<PlannedRange>& ranges,
                                       const ShardMail& mail, WorkerId to, NormCount* count) {
  const Header& header = mail.message.header;
  if (!std::holds_alternative<PartialNorms>(mail.message.body) || header.generation != plan.generation) return {};
  if (++(*count)[{header.generation.value, header.step}] + 1 != plan.members.size()) return {};
  const std::vector<RangeHolders> holders = assign_holders(ranges, plan.replicas, plan.backup);
  std::vector<ShardMail> made;
  for (const GroupMember& m : plan.members) {
    if (m.worker == to || m.worker == header.sender) continue;
    PartialNorms nothing;
    for (uint32_t range = 0; range < ranges.size(); ++range) {
      if (ranges[range].place.stage != m.stage || holders[range].primary != m.replica) continue;
      nothing.ranges.push_back({range, std::vector<double>(static_cast<size_t>(ranges[range].blocks))});
    }
    made.push_back({{header, nothing}, nullptr});
    made.back().message.header.sender = m.worker;
    made.back().message.header.incarnation = m.incarnation;
  }
  return made;
}

ShardMail early_acknowledgement(const SendToWorker& sum, Incarnation backup) {
  ShardMail ack = sum.message;
  ack.message.body = ShardAck{};
  ack.message.header.sender = sum.to;
  ack.message.header.incarnation = backup;
  ack.bulk = nullptr;
  return ack;
}

}  // namespace strand::sim
