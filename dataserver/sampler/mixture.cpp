#include "dataserver/sampler/mixture.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "shared/base/check.h"
#include "shared/base/text.h"

namespace strand {

namespace {

// Of a share from its nearest whole number, in rows of the longest period: rounding of the weights themselves.
constexpr double kWhole = 1e-9;

bool whole(const std::vector<double>& parts, uint32_t period) {
  return std::all_of(parts.begin(), parts.end(), [&](double part) {
    const double share = part * period;
    return std::fabs(share - std::round(share)) <= kWhole * period;
  });
}

// Whole parts, and one more for those with the largest remainders, the first of equal ones.
std::vector<uint32_t> by_largest_remainders(const std::vector<double>& parts) {
  std::vector<uint32_t> shares(parts.size());
  std::vector<size_t> order(parts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto exact = [&](size_t i) { return parts[i] * kLongestPeriod; };
  uint32_t left = kLongestPeriod;
  for (size_t i = 0; i < parts.size(); ++i) left -= shares[i] = static_cast<uint32_t>(std::floor(exact(i)));
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return exact(a) - shares[a] > exact(b) - shares[b]; });
  for (size_t i = 0; i < left; ++i) ++shares[order[i % order.size()]];
  return shares;
}

}  // namespace

Result<std::vector<uint32_t>> whole_shares(const std::vector<double>& weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  STRAND_CHECK(sum > 0 && std::isfinite(sum), "weights add up to ", sum);
  std::vector<double> parts;
  for (const double weight : weights) parts.push_back(weight / sum);
  std::vector<uint32_t> shares;
  for (uint32_t period = 1; period <= kLongestPeriod && shares.empty(); ++period) {
    if (!whole(parts, period)) continue;
    for (const double part : parts) shares.push_back(static_cast<uint32_t>(std::lround(part * period)));
    // Of many small weights each may be whole within the tolerance, and their sum another one.
    if (std::accumulate(shares.begin(), shares.end(), uint64_t{0}) != period) shares.clear();
  }
  if (shares.empty()) shares = by_largest_remainders(parts);
  for (size_t i = 0; i < shares.size(); ++i) {
    if (weights[i] > 0 && shares[i] == 0) {
      return bad_input(concat("weight ", weights[i], " is less than 1 in ", kLongestPeriod, " of all, which are ", sum,
                              ": raise it, or leave the source out"));
    }
  }
  return shares;
}

Mixture::Mixture(std::vector<MixturePhase> phases) : phases_(std::move(phases)) {
  STRAND_CHECK(!phases_.empty() && phases_.front().first_row == 0, "phases: ", phases_.size());
  const size_t sources = phases_.front().shares.size();
  STRAND_CHECK(sources >= 1 && sources <= 255, "sources: ", sources);
  std::vector<uint64_t> before(sources, 0);
  for (size_t i = 0; i < phases_.size(); ++i) {
    STRAND_CHECK(phases_[i].shares.size() == sources, "shares of ", phases_[i].shares.size(), " sources");
    STRAND_CHECK(i == 0 || phases_[i].first_row > phases_[i - 1].first_row, "phase ", i);
    if (i > 0) before = counts(phases_[i].first_row);
    tables_.emplace_back();
    tables_.back().before = std::move(before);
    deal(phases_[i].shares, &tables_.back());
  }
}

void Mixture::deal(const std::vector<uint32_t>& shares, Table* table) {
  const auto period = std::accumulate(shares.begin(), shares.end(), uint64_t{0});
  STRAND_CHECK(period >= 1, "a mixture of nothing");
  std::vector<uint64_t> drawn(shares.size(), 0);
  for (uint64_t row = 1; row <= period; ++row) {
    size_t next = shares.size();
    for (size_t i = 0; i < shares.size(); ++i) {
      if (drawn[i] * period >= shares[i] * row) continue;  // not below its share
      // Its next row is due when row / period = (drawn + 1) / share.
      if (next == shares.size() || (drawn[i] + 1) * shares[next] < (drawn[next] + 1) * shares[i]) next = i;
    }
    table->source.push_back(static_cast<uint8_t>(next));
    table->rank.push_back(static_cast<uint32_t>(drawn[next]++));
  }
}

size_t Mixture::phase_of(uint64_t row) const {
  size_t phase = tables_.size() - 1;
  while (phases_[phase].first_row > row) --phase;
  return phase;
}

Mixture::Drawn Mixture::at(uint64_t row) const {
  const size_t phase = phase_of(row);
  const Table& table = tables_[phase];
  const uint64_t within = row - phases_[phase].first_row, period = table.source.size();
  const uint64_t place = within % period;
  const uint32_t source = table.source[place];
  return {source, table.before[source] + within / period * phases_[phase].shares[source] + table.rank[place]};
}

std::vector<uint64_t> Mixture::counts(uint64_t row) const {
  const size_t phase = phase_of(row);
  const Table& table = tables_[phase];
  const uint64_t within = row - phases_[phase].first_row, period = table.source.size();
  std::vector<uint64_t> counts = table.before;
  for (size_t i = 0; i < counts.size(); ++i) counts[i] += within / period * phases_[phase].shares[i];
  for (uint64_t place = 0; place < within % period; ++place) ++counts[table.source[place]];
  return counts;
}

}  // namespace strand
