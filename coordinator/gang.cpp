#include "coordinator/gang.h"

#include <algorithm>
#include <map>
#include <set>

#include "shared/base/text.h"
#include "shared/plan/stage_memory.h"

namespace strand {
namespace {

using Place = std::pair<WorkerId, Incarnation>;

Place place_of(const GroupMember& m) {
  return {m.worker, m.incarnation};
}

GroupMember member_of(const WorkerEntry& worker, size_t replica, size_t stage) {
  return {worker.id, worker.incarnation, static_cast<int32_t>(replica), static_cast<int32_t>(stage),
          worker.hello.endpoint};
}

// Usable workers that have no place yet.
class Pool {
 public:
  Pool(const std::vector<Candidate>& candidates, const std::vector<GroupMember>& previous) {
    for (const GroupMember& m : previous) stage_.emplace(place_of(m), m.stage);
    for (const Candidate& candidate : candidates) {
      if (candidate.fitness == Fitness::kUsable) waiting_.push_back(candidate.worker);
    }
  }
  size_t size() const { return waiting_.size(); }
  const WorkerEntry* find(const GroupMember& m) const {
    const auto is_it = [&](const WorkerEntry* w) { return w->id == m.worker && w->incarnation == m.incarnation; };
    const auto found = std::ranges::find_if(waiting_, is_it);
    return found == waiting_.end() ? nullptr : *found;
  }
  void take(const std::set<const WorkerEntry*>& taken) {
    std::erase_if(waiting_, [&](const WorkerEntry* w) { return taken.contains(w); });
  }
  // One whole replica; the caller knows that there are enough.
  std::vector<const WorkerEntry*> take_replica(size_t stages) {
    std::vector<const WorkerEntry*> replica(stages, nullptr);
    for (size_t stage = 0; stage < stages; ++stage) {
      const auto was_here = [&](const WorkerEntry* w) {
        const auto old = stage_.find({w->id, w->incarnation});
        return old != stage_.end() && std::cmp_equal(old->second, stage);
      };
      replica[stage] = take_first(was_here);
    }
    const auto new_here = [&](const WorkerEntry* w) { return !stage_.contains({w->id, w->incarnation}); };
    const auto anybody = [](const WorkerEntry*) { return true; };
    for (const WorkerEntry*& worker : replica) {
      if (!worker) worker = take_first(new_here);
      if (!worker) worker = take_first(anybody);
    }
    return replica;
  }

 private:
  template <class Fits>
  const WorkerEntry* take_first(const Fits& fits) {
    const auto found = std::ranges::find_if(waiting_, fits);
    if (found == waiting_.end()) return nullptr;
    const WorkerEntry* worker = *found;
    waiting_.erase(found);
    return worker;
  }

  std::map<Place, int32_t> stage_;  // in the generation before
  std::vector<const WorkerEntry*> waiting_;
};

}  // namespace

GangNeed gang_need(const JobSpec& spec) {
  GangNeed need;
  need.replicas = std::max<int64_t>(spec.parallel.replicas, 1);
  need.min_replicas = std::clamp<int64_t>(spec.parallel.min_replicas, 1, need.replicas);
  need.stages = std::max<int64_t>(spec.parallel.stages, 1);
  need.bytes = worker_memory_bytes(spec);
  return need;
}

Fitness fitness_of(const WorkerEntry& worker, const GangNeed& need) {
  const uint64_t has = worker.hello.memory_bytes;  // 0: it does not say
  if (has != 0 && has < need.bytes) return Fitness::kTooSmall;
  if (!need.numerics.empty() && worker.hello.numerics != need.numerics) return Fitness::kOtherNumerics;
  if (need.workers() > 1 && worker.hello.endpoint.empty()) return Fitness::kUnreachable;
  return Fitness::kUsable;
}

void order_candidates(std::vector<Candidate>* candidates) {
  std::ranges::stable_sort(*candidates, [](const Candidate& a, const Candidate& b) {
    if (a.failures != b.failures) return a.failures < b.failures;
    if (a.worker->hello.host != b.worker->hello.host) return a.worker->hello.host < b.worker->hello.host;
    return a.worker->id < b.worker->id;
  });
}

int64_t count_fitness(const std::vector<Candidate>& candidates, Fitness fitness) {
  return std::ranges::count(candidates, fitness, &Candidate::fitness);
}

std::vector<GroupMember> form_group(const GangNeed& need, const std::vector<GroupMember>& previous,
                                    const std::vector<Candidate>& candidates) {
  Pool pool(candidates, previous);
  const auto stages = static_cast<size_t>(need.stages), wanted = static_cast<size_t>(need.replicas);
  if (pool.size() < static_cast<size_t>(need.fewest_workers())) return {};
  std::map<int32_t, std::vector<const WorkerEntry*>> old;  // by replica: those of its workers that are usable, by stage
  for (const GroupMember& m : previous) {
    const WorkerEntry* worker = pool.find(m);
    if (worker && m.replica >= 0 && std::cmp_less(m.stage, stages)) old[m.replica].push_back(worker);
  }
  std::vector<GroupMember> group;
  size_t replicas = 0;
  std::set<const WorkerEntry*> placed;
  for (const auto& [replica, workers] : old) {
    if (workers.size() != stages || replicas == wanted) continue;
    for (size_t stage = 0; stage < stages; ++stage) group.push_back(member_of(*workers[stage], replicas, stage));
    placed.insert(workers.begin(), workers.end());
    ++replicas;
  }
  pool.take(placed);
  for (; replicas < wanted && pool.size() >= stages; ++replicas) {
    const auto workers = pool.take_replica(stages);
    for (size_t stage = 0; stage < stages; ++stage) group.push_back(member_of(*workers[stage], replicas, stage));
  }
  return std::cmp_less(replicas, need.min_replicas) ? std::vector<GroupMember>() : group;
}

std::string waiting_text(const GangNeed& need, const std::vector<Candidate>& candidates) {
  const auto workers = [](int64_t n) { return concat(n, n == 1 ? " worker" : " workers"); };
  std::string text = concat("waits for ", workers(need.workers()));
  if (need.fewest_workers() < need.workers()) text += concat(" (", need.fewest_workers(), " at least)");
  const int64_t free = count_fitness(candidates, Fitness::kUsable);
  text += concat(": ", free, free == 1 ? " is free" : " are free");
  uint64_t largest = 0;
  for (const Candidate& candidate : candidates) {
    if (candidate.fitness == Fitness::kTooSmall) largest = std::max(largest, candidate.worker->hello.memory_bytes);
  }
  const auto add = [&](Fitness fitness, const std::string& what) {
    const int64_t count = count_fitness(candidates, fitness);
    if (count > 0) text += concat(", ", count, " ", what);
  };
  add(Fitness::kBusy, "busy with another job");
  add(Fitness::kKept, "kept for a job in front");
  add(Fitness::kTooSmall, concat("too small (needs ", human_bytes(need.bytes), ", has ", human_bytes(largest), ")"));
  add(Fitness::kOtherNumerics, "with other numerics");
  add(Fitness::kUnreachable, "without an endpoint for the others");
  add(Fitness::kExcluded, "left out for a while (failed this job too often)");
  add(Fitness::kUnsuitable, "cannot take part");
  return text;
}

}  // namespace strand
