#include "tests/sim/serial_run.h"

#include <bit>

#include "shared/base/hash.h"

namespace strand::sim {

uint64_t symbol(std::initializer_list<uint64_t> parts) {
  return hash64(parts.begin(), parts.size() * sizeof(uint64_t));
}

uint64_t SerialRun::state(uint32_t range, Step version) {
  run_to(version);
  return states_.at(static_cast<size_t>(version)).at(range);
}

const StepRecord& SerialRun::record(Step step) {
  run_to(step);
  return records_.at(static_cast<size_t>(step - 1));
}

std::vector<double> SerialRun::squares(uint32_t range, uint64_t sum) const {
  std::vector<double> blocks;
  for (int64_t b = 0; b < job_.ranges[range].blocks; ++b) {
    // Magnitudes far apart: another order of adding gives another sum.
    const uint64_t bits = symbol({3, sum, static_cast<uint64_t>(b)});
    blocks.push_back(static_cast<double>(bits >> 12) * (bits % 2 == 0 ? 1e-12 : 1.0));
  }
  return blocks;
}

uint64_t SerialRun::applied(uint64_t state, uint64_t sum, const StepRecord& r) {
  return symbol({4, state, sum, std::bit_cast<uint64_t>(r.squared_norm), static_cast<uint64_t>(r.targets),
                 static_cast<uint64_t>(r.step)});
}

uint64_t SerialRun::lane_gradient(Step step, int64_t lane, uint32_t range, uint32_t use,
                                  const std::vector<uint64_t>& weights) const {
  uint64_t read = 0;
  if (job_.reads_weights) {
    for (const uint64_t w : weights) read = symbol({5, read, w});
  }
  return symbol({6, static_cast<uint64_t>(step), static_cast<uint64_t>(lane), range, use, read});
}

uint64_t SerialRun::subtree_gradient(Step step, LaneSubtree subtree, uint32_t range, uint32_t use,
                                     const std::vector<uint64_t>& weights) const {
  if (subtree.level == 0) return lane_gradient(step, subtree.index, range, use, weights);
  const LaneSubtree left{subtree.level - 1, subtree.index * 2}, right{subtree.level - 1, subtree.index * 2 + 1};
  return add(subtree_gradient(step, left, range, use, weights), subtree_gradient(step, right, range, use, weights));
}

LaneNumbers SerialRun::numbers(Step step, int64_t lane, bool first_stage, bool last_stage) const {
  LaneNumbers n;
  n.lane = lane;
  const uint64_t bits = symbol({7, static_cast<uint64_t>(step), static_cast<uint64_t>(lane)});
  if (first_stage) n.rows_hash = job_.rows_hash ? job_.rows_hash(step, lane) : bits;
  if (!last_stage) return n;
  for (int64_t m = 0; m < job_.micro_batches; ++m) {
    n.losses.push_back(static_cast<double>(symbol({8, bits, static_cast<uint64_t>(m)}) >> 11) * (m == 0 ? 1.0 : 1e-9));
  }
  n.targets = 1 + static_cast<int64_t>(bits % 7);
  n.tokens = n.targets + 1;
  return n;
}

void SerialRun::run_to(Step step) {
  if (states_.empty()) {
    std::vector<uint64_t> initial;
    for (uint32_t range = 0; range < job_.ranges.size(); ++range) initial.push_back(symbol({9, range}));
    states_.push_back(std::move(initial));
  }
  int level = 0;
  while ((int64_t{1} << level) < job_.lanes) ++level;
  for (Step next = static_cast<Step>(states_.size()); next <= step; ++next) {
    const std::vector<uint64_t> before = states_.back();
    const auto read_by = [&](int stage) {
      std::vector<uint64_t> read;
      for (uint32_t range = 0; range < before.size(); ++range) {
        const TensorPlace& place = job_.ranges[range].place;
        if (place.stage == stage || place.second_use == stage) read.push_back(weights(before[range]));
      }
      return read;
    };
    StepRecord r;
    r.step = next;
    std::vector<uint64_t> sums;
    for (uint32_t range = 0; range < before.size(); ++range) {
      const TensorPlace& place = job_.ranges[range].place;
      uint64_t sum = subtree_gradient(next, {level, 0}, range, 0, read_by(place.stage));
      if (place.second_use >= 0) {
        sum = add_uses(sum, subtree_gradient(next, {level, 0}, range, 1, read_by(place.second_use)));
      }
      for (const double square : squares(range, sum)) r.squared_norm += square;
      sums.push_back(sum);
    }
    for (int64_t lane = 0; lane < job_.lanes; ++lane) {
      const LaneNumbers n = numbers(next, lane, true, true);
      for (const double loss : n.losses) r.loss += loss;
      r.targets += n.targets;
      r.tokens += n.tokens;
      r.rows_hash += n.rows_hash;
    }
    std::vector<uint64_t> after;
    for (uint32_t range = 0; range < before.size(); ++range) after.push_back(applied(before[range], sums[range], r));
    states_.push_back(std::move(after));
    records_.push_back(r);
  }
}

}  // namespace strand::sim
