#include <algorithm>
#include <cmath>

#include "shared/metrics/metrics.h"

namespace strand {
namespace {

// Bucket b holds (growth^(b-1), growth^b] nanoseconds; 1024 buckets of 4% reach from 1 ns to eight years.
constexpr double kGrowth = 1.04;

}  // namespace

void Histogram::record(int64_t nanoseconds) {
  const int64_t n = std::max<int64_t>(nanoseconds, 0);
  const double bucket = n <= 1 ? 0 : std::ceil(std::log(static_cast<double>(n)) / std::log(kGrowth));
  buckets_[std::min(static_cast<int>(bucket), kBuckets - 1)].fetch_add(1, std::memory_order_relaxed);
  count_.fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(n, std::memory_order_relaxed);
}

double Histogram::quantile_seconds(double q) const {
  // Writers go on meanwhile: the total comes from the buckets themselves, so that the rank lies within them.
  uint64_t counts[kBuckets], total = 0;
  for (int b = 0; b < kBuckets; ++b) total += counts[b] = buckets_[b].load(std::memory_order_relaxed);
  if (total == 0) return 0;
  const double wanted = std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(total));
  const uint64_t rank = std::max<uint64_t>(static_cast<uint64_t>(wanted), 1);
  uint64_t seen = 0;
  int b = 0;
  for (; b < kBuckets - 1; ++b) {
    seen += counts[b];
    if (seen >= rank) break;
  }
  return std::pow(kGrowth, b == 0 ? 0 : b - 0.5) * 1e-9;  // the middle of the bucket
}

uint64_t Histogram::count() const {
  return count_.load(std::memory_order_relaxed);
}
double Histogram::sum_seconds() const {
  return static_cast<double>(sum_.load(std::memory_order_relaxed)) * 1e-9;
}

}  // namespace strand
