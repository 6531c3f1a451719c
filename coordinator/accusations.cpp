#include "coordinator/accusations.h"

#include <algorithm>
#include <tuple>

namespace strand {
namespace {

bool accuses(const Accusations& accusations, WorkerId who, WorkerId whom) {
  const auto found = accusations.find(who);
  return who != whom && found != accusations.end() && std::ranges::find(found->second, whom) != found->second.end();
}

}  // namespace

WorkerId choose_cut_off(const Accusations& accusations, const std::vector<SuspectedMember>& suspects) {
  const auto missed_by = [&](WorkerId whom) {
    return std::ranges::count_if(suspects, [&](const auto& who) { return accuses(accusations, who.worker, whom); });
  };
  // Broken links; else an end of a chain before a link of one; else how many wait for it.
  std::tuple<int, bool, int> worst{0, false, 0};
  WorkerId chosen;
  for (const SuspectedMember& suspect : suspects) {
    int broken = 0, accusers = 0, missed_alone = 0;
    bool waits = false;
    for (const SuspectedMember& other : suspects) {
      const bool accused = accuses(accusations, other.worker, suspect.worker);
      const bool accusing = accuses(accusations, suspect.worker, other.worker);
      if ((!accused && !accusing) || suspect.doubt < other.doubt) continue;
      if (suspect.doubt > other.doubt || (accused && accusing)) {
        ++broken;
        continue;
      }
      accusers += accused ? 1 : 0;
      waits = waits || accusing;
      missed_alone += accusing && missed_by(other.worker) == 1 ? 1 : 0;
    }
    if (broken + missed_alone > 1) broken += missed_alone;
    if (accusers + broken == 0) continue;
    std::tuple<int, bool, int> weight{broken, false, 0};
    if (broken == 0) weight = {0, !waits, accusers};
    if (weight < worst) continue;
    worst = weight;
    chosen = suspect.worker;
  }
  return chosen;
}

}  // namespace strand
