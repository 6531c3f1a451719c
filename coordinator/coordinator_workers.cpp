// What workers say.
#include <algorithm>
#include <utility>

#include "coordinator/coordinator.h"
#include "shared/base/text.h"

namespace strand {
namespace {

bool is_busy(WorkerState state) {
  return state != WorkerState::kIdle && state != WorkerState::kFailed;
}
bool is_computing(WorkerState state) {
  return state == WorkerState::kTraining || state == WorkerState::kEvaluating;
}

bool is_report(const Body& body) {
  return std::holds_alternative<StepReport>(body) || std::holds_alternative<PartSaved>(body) ||
         std::holds_alternative<JobFinished>(body) || std::holds_alternative<JobFailed>(body) ||
         std::holds_alternative<Stopped>(body);
}

}  // namespace

void Coordinator::send(const std::string& peer, Header header, Body body) {
  actions_.push_back(SendMessage{peer, WireMessage{header, std::move(body)}});
}

void Coordinator::send_stop(const std::string& peer, JobId job, Generation generation, bool checkpoint) {
  Header header;
  header.job = job;
  header.generation = generation;
  send(peer, header, Stop{checkpoint});
}

void Coordinator::acknowledge(const std::string& peer, const Header& header) {
  send(peer, header, Ack{});
}

void Coordinator::refuse(const std::string& peer, const Header& header, ErrorCode code, const std::string& reason) {
  Header answer;
  answer.request = header.request;
  send(peer, answer, Refused{static_cast<uint8_t>(code), reason});
}

void Coordinator::acknowledge_all(WaitingAcks* waiting) {
  for (const auto& [worker, ack] : *waiting) {
    if (!ack.peer.empty()) acknowledge(ack.peer, ack.header);
  }
  waiting->clear();
}

// --- who belongs where ----------------------------------------------------------------------------------------------

bool Coordinator::is_member(const TrackedJob& job, WorkerId worker, Incarnation incarnation) {
  const auto place = job.places.find(worker);
  return place != job.places.end() && job.record.members[place->second].incarnation == incarnation;
}

bool Coordinator::is_leaving(const TrackedJob& job, WorkerId worker, Incarnation incarnation) {
  const auto is_it = [&](const GroupMember& m) { return m.worker == worker && m.incarnation == incarnation; };
  return std::ranges::any_of(job.record.leaving, is_it);
}

const Coordinator::TrackedJob* Coordinator::job_of(const WorkerEntry& worker) const {
  const auto held = held_.find({worker.id, worker.incarnation});
  return held == held_.end() ? nullptr : &jobs_.at(held->second);
}

Coordinator::TrackedJob* Coordinator::job_of(const WorkerEntry& worker) {
  return const_cast<TrackedJob*>(std::as_const(*this).job_of(worker));
}

bool Coordinator::is_on_current_generation(const TrackedJob& job, const WorkerEntry& worker) {
  return worker.job == job.record.id && worker.generation == job.record.generation &&
         (is_member(job, worker.id, worker.incarnation) || is_leaving(job, worker.id, worker.incarnation));
}

// Every member has said that it is on the current generation, and no other job has it by now.
bool Coordinator::is_complete(const TrackedJob& job) {
  return std::ranges::all_of(job.record.members, [&](const GroupMember& m) {
    const WorkerEntry* worker = membership_.find(m.worker, m.incarnation);
    if (!worker || !is_on_current_generation(job, *worker)) return false;
    const TrackedJob* holder = job_of(*worker);
    return !holder || holder == &job;
  });
}

// --- every message --------------------------------------------------------------------------------------------------

void Coordinator::on_message(const MessageArrived& event, Time now) {
  ++counters_.messages;
  const Header& header = event.message.header;
  const Body& body = event.message.body;
  if (const auto* request = std::get_if<ClientRequest>(&body)) return on_request(event.peer, header, *request, now);
  if (const auto* hello = std::get_if<Hello>(&body)) return on_hello(event.peer, header, *hello, now);
  const auto* heartbeat = std::get_if<Heartbeat>(&body);
  if (!heartbeat && !is_report(body)) {
    ++counters_.unexpected;
    return;
  }
  WorkerEntry* worker = membership_.find(header.sender);
  if (worker && worker->incarnation > header.incarnation) {
    ++counters_.unknown_sender;
    return refuse(event.peer, header, ErrorCode::kConflict,
                  concat("a newer process of worker ", header.sender.value, " has taken its place; stop this one"));
  }
  if (!worker || worker->incarnation != header.incarnation || worker->peer != event.peer) {
    ++counters_.unknown_sender;
    return refuse(event.peer, header, ErrorCode::kUnavailable, "this coordinator has not met you; say hello");
  }
  detector_.heard(worker->id, now);
  worker->heard = now;
  worker->unreachable.reset();
  if (heartbeat) return on_heartbeat(*worker, header, *heartbeat, now);
  on_report(*worker, event.message, now);
}

// --- hello and heartbeat --------------------------------------------------------------------------------------------

bool Coordinator::refuse_hello(const std::string& peer, const Header& header, const Hello& hello) {
  std::string reason;
  if (header.sender.value == 0) reason = "a worker needs an id other than 0";
  if (hello.version != config_.version) {
    reason = concat("worker program is version ", hello.version, ", the coordinator is version ", config_.version,
                    "; start both from the same build");
  }
  if (reason.empty()) return false;
  ++counters_.refused_workers;
  refuse(peer, header, ErrorCode::kBadInput, reason);
  return true;
}

// A newer process of a worker whose older one may still live, on another machine or this one, by one id given twice. It
// is not answered until the older one is known to be gone, by its connection or its lease; and refused when that one is
// heard. A moment is left for what the older one said before it died.
bool Coordinator::keep_waiting(const std::string& peer, const Header& header, const Hello& hello, Time now) {
  WorkerEntry* known = membership_.find(header.sender);
  if (!known || !(known->incarnation < header.incarnation)) return false;
  const bool same_rival = known->rival && known->rival->header.incarnation == header.incarnation;
  const Time since = same_rival ? known->rival->since : now;
  if (known->heard > since + config_.lease / 12) {
    ++counters_.refused_workers;
    known->rival.reset();
    refuse(peer, header, ErrorCode::kConflict,
           concat("worker ", header.sender.value, " already runs on ", known->hello.host, " (process ",
                  known->hello.pid, "); give this one another id"));
    return true;
  }
  known->rival = Rival{peer, header, hello, since};
  probe(*known, now);
  return true;
}

// A process that seems older than one that the journal says a job counts on, and that has not found us yet. It was
// stopped for long, or began after its clock had been set back. It is not answered until that one's lease has run out,
// which it must not renew.
bool Coordinator::seems_outdated(const Header& header) {
  if (membership_.find(header.sender) || !detector_.watches(header.sender)) return false;
  const auto processes = held_processes(header.sender);
  return std::ranges::any_of(processes, [&](Incarnation held) { return header.incarnation < held; });
}

void Coordinator::on_hello(const std::string& peer, const Header& header, const Hello& hello, Time now) {
  if (refuse_hello(peer, header, hello) || keep_waiting(peer, header, hello, now) || seems_outdated(header)) return;
  if (membership_.hello(peer, header, hello, now) == Membership::Join::kOutdated) {
    ++counters_.unknown_sender;
    return refuse(peer, header, ErrorCode::kConflict,
                  concat("a newer process of worker ", header.sender.value, " has taken its place; stop this one"));
  }
  detector_.heard(header.sender, now);
  consider_ = true;
  Header answer;
  answer.request = header.request;
  send(peer, answer, Welcome{config_.lease.count() / 1000000});
  // A new process of a worker proves that its older one is gone, when only the journal remembers that one.
  for (const Incarnation older : held_processes(header.sender)) {
    if (!(older < header.incarnation)) continue;
    lose_process(header.sender, older, hello.host, now, concat("worker ", header.sender.value, " was started anew"));
  }
  settle_newcomer(*membership_.find(header.sender), now);
}

// --- connections ----------------------------------------------------------------------------------------------------

void Coordinator::probe(WorkerEntry& worker, Time now) {
  worker.probed = now;
  send(worker.peer, Header(), Heartbeat{});
}

// The transport knows at once when a process on the other end has died; it only has to be asked.
void Coordinator::probe_members(Time now) {
  for (const auto& [process, job] : held_) {
    WorkerEntry* worker = membership_.find(process.first, process.second);
    if (worker && now - worker->probed >= config_.lease / 16) probe(*worker, now);
  }
}

// Once may be a connection that is being made anew; not heard of and still away a moment later, the process is gone. A
// newer process of the same worker is proof enough.
void Coordinator::on_send_failed(const SendFailed& event, Time now) {
  WorkerEntry* worker = membership_.find_peer(event.peer);
  if (!worker) return;
  const bool again = worker->unreachable && now - *worker->unreachable >= config_.lease / 20;
  if (!worker->unreachable) worker->unreachable = now;
  if (!again && !worker->rival) return;
  const std::optional<Rival> rival = worker->rival;
  if (rival) {  // first, so that it can take its old place
    ++counters_.connections_lost;
    const WorkerEntry gone = *worker;
    membership_.remove(gone.id);
    on_hello(rival->peer, rival->header, rival->hello, now);
    return;
  }
  // With whoever else has been out of reach for as long: it is one cut.
  std::vector<LostWorker> lost;
  for (const auto& [id, other] : membership_.workers()) {
    if (other.rival || !other.unreachable || now - *other.unreachable < config_.lease / 20) continue;
    lost.push_back({other, concat("worker ", id.value, " (", other.hello.host, ") is gone")});
  }
  counters_.connections_lost += lost.size();
  lose_workers(lost, now);
}

// --- what a worker is at --------------------------------------------------------------------------------------------

// Brings what the worker says it is doing and what the journal says together.
void Coordinator::settle_newcomer(WorkerEntry& worker, Time now) {
  TrackedJob* said = job(worker.job);
  TrackedJob* mine = job_of(worker);
  if (said && (!mine || mine == said) && is_on_current_generation(*said, worker)) {
    worker.astray.reset();
    const JobState state = said->record.state;
    if (job_holds_workers(state) || (state == JobState::kQueued && said->record.lost)) {
      return reattach(*said, worker, now);
    }
  }
  if (mine) return on_idle_member(*mine, worker, now);
  if (is_busy(worker.state) && worker.job.value != 0 && !may_be_asked(worker)) {
    ++counters_.stale_generation;
    send_stop(worker.peer, worker.job, worker.generation, false);
  }
}

// A generation that had been given up for lost, its members one by one: nothing was restarted, and on a busy machine
// that may happen again and again. Of its leaving workers some may be gone, or at work elsewhere.
void Coordinator::come_back(TrackedJob& job, bool computing, Time now) {
  std::vector<GroupMember> leaving = job.record.leaving;
  const auto gone = std::erase_if(leaving, [&](const GroupMember& m) {
    const WorkerEntry* worker = membership_.find(m.worker, m.incarnation);
    return !worker || !is_on_current_generation(job, *worker) || job_of(*worker);
  });
  set_members(job, job.record.members, std::move(leaving));
  job.record.lost = false;
  job.record.attempts = std::max<int64_t>(0, job.record.attempts - 1);
  --job.record.restarts;
  job.attached = job.prepared = true;
  move_to(job, computing ? JobState::kTraining : JobState::kStarting, now, "its workers came back");
  if (gone > 0) job.lost_leaving = "its workers came back, but for a leaving one";
  go_on_without_leaving(job, now);
}

// The worker is on the job's current generation, as journalled: nothing is disturbed.
void Coordinator::reattach(TrackedJob& job, WorkerEntry& worker, Time now) {
  const JobState state = job.record.state;
  const bool member = is_member(job, worker.id, worker.incarnation);
  if (member && is_computing(worker.state)) job.computing.insert(worker.id);
  const bool computing = job.computing.size() == job.record.members.size();
  if (state == JobState::kQueued) {
    if (is_complete(job)) come_back(job, computing, now);
    return;
  }
  if (!job.attached && is_complete(job)) {
    job.attached = job.prepared = true;  // first, so that the time since the last transition counts as training
    account(job, now);
    changed(job);
    log_job(job, concat("found again at step ", worker.step), now);
  }
  if (state == JobState::kStarting && computing) move_to(job, JobState::kTraining, now, "");
  if (state == JobState::kStopping && member && worker.state != WorkerState::kStopping &&
      worker.state != WorkerState::kIdle) {
    send_stop(worker.peer, job.record.id, job.record.generation, job.record.target != JobState::kCancelled);
  }
}

void Coordinator::on_heartbeat(WorkerEntry& worker, const Header& header, const Heartbeat& body, Time now) {
  if (header.request < worker.said) return;  // overtaken by what it said later
  worker.said = header.request;
  worker.state = body.state;
  worker.work_nanoseconds = body.work_nanoseconds;
  worker.job = header.job;
  worker.generation = header.generation;
  worker.step = header.step;
  Header answer;
  answer.request = header.request;
  send(worker.peer, answer, Heartbeat{});  // so that the worker knows we are here
  if (TrackedJob* job = job_of(worker); job && is_on_current_generation(*job, worker)) {
    const bool evaluating = body.state == WorkerState::kEvaluating, reports = reports_steps(*job, worker.id);
    if (evaluating != job->evaluating && reports) {
      account(*job, now);
      job->evaluating = evaluating;
    }
    hear_accusations(*job, worker.id, body.suspects, now);
  }
  settle_newcomer(worker, now);
}

// The current generation counts on this very process, but it is not at work on it.
void Coordinator::on_idle_member(TrackedJob& job, WorkerEntry& worker, Time now) {
  const JobState state = job.record.state;
  const bool member = is_member(job, worker.id, worker.incarnation);
  const bool begins = state == JobState::kStarting || state == JobState::kRecovering;
  if (!worker.astray) worker.astray = now;
  if (begins) {  // the assignment was lost, or never sent before we were killed
    job.attached = true;
    if (!job.prepared && !job.awaiting_run) return prepare(job, true);
  }
  // Word of before the assignment may still come in; but this one has left the generation, and will not enter it again.
  if (member && now - *worker.astray >= (begins ? config_.lease * 2 : config_.lease / 2)) {
    if (state == JobState::kStopping) {
      job.left[worker.id] = {};
      return member_left(job, now, "");
    }
    worker.astray.reset();
    return lose_member(job, now, concat("worker ", worker.id.value, " no longer knows the job"));
  }
  if (begins && job.prepared && now - worker.assigned > config_.lease / 6) {
    send_assignment(job, worker, assignment_of(job), now);
  }
}

}  // namespace strand
