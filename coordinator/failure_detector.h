// Who has fallen silent. Pure: time is an argument.
//
// Intuition: a lease is a promise to be heard from within its length; whoever is not has probably died. "Probably" is
// enough, because nothing unsafe follows from a wrong guess: a suspected worker is fenced by the next generation, and
// if no such generation was made meanwhile it simply comes back. Three rules keep the guess honest. Nobody is suspected
// before one full lease after watching began, so a restarted coordinator, which has heard nobody yet, suspects nobody.
// And a detector that was itself asleep (a stopped process, a slow disk) may not count that time against others: the
// messages that arrived meanwhile are still unread. And when nobody at all has been heard for half a lease, though
// everybody speaks every third of one, the fault is rather on our side: then nobody is suspected before all are, so
// that those whose leases run out first are not replaced by others who are just as silent.
//
// Rejected: an accrual (phi) detector, which fits a distribution to each worker's heartbeats and suspects by
// likelihood. It adapts to slow networks, but the time to suspicion then depends on history and cannot be read off one
// number, and a batch of heartbeats delayed behind a large transfer teaches it the wrong distribution. Every other
// time-out here is a multiple of the lease; one number is easier to reason about and to test.
#pragma once

#include <map>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/ids.h"

namespace strand {

class FailureDetector {
 public:
  explicit FailureDetector(Duration lease) : lease_(lease) {}

  // Begins (or renews) the lease of `worker`.
  void heard(WorkerId worker, Time now);
  void forget(WorkerId worker);
  bool watches(WorkerId worker) const { return deadlines_.contains(worker); }
  // Workers whose lease has run out; they are forgotten. Call it at least every half lease: a longer gap between two
  // calls was our own sleep and is added to every lease.
  std::vector<WorkerId> expired(Time now);
  // When the next lease runs out; `never` when nobody is watched.
  Time next_event(Time never) const;
  Duration lease() const { return lease_; }

 private:
  Duration lease_;
  bool polled_ = false;
  Time last_poll_;
  std::map<WorkerId, Time> deadlines_;
};

}  // namespace strand
