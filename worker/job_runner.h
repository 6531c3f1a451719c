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
#include "worker/trainer.h"
#include "worker/worker.h"

namespace strand {

// What a runner is built from; all references outlive it.
struct RunnerSeams {
  FileSystem* fs = nullptr;
  const Clock* clock = nullptr;
  std::function<std::unique_ptr<Transport>()> make_transport;  // one for the data server
  std::function<void(TrainingReport)> report;                  // thread-safe
};

class JobRunner {
 public:
  // `threads` overrides the job's when positive.
  JobRunner(RunnerSeams seams, WorkerIdentity identity, StartTraining start, int threads);
  ~JobRunner();  // stops at once and joins

  // After the step at hand: with a checkpoint of the newest committed step, or without.
  void stop(bool checkpoint);
  // The thread has ended (its last report has been made).
  bool ended() const { return ended_.load(); }

 private:
  void run();
  Status train();
  Status check_directory();
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
