// Members that cannot reach each other although the coordinator reaches them all: a cut between two machines, or a
// process that answers us and nobody else. Which of them has to go. Pure.
//
// Intuition: where two accuse each other, the link between them is broken, and whoever has most broken links is the
// cause. Accusations do not all come at once: who accuses several whom nobody else misses has lost those links too,
// heard from the other side or not. Otherwise everybody waits for somebody who waits for somebody else: the cause is at
// the end of the chain. Where one of two is in doubt, for it has just come or was cut off before, the link is broken by
// that one, whoever says so: the others hold what the job has come to.
#pragma once

#include <map>
#include <vector>

#include "shared/base/ids.h"

namespace strand {

using Accusations = std::map<WorkerId, std::vector<WorkerId>>;  // who is kept waiting, by whom

struct SuspectedMember {
  WorkerId worker;
  int doubt = 0;  // more: rather this one than another
};

// One of `suspects`, who are named in order of who is missed most; of equal ones the last goes. Id 0: there is no
// accusation between any two of them.
WorkerId choose_cut_off(const Accusations& accusations, const std::vector<SuspectedMember>& suspects);

}  // namespace strand
