// Virtual time: things that happen at a time, in order of time and, at one time, of their scheduling.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "shared/base/clock.h"

namespace strand::sim {

class EventQueue {
 public:
  Time now() const { return now_; }
  void at(Time when, std::function<void()> what) {
    events_.emplace(std::pair{std::max(when, now_), ++number_}, std::move(what));
  }
  void after(Duration wait, std::function<void()> what) { at(now_ + wait, std::move(what)); }

  // The next thing happens; false when there is none.
  bool step() {
    if (events_.empty()) return false;
    auto next = events_.extract(events_.begin());
    now_ = next.key().first;
    next.mapped()();
    return true;
  }

 private:
  Time now_{};
  uint64_t number_ = 0;
  std::map<std::pair<Time, uint64_t>, std::function<void()>> events_;
};

}  // namespace strand::sim
