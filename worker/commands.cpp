#include "worker/commands.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "shared/base/clock.h"
#include "shared/base/text.h"
#include "shared/fs/file_system.h"
#include "worker/batch_fetcher.h"
#include "worker/checkpoint/saved_model.h"
#include "worker/finetune.h"
#include "worker/params/digest.h"
#include "worker/weights/model_directory.h"

namespace strand {

// Weights without a training state: that of a run before its first step, with moments of zero.
static Result<LoadedCheckpoint> digest_weights(FileSystem& fs, const std::string& directory, Step step) {
  STRAND_ASSIGN(const ModelDirectory model, load_model_directory(fs, directory, step));
  if (!model.complete()) return bad_input(concat(directory, ": ", join(model.notes, "; "), "; import it first"));
  const std::vector<float> moments(model.weights.size(), 0.0f);
  LoadedCheckpoint out;
  out.digest = model_digest(model.table, model.weights);
  out.state_digest = state_digest(model.table, {model.weights, moments, moments, 0}, 0);
  return out;
}

Result<LoadedCheckpoint> digest_checkpoint(const std::string& run_directory, Step step) {
  const auto fs = make_posix_file_system();
  if (!fs->exists(run_directory + "/checkpoints")) return digest_weights(*fs, run_directory, step);
  STRAND_ASSIGN(SavedModel loaded, load_saved_model(*fs, run_directory, step));
  const StateView view{loaded.shard->weights(), loaded.shard->first_moment(), loaded.shard->second_moment(),
                       loaded.manifest.step};
  LoadedCheckpoint out;
  out.digest = model_digest(loaded.shard->table(), view.weights);
  out.state_digest = state_digest(loaded.shard->table(), view, loaded.manifest.next_row);
  out.manifest = std::move(loaded.manifest);
  return out;
}

static Status evaluate_sets(Trainer& trainer, const JobSpec& spec, const DatasetStatus& dataset, BatchFetcher& fetcher,
                            const EvaluateOptions& options, CheckpointEvaluation* evaluation) {
  const uint64_t total = dataset.eval_rows + dataset.test_rows;
  uint64_t before = 0;
  const auto progress = [&](uint64_t done) {
    if (options.progress) options.progress(before + done, total);
  };
  if (dataset.eval_rows > 0) {
    STRAND_ASSIGN(const TaskEvaluation dev, evaluate_task(trainer, spec, dataset, fetcher, RowSet::kHeldOut, progress));
    evaluation->dev = task_evaluation_json(dev);
    before = dataset.eval_rows;
  }
  if (dataset.test_rows > 0) {
    STRAND_ASSIGN(const TaskEvaluation test, evaluate_task(trainer, spec, dataset, fetcher, RowSet::kTest, progress));
    evaluation->test = task_evaluation_json(test);
  }
  return {};
}

Result<CheckpointEvaluation> evaluate_checkpoint(const EvaluateOptions& options) {
  const auto fs = make_posix_file_system();
  const SystemClock clock;
  STRAND_ASSIGN(SavedModel loaded, load_saved_model(*fs, options.run_directory, options.step));
  BatchFetcherOptions fetch;
  fetch.endpoints = {options.data_endpoint};
  fetch.routing_id = concat("e", getpid(), "-", clock.wall_nanoseconds());
  fetch.open = OpenDataset{loaded.manifest.job_toml, loaded.manifest.dataset};
  fetch.seed = loaded.spec.train.seed;
  fetch.stop = options.stop;
  BatchFetcher fetcher(options.make_transport(), clock, std::move(fetch));
  STRAND_ASSIGN(const DatasetStatus dataset, fetcher.wait_ready(nullptr));
  loaded.spec.data.segment = dataset.segment;
  const bool task = loaded.spec.job.kind == "finetune";
  if (dataset.eval_rows + dataset.test_rows == 0) {
    return bad_input(task ? "the task has neither dev nor test rows: there is nothing to evaluate on"
                          : "the job holds nothing out ([data.holdout]): there is nothing to evaluate on");
  }

  TrainerOptions trainer_options;
  trainer_options.threads =
      options.threads > 0 ? options.threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  STRAND_ASSIGN(auto trainer, Trainer::create(loaded.spec, dataset.token_bases, trainer_options));
  std::ranges::copy(loaded.shard->weights(), trainer->shard().weights().begin());
  trainer->restored(loaded.manifest.step);
  loaded.shard.reset();

  CheckpointEvaluation evaluation;
  evaluation.step = loaded.manifest.step;
  evaluation.digest = loaded.manifest.digest;
  if (task) {
    STRAND_TRY(evaluate_sets(*trainer, loaded.spec, dataset, fetcher, options, &evaluation));
    return evaluation;
  }
  STRAND_ASSIGN(evaluation.result, trainer->evaluate(fetcher, dataset.eval_rows, [&](uint64_t done) {
    if (options.progress) options.progress(done, dataset.eval_rows);
  }));
  STRAND_ASSIGN(const DatasetStatus with_markov, fetcher.wait_markov());
  const auto& bits = with_markov.markov_bits;
  if (const auto best = std::min_element(bits.begin(), bits.end()); best != bits.end()) {
    evaluation.markov_bits_per_base = *best;
    evaluation.markov_order = static_cast<int>(best - bits.begin());
  }
  return evaluation;
}

}  // namespace strand
