#include "coordinator/recorded_steps.h"

#include <algorithm>

namespace strand {
namespace {

constexpr Step kRemembered = 10000;  // single steps

JobTotals operator+(const JobTotals& a, const JobTotals& b) {
  return {a.productive_seconds + b.productive_seconds, a.tokens + b.tokens};
}

}  // namespace

void RecordedSteps::recount() {
  missing_.erase(missing_.upper_bound(forgotten_), missing_.end());
  newest_ = forgotten_;
  totals_ = before_;
  for (const auto& [step, entry] : steps_) {
    if (!counts(step, entry)) continue;
    for (Step s = std::max(newest_ + 1, step - kRemembered); s < step; ++s) missing_.insert(s);
    newest_ = step;
    totals_ = totals_ + entry.own;
  }
}

void RecordedSteps::go_on(Generation generation, Step base) {
  generation_ = generation;
  base_ = base;
  if (base < forgotten_) {  // how it was there is not known any more
    steps_.clear();
    forgotten_ = base;
    before_ = {};
  }
  recount();
}

bool RecordedSteps::add(Step step, const JobTotals& own) {
  const bool asked = missing_.erase(step) > 0;
  if (step <= newest_ && !asked) return false;
  for (Step s = std::max(newest_ + 1, step - kRemembered); s < step; ++s) missing_.insert(s);
  newest_ = std::max(newest_, step);
  totals_ = totals_ + own;
  if (step <= forgotten_) {
    before_ = before_ + own;
  } else {
    steps_[step] = {generation_, own};
  }
  if (std::ssize(steps_) > kRemembered) forget_through(steps_.begin()->first);
  return true;
}

void RecordedSteps::know_through(Step step, const JobTotals& sums) {
  steps_.erase(steps_.begin(), steps_.upper_bound(step));
  missing_.clear();
  forgotten_ = step;
  before_ = sums;
  base_ = std::max(base_, step);
  recount();
}

void RecordedSteps::forget_through(Step step) {
  step = std::min(step, newest_);
  const auto end = steps_.upper_bound(step);
  for (auto entry = steps_.begin(); entry != end; ++entry) {
    if (counts(entry->first, entry->second)) before_ = before_ + entry->second.own;
  }
  steps_.erase(steps_.begin(), end);
  forgotten_ = std::max(forgotten_, step);
}

JobTotals RecordedSteps::totals_at(Step step) const {
  if (step < forgotten_) return {};
  JobTotals sums = before_;
  for (const auto& [s, entry] : steps_) {
    if (s <= step && counts(s, entry)) sums = sums + entry.own;
  }
  return sums;
}

}  // namespace strand
