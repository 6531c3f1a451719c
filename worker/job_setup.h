// What a worker does with an assignment before it trains, alone or in a group.
#pragma once

#include <atomic>
#include <memory>

#include "shared/base/result.h"
#include "shared/fs/file_system.h"
#include "shared/job_spec/job_spec.h"
#include "shared/wire/messages.h"
#include "worker/batch_fetcher.h"
#include "worker/runner.h"

namespace strand {

// Every process of a job must see one and the same run directory (DESIGN section 6): the coordinator's token is in it.
// kBadInput with the mend.
Status check_run_directory(FileSystem& fs, const Assign& assign);
Result<JobSpec> parse_assigned_job(const Assign& assign);
// `wanted` when positive, else the job's, else all cores.
int compute_threads(const JobSpec& spec, int wanted);

// Connects to the assignment's data servers and asks for the job's dataset: after wait_ready() it is open. A resumed
// job must go on with the very same dataset: a field that differs is refused, naming it. `stop` outlives the fetcher.
Result<std::unique_ptr<BatchFetcher>> make_batch_fetcher(const RunnerSeams& seams, const WorkerIdentity& identity,
                                                         const StartTraining& start, const JobSpec& spec,
                                                         const std::atomic<bool>* stop);

// The held-out evaluation and its baseline, into the final report.
Status report_held_out(const EvaluationResult& result, BatchFetcher& fetcher, JobFinished* finished);

}  // namespace strand
