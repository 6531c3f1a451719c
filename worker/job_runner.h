// Trains one assigned job on a thread of its own: opens the dataset, loads or initialises, steps, evaluates, saves, and
// reports everything through a callback. The life cycle (worker.h) decides what is sent to whom.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "shared/base/clock.h"
#include "shared/fs/file_system.h"
#include "shared/net/transport.h"
#include "worker/batch_fetcher.h"
#include "worker/checkpoint/checkpoint_writer.h"
#include "worker/finetune.h"
#include "worker/runner.h"
#include "worker/trainer.h"
#include "worker/worker.h"

namespace strand {

class JobRunner final : public Runner {
 public:
  // `threads` overrides the job's when positive.
  JobRunner(RunnerSeams seams, WorkerIdentity identity, StartTraining start, int threads);
  ~JobRunner() override;  // stops at once and joins

  void stop(bool checkpoint) override;
  // Alone there is nothing to go on from but a checkpoint.
  bool go_on(const StartTraining&) override { return false; }
  // The thread has ended (its last report has been made).
  bool ended() const { return ended_.load(); }

 private:
  void run();
  Status train();
  Status open_job();
  Status load_or_initialise();
  Status load_checkpoint(const Manifest& manifest);
  Status load_initial_weights();
  Status train_to_end();
  Status step_once();
  Status finetuning_evaluation(StepReport* report);
  bool at_the_end() const;
  Status evaluate_into(StepReport* report, Step step);
  Status save();
  Status finish();
  Status measure_held_out(JobFinished* finished);
  void on_part(Step step, Result<PartSaved> part);
  void say(Step step, decltype(TrainingReport::body) body);
  bool due(int64_t every) const;

  RunnerSeams seams_;
  WorkerIdentity identity_;
  StartTraining start_;
  int threads_;
  std::string checkpoint_directory_;
  JobSpec spec_;
  DatasetStatus dataset_;
  std::unique_ptr<BatchFetcher> fetcher_;
  std::unique_ptr<Trainer> trainer_;
  std::optional<Finetuning> finetuning_;  // of a finetuning job
  std::unique_ptr<ThreadPool> copy_pool_;
  std::unique_ptr<CheckpointWriter> writer_;
  bool elsewhere_ = false;  // what failed is about this worker, not about the job
  Step saved_step_ = -1;
  double last_loss_ = 0;
  int64_t tokens_ = 0, training_nanoseconds_ = 0;
  std::atomic<bool> stop_{false}, checkpoint_on_stop_{false}, ended_{false};
  std::atomic<bool> write_failed_{false};
  std::mutex failure_mutex_;
  std::optional<Error> write_failure_;  // guarded by failure_mutex_
  std::thread thread_;
};

}  // namespace strand
