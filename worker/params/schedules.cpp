#include "worker/params/schedules.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace strand {

double learning_rate(const TrainSpec& train, Step step) {
  const double peak = train.learning_rate, end = peak * train.final_fraction;
  const double s = static_cast<double>(step), warmup = static_cast<double>(train.warmup);
  if (step < train.warmup) return peak * s / warmup;
  const double span = static_cast<double>(train.steps) - warmup;
  const double done = span > 0 ? std::min((s - warmup) / span, 1.0) : 1.0;
  switch (train.schedule) {
    case ScheduleKind::kConstant: return peak;
    case ScheduleKind::kLinear: return peak - (peak - end) * done;
    case ScheduleKind::kCosine: return end + (peak - end) * (1 + std::cos(std::numbers::pi * done)) / 2;
    case ScheduleKind::kInverseSqrt: {
      const double from = std::max(warmup, 1.0);
      return peak * std::sqrt(from / std::max(from, s));
    }
  }
  return peak;
}

}  // namespace strand
