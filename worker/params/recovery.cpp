#include "worker/params/recovery.h"

#include <algorithm>
#include <optional>
#include <set>

#include "worker/params/step_record.h"

namespace strand {
namespace {

const HeldSum* sum_of(const RangeHolding& holding, Step step, Generation made_in) {
  for (const HeldSum& sum : holding.sums) {
    if (sum.step == step && sum.made_in == made_in) return &sum;
  }
  return nullptr;
}

class Decider {
 public:
  Decider(const GroupPlan& plan, const std::vector<PlannedRange>& ranges, const std::vector<RangeHolders>& holders,
          const std::map<WorkerId, HoldingsReport>& reports)
      : plan_(plan), ranges_(ranges), holders_(holders), reports_(reports) {}

  RecoveryOutcome decide() {
    RecoveryOutcome outcome;
    RecoveryDecision& d = outcome.decision;
    sort_out(&d.stale);
    const std::optional<Step> newest = newest_version();
    std::optional<StepRecord> record;
    if (newest) record = known_record(*newest);
    if (!newest || !reachable(*newest, record)) {
      d.reload = true;
      return outcome;
    }
    if (const auto next = next_step(*newest)) {
      record = next;
      outcome.rolled_forward = true;
    }
    d.base = outcome.rolled_forward ? *newest + 1 : *newest;
    if (record) d.records.push_back(*record);
    choose_sources(d.base, record, &d.sources);
    return outcome;
  }

 private:
  // Who took no part in the newest decision holds nothing of worth: whatever was needed of it then was taken over. So
  // does who took part and was named stale, or was to reload, until it has heard so.
  void sort_out(std::vector<WorkerId>* stale) {
    Generation decided;
    bool reloaded = false;
    std::set<WorkerId> named;
    for (const auto& [worker, report] : reports_) {
      if (report.decided > decided) {
        decided = report.decided;
        reloaded = report.reloaded;
        named = {report.stale.begin(), report.stale.end()};
      }
    }
    for (const auto& [worker, report] : reports_) {
      const bool is_void = reloaded || named.contains(worker);
      const bool missed = report.joined < decided || (is_void && report.decided < decided);
      if (missed) stale->push_back(worker);
      if (!missed) valid_.push_back(worker);
    }
  }

  template <class Visit>  // visit(worker, holding)
  void each_holding(const Visit& visit) const {
    for (const WorkerId worker : valid_) {
      for (const RangeHolding& holding : reports_.at(worker).holdings) {
        if (holding.range < ranges_.size()) visit(worker, holding);
      }
    }
  }

  std::optional<Step> newest_version() const {
    std::optional<Step> newest;
    each_holding([&](WorkerId, const RangeHolding& h) { newest = std::max(newest.value_or(h.version), h.version); });
    return newest;
  }

  std::optional<StepRecord> known_record(Step step) const {
    std::optional<StepRecord> known;
    for (const WorkerId worker : valid_) {
      for (const StepRecord& record : reports_.at(worker).records) {
        if (record.step == step && (!known || record.made_in > known->made_in)) known = record;
      }
    }
    return known;
  }

  static bool reaches(const RangeHolding& h, Step base, const std::optional<StepRecord>& record) {
    return h.version == base || (h.version == base - 1 && record && sum_of(h, base, record->made_in) != nullptr);
  }

  bool reachable(Step base, const std::optional<StepRecord>& record) const {
    std::set<uint32_t> found;
    each_holding([&](WorkerId, const RangeHolding& h) {
      if (reaches(h, base, record)) found.insert(h.range);
    });
    return found.size() == ranges_.size();
  }

  // The record of step newest + 1, when it is summed everywhere.
  std::optional<StepRecord> next_step(Step newest) const {
    std::set<Generation> attempts;
    each_holding([&](WorkerId, const RangeHolding& h) {
      for (const HeldSum& sum : h.sums) {
        if (sum.step == newest + 1) attempts.insert(sum.made_in);
      }
    });
    for (auto attempt = attempts.rbegin(); attempt != attempts.rend(); ++attempt) {
      std::map<uint32_t, std::vector<double>> partials;
      std::vector<LaneNumbers> numbers;
      bool lacking = false;
      each_holding([&](WorkerId, const RangeHolding& h) {
        const HeldSum* sum = h.version == newest ? sum_of(h, newest + 1, *attempt) : nullptr;
        if (sum == nullptr) {
          lacking |= h.planned;
        } else if (partials.emplace(h.range, sum->partials).second) {
          numbers.insert(numbers.end(), sum->numbers.begin(), sum->numbers.end());
        }
      });
      if (lacking) continue;
      const auto record = make_record(newest + 1, *attempt, plan_.lanes, ranges_, partials, numbers);
      if (record && can_commit(*record)) return record;
    }
    return {};
  }

  void choose_sources(Step base, const std::optional<StepRecord>& record, std::vector<RangeSource>* sources) const {
    std::map<uint32_t, std::vector<WorkerId>> able;
    each_holding([&](WorkerId worker, const RangeHolding& h) {
      if (reaches(h, base, record)) able[h.range].push_back(worker);
    });
    for (uint32_t range = 0; range < ranges_.size(); ++range) {
      const std::vector<WorkerId>& from = able[range];
      const auto has = [&](int replica) {
        const WorkerId worker = member_at(plan_, replica, ranges_[range].place.stage).worker;
        return std::find(from.begin(), from.end(), worker) != from.end();
      };
      const RangeHolders& to = holders_[range];
      if (has(to.primary) && (to.backup < 0 || has(to.backup))) continue;
      WorkerId source = from.front();
      if (has(to.primary)) source = member_at(plan_, to.primary, ranges_[range].place.stage).worker;
      sources->push_back({range, source});
    }
  }

  const GroupPlan& plan_;
  const std::vector<PlannedRange>& ranges_;
  const std::vector<RangeHolders>& holders_;
  const std::map<WorkerId, HoldingsReport>& reports_;
  std::vector<WorkerId> valid_;
};

}  // namespace

RecoveryOutcome decide_recovery(const GroupPlan& plan, const std::vector<PlannedRange>& ranges,
                                const std::vector<RangeHolders>& holders,
                                const std::map<WorkerId, HoldingsReport>& reports) {
  return Decider(plan, ranges, holders, reports).decide();
}

}  // namespace strand
