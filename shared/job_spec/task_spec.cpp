#include "shared/job_spec/task_spec.h"

#include "shared/base/text.h"
#include "shared/job_spec/objective.h"

namespace strand {

int64_t task_outputs(const TaskSpec& task) {
  if (!task.class_names.empty()) return static_cast<int64_t>(task.class_names.size());
  if (task.classes > 0) return task.classes;
  if (!task.labels.empty()) return static_cast<int64_t>(task.labels.size());
  return task.kind == TaskKind::kRegress ? 1 : 0;
}

std::vector<std::string> task_output_names(const TaskSpec& task) {
  if (!task.class_names.empty()) return task.class_names;
  if (!task.labels.empty()) return task.labels;
  if (task.kind == TaskKind::kRegress && task.classes <= 1) return {task.label};
  std::vector<std::string> names;
  for (int64_t i = 0; i < task_outputs(task); ++i) names.push_back(concat(i));
  return names;
}

const char* task_kind_name(TaskKind kind) {
  constexpr const char* kNames[] = {"classify", "multi-label", "regress", "classify-tokens"};
  return kNames[static_cast<size_t>(kind)];
}

bool masked_objective(const JobSpec& spec) {
  if (spec.job.kind != "pretrain") return false;
  if (spec.objective.kind == ObjectiveKind::kAuto) return !spec.model.config.causal;
  return spec.objective.kind == ObjectiveKind::kMasked;
}

std::string choosing_metric(const JobSpec& spec) {
  if (spec.evaluate.metric != "auto") return spec.evaluate.metric;
  if (spec.job.kind != "finetune") return "loss";
  switch (spec.task.kind) {
    case TaskKind::kMultiLabel: return "roc_auc";
    case TaskKind::kRegress: return "pearson";
    case TaskKind::kClassify:
    case TaskKind::kClassifyTokens: break;
  }
  return "mcc";
}

std::vector<std::string> known_metrics(const JobSpec& spec) {
  std::vector<std::string> names = {"auto", "loss"};
  const auto add = [&](std::initializer_list<const char*> more) {
    names.insert(names.end(), more.begin(), more.end());
  };
  if (spec.job.kind != "finetune") return names;
  if (spec.task.kind == TaskKind::kRegress) {
    add({"pearson", "spearman", "r2", "mae", "mse"});
  } else {
    add({"accuracy", "macro_precision", "macro_recall", "macro_f1", "mcc", "roc_auc", "pr_auc"});
    if (spec.task.kind == TaskKind::kMultiLabel) add({"exact_match"});
  }
  return names;
}

}  // namespace strand
