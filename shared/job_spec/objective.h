// What follows from a job about its objective.
#pragma once

#include <string>
#include <vector>

#include "shared/job_spec/job_spec.h"

namespace strand {

// Pretraining by masked tokens ("auto" resolved). False for finetuning.
bool masked_objective(const JobSpec& spec);

// The metric that chooses the best evaluation ("auto" resolved): "loss", or a name of shared/metrics.
// auto: loss when pretraining; mcc for classes, roc_auc for several labels, pearson for numbers.
std::string choosing_metric(const JobSpec& spec);
// What evaluate.metric may be for this job, "auto" and "loss" first.
std::vector<std::string> known_metrics(const JobSpec& spec);

}  // namespace strand
