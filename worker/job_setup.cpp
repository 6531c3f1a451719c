#include "worker/job_setup.h"

#include <algorithm>
#include <thread>

#include "shared/base/text.h"
#include "worker/checkpoint/checkpoint_reader.h"

namespace strand {

Status check_run_directory(FileSystem& fs, const Assign& assign) {
  if (assign.directory_token.empty()) return {};
  const std::string path = assign.run_directory + "/token";
  const auto token = fs.read_file(path);
  if (token.ok() && trim(*token) == trim(assign.directory_token)) return {};
  return bad_input(concat(path,
                          token.ok() ? ": holds another token than the coordinator wrote" : ": cannot be read here",
                          "; the run directory must be one file system seen by every machine: mount it here or choose"
                          " another --dir"));
}

Result<JobSpec> parse_assigned_job(const Assign& assign) {
  ParsedJob parsed = parse_job(assign.job_toml, "assigned job", assign.run_directory, {});
  if (!parsed.errors.empty()) return job_errors("assigned job", parsed.errors);
  return std::move(parsed.spec);
}

int compute_threads(const JobSpec& spec, int wanted) {
  if (wanted > 0) return wanted;
  if (spec.parallel.threads > 0) return static_cast<int>(spec.parallel.threads);
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

Result<std::unique_ptr<BatchFetcher>> make_batch_fetcher(const RunnerSeams& seams, const WorkerIdentity& identity,
                                                         const StartTraining& start, const JobSpec& spec,
                                                         const std::atomic<bool>* stop) {
  if (start.assign.data_endpoints.empty()) return unavailable("the assignment names no data server");
  BatchFetcherOptions options;
  options.endpoints = start.assign.data_endpoints;
  options.routing_id = concat("w", identity.id.value, "-", identity.incarnation.value, "-g", start.generation.value);
  options.open.job_toml = start.assign.job_toml;
  for (const Step step : start.assign.checkpoints) {
    const auto manifest = read_manifest(*seams.fs, start.assign.run_directory + "/checkpoints", step);
    if (!manifest.ok()) continue;
    options.open.expected = manifest->dataset;
    break;
  }
  options.seed = spec.train.seed;
  options.stop = stop;
  options.training_rows = static_cast<uint64_t>(spec.train.steps * spec.train.rows_per_step());
  return std::make_unique<BatchFetcher>(seams.make_transport(), *seams.clock, std::move(options));
}

Status report_held_out(const EvaluationResult& result, BatchFetcher& fetcher, JobFinished* finished) {
  finished->eval_loss = result.loss;
  finished->bits_per_base = result.bits_per_base;
  finished->eval_bases = result.bases;
  STRAND_ASSIGN(const DatasetStatus status, fetcher.wait_markov());
  const auto best = std::min_element(status.markov_bits.begin(), status.markov_bits.end());
  if (best == status.markov_bits.end()) return {};
  finished->markov_bits_per_base = *best;
  finished->markov_order = static_cast<int32_t>(best - status.markov_bits.begin());
  return {};
}

}  // namespace strand
