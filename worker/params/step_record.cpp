#include "worker/params/step_record.h"

#include <cmath>

namespace strand {

std::optional<StepRecord> make_record(Step step, Generation made_in, int64_t lanes,
                                      const std::vector<PlannedRange>& ranges,
                                      const std::map<uint32_t, std::vector<double>>& partials,
                                      const std::vector<LaneNumbers>& numbers) {
  StepRecord record;
  record.step = step;
  record.made_in = made_in;
  for (uint32_t range = 0; range < ranges.size(); ++range) {
    const auto found = partials.find(range);
    if (found == partials.end() || static_cast<int64_t>(found->second.size()) != ranges[range].blocks) return {};
    for (const double partial : found->second) record.squared_norm += partial;
  }
  std::map<int64_t, LaneNumbers> by_lane;
  for (const LaneNumbers& part : numbers) {
    LaneNumbers& lane = by_lane[part.lane];
    lane.losses.insert(lane.losses.end(), part.losses.begin(), part.losses.end());
    lane.targets += part.targets;
    lane.tokens += part.tokens;
    lane.rows_hash += part.rows_hash;
  }
  for (int64_t lane = 0; lane < lanes; ++lane) {
    const auto found = by_lane.find(lane);
    if (found == by_lane.end() || found->second.losses.empty()) return {};
    for (const double loss : found->second.losses) record.loss += loss;
    record.targets += found->second.targets;
    record.tokens += found->second.tokens;
    record.rows_hash += found->second.rows_hash;
  }
  return record;
}

bool can_commit(const StepRecord& record) {
  return std::isfinite(record.loss) && std::isfinite(record.squared_norm) && record.targets > 0;
}

}  // namespace strand
