#include "coordinator/retry.h"

#include <algorithm>

namespace strand {

FailureClass classify_failure(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBadInput:
    case ErrorCode::kNotFound: return FailureClass::kNever;
    case ErrorCode::kCorrupt: return FailureClass::kReload;
    case ErrorCode::kUnavailable:
    case ErrorCode::kDeadline:
    case ErrorCode::kStopped: return FailureClass::kHere;
    default: return FailureClass::kElsewhere;
  }
}

RetryDecision decide_retry(int64_t attempts, int64_t retries, bool progressed, const BackOff& back_off) {
  RetryDecision decision;
  decision.attempts = progressed ? 1 : attempts + 1;
  decision.again = progressed || attempts < retries;
  const int doublings = static_cast<int>(std::min<int64_t>(decision.attempts - 1, 20));
  decision.wait = std::min(back_off.first * (int64_t{1} << doublings), back_off.longest);
  return decision;
}

namespace {
void add_failure(std::vector<Time>* times, size_t kept, Time now) {
  times->push_back(now);
  if (times->size() > kept) times->erase(times->begin());
}
}  // namespace

void Exclusions::failed(WorkerId worker, const std::string& host, Time now) {
  add_failure(&by_worker_[worker], kFailures, now);
  if (!host.empty()) add_failure(&by_host_[host], 2 * kFailures, now);
}

void Exclusions::leave_out(WorkerId worker, Time now) {
  LeftOut& entry = left_out_[worker];
  if (!was_left_out(worker, now)) entry.times = 0;
  ++entry.times;
  entry.until = now + left_out_for(entry.times);
}

bool Exclusions::was_left_out(WorkerId worker, Time now) const {
  const auto found = left_out_.find(worker);
  if (found == left_out_.end() || found->second.times == 0) return false;
  return now <= found->second.until + left_out_for(found->second.times) * kWell;
}

size_t Exclusions::recent(const std::vector<Time>& times, Time now) const {
  return static_cast<size_t>(std::ranges::count_if(times, [&](Time at) { return now - at < time_; }));
}

bool Exclusions::barred(WorkerId worker, Incarnation incarnation) const {
  const auto found = barred_.find(worker);
  return found != barred_.end() && found->second == incarnation;
}

size_t Exclusions::failures(WorkerId worker, Time now) const {
  const auto out = left_out_.find(worker);
  if (out != left_out_.end() && now < out->second.until) return kFailures;
  const auto found = by_worker_.find(worker);
  return found == by_worker_.end() ? 0 : recent(found->second, now);
}

bool Exclusions::excluded(WorkerId worker, const std::string& host, Time now) const {
  if (failures(worker, now) >= kFailures) return true;
  const auto found = by_host_.find(host);
  return found != by_host_.end() && recent(found->second, now) >= 2 * kFailures;
}

}  // namespace strand
