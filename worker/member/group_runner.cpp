#include "worker/member/group_runner.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "ops/cpu/matrix_rate.h"
#include "shared/base/log.h"
#include "shared/job_spec/objective.h"
#include "worker/job_setup.h"
#include "worker/params/schedules.h"

namespace strand {
namespace {

constexpr Duration kWait = std::chrono::milliseconds(50);
// For a neighbouring stage. One that is dead is found sooner, by the coordinator.
constexpr Duration kPassLimit = std::chrono::minutes(10);

}  // namespace

GroupRunner::GroupRunner(RunnerSeams seams, WorkerIdentity identity, StartTraining start, int threads, PeerHub* hub)
    : seams_(std::move(seams)),
      identity_(std::move(identity)),
      job_(start.job),
      threads_wanted_(threads),
      hub_(hub),
      checkpoint_directory_(start.assign.run_directory + "/checkpoints"),
      start_(std::move(start)) {
  generation_.store(start_.generation.value);
  thread_ = std::thread([this] { run(); });
}

GroupRunner::~GroupRunner() {
  stop(false);
  thread_.join();
  session_.reset();
}

void GroupRunner::stop(bool checkpoint) {
  if (!checkpoint) {
    stop_.store(true);
    return;
  }
  checkpoint_on_stop_.store(true);
  const std::lock_guard lock(mutex_);
  if (session_) session_->stop_after_next_step();
}

bool GroupRunner::go_on(const StartTraining& start) {
  const std::lock_guard lock(mutex_);
  const bool other_stage = !start.leaving && start.self.stage != start_.self.stage;
  if (start.job != job_ || ended_.load() || stop_.load() || other_stage) return false;
  const int32_t stage = start_.self.stage;  // a leaving member keeps its own
  start_ = start;
  start_.self.stage = stage;
  if (!session_) return true;
  const JobSpec& spec = spec_;
  session_->new_plan(plan_of(spec, start.generation, start.assign.members, start.assign.leaving),
                     start.assign.checkpoints);
  return true;
}

void GroupRunner::say(Step step, decltype(TrainingReport::body) body, int64_t work_nanoseconds) {
  seams_.report(TrainingReport{job_, Generation{generation_.load()}, step, std::move(body), work_nanoseconds});
}

// The end is told in the newest generation there is, heard of by the training thread or not.
void GroupRunner::run() {
  const Status status = train();
  if (writer_) writer_->drain();
  fetcher_.reset();
  {
    const std::lock_guard lock(mutex_);
    ended_.store(true);
    generation_.store(start_.generation.value);
  }
  if (status.ok() || status.error().code() == ErrorCode::kStopped) return say(committed_, Stopped{});
  log_error("job_failed", {{"job", job_.value}, {"step", committed_}, {"reason", status.error().message()}});
  say(committed_, JobFailed{static_cast<uint8_t>(status.error().code()), status.error().message(), elsewhere_});
}

Status GroupRunner::train() {
  STRAND_TRY(open_job());
  STRAND_TRY(open_session());
  STRAND_TRY(open_dataset());
  while (true) {
    STRAND_TRY(write_failure());
    if (stop_.load()) return Error(ErrorCode::kStopped, "asked to stop");
    const auto news = session_->next(kWait);
    if (!news) continue;
    STRAND_TRY(std::visit([&](const auto& said) { return on(said); }, *news));
  }
}

// --- the beginning --------------------------------------------------------------------------------------------------

Status GroupRunner::open_job() {
  if (const Status seen = check_run_directory(*seams_.fs, start_.assign); !seen.ok()) {
    elsewhere_ = true;  // the others may see it
    return seen;
  }
  STRAND_ASSIGN(JobSpec spec, parse_assigned_job(start_.assign));
  {
    const std::lock_guard lock(mutex_);
    spec_ = std::move(spec);
  }
  STRAND_ASSIGN(schedule_kind_, parse_pipeline_kind(spec_.parallel.schedule));
  bf16_ = trains_in_bf16(spec_.train.precision);
  threads_ = compute_threads(spec_, threads_wanted_);
  STRAND_TRY(seams_.fs->make_directories(checkpoint_directory_));
  STRAND_ASSIGN(state_, StageState::create(spec_, start_.self.stage, bf16_));
  pool_ = std::make_unique<ThreadPool>(threads_);
  copy_pool_ = std::make_unique<ThreadPool>(threads_);
  workspace_ = std::make_unique<Workspace>(threads_);
  context_ = {.pool = pool_.get(), .workspace = workspace_.get(), .backend = Backend::kCpu};
  return {};
}

// Before the dataset is open, which may take long: the others wait for what this worker has to say of what it holds.
Status GroupRunner::open_session() {
  GroupSessionOptions options;
  options.job = job_;
  options.self = identity_.id;
  options.incarnation = identity_.incarnation;
  options.spec = spec_;
  options.checkpoint_directory = checkpoint_directory_;
  options.threads = threads_;
  options.save = [this](const GroupPlan& plan, Step step, const std::vector<uint32_t>& led) {
    return save(plan, step, led);
  };
  options.accuse = [this](const PeersSuspected& peers) {  // in a generation that has not got going, too
    const WorkerState state = peers.training ? WorkerState::kTraining : WorkerState::kLoading;
    seams_.report(TrainingReport{job_, peers.generation, peers.committed, Heartbeat{state, 0, peers.workers}, 0});
  };
  int32_t replicas = 1;
  for (const GroupMember& m : start_.assign.members) replicas = std::max(replicas, m.replica + 1);
  const int64_t capacity = state_->own().owned_elements / replicas;
  writer_ = std::make_unique<CheckpointWriter>(*seams_.fs, checkpoint_directory_, state_->table, capacity,
                                               [this](Step s, Result<PartSaved> part) { on_part(s, std::move(part)); });
  auto session = std::make_unique<GroupSession>(std::move(options), hub_, state_.get(), seams_.fs, seams_.clock);
  const std::lock_guard lock(mutex_);
  GroupPlan plan = plan_of(spec_, start_.generation, start_.assign.members, start_.assign.leaving);
  STRAND_TRY(check_plan(plan));
  session->new_plan(std::move(plan), start_.assign.checkpoints);
  if (checkpoint_on_stop_.load()) session->stop_after_next_step();
  session_ = std::move(session);
  return {};
}

Status GroupRunner::open_dataset() {
  STRAND_ASSIGN(fetcher_, make_batch_fetcher(seams_, identity_, start_, spec_, &stop_));
  STRAND_ASSIGN(dataset_, fetcher_->wait_ready(nullptr));
  if (dataset_.segment != spec_.data.segment) {
    return internal_error(concat("rows of ", dataset_.segment, " tokens, the job has ", spec_.data.segment));
  }
  {
    const std::lock_guard lock(mutex_);
    dataset_fields_ = dataset_.fields;
  }
  dataset_.token_bases.resize(static_cast<size_t>(spec_.model.config.vocabulary), 0);
  model_ = std::make_unique<StageModel>(
      spec_, state_->cut, state_->stage, state_->ranges, context_,
      StageModelOptions{.dtype = bf16_ ? DType::kBF16 : DType::kF32, .schedule = schedule_kind_});
  return {};
}

// --- news -----------------------------------------------------------------------------------------------------------

Status GroupRunner::on(const GroupReady& ready) {
  generation_.store(ready.plan.generation.value);
  plan_ = ready.plan;
  base_ = committed_ = ready.base;
  last_commit_ = seams_.clock->now();
  finished_ = false;
  evaluated_.reset();
  if (is_leaving(plan_, identity_.id)) return {};
  self_ = *find_member(plan_, identity_.id);
  lanes_ = deal_lanes(plan_.lanes, plan_.replicas, plan_.lane_shares)[static_cast<size_t>(self_.replica)];
  const auto per_lane = static_cast<uint64_t>(spec_.train.micro_batches_per_lane * spec_.train.micro_batch);
  const auto first = static_cast<uint64_t>(lanes_.first), count = static_cast<uint64_t>(lanes_.count);
  fetcher_->set_training_slice(
      {static_cast<uint64_t>(spec_.train.rows_per_step()), first * per_lane, (first + count) * per_lane});
  log_info("group_ready", {{"job", job_.value},
                           {"generation", ready.plan.generation.value},
                           {"step", ready.base},
                           {"replica", self_.replica},
                           {"stage", self_.stage},
                           {"first_lane", lanes_.first},
                           {"lanes", lanes_.count}});
  say(ready.base, Heartbeat{WorkerState::kTraining});
  return {};
}

Status GroupRunner::on(const ComputeStep& wanted) {
  Status status = session_->still_wanted(wanted.generation);
  if (status.ok()) status = evaluate_after(wanted.step - 1);
  if (status.ok()) status = compute(wanted.step);
  status = outcome(status);
  session_->done_computing();
  return status;
}

Status GroupRunner::on(const StepDone& done) {
  const StepRecord& record = done.record;
  generation_.store(done.generation.value);
  committed_ = record.step;
  StepReport report;
  const auto targets = static_cast<double>(record.targets);
  report.loss = last_loss_ = record.loss / targets;
  report.gradient_norm = std::sqrt(record.squared_norm) / targets;
  report.learning_rate = learning_rate(spec_.train, record.step);
  report.tokens = record.tokens;
  report.step_nanoseconds = std::max<int64_t>((done.at - last_commit_).count(), 0);
  report.data_wait_nanoseconds = std::exchange(data_wait_nanoseconds_, 0);
  report.checkpoint_wait_nanoseconds = done.checkpoint_wait_nanoseconds;
  report.audit = record.rows_hash;
  last_commit_ = done.at;
  tokens_ += record.tokens;
  training_nanoseconds_ += report.step_nanoseconds;
  const int64_t work = std::exchange(computed_nanoseconds_, 0);
  if (!is_last_stage()) {
    say(record.step, Heartbeat{WorkerState::kTraining}, work);
  } else if (self_.replica == 0 && evaluates_after(record.step) && !record.last) {
    pending_ = PendingReport{record.step, report};
    say_pending(/*evaluated_or_not=*/false);
  } else {
    say(record.step, report, work);
  }
  return record.last ? Status(Error(ErrorCode::kStopped, "asked to stop")) : Status();
}

Status GroupRunner::on(const AllStepsDone& all) {
  Status status = session_->still_wanted(all.generation);
  if (status.ok() && !finished_) status = finish();
  status = outcome(status);
  session_->done_computing();
  return status;
}

Status GroupRunner::on(const SessionFailed& failed) {
  if (!session_->still_wanted(failed.generation).ok()) return {};
  return failed.reason;
}

// --- passes ---------------------------------------------------------------------------------------------------------

// A newer plan, or a neighbour that has heard of it first, ends a pass; what follows is the plan's matter.
Status GroupRunner::outcome(const Status& status) {
  if (status.ok() || stop_.load()) return status;
  if (!session_->still_wanted(plan_.generation).ok() || status.error().code() == ErrorCode::kStopped) return {};
  if (status.error().code() != ErrorCode::kDeadline) return status;
  log_warning("pass_given_up", {{"job", job_.value}, {"reason", status.error().message()}});
  std::vector<WorkerId> late;
  for (const GroupMember& m : plan_.members) {
    if (m.replica == self_.replica && std::abs(m.stage - self_.stage) == 1) late.push_back(m.worker);
  }
  say(committed_, Heartbeat{WorkerState::kTraining, 0, late});
  return {};
}

ExecutorOptions GroupRunner::executor_options() const {
  ExecutorOptions options;
  options.wait_limit = kPassLimit;
  options.still_wanted = [this]() -> Status {
    if (stop_.load()) return Error(ErrorCode::kStopped, "asked to stop");
    return session_->still_wanted(plan_.generation);
  };
  return options;
}

AwaitRanges GroupRunner::await_version(Step version) {
  return [this, version, options = executor_options()](const std::vector<uint32_t>& ranges) {
    return session_->await(ranges, version, options.slice, options.still_wanted);
  };
}

StageLink* GroupRunner::open_link(Step step, uint32_t pass, const PipelineShape& shape) {
  if (shape.stages == 1) return nullptr;
  const auto at = [&](int stage) {
    return member_at(plan_, self_.replica, (stage + shape.stages) % shape.stages).worker;
  };
  session_->mailbox().open({plan_.generation, step, pass}, shape, self_.stage, at(self_.stage - 1),
                           at(self_.stage + 1));
  return &session_->mailbox();
}

Status GroupRunner::compute(Step step) {
  const PipelineShape shape{.stages = static_cast<int>(spec_.parallel.stages),
                            .chunks = static_cast<int>(spec_.parallel.chunks),
                            .micro_batches = static_cast<int>(lanes_.count * spec_.train.micro_batches_per_lane)};
  STRAND_ASSIGN(const PipelineSchedule schedule, make_schedule(schedule_kind_, shape));
  StageStep work;
  work.first_row = static_cast<uint64_t>(step - 1) * static_cast<uint64_t>(spec_.train.rows_per_step());
  work.lanes = lanes_;
  work.weights = session_->weights();
  work.source = fetcher_.get();
  work.ready = [&](RangeGradient gradient) {
    GradientReady ready{plan_.generation, step, gradient.range, gradient.use, {}};
    for (RangeGradient::Piece& p : gradient.pieces) {
      auto sum = std::make_shared<FloatBulk>(p.sum, gradient.elements, std::move(p.keeper));
      ready.pieces.push_back({p.subtree, std::move(sum), std::move(p.numbers)});
    }
    session_->gradient(std::move(ready));
  };
  work.await = await_version(step - 1);
  model_->begin(schedule, std::move(work));
  STRAND_ASSIGN(const auto traces, run_stage(schedule, self_.stage, model_.get(), open_link(step, 0, shape),
                                             *seams_.clock, executor_options()));
  double seconds = 0;
  for (const InstructionTrace& trace : traces) seconds += trace.compute;
  data_wait_nanoseconds_ = model_->data_wait_nanoseconds();
  computed_nanoseconds_ = std::max<int64_t>(static_cast<int64_t>(seconds * 1e9) - data_wait_nanoseconds_, 1);
  return {};
}

// Rows [0, rows) of the held-out set through the stages of this replica; the figures are the last one's.
Result<EvaluationResult> GroupRunner::evaluate(Step step, uint64_t rows) {
  const auto size = static_cast<uint64_t>(spec_.train.micro_batch);
  const PipelineShape shape{.stages = static_cast<int>(spec_.parallel.stages),
                            .chunks = static_cast<int>(spec_.parallel.chunks),
                            .micro_batches = static_cast<int>((rows + size - 1) / size)};
  EvaluationResult result;
  double nats = 0;
  StageEvaluation work;
  work.rows = rows;
  work.weights = session_->weights();
  work.source = fetcher_.get();
  work.measured = [&](const PreparedBatch& batch, const LossSum& loss, const std::vector<float>&) {
    nats += loss.loss;
    result.tokens += loss.targets;
    for (const int32_t target : batch.targets()) {
      if (target != kIgnoredTarget) result.bases += dataset_.token_bases[static_cast<size_t>(target)];
    }
  };
  work.await = await_version(step);
  model_->begin(std::move(work));
  say(committed_, Heartbeat{WorkerState::kEvaluating});
  STRAND_ASSIGN(const auto traces, run_stage(make_forward_schedule(shape), self_.stage, model_.get(),
                                             open_link(step, 1, shape), *seams_.clock, executor_options()));
  if (result.tokens > 0) result.loss = nats / static_cast<double>(result.tokens);
  if (result.bases > 0) result.bits_per_base = nats / (std::numbers::ln2 * static_cast<double>(result.bases));
  if (masked_objective(spec_)) result.bits_per_base = std::numeric_limits<double>::quiet_NaN();
  return result;
}

bool GroupRunner::evaluates_after(Step step) const {
  const int64_t every = spec_.evaluate.every;
  return every > 0 && step > 0 && step % every == 0 && step != spec_.train.steps && dataset_.eval_rows > 0;
}

// All stages of replica 0 take part, whatever they have been through: it follows from the step alone.
Status GroupRunner::evaluate_after(Step step) {
  if (self_.replica == 0 && evaluates_after(step)) {
    const auto rows = static_cast<uint64_t>(spec_.evaluate.batches * spec_.train.micro_batch);
    STRAND_ASSIGN(const EvaluationResult result, evaluate(step, std::min(rows, dataset_.eval_rows)));
    say(step, Heartbeat{WorkerState::kTraining});
    evaluated_ = Evaluated{step, result};
    last_commit_ = seams_.clock->now();  // the time of an evaluation is no step's
  }
  say_pending(/*evaluated_or_not=*/true);
  return {};
}

// With ssp the step after it may begin, and so evaluate, before a step is committed.
void GroupRunner::say_pending(bool evaluated_or_not) {
  const bool evaluated = pending_ && evaluated_ && evaluated_->after == pending_->step;
  if (!pending_ || !(evaluated || evaluated_or_not)) return;
  if (evaluated) {
    pending_->report.evaluated = true;
    pending_->report.eval_loss = evaluated_->result.loss;
    pending_->report.eval_bits_per_base = evaluated_->result.bits_per_base;
  }
  say(pending_->step, pending_->report);
  pending_.reset();
}

// --- the end --------------------------------------------------------------------------------------------------------

Status GroupRunner::finish() {
  say_pending(/*evaluated_or_not=*/true);
  writer_->drain();
  STRAND_TRY(write_failure());
  JobFinished finished;
  if (self_.replica == 0 && dataset_.eval_rows > 0) {
    STRAND_ASSIGN(const EvaluationResult result, evaluate(committed_, dataset_.eval_rows));
    if (is_last_stage()) STRAND_TRY(report_held_out(result, *fetcher_, &finished));
  }
  finished.train_loss = last_loss_;
  finished.tokens = tokens_;
  const double seconds = static_cast<double>(training_nanoseconds_) * 1e-9;
  finished.tokens_per_second = seconds > 0 ? static_cast<double>(tokens_) / seconds : 0;
  // Of all members' matrix rate, taken as equal.
  const double rate = measure_matrix_rate(context_, bf16_ ? DType::kBF16 : DType::kF32);
  const auto members = static_cast<double>(plan_.members.size());
  if (rate > 0) finished.flops_utilization = finished.tokens_per_second * job_flops_per_token(spec_) / (rate * members);
  say(committed_, finished);
  finished_ = true;
  return {};
}

// --- checkpoints ----------------------------------------------------------------------------------------------------

// On the hub's thread.
int64_t GroupRunner::save(const GroupPlan& plan, Step step, const std::vector<uint32_t>& led) {
  std::vector<PartSource> parts;
  for (const uint32_t r : led) parts.push_back({state_->ranges[r].keys, state_->keys[r]});
  const GroupMember& self = *find_member(plan, identity_.id);
  PartRequest request;
  request.step = step;
  request.generation = plan.generation;
  request.next_row = static_cast<uint64_t>(step) * static_cast<uint64_t>(spec_.train.rows_per_step());
  request.name = part_file_name(plan.generation, self.replica, self.stage);
  writer_->drain();  // so that one part at a time is on its way
  {
    const std::lock_guard lock(mutex_);
    saving_ = plan.generation;
  }
  Workspace workspace(copy_pool_->threads());
  const OpContext context{copy_pool_.get(), &workspace, Backend::kCpu};
  return writer_->save(context, *state_->shard, parts, request);
}

// On the writer's thread.
void GroupRunner::on_part(Step step, Result<PartSaved> part) {
  const std::lock_guard lock(mutex_);
  if (part.ok()) {
    part->dataset = dataset_fields_;
    seams_.report(TrainingReport{job_, saving_, step, std::move(*part), 0});
    return;
  }
  const Error failure = part.error().with_context(concat("writing the checkpoint of step ", step));
  if (saving_ == start_.generation) {
    write_failure_ = failure;
  } else {  // nobody waits for this part any more, and its folder may be gone with those of the others
    log_warning("part_given_up", {{"job", job_.value}, {"reason", failure.message()}});
  }
}

Status GroupRunner::write_failure() {
  const std::lock_guard lock(mutex_);
  return write_failure_ ? Status(*write_failure_) : Status();
}

}  // namespace strand
