// The life cycle of a worker process as a pure function of (event, now): what to tell the coordinator, when to start
// and stop training. No clock, thread, socket or disk in here.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "shared/base/clock.h"
#include "shared/wire/messages.h"

namespace strand {

// --- events ---------------------------------------------------------------------------------------------------------
struct Tick {};
// What the training thread says about (job, generation). Every member of the last stage says StepReport, whichever of
// them reports to the coordinator; a member of another stage says Heartbeat after each step. The suspects of a
// Heartbeat are told again and again until another Heartbeat names others, or a step is done.
struct TrainingReport {
  JobId job;
  Generation generation;
  Step step = 0;
  std::variant<Heartbeat, StepReport, PartSaved, JobFinished, JobFailed, Stopped> body;
  int64_t work_nanoseconds = 0;  // own computing in this step, waiting left out; 0: not measured
};
using WorkerEvent = std::variant<Tick, WireMessage, TrainingReport>;

// --- actions --------------------------------------------------------------------------------------------------------
struct SendToCoordinator {
  WireMessage message;
};
struct StartTraining {
  JobId job;
  Generation generation;
  Assign assign;
  GroupMember self;        // own place in it
  bool leaving = false;    // no place: only gives what it holds to those who ask
  bool continues = false;  // was at this job in an older generation: what it holds may be newer than any checkpoint
};
// Ends the training of the job at hand: with a checkpoint of the newest committed step, or at once. A StartTraining
// that follows waits for the end.
struct StopTraining {
  bool checkpoint = true;
};
struct ExitProcess {
  Error reason;
};
using WorkerAction = std::variant<SendToCoordinator, StartTraining, StopTraining, ExitProcess>;

struct WorkerIdentity {
  WorkerId id;
  Incarnation incarnation;
  Hello hello;  // what is said of this process; `state` is filled in
};

class WorkerLifecycle {
 public:
  WorkerLifecycle(WorkerIdentity identity, Time now);

  std::vector<WorkerAction> handle(const WorkerEvent& event, Time now);

  WorkerState state() const { return state_; }
  // Messages of an older generation or of nobody we know, dropped.
  uint64_t dropped() const { return dropped_; }
  // Reports not yet acknowledged by the coordinator.
  size_t unacknowledged() const { return outbox_.size(); }

 private:
  // A report is kept until its Ack. Reports are sent in order; one that ends a phase (a part, the end of the job) is
  // held back until everything before it has been acknowledged, so the coordinator never learns of an end before its
  // parts.
  struct Pending {
    WireMessage message;
    bool barrier = false;
    Time resend;
    bool sent = false;
  };

  void on_message(const WireMessage& message, Time now, std::vector<WorkerAction>* actions);
  void on_report(const TrainingReport& report, Time now, std::vector<WorkerAction>* actions);
  void on_heartbeat(const TrainingReport& report, const Heartbeat& body, Time now, std::vector<WorkerAction>* actions);
  void on_assign(const Header& header, const Assign& assign, std::vector<WorkerAction>* actions);
  void begin_at(Step base);
  void remember(Step step, const StepReport& report);
  void enqueue(Step step, Body body);
  void flush_outbox(Time now, std::vector<WorkerAction>* actions);
  void say_hello(Time now, std::vector<WorkerAction>* actions);
  void say_heartbeat(Time now, std::vector<WorkerAction>* actions);
  Header header();

  WorkerIdentity identity_;
  WorkerState state_ = WorkerState::kIdle;
  JobId job_;
  Generation generation_;
  Step step_ = 0;
  bool reports_steps_ = false;  // the one member of the generation that does
  std::optional<Step> base_;    // where this generation begins; unknown until the training thread says it
  double work_nanoseconds_ = 0;
  std::vector<WorkerId> suspects_;
  std::map<JobId, Generation> known_;        // the newest generation of each job this process has been in
  std::map<Step, StepReport> step_reports_;  // the newest ones of job_, for a generation in which we report
  Duration lease_ = std::chrono::seconds(3);
  bool welcomed_ = false;
  Time last_heard_, last_said_;
  uint64_t last_request_ = 0;
  uint64_t dropped_ = 0;
  std::deque<Pending> outbox_;
};

}  // namespace strand
