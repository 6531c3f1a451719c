// One step: pieces, sums, norms, the update, and the weights of it.
#include <algorithm>
#include <iterator>

#include "shared/base/check.h"
#include "worker/params/commit_protocol.h"
#include "worker/params/step_record.h"

namespace strand {
namespace {

constexpr size_t kRecordsKept = 2;

// Nothing, or one entry for each lane of the subtree, in order.
bool numbers_fit(const std::vector<LaneNumbers>& numbers, LaneSubtree subtree) {
  if (numbers.empty()) return true;
  const int64_t first = subtree.index << subtree.level, count = int64_t{1} << subtree.level;
  if (static_cast<int64_t>(numbers.size()) != count) return false;
  for (int64_t i = 0; i < count; ++i) {
    if (numbers[static_cast<size_t>(i)].lane != first + i) return false;
  }
  return true;
}

}  // namespace

// --- gradients ------------------------------------------------------------------------------------------------------

void CommitProtocol::on_gradient(const GradientReady& ready) {
  if (ready.generation != plan_.generation || !computing_ || ready.step != started_) return;  // of an older generation
  STRAND_CHECK(ready.range < options_.ranges.size(), "range ", ready.range);
  if (!handed_.insert({ready.range, ready.use}).second) return;
  const WorkerId primary = holder(ready.range, holders_[ready.range].primary);
  for (const GradientReady::Piece& p : ready.pieces) {
    GradientPiece piece{ready.range, ready.use, static_cast<uint32_t>(p.subtree.level),
                        static_cast<uint64_t>(p.subtree.index), p.numbers};
    send(primary, std::move(piece), ready.step, p.sum, true);
  }
  size_t wanted = 0;
  for (const uint32_t range : needed_) {
    const TensorPlace& place = options_.ranges[range].place;
    wanted += static_cast<size_t>(place.stage == stage_) + static_cast<size_t>(place.second_use == stage_);
  }
  if (handed_.size() < wanted) return;
  computing_ = false;
  advance();
}

bool CommitProtocol::on_piece(const Header& header, const GradientPiece& piece, const BulkRef& bulk) {
  const GroupMember& sender = *find_member(plan_, header.sender);
  if (!receiving() || is_leaving(plan_, header.sender) || piece.range >= options_.ranges.size() || bulk == nullptr) {
    return false;
  }
  const TensorPlace& place = options_.ranges[piece.range].place;
  if (!is_primary(piece.range) || piece.use > 1 || piece.level > 62) return false;
  if (sender.stage != (piece.use == 0 ? place.stage : place.second_use)) return false;
  const LaneSubtree subtree{static_cast<int>(piece.level), static_cast<int64_t>(piece.index)};
  const auto dealt = largest_subtrees(runs_[static_cast<size_t>(sender.replica)]);
  if (std::find(dealt.begin(), dealt.end(), subtree) == dealt.end()) return false;
  if (!numbers_fit(piece.numbers, subtree)) return false;
  if (header.step <= committed_) return true;  // its step is closed: it was here
  if (!in_window(header.step)) return false;
  const int uses = place.second_use < 0 ? 1 : 2;
  PieceTree& tree = trees_.try_emplace({header.step, piece.range}, piece.range, plan_.lanes, uses).first->second;
  if (tree.add(*store_, static_cast<int>(piece.use), subtree, bulk, piece.numbers) && tree.complete()) {
    summed(header.step, piece.range, tree);
  }
  return true;
}

void CommitProtocol::summed(Step step, uint32_t range, const PieceTree& tree) {
  const HeldSum told{step, plan_.generation, store_->squares(range, tree.sum()), tree.numbers()};
  sums_[{step, range}] = {told, tree.sum()};
  const int backup = holders_[range].backup;
  if (backup < 0) return settle(step, range);
  send(holder(range, backup), GradientSum{range, told.partials, told.numbers}, step, tree.sum(), true);
}

bool CommitProtocol::on_sum(const Header& header, const GradientSum& sum, const BulkRef& bulk) {
  if (!receiving() || sum.range >= options_.ranges.size() || bulk == nullptr || !is_backup(sum.range)) return false;
  if (header.sender != holder(sum.range, holders_[sum.range].primary)) return false;
  if (static_cast<int64_t>(sum.partials.size()) != options_.ranges[sum.range].blocks) return false;
  if (header.step <= committed_) return true;
  if (!in_window(header.step)) return false;
  Sum& held = sums_[{header.step, sum.range}];
  if (held.bulk == nullptr || held.told.made_in != plan_.generation) {
    held = {{header.step, plan_.generation, sum.partials, sum.numbers}, bulk};
  }
  return true;
}

void CommitProtocol::on_ack(const Header& header) {
  const auto pending = outbox_.find(header.request);
  if (pending == outbox_.end() || pending->second.to != header.sender) return;
  const ShardMessage sent = std::move(pending->second.message.message);
  outbox_.erase(pending);
  if (const auto* sum = std::get_if<GradientSum>(&sent.body)) settle(sent.header.step, sum->range);
}

// --- the norm -------------------------------------------------------------------------------------------------------

void CommitProtocol::settle(Step step, uint32_t range) {
  if (step <= committed_) return;
  settled_[step].insert(range);
  say_partial_norms();
}

// Once a step, when all that this worker is primary of is held twice and the step before is applied here: whoever hears
// the norm drops the sums of that step.
void CommitProtocol::say_partial_norms() {
  const Step step = committed_ + 1;
  if (phase_ != Phase::kTraining || told_norms_ >= step || step > options_.last_step || !updates_.empty()) return;
  PartialNorms partials;
  for (uint32_t range = 0; range < options_.ranges.size(); ++range) {
    if (!is_primary(range)) continue;
    if (!settled_[step].contains(range)) return;
    const HeldSum& told = sums_.at({step, range}).told;
    partials.ranges.push_back({range, told.partials});
    partials.numbers.insert(partials.numbers.end(), told.numbers.begin(), told.numbers.end());
  }
  told_norms_ = step;
  send(norm_worker(), std::move(partials), step, nullptr, true);
}

bool CommitProtocol::on_partials(const Header& header, const PartialNorms& partials) {
  if (!receiving() || norm_worker() != options_.self || is_leaving(plan_, header.sender)) return false;
  if (header.step <= committed_) return true;
  if (header.step != committed_ + 1) return false;
  const GroupMember& sender = *find_member(plan_, header.sender);
  std::set<uint32_t> expected, told;
  for (uint32_t range = 0; range < options_.ranges.size(); ++range) {
    const bool its_own =
        options_.ranges[range].place.stage == sender.stage && holders_[range].primary == sender.replica;
    if (its_own) expected.insert(range);
  }
  for (const RangeNorm& norm : partials.ranges) {
    told.insert(norm.range);
    if (!expected.contains(norm.range)) return false;
    if (static_cast<int64_t>(norm.partials.size()) != options_.ranges[norm.range].blocks) return false;
  }
  if (told != expected) return false;
  auto& of_step = partials_[header.step];
  of_step.emplace(header.sender, partials);
  const auto has_told = [&](const GroupMember& m) { return of_step.contains(m.worker); };
  if (std::all_of(plan_.members.begin(), plan_.members.end(), has_told)) close_norm(header.step);
  return true;
}

void CommitProtocol::close_norm(Step step) {
  std::map<uint32_t, std::vector<double>> partials;
  std::vector<LaneNumbers> numbers;
  for (const auto& [worker, told] : partials_[step]) {
    for (const RangeNorm& norm : told.ranges) partials[norm.range] = norm.partials;
    numbers.insert(numbers.end(), told.numbers.begin(), told.numbers.end());
  }
  partials_.erase(step);
  auto record = make_record(step, plan_.generation, plan_.lanes, options_.ranges, partials, numbers);
  if (!record) record = StepRecord{step, plan_.generation, 0, 0, 0, 0, 0, false};  // without a target: fails the step
  record->last = stop_wanted_;
  for (const GroupMember& m : plan_.members) send(m.worker, GlobalNorm{*record}, step, nullptr, true);
  if (step > base_ + 1) return;
  for (const GroupMember& m : plan_.leaving) send(m.worker, GlobalNorm{*record}, step, nullptr, true);
}

bool CommitProtocol::on_norm(const Header& header, const GlobalNorm& norm) {
  const StepRecord& record = norm.record;
  if (header.sender != norm_worker() || record.step != header.step) return false;
  if (phase_ == Phase::kLeaving) {
    drop_everything();
    phase_ = Phase::kReleased;
    say(Released{plan_.generation});
    return true;
  }
  if (phase_ == Phase::kReleased || phase_ == Phase::kFailed || record.step <= committed_) return true;
  if (phase_ != Phase::kTraining || record.step != committed_ + 1 || !updates_.empty()) return false;
  if (!can_commit(record)) {
    phase_ = Phase::kFailed;
    say(StepFailed{record});
    return true;
  }
  for (const auto& [range, holding] : holdings_) {
    if (!holding.planned) continue;
    const auto sum = sums_.find({record.step, range});
    if (sum == sums_.end() || sum->second.told.made_in != record.made_in) return false;
  }
  commit(record);
  return true;
}

// From here on the step is this worker's; its ranges follow one by one. With ssp, whose next step starts from a copy of
// what is here, at once.
void CommitProtocol::commit(const StepRecord& record) {
  // What earlier plans had put here was kept for the case that this generation ended before its first step.
  for (auto held = holdings_.begin(); held != holdings_.end();) {
    if (held->second.planned) {
      updates_.push_back(held->first);
      ++held;
      continue;
    }
    store_->drop(held->first);
    // A step under ssp may have begun on its weights.
    const bool read = std::find(needed_.begin(), needed_.end(), held->first) != needed_.end();
    if (read) copies_[held->first] = held->second.version;
    held = holdings_.erase(held);
  }
  committed_ = record.step;
  stopped_ = record.last;
  waiting_since_ = now_;
  records_.push_back(record);
  if (records_.size() > kRecordsKept) records_.pop_front();
  forget_steps_up_to(record.step);
  say(StepCommitted{record});
  while (options_.staleness > 0 && !updates_.empty()) update_next();
  advance();
}

void CommitProtocol::update_next() {
  if (updates_.empty()) return;
  const uint32_t range = updates_.front();
  updates_.pop_front();
  store_->apply(range, sums_.at({committed_, range}).bulk, records_.back());
  holdings_.at(range).version = committed_;
  say_readable(range);
  answer_waiting();
  if (updates_.empty()) advance();
}

// This norm exists, so everybody has applied the step before it: older sums are of no use. Those of the step itself
// stay.
void CommitProtocol::forget_steps_up_to(Step step) {
  std::erase_if(sums_, [&](const auto& entry) { return entry.first.first < step; });
  std::erase_if(trees_, [&](const auto& entry) { return entry.first.first <= step; });
  std::erase_if(settled_, [&](const auto& entry) { return entry.first <= step; });
  std::erase_if(outbox_, [&](const auto& entry) {  // their receivers have taken them, or the norm would not exist
    const ShardMessage& m = entry.second.message.message;
    const bool of_a_step = std::holds_alternative<GradientPiece>(m.body) ||
                           std::holds_alternative<GradientSum>(m.body) || std::holds_alternative<PartialNorms>(m.body);
    return of_a_step && m.header.step <= step;
  });
}

// --- weights --------------------------------------------------------------------------------------------------------

void CommitProtocol::advance() {
  if (phase_ != Phase::kTraining) return;
  say_partial_norms();
  pull_copies();
  start_step();
}

void CommitProtocol::pull_copies() {
  std::set<uint32_t> asked;
  for (const auto& [request, pending] : outbox_) {
    if (const auto* pull = std::get_if<PullRange>(&pending.message.message.body)) asked.insert(pull->range);
  }
  const auto pull = [&](bool borrowed) {
    for (const uint32_t range : needed_) {
      if ((options_.ranges[range].place.stage != stage_) != borrowed) continue;
      if (holdings_.contains(range) || asked.contains(range) || readable(range) >= committed_) continue;
      send(holder(range, holders_[range].primary), PullRange{range, committed_, false}, committed_, nullptr, true);
    }
  };
  pull(/*borrowed=*/false);  // in the order in which blocks are computed
  pull(/*borrowed=*/true);   // a tied embedding's copy, which the head is the first to read
}

void CommitProtocol::start_step() {
  const Step next = started_ + 1;
  if (computing_ || stopped_ || phase_ != Phase::kTraining || next > options_.last_step) return;
  if (next > committed_ + 1 + options_.staleness) return;
  for (const uint32_t range : needed_) {
    if (options_.staleness > 0 && readable(range) < std::max<Step>(0, next - 1 - options_.staleness)) return;
  }
  started_ = next;
  computing_ = true;
  handed_.clear();
  say(StartStep{plan_.generation, next});
}

void CommitProtocol::on_pull(const Header& header, const PullRange& pull) {
  if (pull.range >= options_.ranges.size()) {
    ++dropped_;
  } else if (!answer_pull(header, pull)) {
    for (const auto& [number, waiting] : waiting_pulls_) {
      if (waiting.first.request == header.request && waiting.first.sender == header.sender) return;
    }
    waiting_pulls_[++last_pull_] = {header, pull};
  }
}

bool CommitProtocol::answer_pull(const Header& header, const PullRange& pull) {
  const auto held = holdings_.find(pull.range);
  if (phase_ == Phase::kGathering || held == holdings_.end()) return false;
  const Step here = held->second.version;
  if (here < pull.version || (pull.state && here != pull.version)) return false;
  answer(header, RangeData{pull.range, here, pull.state},
         pull.state ? store_->state(pull.range) : store_->weights(pull.range));
  return true;
}

void CommitProtocol::answer_waiting() {
  std::erase_if(waiting_pulls_,
                [&](const auto& entry) { return answer_pull(entry.second.first, entry.second.second); });
}

void CommitProtocol::on_data(const Header& header, const RangeData& data, const BulkRef& bulk) {
  const auto pending = outbox_.find(header.request);
  if (pending == outbox_.end() || pending->second.to != header.sender || bulk == nullptr) return;
  const auto* pull = std::get_if<PullRange>(&pending->second.message.message.body);
  if (pull == nullptr || pull->range != data.range || pull->state != data.state || data.version < pull->version) return;
  outbox_.erase(pending);
  if (data.state) {
    store_->take_state(data.range, data.version, bulk);
    holdings_[data.range] = {data.version, true};
    answer_waiting();
    try_training();
  } else {
    store_->take_weights(data.range, data.version, bulk);
    copies_[data.range] = data.version;
    say_readable(data.range);
    advance();
  }
}

}  // namespace strand
