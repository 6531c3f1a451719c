#include "worker/params/commit_protocol.h"

#include <algorithm>

#include "shared/base/check.h"

namespace strand {

constexpr int64_t kLargestBackOff = 8;

CommitProtocol::CommitProtocol(ProtocolOptions options, RangeStore* store)
    : options_(std::move(options)), store_(store) {
  STRAND_CHECK(!options_.ranges.empty() && options_.staleness >= 0);
}

std::vector<ProtocolAction> CommitProtocol::handle(const ProtocolEvent& event, Time now) {
  now_ = now;
  if (const auto* plan = std::get_if<NewPlan>(&event)) on_plan(plan->plan);
  if (const auto* message = std::get_if<ShardMail>(&event)) on_mail(*message);
  if (const auto* ready = std::get_if<GradientReady>(&event)) on_gradient(*ready);
  if (const auto* chosen = std::get_if<CheckpointChosen>(&event)) on_checkpoint_chosen(*chosen);
  if (const auto* loaded = std::get_if<CheckpointLoaded>(&event)) on_checkpoint_loaded(*loaded);
  if (std::holds_alternative<ProtocolTick>(event)) on_tick();
  if (std::holds_alternative<StopAfterNextStep>(event)) stop_wanted_ = true;
  if (std::holds_alternative<UpdateNext>(event)) update_next();
  while (!to_self_.empty()) {
    const ShardMail message = std::move(to_self_.front());
    to_self_.pop_front();
    dispatch(message);
  }
  return std::exchange(actions_, {});
}

// --- who and what ---------------------------------------------------------------------------------------------------

WorkerId CommitProtocol::holder(uint32_t range, int replica) const {
  return member_at(plan_, replica, options_.ranges[range].place.stage).worker;
}
bool CommitProtocol::is_primary(uint32_t range) const {
  return options_.ranges[range].place.stage == stage_ && holders_[range].primary == replica_;
}
bool CommitProtocol::is_backup(uint32_t range) const {
  return options_.ranges[range].place.stage == stage_ && holders_[range].backup == replica_;
}

Step CommitProtocol::version(uint32_t range) const {
  const auto held = holdings_.find(range);
  return held == holdings_.end() ? -1 : held->second.version;
}

Step CommitProtocol::readable(uint32_t range) const {
  const auto copy = copies_.find(range);
  return std::max(version(range), copy == copies_.end() ? Step{-1} : copy->second);
}

Step CommitProtocol::fresh() const {
  Step oldest = needed_.empty() ? -1 : readable(needed_.front());
  for (const uint32_t range : needed_) oldest = std::min(oldest, readable(range));
  return oldest;
}

// --- the group ------------------------------------------------------------------------------------------------------

void CommitProtocol::on_plan(const GroupPlan& plan) {
  if (plan.generation <= plan_.generation) return;
  while (!updates_.empty()) update_next();  // so that versions say what is held
  const bool was_in = phase_ != Phase::kOut;
  if (was_in) joined_ = plan_.generation;
  plan_ = plan;
  outbox_.clear();
  trees_.clear();
  settled_.clear();
  waiting_pulls_.clear();
  partials_.clear();
  reports_.clear();
  copies_.clear();
  needed_.clear();
  led_.clear();
  to_self_.clear();
  computing_ = stop_wanted_ = stopped_ = false;
  waiting_since_ = now_;
  const GroupMember* self = find_member(plan_, options_.self);
  if (self == nullptr || self->incarnation != options_.incarnation) {
    drop_everything();
    say(Released{plan_.generation});
    return;
  }
  const bool leaving = is_leaving(plan_, options_.self);
  replica_ = leaving ? -1 : self->replica;
  stage_ = leaving ? -1 : self->stage;
  holders_ = assign_holders(options_.ranges, plan_.replicas, plan_.backup);
  runs_ = deal_lanes(plan_.lanes, plan_.replicas, plan_.lane_shares);
  for (uint32_t range = 0; range < options_.ranges.size(); ++range) {
    const TensorPlace& place = options_.ranges[range].place;
    if (!leaving && (place.stage == stage_ || place.second_use == stage_)) needed_.push_back(range);
    if (is_primary(range)) led_.push_back(range);
  }
  phase_ = Phase::kGathering;
  report_holdings();
}

// --- sending --------------------------------------------------------------------------------------------------------

uint64_t CommitProtocol::send(WorkerId to, ShardBody body, Step step, BulkRef bulk, bool until_answered) {
  ShardMail m{{{}, std::move(body)}, std::move(bulk)};
  Header& header = m.message.header;
  header.request = ++last_request_;
  header.job = options_.job;
  header.generation = plan_.generation;
  header.sender = options_.self;
  header.incarnation = options_.incarnation;
  header.step = step;
  if (to == options_.self) {
    to_self_.push_back(std::move(m));
    return last_request_;
  }
  if (until_answered) {
    outbox_[last_request_] = {to, m, now_, now_ + options_.resend, options_.resend, 0};
  }
  say(SendToWorker{to, std::move(m)});
  return last_request_;
}

void CommitProtocol::answer(const Header& to, ShardBody body, BulkRef bulk) {
  if (to.sender == options_.self && std::holds_alternative<ShardAck>(body)) return;  // nobody waits for it
  ShardMail m{{to, std::move(body)}, std::move(bulk)};
  m.message.header.sender = options_.self;
  m.message.header.incarnation = options_.incarnation;
  if (to.sender == options_.self) {
    to_self_.push_back(std::move(m));
  } else {
    say(SendToWorker{to.sender, std::move(m)});
  }
}

void CommitProtocol::on_tick() {
  for (auto& [request, pending] : outbox_) {
    if (now_ < pending.next_send) continue;
    say(SendToWorker{pending.to, pending.message});
    pending.wait = std::min(pending.wait * 2, options_.resend * kLargestBackOff);
    pending.next_send = now_ + pending.wait;
  }
  suspect_whom_we_wait_for();
}

void CommitProtocol::suspect_whom_we_wait_for() {
  for (auto& [request, pending] : outbox_) {
    if (now_ - pending.first_sent < options_.deadline * (pending.suspicions + 1)) continue;
    ++pending.suspicions;
    say(Suspect{pending.to, shard_message_name(pending.message.message.body), true});
  }
  if (now_ - waiting_since_ < options_.deadline) return;
  waiting_since_ = now_;
  // What is held is told at once: whoever has not done so is not heard.
  for (auto& [worker, what] : awaited()) say(Suspect{worker, what, what == "holdings_report"});
}

// Whose turn it is when nothing has gone on for a deadline. What is on its way is in the outbox instead.
std::vector<std::pair<WorkerId, std::string>> CommitProtocol::awaited() const {
  std::vector<std::pair<WorkerId, std::string>> list;
  if (phase_ == Phase::kGathering) {
    if (norm_worker() != options_.self) return {{norm_worker(), "recovery_decision"}};
    for (const auto* members : {&plan_.members, &plan_.leaving}) {
      for (const GroupMember& m : *members) {
        if (!reports_.contains(m.worker)) list.emplace_back(m.worker, "holdings_report");
      }
    }
  }
  if (phase_ != Phase::kTraining) return list;
  std::set<WorkerId> late;
  for (const auto& [key, tree] : trees_) {
    if (key.first != committed_ + 1 || tree.complete()) continue;
    const TensorPlace& place = options_.ranges[key.second].place;
    for (const GroupMember& m : plan_.members) {
      for (const int use : {0, 1}) {
        if (m.stage != (use == 0 ? place.stage : place.second_use)) continue;
        for (const LaneSubtree& subtree : largest_subtrees(runs_[static_cast<size_t>(m.replica)])) {
          if (!tree.has(use, subtree)) late.insert(m.worker);
        }
      }
    }
  }
  late.erase(options_.self);
  for (const WorkerId worker : late) list.emplace_back(worker, "gradient_piece");
  const auto open = partials_.find(committed_ + 1);
  if (open == partials_.end()) return list;
  for (const GroupMember& m : plan_.members) {
    if (!open->second.contains(m.worker)) list.emplace_back(m.worker, "partial_norms");
  }
  return list;
}

// --- receiving ------------------------------------------------------------------------------------------------------

void CommitProtocol::on_mail(const ShardMail& m) {
  const Header& header = m.message.header;
  const GroupMember* sender = phase_ == Phase::kOut ? nullptr : find_member(plan_, header.sender);
  // The receiver fences: another generation, or a process that the plan does not mean.
  if (header.job != options_.job || header.generation != plan_.generation || sender == nullptr ||
      sender->incarnation != header.incarnation || header.sender == options_.self) {
    ++dropped_;
    return;
  }
  dispatch(m);
}

void CommitProtocol::dispatch(const ShardMail& m) {
  const Header& header = m.message.header;
  const ShardBody& body = m.message.body;
  if (std::holds_alternative<ShardAck>(body)) return on_ack(header);
  if (const auto* pull = std::get_if<PullRange>(&body)) return on_pull(header, *pull);
  if (const auto* data = std::get_if<RangeData>(&body)) return on_data(header, *data, m.bulk);
  bool taken = false;
  if (const auto* piece = std::get_if<GradientPiece>(&body)) taken = on_piece(header, *piece, m.bulk);
  if (const auto* sum = std::get_if<GradientSum>(&body)) taken = on_sum(header, *sum, m.bulk);
  if (const auto* partials = std::get_if<PartialNorms>(&body)) taken = on_partials(header, *partials);
  if (const auto* norm = std::get_if<GlobalNorm>(&body)) taken = on_norm(header, *norm);
  if (const auto* report = std::get_if<HoldingsReport>(&body)) taken = on_report(header, *report);
  if (const auto* decision = std::get_if<RecoveryDecision>(&body)) taken = on_decision(header, *decision);
  if (taken) {
    answer(header, ShardAck{}, nullptr);
  } else {
    ++dropped_;  // too early, or not for us; the sender says it again
  }
}

}  // namespace strand
