// A finetuned run, loaded for reading: rows of tokens in, the outputs of its task's head out.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "shared/base/result.h"
#include "shared/job_spec/head_spec.h"
#include "shared/job_spec/job_spec.h"
#include "worker/inference/model_runner.h"
#include "worker/predictions.h"

namespace strand {

struct TaskModel {
  JobSpec spec;
  HeadSpec head;
  LabelScale scale;  // of a regression with standardized labels
  std::unique_ptr<ModelRunner> runner;
};
// The best checkpoint of a finetuning run, or the one of `step` (>= 0). kBadInput for a run of another kind.
Result<TaskModel> open_task_model(FileSystem& fs, const std::string& run_directory, Step step,
                                  const RunnerOptions& options);

// Logits of every row, of a regression its z-scores: [outputs], with kClassifyTokens [ids.size(), outputs]. Special
// tokens are pooled as in training.
Result<std::vector<std::vector<float>>> task_logits(const TaskModel& model, std::span<const TokenRow> rows);

// A regression's number from its z-score.
double unscaled(const LabelScale& scale, size_t output, float value);

}  // namespace strand
