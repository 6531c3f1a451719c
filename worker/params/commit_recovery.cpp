// A new generation: everybody tells what it holds, the norm worker decides, holders fetch what they lack.
#include <algorithm>

#include "worker/params/commit_protocol.h"
#include "worker/params/recovery.h"

namespace strand {

void CommitProtocol::report_holdings() {
  std::erase_if(sums_, [&](const auto& entry) { return !holdings_.contains(entry.first.second); });
  HoldingsReport report{joined_, decided_, reloaded_, {}, {records_.begin(), records_.end()}, stale_};
  for (const auto& [range, holding] : holdings_) {
    RangeHolding told{range, holding.version, holding.planned, {}};
    for (const auto& [key, sum] : sums_) {
      if (key.second == range && key.first > holding.version) told.sums.push_back(sum.told);
    }
    report.holdings.push_back(std::move(told));
  }
  send(norm_worker(), std::move(report), committed_, nullptr, true);
}

bool CommitProtocol::on_report(const Header& header, const HoldingsReport& report) {
  if (norm_worker() != options_.self || phase_ == Phase::kOut) return false;
  if (phase_ != Phase::kGathering) return true;  // decided already
  if (!reports_.emplace(header.sender, report).second) return true;
  decide_if_all_reported();
  return true;
}

// Closed on the set of those asked.
void CommitProtocol::decide_if_all_reported() {
  for (const auto* list : {&plan_.members, &plan_.leaving}) {
    for (const GroupMember& m : *list) {
      if (!reports_.contains(m.worker)) return;
    }
  }
  decision_ = decide_recovery(plan_, options_.ranges, holders_, reports_).decision;
  if (decision_.reload) {
    say(ChooseCheckpoint{plan_.generation});
  } else {
    say_decision();
  }
}

void CommitProtocol::on_checkpoint_chosen(const CheckpointChosen& chosen) {
  if (chosen.generation != plan_.generation || phase_ != Phase::kGathering || !decision_.reload) return;
  decision_.base = chosen.step;
  say_decision();
}

void CommitProtocol::say_decision() {
  for (const auto* list : {&plan_.members, &plan_.leaving}) {
    for (const GroupMember& m : *list) send(m.worker, decision_, decision_.base, nullptr, true);
  }
}

bool CommitProtocol::on_decision(const Header& header, const RecoveryDecision& decision) {
  if (header.sender != norm_worker() || phase_ == Phase::kOut) return false;
  if (phase_ != Phase::kGathering) return true;
  decided_ = plan_.generation;
  reloaded_ = decision.reload;
  stale_ = decision.stale;
  waiting_since_ = now_;
  keep_what_is_right(decision);
  committed_ = base_ = started_ = told_norms_ = decision.base;
  if (is_leaving(plan_, options_.self)) {
    phase_ = Phase::kLeaving;
    answer_waiting();
    return true;
  }
  phase_ = Phase::kRestoring;
  answer_waiting();
  fetch_what_is_missing(decision);
  return true;
}

// What is at the base stays, what is one step behind with the right sum comes to it, everything else goes.
void CommitProtocol::keep_what_is_right(const RecoveryDecision& decision) {
  const bool is_void =
      decision.reload || std::find(decision.stale.begin(), decision.stale.end(), options_.self) != decision.stale.end();
  const StepRecord* record = decision.records.empty() ? nullptr : &decision.records.front();
  for (auto held = holdings_.begin(); held != holdings_.end();) {
    auto& [range, holding] = *held;
    const auto sum = sums_.find({decision.base, range});
    const bool behind = !is_void && holding.version == decision.base - 1 && record != nullptr && sum != sums_.end() &&
                        sum->second.told.made_in == record->made_in;
    if (behind) {
      store_->apply(range, sum->second.bulk, *record);
      holding.version = decision.base;
    }
    holding.planned = is_planned(range);
    if (is_void || holding.version != decision.base) {
      store_->drop(range);
      held = holdings_.erase(held);
    } else {
      ++held;
    }
  }
  sums_.clear();  // of the base: applied by all who can; of later steps: dropped
  if (is_void) records_.clear();
  if (record == nullptr || (!records_.empty() && records_.back().step >= record->step)) return;
  records_ = {*record};
  say(StepCommitted{*record});
}

void CommitProtocol::fetch_what_is_missing(const RecoveryDecision& decision) {
  std::vector<uint32_t> missing;
  for (uint32_t range = 0; range < options_.ranges.size(); ++range) {
    if (is_planned(range) && !holdings_.contains(range)) missing.push_back(range);
  }
  if (decision.reload && !missing.empty()) {
    say(LoadCheckpoint{plan_.generation, decision.base, std::move(missing)});
    return;
  }
  for (const RangeSource& source : decision.sources) {
    if (std::find(missing.begin(), missing.end(), source.range) == missing.end()) continue;
    send(source.worker, PullRange{source.range, decision.base, true}, decision.base, nullptr, true);
  }
  try_training();
}

void CommitProtocol::on_checkpoint_loaded(const CheckpointLoaded& loaded) {
  if (loaded.generation != plan_.generation || phase_ != Phase::kRestoring || loaded.step != committed_) return;
  for (uint32_t range = 0; range < options_.ranges.size(); ++range) {
    if (is_planned(range)) holdings_[range] = {committed_, true};
  }
  answer_waiting();
  try_training();
}

void CommitProtocol::try_training() {
  if (phase_ != Phase::kRestoring) return;
  for (uint32_t range = 0; range < options_.ranges.size(); ++range) {
    if (is_planned(range) && !holdings_.contains(range)) return;
  }
  phase_ = Phase::kTraining;
  waiting_since_ = now_;
  say(Recovered{plan_.generation, committed_, reloaded_});
  for (const uint32_t range : needed_) say_readable(range);
  advance();
}

void CommitProtocol::drop_everything() {
  for (const auto& [range, holding] : holdings_) store_->drop(range);
  holdings_.clear();
  updates_.clear();
  sums_.clear();
  records_.clear();
  trees_.clear();
  outbox_.clear();
  waiting_pulls_.clear();
  computing_ = false;
  phase_ = Phase::kOut;
}

}  // namespace strand
