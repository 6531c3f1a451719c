// Admission and generations: who works on what.
#include <algorithm>
#include <utility>

#include "coordinator/coordinator.h"
#include "shared/base/text.h"

namespace strand {

// --- who may be taken -----------------------------------------------------------------------------------------------

// A whole fingerprint for the gang: that of the checkpoints or of what the members hold; else the most frequent one
// among the workers, so that the largest gang is found.
GangNeed Coordinator::need_of(const TrackedJob& job, const std::vector<Candidate>& candidates) const {
  GangNeed need = gang_need(job.spec);
  if (!job.spec.train.deterministic) return need;
  const auto holds_state = [&](const Candidate& candidate) {
    return is_member(job, candidate.worker->id, candidate.worker->incarnation);
  };
  const bool pinned = job.catalog.newest() || job_holds_workers(job.record.state) ||
                      (job.record.lost && std::ranges::any_of(candidates, holds_state));
  if (pinned && !job.record.numerics.empty()) {
    need.numerics = job.record.numerics;
    return need;
  }
  std::map<std::string, size_t> counts;
  for (const Candidate& candidate : candidates) {
    if (fitness_of(*candidate.worker, need) == Fitness::kUsable) ++counts[candidate.worker->hello.numerics];
  }
  const auto most = std::ranges::max_element(counts, {}, [](const auto& entry) { return entry.second; });
  if (most != counts.end()) need.numerics = most->first;
  return need;
}

// Every worker there is, judged; `kept`: those that jobs in front wait for.
std::vector<Candidate> Coordinator::candidates_of(const TrackedJob& job, const std::set<WorkerId>& kept,
                                                  Time now) const {
  std::vector<Candidate> candidates;
  candidates.reserve(membership_.workers().size());
  for (const auto& [id, worker] : membership_.workers()) {
    candidates.push_back({&worker, Fitness::kUsable, job.exclusions.failures(id, now)});
  }
  const GangNeed need = need_of(job, candidates);
  judge(&candidates, need, job, now);
  for (Candidate& candidate : candidates) {
    if (candidate.fitness != Fitness::kUsable) continue;
    const TrackedJob* holder = job_of(*candidate.worker);
    if (holder && holder != &job) {
      candidate.fitness = Fitness::kBusy;
    } else if (kept.contains(candidate.worker->id)) {
      candidate.fitness = Fitness::kKept;
    }
  }
  return candidates;
}

// What a worker is to this job, whoever has it. Those that failed it too often are left out, unless there would be too
// few without them: elsewhere only helps if there is an elsewhere.
void Coordinator::judge(std::vector<Candidate>* candidates, const GangNeed& need, const TrackedJob& job,
                        Time now) const {
  int64_t usable = 0;
  for (Candidate& candidate : *candidates) {
    const WorkerEntry& worker = *candidate.worker;
    candidate.fitness = fitness_of(worker, need);
    if (job.exclusions.barred(worker.id, worker.incarnation)) candidate.fitness = Fitness::kUnsuitable;
    if (candidate.fitness != Fitness::kUsable) continue;
    if (job.exclusions.excluded(worker.id, worker.hello.host, now)) {
      candidate.fitness = Fitness::kExcluded;
    } else {
      ++usable;
    }
  }
  if (usable >= need.fewest_workers()) return;
  for (Candidate& candidate : *candidates) {
    if (candidate.fitness == Fitness::kExcluded) candidate.fitness = Fitness::kUsable;
  }
}

// What a queued job waits for, or one that runs with fewer replicas than it wants.
std::string Coordinator::waiting_reason(const TrackedJob& job, Time now) const {
  if (job_holds_workers(job.record.state)) return growth_reason(job, now);
  if (job.record.state != JobState::kQueued) return {};
  if (job.not_before > now) {
    return concat("tries again in ", human_seconds(to_seconds(job.not_before - now)), ": ", job.record.reason);
  }
  const auto candidates = candidates_of(job, {}, now);
  return waiting_text(need_of(job, candidates), candidates);
}

std::string Coordinator::growth_reason(const TrackedJob& job, Time now) const {
  const JobState state = job.record.state;
  if (job.record.members.empty() || (state != JobState::kTraining && state != JobState::kRecovering)) return {};
  auto candidates = candidates_of(job, {}, now);
  GangNeed need = need_of(job, candidates);
  need.replicas -= job.record.members.back().replica + 1;
  need.min_replicas = 1;
  if (need.replicas <= 0) return {};
  std::erase_if(candidates, [&](const Candidate& candidate) {
    return is_member(job, candidate.worker->id, candidate.worker->incarnation);
  });
  return concat("to grow, ", waiting_text(need, candidates));
}

// --- the queue ------------------------------------------------------------------------------------------------------

// In order of priority. A job that has to wait keeps the free workers that suit it, so that a large gang does not
// starve behind small ones; what does not suit it may serve those behind.
void Coordinator::admit(Time now) {
  if (draining_) return;
  std::vector<QueuedJob> queued;
  for (const auto& [id, job] : jobs_) {
    if (job.record.state != JobState::kQueued) continue;
    queued.push_back({id, job.record.priority, job.not_before, gang_need(job.spec).fewest_workers()});
  }
  std::set<WorkerId> kept;
  for (const QueuedJob& next : queue_order(std::move(queued), now)) {
    TrackedJob& job = jobs_.at(next.id);
    if (try_start(job, kept, now)) continue;
    for (const Candidate& candidate : candidates_of(job, kept, now)) {
      if (candidate.fitness == Fitness::kUsable) kept.insert(candidate.worker->id);
    }
  }
}

// False when the job has to wait. From the first worker on it waits a lease for all its replicas, then takes the fewest
// it may have.
bool Coordinator::try_start(TrackedJob& job, const std::set<WorkerId>& kept, Time now) {
  auto candidates = candidates_of(job, kept, now);
  const GangNeed need = need_of(job, candidates);
  const int64_t usable = count_fitness(candidates, Fitness::kUsable);
  if (usable == 0 && refuse_numerics(job, need, now)) return true;
  if (usable == 0) job.waits_since.reset();
  if (usable > 0 && !job.waits_since) job.waits_since = now;
  if (usable < need.workers()) {
    if (make_room(job, need, candidates, now)) return false;
    if (usable < need.fewest_workers() || now - job.waits_since.value_or(now) < config_.lease) return false;
  }
  order_candidates(&candidates);
  const auto& record = job.record;
  const bool same_shape = !record.members.empty() && record.members.back().stage + 1 == need.stages;
  const auto holders = same_shape ? holders_of(record) : std::vector<GroupMember>();
  auto members = form_group(need, holders, candidates);
  if (members.empty()) return false;
  const auto holds = [&](const GroupMember& m) { return record.lost && is_alive(m) && holds_state(job, m); };
  if (!every_stage_lives(holders, need.stages, holds)) job.proven.clear();  // from a checkpoint, whoever takes part
  if (!job.catalog.newest() && !record.lost) {
    job.record.numerics = membership_.find(members.front().worker)->hello.numerics;
  }
  if (record.allocated_wall == 0) job.record.allocated_wall = wall(now);
  begin_generation(job, std::move(members), JobState::kStarting, now, "");
  return true;
}

// Checkpoints that nobody here could continue: said at once, not waited for.
bool Coordinator::refuse_numerics(TrackedJob& job, const GangNeed& need, Time now) {
  const auto& workers = membership_.workers();
  const auto other = [&](const auto& entry) { return entry.second.hello.numerics != need.numerics; };
  if (need.numerics.empty() || !job.catalog.newest() || workers.empty()) return false;
  if (!std::ranges::all_of(workers, other)) return false;
  fail(job, ErrorCode::kBadInput,
       concat("this job's checkpoints were made with other numerics than any worker here has (",
              fingerprint_difference(need.numerics, workers.begin()->second.hello.numerics),
              "); resume it with the build and kind of machine it began on, or start a new job with "
              "train.deterministic = false"),
       now);
  return true;
}

// Jobs of lower priority give their workers back, with a checkpoint: only if that is enough, the lowest and newest
// first, and for as many replicas as can be had so. True while somebody is about to.
bool Coordinator::make_room(TrackedJob& job, const GangNeed& need, const std::vector<Candidate>& candidates, Time now) {
  int64_t coming = 0;                   // of jobs that are stopping
  std::map<JobId, int64_t> could_give;  // of jobs that could
  for (const Candidate& candidate : candidates) {
    if (candidate.fitness != Fitness::kBusy) continue;
    const TrackedJob* holder = job_of(*candidate.worker);
    if (!holder || holder->record.priority >= job.record.priority) continue;
    if (holder->record.state == JobState::kStopping) {
      ++coming;
    } else {
      ++could_give[holder->record.id];
    }
  }
  const int64_t free = count_fitness(candidates, Fitness::kUsable);
  std::vector<const TrackedJob*> victims;
  for (const auto& [id, count] : could_give) victims.push_back(&jobs_.at(id));
  std::ranges::sort(victims, [](const TrackedJob* a, const TrackedJob* b) {
    return std::pair(a->record.priority, b->record.id) < std::pair(b->record.priority, a->record.id);
  });
  for (int64_t replicas = need.replicas; replicas >= need.min_replicas; --replicas) {
    const int64_t wanted = replicas * need.stages;
    if (free >= wanted) return false;
    int64_t had = free + coming;
    size_t chosen = 0;
    for (; had < wanted && chosen < victims.size(); ++chosen) had += could_give.at(victims[chosen]->record.id);
    if (had < wanted) continue;
    for (size_t i = 0; i < chosen; ++i) {
      ++counters_.preemptions;
      begin_stop(jobs_.at(victims[i]->record.id), JobState::kQueued, now,
                 concat("makes room for job ", job.record.id.value, " of priority ", job.record.priority));
    }
    return true;
  }
  return false;
}

// --- generations ----------------------------------------------------------------------------------------------------

void Coordinator::hold(TrackedJob& job, bool holds) {
  for (const auto* list : {&job.record.members, &job.record.leaving}) {
    for (const GroupMember& m : *list) {
      if (holds) {
        held_[{m.worker, m.incarnation}] = job.record.id;
      } else {
        held_.erase({m.worker, m.incarnation});
      }
    }
  }
}

void Coordinator::set_members(TrackedJob& job, std::vector<GroupMember> members, std::vector<GroupMember> leaving) {
  const bool holds = job_holds_workers(job.record.state);
  if (holds) hold(job, false);
  job.record.members = std::move(members);
  job.record.leaving = std::move(leaving);
  job.places.clear();
  std::set<WorkerId> workers;
  for (size_t i = 0; i < job.record.members.size(); ++i) {
    job.places[job.record.members[i].worker] = i;
    workers.insert(job.record.members[i].worker);
  }
  job.catalog.expect(job.record.generation, std::move(workers));
  if (holds) hold(job, true);
}

std::vector<Incarnation> Coordinator::held_processes(WorkerId worker) const {
  std::vector<Incarnation> processes;
  for (auto held = held_.lower_bound({worker, Incarnation()}); held != held_.end(); ++held) {
    if (held->first.first != worker) break;
    processes.push_back(held->first.second);
  }
  return processes;
}

// Live members of the one before that have no place stay until the first step: they hold what the others may need. So
// do those that are away, should they be heard again.
void Coordinator::begin_generation(TrackedJob& job, std::vector<GroupMember> members, JobState to, Time now,
                                   const std::string& why) {
  JobRecord& record = job.record;
  std::vector<GroupMember> leaving, away;
  const bool goes_on = record.lost || job_holds_workers(record.state);
  for (const auto* list : {&record.members, &record.leaving, &record.away}) {
    for (const GroupMember& m : *list) {
      const auto is_it = [&](const GroupMember& n) { return n.worker == m.worker && n.incarnation == m.incarnation; };
      if (std::ranges::any_of(members, is_it)) continue;
      const WorkerEntry* worker = membership_.find(m.worker, m.incarnation);
      const TrackedJob* holder = worker ? job_of(*worker) : nullptr;
      if (!worker && goes_on) away.push_back(m);
      if (!worker || !is_alive(m) || !is_at(record, *worker)) continue;
      if (holder == &job || (!holder && goes_on)) leaving.push_back(m);
    }
  }
  const int64_t replicas = members.back().replica + 1;
  for (const GroupMember& m : members) {  // whatever it failed at, it is given another chance
    WorkerEntry* worker = membership_.find(m.worker);
    if (worker->state == WorkerState::kFailed) worker->state = WorkerState::kIdle;
    worker->astray.reset();
  }
  record.generation = Generation{record.generation.value + 1};
  set_members(job, std::move(members), std::move(leaving));
  record.away = std::move(away);
  job.attached = true;
  job.prepared = false;
  job.evaluating = false;
  job.generation_began = now;
  job.waits_since.reset();
  job.waiting.clear();
  job.finished.clear();
  job.left.clear();
  job.computing.clear();
  job.accusations.clear();
  job.accused.reset();
  job.lost_leaving.clear();
  job.result.reset();
  record.lost = false;
  ++counters_.generations;
  const std::string text = concat("generation ", record.generation.value, ", ", replicas,
                                  replicas == 1 ? " replica" : " replicas", why.empty() ? "" : ": ", why);
  if (record.state == to) {
    changed(job);
    note(job, text, now);
  } else {
    move_to(job, to, now, text);
  }
  prepare(job, true);
}

}  // namespace strand
