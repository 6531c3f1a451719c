// The clock seam. Decisions take `now` as an argument; only a main builds a SystemClock.
#pragma once

#include <chrono>
#include <cstdint>

namespace strand {

using Duration = std::chrono::nanoseconds;

// Monotonic instant, from an arbitrary start.
struct Time {
  int64_t nanoseconds = 0;
  auto operator<=>(const Time&) const = default;
};

inline Time operator+(Time t, Duration d) {
  return {t.nanoseconds + d.count()};
}
inline Duration operator-(Time a, Time b) {
  return Duration(a.nanoseconds - b.nanoseconds);
}

inline double to_seconds(Duration d) {
  return static_cast<double>(d.count()) * 1e-9;
}
inline Duration from_seconds(double s) {
  return Duration(static_cast<int64_t>(s * 1e9));
}

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time now() const = 0;                  // monotonic
  virtual int64_t wall_nanoseconds() const = 0;  // since 1970, for people and for incarnations
};

class SystemClock final : public Clock {
 public:
  Time now() const override;
  int64_t wall_nanoseconds() const override;
};

}  // namespace strand
