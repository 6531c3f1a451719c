// The evaluations of a finetuning run: when they are due, which one is the best, when the run ends early, and what is
// reported of the best weights at the end. All of it is a function of the steps made and of the checkpoint begun from.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "shared/base/result.h"
#include "shared/fs/file_system.h"
#include "shared/job_spec/job_spec.h"
#include "shared/wire/manifest.h"
#include "shared/wire/messages.h"
#include "worker/trainer.h"

namespace strand {

// A whole set through the model at hand.
struct TaskEvaluation {
  double loss = 0;  // mean over its labels
  PredictionMetrics metrics;
  uint64_t cut_rows = 0, cut_training_rows = 0;  // rows that lost the end of their sequence
};
Result<TaskEvaluation> evaluate_task(Trainer& trainer, const JobSpec& spec, const DatasetStatus& dataset,
                                     BatchSource& source, RowSet set,
                                     const std::function<void(uint64_t done)>& progress);
// The metrics as JSON (shared/metrics/prediction_json.h) with "loss" in front, and "cut_rows" and "cut_training_rows"
// where there are any.
std::string task_evaluation_json(const TaskEvaluation& evaluation);

// Not thread-safe; what it is built from outlives it. Keeps the weights of the best evaluation: 4 bytes a parameter.
class Finetuning {
 public:
  Finetuning(const JobSpec& spec, const DatasetStatus& dataset, Trainer& trainer, BatchSource& source);

  // Steps between two evaluations: evaluate.every, or a pass over the training rows.
  int64_t interval() const;
  // An evaluation is due at the trainer's step and has not been made yet: at every interval and at the last step.
  bool due() const;
  // evaluate.patience is used up.
  bool out_of_patience() const;
  // Evaluates the dev set. `report` may be null.
  Status evaluate(StepReport* report);
  const BestEvaluation& best() const { return best_; }

  // Fills the trainer's shard from this checkpoint and takes over its choice so far. kCorrupt when the checkpoint, or
  // the one it names as its best, is damaged or gone; errors as load_parts. The shard is then to be filled again.
  Status load(FileSystem& fs, const std::string& checkpoint_directory, const Manifest& manifest);

  // The end: best weights into the trainer, their metrics on dev and test, once. Nothing is trained after it.
  Status finish(JobFinished* finished);

 private:
  void keep_weights();

  const JobSpec& spec_;
  const DatasetStatus& dataset_;
  Trainer& trainer_;
  BatchSource& source_;
  std::string metric_;
  BestEvaluation best_;
  std::vector<float> best_weights_;  // of best_.step
};

}  // namespace strand
