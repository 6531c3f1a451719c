#include "worker/member/member_session.h"

#include <algorithm>

#include "shared/base/log.h"
#include "shared/base/text.h"

namespace strand {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(20);
// Well beyond a lease: whoever is dead or stopped is found by the coordinator much earlier. This is for links that are
// cut between two workers who both reach the coordinator. A hub answers at once, whatever its worker computes; only
// drawing or copying very many weights keeps it longer.
constexpr Duration kDeadline = std::chrono::seconds(60);

std::string why_it_failed(const StepRecord& r) {
  const std::string what = r.targets == 0
                               ? std::string("its rows hold nothing to predict")
                               : concat("the loss is ", r.loss, ", the gradient's square norm ", r.squared_norm,
                                        "; nothing of this step was applied. Lower train.learning_rate or lengthen "
                                        "train.warmup");
  return concat("step ", r.step, ": ", what);
}

}  // namespace

// --- the inbox ------------------------------------------------------------------------------------------------------

bool SessionInbox::offer(SessionPlan plan) {
  if (plan.plan.generation <= newest_) return false;
  newest_ = plan.plan.generation;
  plan_ = std::move(plan);
  return true;
}

void SessionInbox::told(const SessionNews& news) {
  computing_ +=
      static_cast<int>(std::holds_alternative<ComputeStep>(news) || std::holds_alternative<AllStepsDone>(news));
}

SessionInbox::Batch SessionInbox::take() {
  Batch batch;
  batch.gradients.swap(gradients_);
  batch.loaded.swap(loaded_);
  if (batch.loaded) loading_ = false;
  if (computing_ == 0 && !loading_) batch.plan.swap(plan_);
  batch.stop = std::exchange(stop_, false);
  return batch;
}

// --- the session ----------------------------------------------------------------------------------------------------

ProtocolOptions session_options(const JobSpec& spec, JobId job, WorkerId self, Incarnation incarnation,
                                std::vector<PlannedRange> ranges) {
  ProtocolOptions made;
  made.job = job;
  made.self = self;
  made.incarnation = incarnation;
  made.ranges = std::move(ranges);
  made.staleness = spec.parallel.ssp;
  made.last_step = spec.train.steps;
  made.deadline = kDeadline;
  return made;
}

MemberSession::MemberSession(const JobSpec& spec, ProtocolOptions options, RangeStore* store, SessionHost* host,
                             Time now)
    : job_(options.job),
      self_(options.self),
      ranges_(options.ranges),
      last_step_(spec.train.steps),
      checkpoint_every_(spec.checkpoint.every),
      host_(host),
      protocol_(std::move(options), store),
      last_tick_(now) {}

bool MemberSession::is_from_the_plan(const Header& header) const {
  const GroupMember* sender = find_member(planned_.plan, header.sender);
  return header.job == job_ && header.generation == planned_.plan.generation && sender != nullptr &&
         sender->incarnation == header.incarnation;
}

void MemberSession::turn(SessionInbox::Batch batch, Time now) {
  if (batch.loaded) loaded(*batch.loaded, now);
  for (const GradientReady& gradient : batch.gradients) handle(gradient, now);
  if (batch.plan) begin(std::move(*batch.plan), now);
  if (batch.stop) handle(StopAfterNextStep{}, now);
  if (now - last_tick_ >= kTick) {
    last_tick_ = now;
    handle(ProtocolTick{}, now);
    if (!suspects_.empty()) {
      host_->accuse(
          {planned_.plan.generation, std::exchange(suspects_, {}), protocol_.training(), protocol_.committed()});
    }
  }
  look_for_the_end();
}

void MemberSession::update_next(Time now) {
  handle(UpdateNext{}, now);
  look_for_the_end();
}

void MemberSession::on_mail(const ShardMail& mail, Time now) {
  const Header& header = mail.message.header;
  if (header.job == job_ && header.generation > planned_.plan.generation) {
    // Of a plan that is on its way here too. Reports open a generation: waiting for their repetition would delay it.
    if (std::holds_alternative<HoldingsReport>(mail.message.body)) early_[header.sender] = mail;
    return;
  }
  handle(mail, now);
}

void MemberSession::begin(SessionPlan planned, Time now) {
  planned_ = std::move(planned);
  end_told_ = false;
  saved_ = -1;
  base_ = last_step_;  // until it is known
  suspects_.clear();
  std::vector<GroupMember> peers = planned_.plan.members;
  peers.insert(peers.end(), planned_.plan.leaving.begin(), planned_.plan.leaving.end());
  host_->set_peers(peers);
  handle(NewPlan{planned_.plan}, now);
  for (const auto& [sender, report] : std::exchange(early_, {})) on_mail(report, now);
}

void MemberSession::handle(const ProtocolEvent& event, Time now) {
  const Generation decided = protocol_.decided();
  const auto actions = protocol_.handle(event, now);
  if (protocol_.decided() != decided) {
    log_info("recovery_decided",
             {{"job", job_.value}, {"generation", protocol_.decided().value}, {"step", protocol_.committed()}});
  }
  for (const ProtocolAction& action : actions) act(action, now);
}

void MemberSession::act(const ProtocolAction& action, Time now) {
  const Generation generation = planned_.plan.generation;
  if (const auto* send = std::get_if<SendToWorker>(&action)) {
    host_->send(*send);
  } else if (const auto* start = std::get_if<StartStep>(&action)) {
    host_->keep_weights();
    host_->tell(ComputeStep{start->generation, start->step});
  } else if (const auto* here = std::get_if<RangeReadable>(&action)) {
    host_->readable(here->range, here->version);
  } else if (const auto* done = std::get_if<StepCommitted>(&action)) {
    committed(done->record, now);
  } else if (const auto* failed = std::get_if<StepFailed>(&action)) {
    host_->tell(SessionFailed{generation, bad_input(why_it_failed(failed->record))});
  } else if (const auto* choose = std::get_if<ChooseCheckpoint>(&action)) {
    const Step step = host_->choose_checkpoint(planned_.checkpoints);
    log_info("checkpoint_chosen", {{"job", job_.value}, {"step", step}});
    handle(CheckpointChosen{choose->generation, step}, now);
  } else if (const auto* needed = std::get_if<LoadCheckpoint>(&action)) {
    host_->load(*needed);
  } else if (const auto* ready = std::get_if<Recovered>(&action)) {
    recovered(*ready);
  } else if (const auto* suspect = std::get_if<Suspect>(&action)) {
    log_warning(
        "peer_late",
        {{"worker", suspect->worker.value}, {"waiting_for", suspect->waiting_for}, {"silent", suspect->silent}});
    if (suspect->silent) suspects_.push_back(suspect->worker);  // a slow one is not thrown out
  }
}

void MemberSession::loaded(const SessionLoaded& loaded, Time now) {
  if (!loaded.status.ok()) return host_->tell(SessionFailed{loaded.generation, loaded.status.error()});
  handle(CheckpointLoaded{loaded.generation, loaded.step}, now);
}

// --- steps and checkpoints ------------------------------------------------------------------------------------------

std::vector<uint32_t> MemberSession::led() const {
  std::vector<uint32_t> mine;
  const GroupPlan& plan = planned_.plan;
  const GroupMember* self = find_member(plan, self_);
  if (self == nullptr || is_leaving(plan, self_)) return mine;
  const auto holders = assign_holders(ranges_, plan.replicas, plan.backup);
  for (uint32_t r = 0; r < holders.size(); ++r) {
    if (ranges_[r].place.stage == self->stage && holders[r].primary == self->replica) mine.push_back(r);
  }
  return mine;
}

// All members of a generation answer alike: of a part that only some of them write no checkpoint comes.
bool MemberSession::is_saved(Step step) const {
  const auto& known = planned_.checkpoints;
  return step == saved_ || (step <= base_ && std::find(known.begin(), known.end(), step) != known.end());
}

bool MemberSession::saves(Step step) const {
  if (step <= 0 || is_saved(step) || is_leaving(planned_.plan, self_)) return false;
  return (checkpoint_every_ > 0 && step % checkpoint_every_ == 0) || step == last_step_;
}

int64_t MemberSession::save(Step step) {
  saved_ = step;
  return host_->save(planned_.plan, step, led());
}

// A step that recovery has committed is saved when all that this worker now holds is here.
void MemberSession::committed(const StepRecord& record, Time now) {
  StepDone done{planned_.plan.generation, record, now, 0};
  const bool stops = record.last && !is_leaving(planned_.plan, self_);
  if (protocol_.training() && (saves(record.step) || (stops && !is_saved(record.step)))) {
    while (updates_left()) handle(UpdateNext{}, now);
    done.checkpoint_wait_nanoseconds = save(record.step);
  }
  host_->tell(std::move(done));
}

void MemberSession::recovered(const Recovered& ready) {
  base_ = ready.base;
  if (saves(ready.base)) save(ready.base);
  host_->tell(GroupReady{planned_.plan, ready.base});
}

void MemberSession::look_for_the_end() {
  if (end_told_ || !protocol_.training() || protocol_.committed() < last_step_) return;
  for (const uint32_t range : protocol_.needed()) {
    if (protocol_.readable(range) < last_step_) return;
  }
  end_told_ = true;
  host_->keep_weights();
  host_->tell(AllStepsDone{planned_.plan.generation});
}

}  // namespace strand
