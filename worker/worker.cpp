#include "worker/worker.h"

#include <algorithm>
#include <utility>

namespace strand {
namespace {

constexpr size_t kReportWindow = 64;  // step reports sent but not yet acknowledged
constexpr Duration kResend = std::chrono::milliseconds(500);

bool ends_a_phase(const Body& body) {
  return std::holds_alternative<PartSaved>(body) || std::holds_alternative<JobFinished>(body) ||
         std::holds_alternative<JobFailed>(body) || std::holds_alternative<Stopped>(body);
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
  actions->push_back(SendToCoordinator{{header(), Heartbeat{state_}}});
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
      pending.resend = now + kResend;
      last_said_ = now;
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
  const bool same = header.job == job_ && header.generation == generation_;
  if (same && job_.value != 0) return;  // sent twice; the heartbeat that follows says what we are doing
  if (job_.value != 0 && state_ != WorkerState::kIdle) actions->push_back(StopTraining{false});
  job_ = header.job;
  generation_ = header.generation;
  step_ = header.step;
  state_ = WorkerState::kLoading;
  outbox_.clear();  // reports of another generation would be dropped by the receiver
  actions->push_back(StartTraining{job_, generation_, assign});
}

void WorkerLifecycle::on_report(const TrainingReport& report, Time now, std::vector<WorkerAction>* actions) {
  if (report.job != job_ || report.generation != generation_) {
    ++dropped_;  // from a training thread that has been replaced
    return;
  }
  step_ = std::max(step_, report.step);
  if (const auto* heartbeat = std::get_if<Heartbeat>(&report.body)) {
    step_ = report.step;  // loading may go back to an older checkpoint
    state_ = heartbeat->state;
    if (welcomed_) say_heartbeat(now, actions);
    return;
  }
  Pending pending;
  pending.message.header = header();
  pending.message.header.step = report.step;
  std::visit([&](const auto& body) { pending.message.body = body; }, report.body);
  pending.barrier = ends_a_phase(pending.message.body);
  if (std::holds_alternative<JobFailed>(pending.message.body)) state_ = WorkerState::kFailed;
  if (std::holds_alternative<JobFinished>(pending.message.body) ||
      std::holds_alternative<Stopped>(pending.message.body)) {
    state_ = WorkerState::kIdle;
  }
  outbox_.push_back(std::move(pending));
}

}  // namespace strand
