// Losses and growth: who goes on when somebody is gone, or has come.
#include <algorithm>
#include <utility>

#include "coordinator/coordinator.h"
#include "shared/base/text.h"

namespace strand {

bool Coordinator::is_alive(const GroupMember& member) {
  const WorkerEntry* worker = membership_.find(member.worker, member.incarnation);
  return worker && worker->state != WorkerState::kFailed;
}

// A newcomer that has not taken a step yet has nothing that the others could go on from.
bool Coordinator::holds_state(const TrackedJob& job, const GroupMember& member) {
  return job.proven.empty() || job.proven.contains({member.worker, member.incarnation});
}

bool Coordinator::is_at(const JobRecord& record, const WorkerEntry& worker) {
  return worker.job == record.id && worker.state != WorkerState::kIdle;
}

std::vector<GroupMember> Coordinator::holders_of(const JobRecord& record) {
  std::vector<GroupMember> holders = record.members;
  const auto add = [&](GroupMember m) {
    m.replica = -1;
    holders.push_back(std::move(m));
  };
  std::ranges::for_each(record.leaving, add);
  for (const GroupMember& m : record.away) {
    const WorkerEntry* worker = membership_.find(m.worker, m.incarnation);
    if (worker && is_at(record, *worker)) add(m);
  }
  return holders;
}

bool Coordinator::may_be_asked(const WorkerEntry& worker) {
  const TrackedJob* found = job(worker.job);
  if (!found) return false;
  const JobRecord& record = found->record;
  const auto is_it = [&](const GroupMember& m) { return m.worker == worker.id && m.incarnation == worker.incarnation; };
  const bool lost = record.state == JobState::kQueued && record.lost;
  if (lost && (std::ranges::any_of(record.members, is_it) || std::ranges::any_of(record.leaving, is_it))) return true;
  return std::ranges::any_of(record.away, is_it);
}

// Those who are left go on at once in a new generation, filled up with whoever is there. False when they lack a stage,
// or are too few: then the job starts over.
bool Coordinator::go_on(TrackedJob& job, ErrorCode code, const std::string& why, bool counts, Time now) {
  const JobState state = job.record.state;
  if (!job_holds_workers(state) || state == JobState::kStopping || draining_) return false;
  auto candidates = candidates_of(job, {}, now);
  const GangNeed need = need_of(job, candidates);
  const std::vector<GroupMember> holders = holders_of(job.record);
  const auto holds = [&](const GroupMember& m) { return is_alive(m) && holds_state(job, m); };
  if (!every_stage_lives(holders, need.stages, holds)) return false;
  order_candidates(&candidates);
  auto members = form_group(need, holders, candidates);
  if (members.empty()) return false;
  Duration wait{};
  // What falls within a lease of a loss that counted is one failure: a rack, a switch, a series of time-outs.
  const bool same = job.counted_loss && now - *job.counted_loss < config_.lease;
  if (counts && !same) {
    if (!count_restart(job, why, code, &wait, now)) return true;
    job.counted_loss = now;
  }
  job.record.reason = why;
  begin_generation(job, std::move(members), state == JobState::kStarting ? state : JobState::kRecovering, now, why);
  return true;
}

// Called when a step has just been committed: a new generation then wastes least. Spares are given a moment to come
// together, and a generation some time to get going.
void Coordinator::try_grow(TrackedJob& job, Time now) {
  const JobRecord& record = job.record;
  const GangNeed shape = gang_need(job.spec);
  if (record.state != JobState::kTraining || draining_ || record.members.empty()) return;
  const int64_t replicas = record.members.back().replica + 1;
  if (replicas >= shape.replicas || now - job.generation_began < config_.lease / 8) return;
  for (const auto& [id, other] : jobs_) {  // those that have nothing at all come first
    if (other.record.state == JobState::kQueued && other.record.priority >= record.priority) return;
  }
  auto candidates = candidates_of(job, {}, now);
  const int64_t usable = count_fitness(candidates, Fitness::kUsable);
  if (usable < (replicas + 1) * shape.stages) return;
  const auto settling = [&](const Candidate& candidate) {
    return candidate.fitness == Fitness::kUsable && now - candidate.worker->joined < config_.lease / 12;
  };
  if (usable < shape.workers() && std::ranges::any_of(candidates, settling)) return;
  order_candidates(&candidates);
  auto members = form_group(need_of(job, candidates), holders_of(record), candidates);
  if (std::cmp_less_equal(members.size(), record.members.size())) return;
  const int64_t grown = members.back().replica + 1;
  begin_generation(job, std::move(members), JobState::kRecovering, now,
                   concat("grows from ", replicas, " to ", grown, " replicas at step ", job.progress.step()));
}

// After the first step of a generation nobody needs what the leaving ones hold, nor those that are away.
void Coordinator::dismiss_leaving(TrackedJob& job) {
  if (job.record.leaving.empty() && job.record.away.empty()) return;
  job.record.away.clear();
  for (const GroupMember& m : job.record.leaving) {
    const WorkerEntry* worker = membership_.find(m.worker, m.incarnation);
    if (worker) send_stop(worker->peer, job.record.id, job.record.generation, false);
  }
  set_members(job, job.record.members, {});
  changed(job);
}

// These processes are gone, all of them, before any job looks for who is left: one that reached none of its workers for
// a while finds that very generation again, instead of one made of workers that were just as far away.
void Coordinator::lose_workers(const std::vector<LostWorker>& lost, Time now) {
  for (const LostWorker& gone : lost) {
    membership_.remove(gone.entry.id);
    detector_.forget(gone.entry.id);
  }
  for (const LostWorker& gone : lost) {
    lose_process(gone.entry.id, gone.entry.incarnation, gone.entry.hello.host, now, gone.why);
  }
}

void Coordinator::lose_process(WorkerId worker, Incarnation incarnation, const std::string& host, Time now,
                               const std::string& why) {
  consider_ = true;
  const auto found = held_.find({worker, incarnation});
  TrackedJob* job = found == held_.end() ? nullptr : this->job(found->second);
  if (!job) return;
  if (is_member(*job, worker, incarnation)) {
    job->exclusions.failed(worker, host, now);
    return lose_member(*job, now, why);
  }
  if (!is_leaving(*job, worker, incarnation)) return;
  if (job->record.state == JobState::kTraining) {
    std::vector<GroupMember> leaving = job->record.leaving;
    std::erase_if(leaving, [&](const GroupMember& m) { return m.worker == worker; });
    set_members(*job, job->record.members, std::move(leaving));
    changed(*job);
  } else {
    job->lost_leaving = why;
    go_on_without_leaving(*job, now);
  }
}

// A leaving worker may have held what the others are asking it for, and their plan names it: again, without it, or from
// a checkpoint if nobody else holds that. A coordinator that has just begun waits for the members first; for each
// either comes back or is lost in its turn.
void Coordinator::go_on_without_leaving(TrackedJob& job, Time now) {
  const auto alive = [&](const GroupMember& m) { return is_alive(m); };
  if (job.lost_leaving.empty() || !std::ranges::all_of(job.record.members, alive)) return;
  const std::string why = std::exchange(job.lost_leaving, {});
  if (job.record.state == JobState::kTraining) return;
  if (go_on(job, ErrorCode::kUnavailable, why, false, now)) return;
  const JobState state = job.record.state;
  if (!job_holds_workers(state) || state == JobState::kStopping || draining_) {
    job.lost_leaving = why;
  } else {
    retry_or_give_up(job, ErrorCode::kUnavailable, why, false, now);  // not lost: this generation must not come back
  }
}

void Coordinator::lose_member(TrackedJob& job, Time now, const std::string& why) {
  if (job.record.state == JobState::kStopping) return member_left(job, now, why);
  if (go_on(job, ErrorCode::kUnavailable, why, true, now)) return;
  retry_or_give_up(job, ErrorCode::kUnavailable, why, true, now);
}

// --- cuts between workers -------------------------------------------------------------------------------------------

void Coordinator::hear_accusations(TrackedJob& job, WorkerId accuser, const std::vector<WorkerId>& suspects, Time now) {
  if (suspects.empty()) {
    job.accusations.erase(accuser);
  } else {
    job.accusations[accuser] = suspects;
  }
  if (job.accusations.empty()) {
    job.accused.reset();
  } else if (!job.accused) {
    job.accused = now;
  }
}

// A step of the current generation has been taken.
void Coordinator::prove(TrackedJob& job) {
  if (job.proven_in == job.record.generation) return;
  job.proven_in = job.record.generation;
  job.proven.clear();
  for (const GroupMember& m : job.record.members) job.proven.insert({m.worker, m.incarnation});
}

// A moment after the first, when the others have been heard as well. Who is cut off would hold up every generation it
// is in, so it is left out for a while, and not asked for what it holds.
void Coordinator::judge_accusations(TrackedJob& job, Time now) {
  const JobState state = job.record.state;
  if (!job_holds_workers(state) || state == JobState::kStopping) return;
  if (!job.accused || now - *job.accused < config_.lease / 4) return;
  std::vector<SuspectedMember> suspects;
  for (const auto* list : {&job.record.members, &job.record.leaving}) {
    for (const GroupMember& m : *list) {
      const bool new_here = !job.proven.contains({m.worker, m.incarnation});
      suspects.push_back({m.worker, (new_here ? 1 : 0) + (job.exclusions.was_left_out(m.worker, now) ? 1 : 0)});
    }
  }
  const WorkerId chosen = choose_cut_off(job.accusations, suspects);
  job.accusations.clear();
  job.accused.reset();
  WorkerEntry* worker = membership_.find(chosen);
  if (!worker || job_of(*worker) != &job) return;  // gone meanwhile, and noticed as such
  ++counters_.cut_off;
  job.exclusions.leave_out(chosen, now);
  worker->state = WorkerState::kFailed;  // until it says what it does: no part of the next generation
  const std::string why = concat("the others do not reach worker ", chosen.value, " (", worker->hello.host, ", ",
                                 worker->hello.endpoint, ")");
  const bool member = is_member(job, worker->id, worker->incarnation);
  if (go_on(job, ErrorCode::kDeadline, why, member, now)) return;
  if (job_holds_workers(job.record.state)) retry_or_give_up(job, ErrorCode::kDeadline, why, false, now);
}

}  // namespace strand
