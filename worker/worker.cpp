#include "worker/worker.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace strand {
namespace {

constexpr size_t kReportWindow = 64;   // step reports sent but not yet acknowledged
constexpr size_t kKeptReports = 1024;  // for when the member that reports is gone
constexpr Duration kResend = std::chrono::milliseconds(500);
constexpr double kSmoothing = 8;  // steps

bool ends_a_phase(const Body& body) {
  return std::holds_alternative<PartSaved>(body) || std::holds_alternative<JobFinished>(body) ||
         std::holds_alternative<JobFailed>(body) || std::holds_alternative<Stopped>(body);
}

const GroupMember* find_self(const std::vector<GroupMember>& members, const WorkerIdentity& self) {
  const auto is_self = [&](const GroupMember& m) { return m.worker == self.id && m.incarnation == self.incarnation; };
  const auto found = std::ranges::find_if(members, is_self);
  return found == members.end() ? nullptr : &*found;
}

// Replica 0, last stage: where the losses are known.
bool reports_steps(const GroupMember& self, const std::vector<GroupMember>& members) {
  const auto later = [&](const GroupMember& m) { return m.stage > self.stage; };
  return self.replica == 0 && std::ranges::none_of(members, later);
}

// The step that the generation goes on from, if this report is its first to show it. One that stops or fails may never
// have learnt it, and a step that comes before it was committed by the recovery.
std::optional<Step> base_of(const TrainingReport& report) {
  if (std::holds_alternative<PartSaved>(report.body) || std::holds_alternative<JobFinished>(report.body)) {
    return report.step;
  }
  const auto* said = std::get_if<Heartbeat>(&report.body);
  const bool computes = said && (said->state == WorkerState::kTraining || said->state == WorkerState::kEvaluating);
  return computes ? std::optional(report.step) : std::nullopt;
}

}  // namespace

WorkerLifecycle::WorkerLifecycle(WorkerIdentity identity, Time now) : identity_(std::move(identity)) {
  last_heard_ = last_said_ = now + -std::chrono::hours(1);
}

Header WorkerLifecycle::header() {
  Header h;
  h.request = ++last_request_;
  h.job = job_;
  h.generation = generation_;
  h.sender = identity_.id;
  h.incarnation = identity_.incarnation;
  h.step = step_;
  return h;
}

std::vector<WorkerAction> WorkerLifecycle::handle(const WorkerEvent& event, Time now) {
  std::vector<WorkerAction> actions;
  if (const auto* message = std::get_if<WireMessage>(&event)) on_message(*message, now, &actions);
  if (const auto* report = std::get_if<TrainingReport>(&event)) on_report(*report, now, &actions);
  // Silence for a whole lease means a coordinator that died or restarted: introduce ourselves again. Training goes on.
  const bool silent = now - last_heard_ > lease_;
  if ((!welcomed_ || silent) && now - last_said_ > lease_ / 6) say_hello(now, &actions);
  if (welcomed_ && now - last_said_ > lease_ / 3) say_heartbeat(now, &actions);
  if (welcomed_) flush_outbox(now, &actions);
  return actions;
}

void WorkerLifecycle::say_hello(Time now, std::vector<WorkerAction>* actions) {
  Hello hello = identity_.hello;
  hello.state = state_;
  actions->push_back(SendToCoordinator{{header(), hello}});
  last_said_ = now;
}

void WorkerLifecycle::say_heartbeat(Time now, std::vector<WorkerAction>* actions) {
  actions->push_back(
      SendToCoordinator{{header(), Heartbeat{state_, static_cast<int64_t>(work_nanoseconds_), suspects_}}});
  last_said_ = now;
}

void WorkerLifecycle::flush_outbox(Time now, std::vector<WorkerAction>* actions) {
  size_t open = 0;
  for (Pending& pending : outbox_) {
    if (pending.barrier && &pending != &outbox_.front()) break;
    if (++open > kReportWindow) break;
    if (!pending.sent || !(now < pending.resend)) {
      actions->push_back(SendToCoordinator{pending.message});
      pending.sent = true;
      pending.resend = now + kResend;  // says nothing of what we are at: heartbeats come all the same
    }
    if (pending.barrier) break;
  }
}

void WorkerLifecycle::on_message(const WireMessage& message, Time now, std::vector<WorkerAction>* actions) {
  const Header& header = message.header;
  // The receiver fences: whoever speaks for an older generation of our job has been replaced.
  const bool about_our_job = header.job.value != 0 && header.job == job_;
  if (about_our_job && header.generation.value != 0 && header.generation < generation_) {
    ++dropped_;
    return;
  }
  last_heard_ = now;
  if (const auto* welcome = std::get_if<Welcome>(&message.body)) {
    welcomed_ = true;
    if (welcome->lease_milliseconds > 0) lease_ = std::chrono::milliseconds(welcome->lease_milliseconds);
  } else if (const auto* refused = std::get_if<Refused>(&message.body)) {
    if (refused->code == static_cast<uint8_t>(ErrorCode::kUnavailable)) {
      welcomed_ = false;  // a restarted coordinator has not met us yet
      say_hello(now, actions);
    } else {
      actions->push_back(ExitProcess{Error(static_cast<ErrorCode>(refused->code), refused->reason)});
    }
  } else if (const auto* assign = std::get_if<Assign>(&message.body)) {
    on_assign(header, *assign, actions);
    say_heartbeat(now, actions);
  } else if (const auto* stop = std::get_if<Stop>(&message.body)) {
    if (!about_our_job) {
      ++dropped_;
    } else {
      if (state_ != WorkerState::kIdle) state_ = WorkerState::kStopping;
      actions->push_back(StopTraining{stop->checkpoint});
    }
  } else if (std::holds_alternative<Ack>(message.body)) {
    const auto acknowledged = [&](const Pending& p) { return p.message.header.request == header.request; };
    std::erase_if(outbox_, acknowledged);
  } else if (!std::holds_alternative<Heartbeat>(message.body)) {
    ++dropped_;
  }
}

void WorkerLifecycle::on_assign(const Header& header, const Assign& assign, std::vector<WorkerAction>* actions) {
  const GroupMember* place = find_self(assign.members, identity_);
  const GroupMember* self = place ? place : find_self(assign.leaving, identity_);
  const bool same = header.job == job_ && header.generation == generation_;
  if (same && job_.value != 0) return;  // sent twice; the heartbeat that follows says what we are doing
  // Meant for another process of this worker; or a generation that we have left, and that nobody enters twice.
  if (self == nullptr || header.generation <= known_[header.job]) {
    ++dropped_;
    return;
  }
  known_[header.job] = header.generation;
  StartTraining start{header.job, header.generation, assign, *self, place == nullptr, false};
  if (job_.value != 0 && state_ != WorkerState::kIdle) {
    start.continues = header.job == job_;
    actions->push_back(StopTraining{false});
  }
  if (header.job != job_) step_reports_.clear();
  job_ = header.job;
  generation_ = header.generation;
  step_ = header.step;
  state_ = WorkerState::kLoading;
  work_nanoseconds_ = 0;  // other lanes, other work
  suspects_.clear();
  outbox_.clear();  // reports of another generation would be dropped by the receiver
  reports_steps_ = place != nullptr && reports_steps(*place, assign.members);
  step_reports_.erase(step_reports_.begin(), step_reports_.upper_bound(assign.recorded_step));
  base_.reset();
  actions->push_back(std::move(start));
}

// --- what the training thread says ----------------------------------------------------------------------------------

void WorkerLifecycle::enqueue(Step step, Body body) {
  Pending pending;
  pending.message.header = header();
  pending.message.header.step = step;
  pending.barrier = ends_a_phase(body);
  pending.message.body = std::move(body);
  outbox_.push_back(std::move(pending));
}

// What this generation goes on from. Committed steps up to it that nobody has recorded are told by all who know them:
// the one that reports now may not. Those above it are taken again.
void WorkerLifecycle::begin_at(Step base) {
  if (base_) return;
  base_ = base;
  step_reports_.erase(step_reports_.upper_bound(base), step_reports_.end());
  for (auto& [step, report] : step_reports_) {
    report.base = base;
    enqueue(step, report);
  }
}

// A step that is taken again gives the same numbers; those above it have not been taken yet.
void WorkerLifecycle::remember(Step step, const StepReport& report) {
  step_reports_.erase(step_reports_.lower_bound(step), step_reports_.end());
  step_reports_[step] = report;
  if (step_reports_.size() > kKeptReports) step_reports_.erase(step_reports_.begin());
}

void WorkerLifecycle::on_heartbeat(const TrainingReport& report, const Heartbeat& body, Time now,
                                   std::vector<WorkerAction>* actions) {
  step_ = report.step;  // loading may go back to an older checkpoint
  const bool news = state_ != body.state || suspects_ != body.suspects;
  state_ = body.state;
  suspects_ = body.suspects;
  if (welcomed_ && news) say_heartbeat(now, actions);
}

void WorkerLifecycle::on_report(const TrainingReport& report, Time now, std::vector<WorkerAction>* actions) {
  if (report.job != job_ || report.generation != generation_) {
    ++dropped_;  // from a training thread that has been replaced, or has not yet heard of this generation
    const auto* step = std::get_if<StepReport>(&report.body);
    if (step && report.job == job_ && !base_) remember(report.step, *step);
    return;
  }
  if (report.work_nanoseconds > 0) {
    const auto work = static_cast<double>(report.work_nanoseconds);
    work_nanoseconds_ = work_nanoseconds_ == 0 ? work : work_nanoseconds_ + (work - work_nanoseconds_) / kSmoothing;
  }
  step_ = std::max(step_, report.step);
  if (const auto base = base_of(report)) begin_at(*base);
  if (const auto* heartbeat = std::get_if<Heartbeat>(&report.body)) {
    return on_heartbeat(report, *heartbeat, now, actions);
  }
  if (const auto* step = std::get_if<StepReport>(&report.body)) {
    remember(report.step, *step);
    suspects_.clear();
    if (!reports_steps_ || !base_) return;
  }
  Body body;
  std::visit([&](const auto& said) { body = said; }, report.body);
  if (auto* step = std::get_if<StepReport>(&body)) step->base = *base_;
  if (std::holds_alternative<JobFailed>(body)) state_ = WorkerState::kFailed;
  if (std::holds_alternative<JobFinished>(body) || std::holds_alternative<Stopped>(body)) state_ = WorkerState::kIdle;
  enqueue(report.step, std::move(body));
}

}  // namespace strand
