#include "worker/commands.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <thread>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/fs/file_system.h"
#include "worker/batch_fetcher.h"
#include "worker/checkpoint/checkpoint_reader.h"
#include "worker/params/digest.h"

namespace strand {
namespace {

// Steps with a directory of their own, newest first.
Result<std::vector<Step>> checkpoint_steps(FileSystem& fs, const std::string& directory) {
  auto names = fs.list_directory(directory);
  if (!names.ok())
    return not_found(concat(directory, ": no checkpoints here; name a run directory (--dir of strand run)"));
  std::vector<Step> steps;
  for (const std::string& name : *names) {
    Step step = 0;
    if (!name.starts_with("step-")) continue;
    const auto [end, error] = std::from_chars(name.data() + 5, name.data() + name.size(), step);
    if (error == std::errc() && end == name.data() + name.size()) steps.push_back(step);
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

struct Loaded {
  Manifest manifest;
  JobSpec spec;
  std::unique_ptr<ParamShard> shard;
};

Result<Loaded> load_one(FileSystem& fs, const std::string& directory, Step step) {
  Loaded loaded;
  STRAND_ASSIGN(loaded.manifest, read_manifest(fs, directory, step));
  ParsedJob parsed = parse_job(loaded.manifest.job_toml, "the checkpoint's job", directory, {});
  if (!parsed.errors.empty()) return job_errors("the checkpoint's job", parsed.errors);
  loaded.spec = std::move(parsed.spec);
  loaded.shard =
      std::make_unique<ParamShard>(parameter_table(loaded.spec.model.config), loaded.spec.train, /*bf16_copy=*/false);
  STRAND_TRY(load_parts(fs, directory, loaded.manifest, *loaded.shard));
  return loaded;
}

Result<Loaded> load_newest(FileSystem& fs, const std::string& run_directory, Step wanted) {
  const std::string directory = run_directory + "/checkpoints";
  if (wanted >= 0) return load_one(fs, directory, wanted);
  STRAND_ASSIGN(const auto steps, checkpoint_steps(fs, directory));
  for (const Step step : steps) {
    auto loaded = load_one(fs, directory, step);
    if (loaded.ok()) return loaded;
    log_warning("checkpoint_passed_over", {{"step", step}, {"reason", loaded.error().message()}});
  }
  return not_found(concat(directory, ": holds no valid checkpoint"));
}

}  // namespace

Result<LoadedCheckpoint> digest_checkpoint(const std::string& run_directory, Step step) {
  const auto fs = make_posix_file_system();
  STRAND_ASSIGN(Loaded loaded, load_newest(*fs, run_directory, step));
  const StateView view{loaded.shard->weights(), loaded.shard->first_moment(), loaded.shard->second_moment(),
                       loaded.manifest.step};
  LoadedCheckpoint out;
  out.digest = model_digest(loaded.shard->table(), view.weights);
  out.state_digest = state_digest(loaded.shard->table(), view, loaded.manifest.next_row);
  out.manifest = std::move(loaded.manifest);
  return out;
}

Result<CheckpointEvaluation> evaluate_checkpoint(const EvaluateOptions& options) {
  const auto fs = make_posix_file_system();
  const SystemClock clock;
  STRAND_ASSIGN(Loaded loaded, load_newest(*fs, options.run_directory, options.step));
  BatchFetcherOptions fetch;
  fetch.endpoint = options.data_endpoint;
  fetch.routing_id = concat("e", getpid(), "-", clock.wall_nanoseconds());
  fetch.open = OpenDataset{loaded.manifest.job_toml, loaded.manifest.dataset};
  fetch.seed = loaded.spec.train.seed;
  fetch.stop = options.stop;
  BatchFetcher fetcher(options.make_transport(), clock, std::move(fetch));
  STRAND_ASSIGN(const DatasetStatus dataset, fetcher.wait_ready(nullptr));
  if (dataset.eval_rows == 0)
    return bad_input("the job holds nothing out ([data.holdout]): there is nothing to evaluate on");

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
