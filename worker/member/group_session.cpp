#include "worker/member/group_session.h"

#include <algorithm>

#include "shared/base/check.h"
#include "shared/base/log.h"
#include "worker/checkpoint/checkpoint_reader.h"
#include "worker/weights/initial_model.h"

namespace strand {

// The longest that neighbours' activations wait for updates, but for one range's.
constexpr Duration kUpdatesOfATurn = std::chrono::milliseconds(1);

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
      session_(options_.spec,
               session_options(options_.spec, options_.job, options_.self, options_.incarnation, state->ranges),
               &store_, this, clock->now()),
      mailbox_(options_.job, options_.self, options_.incarnation, *clock, [hub] { hub->wake(); }),
      gate_(state->ranges.size()) {
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
    if (!inbox_.offer({std::move(plan), std::move(checkpoints)})) return;
    newest_generation_.store(generation.value);
  }
  mailbox_.interrupt(generation, Error(ErrorCode::kStopped, "a new plan of the group has come"));
  gate_.wake();
  hub_->wake();
}

void GroupSession::stop_after_next_step() {
  {
    const std::lock_guard lock(mutex_);
    inbox_.stop_after_next_step();
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
    inbox_.add(std::move(gradient));
  }
  hub_->wake();
}

void GroupSession::done_computing() {
  {
    const std::lock_guard lock(mutex_);
    inbox_.done_computing();
  }
  hub_->wake();
}

Status GroupSession::still_wanted(Generation generation) const {
  if (newest_generation_.load() == generation.value) return {};
  return Error(ErrorCode::kStopped, "a new plan of the group has come");
}

Status GroupSession::await(const std::vector<uint32_t>& ranges, Step version, Duration slice,
                           const std::function<Status()>& still_wanted) {
  if (options_.spec.parallel.ssp > 0) return {};
  while (!gate_.wait(ranges, version, slice)) STRAND_TRY(still_wanted());
  return {};
}

void GroupSession::tell(SessionNews news) {
  {
    const std::lock_guard lock(mutex_);
    inbox_.told(news);
    news_.push_back(std::move(news));
  }
  changed_.notify_all();
}

// --- the hub's thread -----------------------------------------------------------------------------------------------

void GroupSession::on_message(const ShardMessage& message, Frame bulk) {
  if (is_stage_message(message.body)) {
    if (session_.is_from_the_plan(message.header)) mailbox_.deliver(message, std::move(bulk), clock_->now());
    return;
  }
  auto mail = frames_.with_numbers(message, bulk);
  if (!mail.ok()) {
    log_warning("message_dropped", {{"reason", mail.error().message()}});
    return;
  }
  session_.on_mail(*mail, clock_->now());
}

void GroupSession::on_turn() {
  SessionInbox::Batch batch;
  {
    const std::lock_guard lock(mutex_);
    batch = inbox_.take();
  }
  if (batch.loaded) loader_.join();
  session_.turn(std::move(batch), clock_->now());
  for (auto& out : mailbox_.flush(clock_->now())) hub_->send(out.to, out.message, out.bulk);
  // Some ranges, then what has come meanwhile.
  const Time begin = clock_->now();
  while (session_.updates_left() && clock_->now() - begin < kUpdatesOfATurn) session_.update_next(clock_->now());
  if (session_.updates_left()) hub_->wake();
}

void GroupSession::send(const SendToWorker& message) {
  hub_->send(message.to, message.message.message, frames_.numbers_frame(message.message));
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

Step GroupSession::choose_checkpoint(const std::vector<Step>& known) {
  return strand::choose_checkpoint(*fs_, options_.checkpoint_directory, known);
}

// On a thread of its own, so that the others are answered meanwhile. Until it is done the shard is its alone: what is
// being restored is neither read nor updated, and a new plan waits.
void GroupSession::load(const LoadCheckpoint& load) {
  STRAND_CHECK(!loader_.joinable(), "two loads at a time");
  {
    const std::lock_guard lock(mutex_);
    inbox_.loads();
  }
  loader_ = std::thread([this, load] {
    SessionLoaded loaded{load.generation, load.step, load_ranges_of(load)};
    {
      const std::lock_guard lock(mutex_);
      inbox_.loaded(std::move(loaded));
    }
    hub_->wake();
  });
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
