#include "worker/job_runner.h"

#include <algorithm>
#include <cmath>

#include "shared/base/log.h"
#include "worker/checkpoint/checkpoint_reader.h"
#include "worker/job_setup.h"
#include "worker/weights/initial_model.h"

namespace strand {

JobRunner::JobRunner(RunnerSeams seams, WorkerIdentity identity, StartTraining start, int threads)
    : seams_(std::move(seams)),
      identity_(std::move(identity)),
      start_(std::move(start)),
      threads_(threads),
      checkpoint_directory_(start_.assign.run_directory + "/checkpoints") {
  thread_ = std::thread([this] { run(); });
}

JobRunner::~JobRunner() {
  stop(false);
  thread_.join();
}

void JobRunner::stop(bool checkpoint) {
  checkpoint_on_stop_.store(checkpoint);
  stop_.store(true);
}

void JobRunner::say(Step step, decltype(TrainingReport::body) body) {
  seams_.report(TrainingReport{start_.job, start_.generation, step, std::move(body)});
}

void JobRunner::run() {
  Status status = train();
  if (writer_) writer_->drain();
  const Step step = trainer_ ? trainer_->current_step() : 0;
  if (status.ok() && write_failed_.load()) {
    std::lock_guard lock(failure_mutex_);
    status = *write_failure_;
  }
  if (!status.ok() && status.error().code() == ErrorCode::kStopped) {
    say(step, Stopped{});
  } else if (!status.ok()) {
    log_error("job_failed", {{"job", start_.job.value}, {"step", step}, {"reason", status.error().message()}});
    say(step, JobFailed{static_cast<uint8_t>(status.error().code()), status.error().message(), elsewhere_});
  }
  fetcher_.reset();
  ended_.store(true);
}

Status JobRunner::train() {
  STRAND_TRY(open_job());
  STRAND_TRY(load_or_initialise());
  say(trainer_->current_step(), Heartbeat{WorkerState::kTraining});
  STRAND_TRY(train_to_end());
  return finish();
}

Status JobRunner::open_job() {
  if (const Status seen = check_run_directory(*seams_.fs, start_.assign); !seen.ok()) {
    elsewhere_ = true;  // the others may see it
    return seen;
  }
  STRAND_ASSIGN(spec_, parse_assigned_job(start_.assign));
  STRAND_ASSIGN(fetcher_, make_batch_fetcher(seams_, identity_, start_, spec_, &stop_));
  STRAND_ASSIGN(dataset_, fetcher_->wait_ready(nullptr));
  spec_.data.segment = dataset_.segment;  // of a task less than the job allows, when its rows are shorter
  threads_ = compute_threads(spec_, threads_);
  TrainerOptions trainer_options;
  trainer_options.threads = threads_;
  STRAND_ASSIGN(trainer_, Trainer::create(spec_, dataset_.token_bases, trainer_options));
  if (spec_.job.kind == "finetune") finetuning_.emplace(spec_, dataset_, *trainer_, *fetcher_);
  STRAND_TRY(seams_.fs->make_directories(checkpoint_directory_));
  copy_pool_ = std::make_unique<ThreadPool>(threads_);
  // Now, so that the first save does not pay for the buffer's pages.
  writer_ = std::make_unique<CheckpointWriter>(*seams_.fs, checkpoint_directory_, trainer_->shard(),
                                               [this](Step s, Result<PartSaved> part) { on_part(s, std::move(part)); });
  return {};
}

Status JobRunner::load_or_initialise() {
  for (const Step step : start_.assign.checkpoints) {
    auto manifest = read_manifest(*seams_.fs, checkpoint_directory_, step);
    Status loaded = manifest.ok() ? Status() : Status(manifest.error());
    if (loaded.ok() && spec_.train.deterministic && manifest->numerics != identity_.hello.numerics) {
      return bad_input(concat("the checkpoint of step ", step, " was made with numerics \"", manifest->numerics,
                              "\", this worker has \"", identity_.hello.numerics,
                              "\"; use the same build and machine kind, or set train.deterministic = false"));
    }
    if (loaded.ok()) loaded = load_checkpoint(*manifest);
    if (loaded.ok()) {
      trainer_->restored(step);
      saved_step_ = step;
      log_info("checkpoint_loaded", {{"job", start_.job.value}, {"step", step}});
      return {};
    }
    log_error("checkpoint_damaged",
              {{"step", step}, {"reason", loaded.error().message()}, {"next", "the one before it"}});
  }
  trainer_->initialise();
  return spec_.model.init == "random" ? Status() : load_initial_weights();
}

Status JobRunner::load_checkpoint(const Manifest& manifest) {
  if (finetuning_) return finetuning_->load(*seams_.fs, checkpoint_directory_, manifest);
  return load_parts(*seams_.fs, checkpoint_directory_, manifest, trainer_->shard());
}

// Over what the seed has drawn: a head that the directory lacks stays as it is.
Status JobRunner::load_initial_weights() {
  ParamShard& shard = trainer_->shard();
  STRAND_ASSIGN(const InitialModel from,
                load_initial_model(*seams_.fs, spec_.model.init, spec_.model.config, shard.table(), shard.weights()));
  trainer_->restored(0);
  log_info("weights_loaded", {{"job", start_.job.value}, {"from", from.origin}, {"digest", from.digest.hex()}});
  for (const std::string& note : from.notes) log_info("weights_note", {{"job", start_.job.value}, {"note", note}});
  return {};
}

bool JobRunner::due(int64_t every) const {
  return every > 0 && trainer_->current_step() % every == 0;
}

Status JobRunner::train_to_end() {
  while (!at_the_end()) {
    if (write_failed_.load()) {
      std::lock_guard lock(failure_mutex_);
      return *write_failure_;
    }
    const Status done = stop_.load() ? Error(ErrorCode::kStopped, "asked to stop") : step_once();
    if (done.ok()) continue;
    // A stop in the middle of a step drops that step: nothing of it was committed.
    const bool stopped = done.error().code() == ErrorCode::kStopped;
    if (stopped && checkpoint_on_stop_.load() && trainer_->current_step() != saved_step_) STRAND_TRY(save());
    return done;
  }
  return {};
}

// A finetuning run also has its last evaluation behind it, or has run out of patience.
bool JobRunner::at_the_end() const {
  if (finetuning_ && finetuning_->due()) return false;
  return trainer_->current_step() >= spec_.train.steps || (finetuning_ && finetuning_->out_of_patience());
}

// A checkpoint goes with every evaluation, made after it, and so knows its outcome.
Status JobRunner::finetuning_evaluation(StepReport* report) {
  say(trainer_->current_step(), Heartbeat{WorkerState::kEvaluating});
  STRAND_TRY(finetuning_->evaluate(report));
  say(trainer_->current_step(), Heartbeat{WorkerState::kTraining});
  return {};
}

Status JobRunner::step_once() {
  if (finetuning_ && finetuning_->due()) {  // a stop came between this step and its evaluation
    STRAND_TRY(finetuning_evaluation(nullptr));
    return save();
  }
  const Time begin = seams_.clock->now();
  STRAND_ASSIGN(const StepResult result, trainer_->step(*fetcher_));
  StepReport report;
  report.loss = last_loss_ = result.loss;
  report.gradient_norm = result.gradient_norm;
  report.learning_rate = result.learning_rate;
  report.tokens = result.tokens;
  report.data_wait_nanoseconds = result.data_wait_nanoseconds;
  report.audit = result.audit;
  const bool last = result.step == spec_.train.steps;
  const bool chooses = finetuning_ && finetuning_->due();
  report.step_nanoseconds = (seams_.clock->now() - begin).count();
  if (chooses) STRAND_TRY(finetuning_evaluation(&report));
  if (due(spec_.checkpoint.every) || last || chooses) {
    const Time before = seams_.clock->now();
    STRAND_TRY(save());
    report.checkpoint_wait_nanoseconds = (seams_.clock->now() - before).count();
  }
  report.step_nanoseconds += report.checkpoint_wait_nanoseconds;
  tokens_ += result.tokens;
  training_nanoseconds_ += report.step_nanoseconds;
  if (!finetuning_ && due(spec_.evaluate.every) && !last) STRAND_TRY(evaluate_into(&report, result.step));
  say(result.step, report);
  return {};
}

Status JobRunner::evaluate_into(StepReport* report, Step step) {
  const auto rows = static_cast<uint64_t>(spec_.evaluate.batches * spec_.train.micro_batch);
  if (dataset_.eval_rows == 0) return {};
  say(step, Heartbeat{WorkerState::kEvaluating});
  STRAND_ASSIGN(const EvaluationResult result,
                trainer_->evaluate(*fetcher_, std::min(rows, dataset_.eval_rows), nullptr));
  report->evaluated = true;
  report->eval_loss = result.loss;
  report->eval_bits_per_base = result.bits_per_base;
  say(step, Heartbeat{WorkerState::kTraining});
  return {};
}

Status JobRunner::save() {
  Workspace workspace(copy_pool_->threads());
  const OpContext context{copy_pool_.get(), &workspace, Backend::kCpu};
  writer_->save(context, trainer_->shard(), start_.generation, trainer_->next_row(),
                finetuning_ ? finetuning_->best() : BestEvaluation());
  saved_step_ = trainer_->current_step();
  return {};
}

void JobRunner::on_part(Step step, Result<PartSaved> part) {
  if (part.ok()) {
    part->dataset = dataset_.fields;
    say(step, *part);
    return;
  }
  std::lock_guard lock(failure_mutex_);
  write_failure_ = part.error().with_context(concat("writing the checkpoint of step ", step));
  write_failed_.store(true);
}

Status JobRunner::finish() {
  if (writer_) writer_->drain();
  JobFinished finished;
  finished.train_loss = last_loss_;
  finished.tokens = tokens_;
  const double seconds = static_cast<double>(training_nanoseconds_) * 1e-9;
  finished.tokens_per_second = seconds > 0 ? static_cast<double>(tokens_) / seconds : 0;
  const double rate = trainer_->matrix_rate();
  const double flops = job_flops_per_token(spec_);
  finished.flops_utilization = rate > 0 ? finished.tokens_per_second * flops / rate : 0;
  say(trainer_->current_step(), Heartbeat{WorkerState::kEvaluating});
  if (finetuning_) {
    STRAND_TRY(finetuning_->finish(&finished));
  } else {
    STRAND_TRY(measure_held_out(&finished));
  }
  say(trainer_->current_step(), finished);
  return {};
}

Status JobRunner::measure_held_out(JobFinished* finished) {
  finished->digest = trainer_->digest();
  finished->state_digest = trainer_->state_digest();
  if (dataset_.eval_rows == 0) return {};
  STRAND_ASSIGN(const EvaluationResult result, trainer_->evaluate(*fetcher_, dataset_.eval_rows, nullptr));
  return report_held_out(result, *fetcher_, finished);
}

}  // namespace strand
