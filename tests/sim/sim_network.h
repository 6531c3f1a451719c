// Links between processes that lose, delay, reorder, double and cut what is sent over them.
#pragma once

#include <functional>
#include <map>
#include <utility>

#include "tests/sim/event_queue.h"
#include "tests/sim/sim_random.h"

namespace strand::sim {

struct LinkFaults {
  double lose = 0, repeat = 0;
  double linger = 0;  // arrives much later, after what is sent next
  Duration shortest = std::chrono::microseconds(50), longest = std::chrono::milliseconds(2);
  Duration lingering = std::chrono::milliseconds(300);
};

class SimNetwork {
 public:
  SimNetwork(EventQueue* queue, SimRandom* random) : queue_(queue), random_(random) {}

  LinkFaults faults;

  // Nothing that is sent from a to b before `until` arrives. The other direction is another link.
  void cut(uint64_t from, uint64_t to, Time until) { cuts_[{from, to}] = until; }

  void mend() { cuts_.clear(); }

  void send(uint64_t from, uint64_t to, const std::function<void()>& deliver) {
    const auto cut = cuts_.find({from, to});
    if (cut != cuts_.end() && queue_->now() < cut->second) return;
    const int copies = random_->chance(faults.repeat) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      if (random_->chance(faults.lose)) continue;
      const Duration longest = random_->chance(faults.linger) ? faults.lingering : faults.longest;
      queue_->after(random_->between(faults.shortest, longest), deliver);
    }
  }

 private:
  EventQueue* queue_;
  SimRandom* random_;
  std::map<std::pair<uint64_t, uint64_t>, Time> cuts_;
};

}  // namespace strand::sim
