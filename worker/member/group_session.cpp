#include "worker/member/group_session.h"

#include <algorithm>

#include "shared/base/check.h"
#include "shared/base/log.h"
#include "worker/checkpoint/checkpoint_reader.h"
#include "worker/weights/initial_model.h"

namespace strand {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(20);
// Well beyond a lease: whoever is dead or stopped is found by the coordinator much earlier. This is for links that are
// cut between two workers who both reach the coordinator. A hub answers at once, whatever its worker computes; only
// drawing or copying very many weights keeps it longer.
constexpr Duration kDeadline = std::chrono::seconds(60);

ProtocolOptions protocol_options(const GroupSessionOptions& options, const StageState& state) {
  ProtocolOptions made;
  made.job = options.job;
  made.self = options.self;
  made.incarnation = options.incarnation;
  made.ranges = state.ranges;
  made.staleness = options.spec.parallel.ssp;
  made.last_step = options.spec.train.steps;
  made.deadline = kDeadline;
  return made;
}

}  // namespace

GroupSession::GroupSession(GroupSessionOptions options, PeerHub* hub, StageState* state, FileSystem* fs,
                           const Clock* clock)
    : options_(std::move(options)),
      hub_(hub),
      state_(state),
      fs_(fs),
      clock_(clock),
      pool_(options_.threads),
      workspace_(options_.threads),
      context_{.pool = &pool_, .workspace = &workspace_, .backend = Backend::kCpu},
      store_(context_, options_.spec.train, state->keys, state->shard.get()),
      frames_(state->ranges, options_.spec.train.lanes, options_.spec.train.gradient_dtype == GradientDtype::kBf16),
      protocol_(protocol_options(options_, *state), &store_),
      mailbox_(options_.job, options_.self, options_.incarnation, *clock, [hub] { hub->wake(); }),
      last_tick_(clock->now()) {
  hub_->attach(this);
}

GroupSession::~GroupSession() {
  hub_->detach();
  if (loader_.joinable()) loader_.join();
}

// --- any thread, and the training thread ----------------------------------------------------------------------------

void GroupSession::new_plan(GroupPlan plan, std::vector<Step> checkpoints) {
  const Generation generation = plan.generation;
  {
    const std::lock_guard lock(mutex_);
    if (generation.value <= newest_generation_.load()) return;
    newest_generation_.store(generation.value);
    waiting_plan_ = Planned{std::move(plan), std::move(checkpoints)};
  }
  mailbox_.interrupt(generation, Error(ErrorCode::kStopped, "a new plan of the group has come"));
  hub_->wake();
}

void GroupSession::stop_after_next_step() {
  {
    const std::lock_guard lock(mutex_);
    stop_wanted_ = true;
  }
  hub_->wake();
}

std::optional<SessionNews> GroupSession::next(Duration wait) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, wait, [&] { return !news_.empty(); });
  if (news_.empty()) return std::nullopt;
  SessionNews first = std::move(news_.front());
  news_.pop_front();
  return first;
}

void GroupSession::gradient(GradientReady gradient) {
  {
    const std::lock_guard lock(mutex_);
    gradients_.push_back(std::move(gradient));
  }
  hub_->wake();
}

void GroupSession::done_computing() {
  {
    const std::lock_guard lock(mutex_);
    computing_ = false;
  }
  hub_->wake();
}

Status GroupSession::still_wanted(Generation generation) const {
  if (newest_generation_.load() == generation.value) return {};
  return Error(ErrorCode::kStopped, "a new plan of the group has come");
}

void GroupSession::tell(SessionNews news) {
  {
    const std::lock_guard lock(mutex_);
    computing_ |= std::holds_alternative<ComputeStep>(news) || std::holds_alternative<AllStepsDone>(news);
    news_.push_back(std::move(news));
  }
  changed_.notify_all();
}

// --- the hub's thread -----------------------------------------------------------------------------------------------

bool GroupSession::is_from_the_plan(const Header& header) const {
  const GroupMember* sender = find_member(planned_.plan, header.sender);
  return header.job == options_.job && header.generation == planned_.plan.generation && sender != nullptr &&
         sender->incarnation == header.incarnation;
}

void GroupSession::on_message(const ShardMessage& message, Frame bulk) {
  if (is_stage_message(message.body)) {
    if (is_from_the_plan(message.header)) mailbox_.deliver(message, std::move(bulk), clock_->now());
    return;
  }
  auto mail = frames_.with_numbers(message, bulk);
  if (!mail.ok()) {
    log_warning("message_dropped", {{"reason", mail.error().message()}});
    return;
  }
  handle(*mail);
}

void GroupSession::on_turn() {
  std::deque<GradientReady> gradients;
  std::optional<Planned> plan;
  std::optional<Loaded> loading;
  bool stop = false;
  {
    const std::lock_guard lock(mutex_);
    gradients.swap(gradients_);
    loading.swap(loaded_);
    if (loading) loading_ = false;
    if (waiting_plan_ && !computing_ && !loading_) plan.swap(waiting_plan_);
    std::swap(stop, stop_wanted_);
  }
  if (loading) loaded(*loading);
  for (const GradientReady& gradient : gradients) handle(gradient);
  if (plan) begin(std::move(*plan));
  if (stop) handle(StopAfterNextStep{});
  if (clock_->now() - last_tick_ >= kTick) {
    last_tick_ = clock_->now();
    handle(ProtocolTick{});
    if (!suspects_.empty()) tell(PeersSuspected{planned_.plan.generation, std::exchange(suspects_, {})});
  }
  look_for_the_end();
  for (auto& out : mailbox_.flush(clock_->now())) hub_->send(out.to, out.message, out.bulk);
}

void GroupSession::begin(Planned planned) {
  planned_ = std::move(planned);
  end_told_ = false;
  saved_ = -1;
  suspects_.clear();
  std::vector<GroupMember> peers = planned_.plan.members;
  peers.insert(peers.end(), planned_.plan.leaving.begin(), planned_.plan.leaving.end());
  hub_->set_peers(peers);
  handle(NewPlan{planned_.plan});
}

void GroupSession::handle(const ProtocolEvent& event) {
  const Generation decided = protocol_.decided();
  const auto actions = protocol_.handle(event, clock_->now());
  if (protocol_.decided() != decided) {
    log_info("recovery_decided",
             {{"job", options_.job.value}, {"generation", protocol_.decided().value}, {"step", protocol_.committed()}});
  }
  for (const ProtocolAction& action : actions) act(action);
}

void GroupSession::act(const ProtocolAction& action) {
  const Generation generation = planned_.plan.generation;
  if (const auto* send = std::get_if<SendToWorker>(&action)) {
    hub_->send(send->to, send->message.message, frames_.numbers_frame(send->message));  // lost or not: it is said again
  } else if (const auto* start = std::get_if<StartStep>(&action)) {
    keep_weights();
    tell(ComputeStep{start->generation, start->step});
  } else if (const auto* done = std::get_if<StepCommitted>(&action)) {
    committed(done->record);
  } else if (const auto* failed = std::get_if<StepFailed>(&action)) {
    const StepRecord& r = failed->record;
    tell(SessionFailed{
        generation, bad_input(concat(
                        "step ", r.step, ": ",
                        r.targets == 0 ? std::string("its rows hold nothing to predict")
                                       : concat("the loss is ", r.loss, ", the gradient's square norm ", r.squared_norm,
                                                "; nothing of this step was applied. Lower "
                                                "train.learning_rate or lengthen train.warmup")))});
  } else if (const auto* choose = std::get_if<ChooseCheckpoint>(&action)) {
    choose_checkpoint(choose->generation);
  } else if (const auto* needed = std::get_if<LoadCheckpoint>(&action)) {
    load(*needed);
  } else if (const auto* ready = std::get_if<Recovered>(&action)) {
    recovered(*ready);
  } else if (const auto* suspect = std::get_if<Suspect>(&action)) {
    log_warning(
        "peer_late",
        {{"worker", suspect->worker.value}, {"waiting_for", suspect->waiting_for}, {"silent", suspect->silent}});
    if (suspect->silent) suspects_.push_back(suspect->worker);  // a slow one is not thrown out
  }
}

// --- steps and checkpoints ------------------------------------------------------------------------------------------

std::vector<uint32_t> GroupSession::led() const {
  std::vector<uint32_t> mine;
  const GroupPlan& plan = planned_.plan;
  const GroupMember* self = find_member(plan, options_.self);
  if (self == nullptr || is_leaving(plan, options_.self)) return mine;
  const auto holders = assign_holders(state_->ranges, plan.replicas, plan.backup);
  for (uint32_t r = 0; r < holders.size(); ++r) {
    if (state_->ranges[r].place.stage == self->stage && holders[r].primary == self->replica) mine.push_back(r);
  }
  return mine;
}

bool GroupSession::saves(Step step) const {
  if (step <= 0 || step == saved_ || is_leaving(planned_.plan, options_.self)) return false;
  const int64_t every = options_.spec.checkpoint.every;
  return (every > 0 && step % every == 0) || step == options_.spec.train.steps;
}

int64_t GroupSession::save(Step step) {
  saved_ = step;
  return options_.save(planned_.plan, step, led());
}

// A step that recovery has committed is saved when all that this worker now holds is here.
void GroupSession::committed(const StepRecord& record) {
  StepDone done{planned_.plan.generation, record, clock_->now(), 0};
  const bool stops = record.last && !is_leaving(planned_.plan, options_.self);
  if (protocol_.training() && (saves(record.step) || (stops && record.step != saved_))) {
    done.checkpoint_wait_nanoseconds = save(record.step);
  }
  tell(std::move(done));
}

void GroupSession::recovered(const Recovered& ready) {
  const auto& known = planned_.checkpoints;
  const bool there = std::find(known.begin(), known.end(), ready.base) != known.end();
  if (!there && saves(ready.base)) save(ready.base);
  tell(GroupReady{planned_.plan, ready.base});
}

void GroupSession::look_for_the_end() {
  if (end_told_ || !protocol_.training() || protocol_.committed() < options_.spec.train.steps) return;
  for (const uint32_t range : protocol_.needed()) {
    if (protocol_.readable(range) < options_.spec.train.steps) return;
  }
  end_told_ = true;
  keep_weights();
  tell(AllStepsDone{planned_.plan.generation});
}

// Nobody computes yet.
void GroupSession::keep_weights() {
  if (options_.spec.parallel.ssp == 0) return;
  const KeyRange all{0, state_->shard->elements()};
  const float* weights = state_->shard->pull(all);
  kept_.assign(weights, weights + all.elements);
  if (const BFloat16* rounded = state_->shard->pull_bf16(all)) kept_bf16_.assign(rounded, rounded + all.elements);
}

Weights GroupSession::weights() const {
  if (options_.spec.parallel.ssp > 0) return {kept_.data(), kept_bf16_.empty() ? nullptr : kept_bf16_.data()};
  const KeyRange all{0, state_->shard->elements()};
  return {state_->shard->pull(all), state_->shard->pull_bf16(all)};
}

// --- loading --------------------------------------------------------------------------------------------------------

void GroupSession::choose_checkpoint(Generation generation) {
  const Step step = strand::choose_checkpoint(*fs_, options_.checkpoint_directory, planned_.checkpoints);
  log_info("checkpoint_chosen", {{"job", options_.job.value}, {"step", step}});
  handle(CheckpointChosen{generation, step});
}

// On a thread of its own, so that the others are answered meanwhile. Until it is done the shard is its alone: what is
// being restored is neither read nor updated, and a new plan waits.
void GroupSession::load(const LoadCheckpoint& load) {
  STRAND_CHECK(!loader_.joinable(), "two loads at a time");
  {
    const std::lock_guard lock(mutex_);
    loading_ = true;
  }
  loader_ = std::thread([this, load] {
    Loaded loaded{load.generation, load.step, load_ranges_of(load)};
    {
      const std::lock_guard lock(mutex_);
      loaded_ = std::move(loaded);
    }
    hub_->wake();
  });
}

void GroupSession::loaded(const Loaded& loaded) {
  loader_.join();
  if (!loaded.status.ok()) return tell(SessionFailed{loaded.generation, loaded.status.error()});
  handle(CheckpointLoaded{loaded.generation, loaded.step});
}

Status GroupSession::load_ranges_of(const LoadCheckpoint& load) {
  ParamShard& shard = *state_->shard;
  for (const uint32_t r : load.ranges) {
    if (!shard.holds(state_->keys[r])) shard.hold(state_->keys[r]);
  }
  if (load.step == 0) return initial_weights();
  STRAND_ASSIGN(const Manifest manifest, read_manifest(*fs_, options_.checkpoint_directory, load.step));
  std::vector<KeyRange> wanted;
  for (const uint32_t r : load.ranges) wanted.push_back(state_->ranges[r].keys);
  return load_ranges(*fs_, options_.checkpoint_directory, manifest, state_->table, wanted,
                     [&](size_t i, const float* numbers) -> Status {
                       shard.take_state(context_, state_->keys[load.ranges[i]], numbers);
                       return {};
                     });
}

// From the seed, over the whole of what the stage reads; or a directory's.
Status GroupSession::initial_weights() {
  ParamShard& shard = *state_->shard;
  shard.init(context_, options_.spec.train.seed);
  const ModelSpec& model = options_.spec.model;
  if (model.init == "random") return {};
  ParamShard whole(state_->table, options_.spec.train, /*bf16_copy=*/false, /*held=*/std::vector<KeyRange>());
  whole.init(context_, options_.spec.train.seed);
  STRAND_ASSIGN(const InitialModel from,
                load_initial_model(*fs_, model.init, model.config, whole.table(), whole.weights()));
  for (const StageTensor& tensor : state_->own().tensors) {
    std::copy_n(whole.weights().data() + tensor.parameter.first_element, tensor.parameter.elements,
                shard.weights().data() + tensor.local_first);
  }
  shard.restored(context_, 0);
  log_info("weights_loaded", {{"job", options_.job.value}, {"from", from.origin}, {"digest", from.digest.hex()}});
  return {};
}

}  // namespace strand
