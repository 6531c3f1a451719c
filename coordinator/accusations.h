// Members that cannot reach each other although the coordinator reaches them all: a cut between two machines, or a
// process that answers us and nobody else. Which of them has to go. Pure.
//
// Intuition: where two accuse each other, the link between them is broken, and whoever has most broken links is the
// cause. Otherwise everybody waits for somebody who waits for somebody else: the cause is at the end of the chain.
#pragma once

#include <map>
#include <vector>

#include "shared/base/ids.h"

namespace strand {

using Accusations = std::map<WorkerId, std::vector<WorkerId>>;  // who is kept waiting, by whom

// One of `suspects`, who are named in order of who is missed most; of equal ones the last goes. Id 0: none of them is
// accused. An accusation of oneself or of somebody else counts for nothing.
WorkerId choose_cut_off(const Accusations& accusations, const std::vector<WorkerId>& suspects);

}  // namespace strand
