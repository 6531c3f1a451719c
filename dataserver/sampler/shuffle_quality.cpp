#include "dataserver/sampler/shuffle_quality.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "shared/base/check.h"

namespace strand {

namespace {

constexpr uint64_t kParts = 256;

double correlation(const std::vector<uint64_t>& places) {
  const auto rows = static_cast<double>(places.size());
  double mean = 0;
  for (const uint64_t place : places) mean += static_cast<double>(place) / rows;
  double both = 0, of_places = 0, of_rows = 0;
  for (size_t i = 0; i < places.size(); ++i) {
    const double x = static_cast<double>(i) - (rows - 1) / 2, y = static_cast<double>(places[i]) - mean;
    both += x * y;
    of_rows += x * x;
    of_places += y * y;
  }
  return of_places == 0 ? 0 : both / std::sqrt(of_rows * of_places);
}

// The largest difference between the distribution of `distances` (in [0, 1), sorted) and that of uniform places.
double kolmogorov_smirnov(const std::vector<double>& distances) {
  const auto count = static_cast<double>(distances.size());
  double most = 0;
  for (size_t begin = 0; begin < distances.size();) {
    size_t end = begin;
    while (end < distances.size() && distances[end] == distances[begin]) ++end;
    const double expected = 1 - (1 - distances[begin]) * (1 - distances[begin]);
    most = std::max({most, static_cast<double>(end) / count - expected, expected - static_cast<double>(begin) / count});
    begin = end;
  }
  return most;
}

}  // namespace

ShuffleQuality shuffle_quality(const std::vector<uint64_t>& places, uint64_t n, uint64_t rows_per_step) {
  STRAND_CHECK(places.size() >= 2 && n >= 1 && rows_per_step >= 1, places.size(), " places of ", n);
  ShuffleQuality quality;
  quality.rows = places.size();
  quality.correlation = correlation(places);
  const auto all = static_cast<double>(n);
  std::vector<double> distances;
  for (size_t i = 1; i < places.size(); ++i) {
    const auto [low, high] = std::minmax(places[i - 1], places[i]);
    distances.push_back(static_cast<double>(high - low) / all);
    quality.distance += 3 * distances.back() / static_cast<double>(places.size() - 1);
  }
  std::sort(distances.begin(), distances.end());
  const auto near = std::lower_bound(distances.begin(), distances.end(), 0.01);
  quality.near = static_cast<double>(near - distances.begin()) / static_cast<double>(distances.size());
  quality.score = 1 - kolmogorov_smirnov(distances);
  uint64_t together = 0, steps = 0;
  for (size_t begin = 0; begin + rows_per_step <= places.size(); begin += rows_per_step, ++steps) {
    std::map<uint64_t, uint64_t> parts;
    for (size_t i = begin; i < begin + rows_per_step; ++i) ++parts[places[i] / ((n + kParts - 1) / kParts)];
    for (const auto& [part, rows] : parts) together += rows > 1 ? rows : 0;
  }
  if (steps > 0) quality.together = static_cast<double>(together) / static_cast<double>(steps * rows_per_step);
  const auto parts = static_cast<double>(std::min(n, kParts));
  quality.together_uniform = 1 - std::pow(1 - 1 / parts, static_cast<double>(rows_per_step - 1));
  return quality;
}

}  // namespace strand
