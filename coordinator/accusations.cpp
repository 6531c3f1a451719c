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

WorkerId choose_cut_off(const Accusations& accusations, const std::vector<WorkerId>& suspects) {
  // Broken links; else an end of a chain before a link of one; else how many wait for it.
  std::tuple<int, bool, int> worst{0, false, 0};
  WorkerId chosen;
  for (const WorkerId suspect : suspects) {
    int broken = 0, accusers = 0;
    bool waits = false;
    for (const WorkerId other : suspects) {
      const bool accused = accuses(accusations, other, suspect), accusing = accuses(accusations, suspect, other);
      broken += accused && accusing ? 1 : 0;
      accusers += accused ? 1 : 0;
      waits = waits || accusing;
    }
    if (accusers == 0) continue;
    std::tuple<int, bool, int> weight{broken, false, 0};
    if (broken == 0) weight = {0, !waits, accusers};
    if (weight < worst) continue;
    worst = weight;
    chosen = suspect;
  }
  return chosen;
}

}  // namespace strand
