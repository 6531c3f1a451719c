#include "dataserver/shuffle_report.h"

#include <algorithm>
#include <cmath>

#include "dataserver/sampler/shuffle_quality.h"
#include "shared/base/text.h"

namespace strand {

namespace {

constexpr uint64_t kMostRows = uint64_t{1} << 18;  // that are looked at: a part of a second

struct Stretch {
  std::string name;  // empty: of all rows
  uint64_t segments = 0;
  std::vector<uint64_t> places;
};

// Places within each source of the run's first rows, of the first pass over it.
std::vector<Stretch> first_rows(const RowOrder& order, uint64_t seed) {
  std::vector<Stretch> stretches;
  for (const OrderedSource& source : order.sources()) stretches.push_back({source.name, source.segments, {}});
  if (stretches.empty()) stretches.push_back({"", order.segments(), {}});
  for (uint64_t n = 0; n < std::min(order.segments(), kMostRows); ++n) {
    const SampledRow row = order.row(seed, n);
    if (row.pass > 0) continue;
    const uint64_t first = order.sources().empty() ? 0 : order.sources()[row.source].first;
    stretches[row.source].places.push_back(row.window - first);
  }
  return stretches;
}

void describe_sources(const RowOrder& order, const JobSpec& job, Json* json, std::string* text) {
  const Mixture* mixture = order.mixture();
  if (mixture == nullptr) return;
  const auto steps = static_cast<uint64_t>(job.train.steps), rows = static_cast<uint64_t>(job.train.rows_per_step());
  const std::vector<uint64_t> counts = mixture->counts(steps * rows);
  (*json)["sources"] = Json::array();
  for (size_t i = 0; i < counts.size(); ++i) {
    const OrderedSource& source = order.sources()[i];
    const double passes =
        source.segments == 0 ? 0 : static_cast<double>(counts[i]) / static_cast<double>(source.segments);
    const double share = static_cast<double>(counts[i]) / static_cast<double>(steps * rows);
    (*json)["sources"].push_back({{"name", source.name},
                                  {"segments", source.segments},
                                  {"rows", counts[i]},
                                  {"share", share},
                                  {"passes", passes}});
    *text += concat("  source ", source.name, "  ", source.segments, " segments, ", counts[i], " rows of the run (",
                    format_number(100 * share, 2), "%): ", format_number(passes, 2), " passes\n");
  }
}

}  // namespace

void describe_order(const Dataset& dataset, const JobSpec& job, Json* json, std::string* text) {
  const RowOrder order = dataset.order();
  if (order.segments() == 0) return;
  describe_sources(order, job, json, text);
  (*json)["shuffle"] = Json::array();
  for (const Stretch& stretch : first_rows(order, job.train.seed)) {
    if (stretch.places.size() < 2) continue;
    const double share =
        static_cast<double>(stretch.places.size()) / static_cast<double>(std::min(order.segments(), kMostRows));
    const auto per_step = std::max<int64_t>(1, std::llround(share * static_cast<double>(job.train.rows_per_step())));
    const ShuffleQuality quality = shuffle_quality(stretch.places, stretch.segments, static_cast<uint64_t>(per_step));
    const double expected = 1 - 1 / std::sqrt(static_cast<double>(quality.rows));
    (*json)["shuffle"].push_back({{"source", stretch.name},
                                  {"rows", quality.rows},
                                  {"score", quality.score},
                                  {"correlation", quality.correlation},
                                  {"distance", quality.distance},
                                  {"near", quality.near},
                                  {"together", quality.together},
                                  {"together_uniform", quality.together_uniform}});
    *text +=
        concat("  shuffle             ", stretch.name.empty() ? "" : stretch.name + ": ", "score ",
               format_number(quality.score, 4), " (a uniform shuffle: about ", format_number(expected, 4), ") over ",
               quality.rows, " rows; correlation with the order of the data ", format_number(quality.correlation, 4),
               ", distance of neighbours ", format_number(quality.distance, 3),
               " of uniform\n                      rows of a step beside "
               "another one of it ",
               format_number(100 * quality.together, 2),
               "% (uniform: ", format_number(100 * quality.together_uniform, 2), "%)\n");
  }
}

}  // namespace strand
