#include "dataserver/examples/source_order.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "shared/base/check.h"
#include "shared/base/text.h"

namespace strand {

namespace {

// Of the first phase: as given, or by sizes.
std::vector<double> first_weights(const DataSpec& data, const std::vector<uint64_t>& segments) {
  const bool given = std::any_of(data.sources.begin(), data.sources.end(), [](const auto& s) { return s.weighted(); });
  const auto most = static_cast<double>(*std::max_element(segments.begin(), segments.end()));
  std::vector<double> weights;
  for (size_t i = 0; i < segments.size(); ++i) {
    const double size = static_cast<double>(segments[i]) / most;  // so that no power is beyond a number
    weights.push_back(given              ? std::max(0.0, data.sources[i].weight)
                      : segments[i] == 0 ? 0
                                         : std::pow(size, 1 / data.temperature));
  }
  return weights;
}

Result<MixturePhase> phase_of(const DataSpec& data, const std::vector<uint64_t>& segments, uint64_t first_row,
                              const std::vector<double>& weights, const char* key) {
  for (size_t i = 0; i < segments.size(); ++i) {
    if (weights[i] == 0 || segments[i] > 0) continue;
    return bad_input(concat(key, ": source ", data.sources[i].name, " has weight ", weights[i],
                            " and no training row: it is held out, excluded, or too short; give it weight 0 or data"));
  }
  auto shares = whole_shares(weights);
  if (!shares.ok()) return shares.error().with_context(key);
  return MixturePhase{first_row, std::move(shares).value()};
}

}  // namespace

Result<RowOrder> row_order(const DataSpec& data, const CorpusInfo& info, const std::vector<uint64_t>& segments,
                           int64_t rows_per_step) {
  const uint64_t all = std::accumulate(segments.begin(), segments.end(), uint64_t{0});
  if (info.parts.empty() || all == 0) return RowOrder(all, data.reverse_complement, data.shift);
  STRAND_CHECK(segments.size() == info.parts.size() && segments.size() == data.sources.size(),
               "parts: ", info.parts.size());
  std::vector<OrderedSource> sources;
  uint64_t first = 0;
  for (size_t i = 0; i < segments.size(); ++i) {
    sources.push_back({info.parts[i].name, first, segments[i]});
    first += segments[i];
  }
  std::vector<MixturePhase> phases;
  STRAND_ASSIGN(MixturePhase phase, phase_of(data, segments, 0, first_weights(data, segments), "data.source.weight"));
  phases.push_back(std::move(phase));
  for (const MixtureSpec& mixture : data.mixture) {
    if (rows_per_step < 1) return bad_input("data.mixture: steps without rows; expected train.lanes and the like");
    const auto before = static_cast<uint64_t>(mixture.from_step - 1), rows = static_cast<uint64_t>(rows_per_step);
    if (before > UINT64_MAX / rows) {
      return bad_input(concat("data.mixture.from_step = ", mixture.from_step, ": no run is that long; lower it"));
    }
    const uint64_t from = before * rows;
    STRAND_ASSIGN(phase, phase_of(data, segments, from, mixture.weights, "data.mixture.weights"));
    phases.push_back(std::move(phase));
  }
  return RowOrder(std::move(sources), Mixture(std::move(phases)), data.reverse_complement, data.shift);
}

std::vector<FingerprintField> order_fields(const DataSpec& data, const RowOrder& order) {
  std::vector<FingerprintField> fields;
  if (const Mixture* mixture = order.mixture(); mixture != nullptr) {
    std::vector<std::string> sources, phases;
    for (const OrderedSource& source : order.sources()) sources.push_back(concat(source.name, " ", source.segments));
    for (const MixturePhase& phase : mixture->phases()) {
      std::string text = concat("from row ", phase.first_row, ":");
      for (const uint32_t share : phase.shares) text += concat(" ", share);
      phases.push_back(std::move(text));
    }
    fields.push_back({"sources", join(sources, ", ")});
    fields.push_back({"mixture", join(phases, "; ")});
  }
  if (data.shift > 1) fields.push_back({"shift", concat(data.shift)});
  return fields;
}

}  // namespace strand
