// Virtual time: stands still until a test moves it.
#pragma once

#include "shared/base/check.h"
#include "shared/base/clock.h"

namespace strand {

class SimClock final : public Clock {
 public:
  Time now() const override { return now_; }
  int64_t wall_nanoseconds() const override { return kWallStart + now_.nanoseconds; }

  void advance(Duration by) { advance_to(now_ + by); }
  void advance_to(Time time) {
    STRAND_CHECK(time >= now_, "time does not run backwards");
    now_ = time;
  }

 private:
  static constexpr int64_t kWallStart = 1'700'000'000'000'000'000;
  Time now_{1'000'000'000};  // not 0, so that "unset" times stand out
};

}  // namespace strand
