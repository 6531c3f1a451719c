// Which workers make a generation of a job: whole replicas or nothing. Pure.
//
// Intuition: a gang is a table of replicas x stages. Replicas that are complete stay as they are, so that a loss
// disturbs the others as little as can be. What is left of the broken ones goes into a pool together with the spares,
// and whole replicas are made from it, a worker at its old stage first: it holds what that stage needs, and a step that
// a worker of each stage has is not lost.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "coordinator/membership.h"
#include "shared/job_spec/job_spec.h"
#include "shared/plan/group_member.h"

namespace strand {

struct GangNeed {
  int64_t replicas = 1, min_replicas = 1, stages = 1;
  uint64_t bytes = 0;    // each worker
  std::string numerics;  // only workers of this fingerprint; empty: any
  int64_t workers() const { return replicas * stages; }
  int64_t fewest_workers() const { return min_replicas * stages; }
};
// Of a job's shape; `numerics` is left open. A worker's memory is a stage's share of the estimate in job_spec.
GangNeed gang_need(const JobSpec& spec);

// How a worker stands to a job, the first that applies.
enum class Fitness {
  kUnsuitable,     // it said itself that it cannot take part
  kTooSmall,       // memory
  kOtherNumerics,  // would not give the same bits
  kUnreachable,    // has no endpoint for the others
  kExcluded,       // failed the job too often, for a while
  kBusy,           // suits, but another job has it
  kKept,           // suits, but a job in front in the queue waits for it
  kUsable,
};
struct Candidate {
  const WorkerEntry* worker = nullptr;
  Fitness fitness = Fitness::kUsable;
  size_t failures = 0;  // of this job, lately
};

// As far as the worker alone can say: kUnsuitable and kExcluded, kBusy and kKept are for the caller to know.
Fitness fitness_of(const WorkerEntry& worker, const GangNeed& need);
// Who has failed this job comes last; then machine by machine, so that a replica lies on as few of them as can be.
void order_candidates(std::vector<Candidate>* candidates);
int64_t count_fitness(const std::vector<Candidate>& candidates, Fitness fitness);

// The largest generation with need.min_replicas to need.replicas whole replicas of usable candidates; empty when there
// is none. `previous`: the generation before; its members stay in their places as far as they are usable, and its
// leaving ones (replica -1) at their stage. Members come by replica, then stage; replicas are numbered anew without
// gaps.
std::vector<GroupMember> form_group(const GangNeed& need, const std::vector<GroupMember>& previous,
                                    const std::vector<Candidate>& candidates);

// Somebody whom `alive` counts in is at every stage, of whatever replica: together they hold the state of a whole
// model.
template <class Alive>
bool every_stage_lives(const std::vector<GroupMember>& holders, int64_t stages, const Alive& alive) {
  std::set<int32_t> living;
  for (const GroupMember& m : holders) {
    if (m.stage < stages && alive(m)) living.insert(m.stage);
  }
  return std::ssize(living) == stages;
}

// "waits for 4 workers: 3 are free, 1 too small (needs 12 GiB, has 8 GiB)"
std::string waiting_text(const GangNeed& need, const std::vector<Candidate>& candidates);

}  // namespace strand
