// The simulated network: the Transport seam in one process and in virtual time, with faults drawn from a seed. The same
// seed and the same calls give the same run.
#pragma once

#include <memory>
#include <string>

#include "shared/net/transport.h"
#include "tests/support/sim_clock.h"

namespace strand {

struct SimFaults {
  double loss = 0;       // probability that a message vanishes
  double duplicate = 0;  // probability that it arrives twice
  Duration min_delay = std::chrono::milliseconds(1), max_delay = std::chrono::milliseconds(1);
  // False: messages of one connection and direction arrive in order, as the seam promises. True: each takes its own
  // time.
  bool reorder = false;
};

class SimNetwork {
 public:
  struct Counters {
    uint64_t sent = 0, delivered = 0, lost = 0, duplicated = 0;
  };

  SimNetwork(uint64_t seed, const SimClock& clock);
  ~SimNetwork();

  // One process's transport. Destroying it is the death of the process: its ports are free, what is under way to it is
  // lost. Behaves as the ZeroMQ one: a connected socket keeps up to 1000 messages for an absent listener, a bound one
  // knows whoever is connected and answers kUnavailable for others. receive() never waits: move the clock to
  // next_arrival() instead.
  std::unique_ptr<Transport> make_transport();

  void set_faults(const SimFaults& faults);
  // False: everything sent to or from this endpoint from now on is lost (a cable pulled). True: as before.
  void set_reachable(const std::string& endpoint, bool reachable);
  // When the next message arrives anywhere (may be in the past: not yet received); `never` when none is under way.
  Time next_arrival(Time never) const;
  const Counters& counters() const;

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace strand
