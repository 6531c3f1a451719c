// [objective], [[task]], and the keys of [evaluate] that choose the best checkpoint.
#include <algorithm>
#include <set>

#include "shared/job_spec/checks.h"
#include "shared/job_spec/objective.h"

namespace strand {
namespace {

constexpr int64_t kMostOutputs = 65535;  // classes of tokens travel as 16 bits, 65535 meaning none

void share(const Report& report, const std::string& key, double value) {
  if (!(value >= 0 && value <= 1)) report(key, concat("must be in [0, 1], found ", value));
}

void validate_files(const TaskSpec& t, const Report& report) {
  if (t.name.empty()) report("task.name", "give the task a name: name = \"H3\"");
  if (t.train.empty()) report("task.train", "name the table to train on: train = \"train.csv\"");
  within(report, "task.dev_fraction", t.dev_fraction, 0, 1);
  if (t.dev_fraction > 0 && !t.dev.empty()) {
    report("task.dev_fraction", "is there beside a dev table; give one of the two");
  }
  if (t.folds == 0) {
    if (t.fold != 0) report("task.fold", "needs task.folds, the number of parts");
    return;
  }
  const int64_t least = t.dev_fraction > 0 ? 2 : 3;
  if (t.folds < least || t.folds > 1000) {
    report("task.folds", concat("must be 0 (off) or from ", least, " to 1000, found ", t.folds,
                                ": one part tests, and one chooses unless dev_fraction is given"));
  } else if (t.fold < 0 || t.fold >= t.folds) {
    report("task.fold", concat("must be from 0 to ", t.folds - 1, ", found ", t.fold));
  }
  if (!t.dev.empty() || !t.test.empty()) {
    report("task.folds", "splits the train table into train, dev and test: leave dev and test out, or folds");
  }
}

void validate_labels(const TaskSpec& t, const Report& report) {
  const bool names = t.kind != TaskKind::kRegress;
  const bool columns = t.kind == TaskKind::kMultiLabel || t.kind == TaskKind::kRegress;
  if (t.sequence.empty()) report("task.sequence", "name the column of the sequences");
  if (t.label.empty()) report("task.label", "name the column of the labels");
  if (!columns && !t.labels.empty()) {
    report("task.labels", "several label columns belong to kind = \"multi-label\" and \"regress\"; use label");
  }
  const auto unique = [&](const std::string& key, const std::vector<std::string>& list) {
    const std::set<std::string> set(list.begin(), list.end());
    if (set.size() != list.size()) report(key, "names something twice");
    if (set.contains("")) report(key, "holds an empty name");
  };
  unique("task.labels", t.labels);
  unique("task.classes", t.class_names);
  if (!names && (t.classes != 0 || !t.class_names.empty())) {
    report("task.classes", "numbers have no classes: leave it out, or choose another kind");
  }
  if (t.kind == TaskKind::kMultiLabel && !t.labels.empty() && (t.classes != 0 || !t.class_names.empty())) {
    report("task.classes", "the label columns say how many labels there are: give labels or classes");
  }
  if (t.classes < 0 || t.classes > kMostOutputs || task_outputs(t) > kMostOutputs) {
    report("task.classes", concat("must be at most ", kMostOutputs));
  } else if (t.kind == TaskKind::kMultiLabel && task_outputs(t) == 0) {
    report("task.classes",
           "say which labels there are: labels = [\"a\", \"b\"] (columns), or classes = N, or "
           "classes = [\"a\", \"b\"], for a list in one column");
  } else if (names && t.kind != TaskKind::kMultiLabel && task_outputs(t) < 2) {
    report("task.classes", concat("say which classes there are, two or more: classes = 2 or classes = [\"no\", "
                                  "\"yes\"], found ",
                                  task_outputs(t)));
  }
}

void validate_head(const TaskSpec& t, const Report& report) {
  for (const int64_t width : t.head) {
    at_least(report, "task.head", width, 1);
    at_most(report, "task.head", width, 1 << 16);
  }
  if (t.head.size() > 16) report("task.head", concat("must have at most 16 hidden layers, found ", t.head.size()));
  within(report, "task.head_dropout", t.head_dropout, 0, 1);
  if (t.kind != TaskKind::kClassifyTokens) return;
  if (t.pooling != PoolingChoice::kAuto) {
    report("task.pooling", "kind = \"classify-tokens\" labels every token: there is nothing to pool");
  }
  if (!t.prefix.empty() || !t.suffix.empty()) {
    report(t.prefix.empty() ? "task.suffix" : "task.prefix",
           "kind = \"classify-tokens\" labels every token of the sequence: leave the text around it out");
  }
}

void validate_metric(const JobSpec& spec, const Report& report) {
  const std::vector<std::string> known = known_metrics(spec);
  if (std::find(known.begin(), known.end(), spec.evaluate.metric) == known.end()) {
    const std::string nearest = nearest_name(spec.evaluate.metric, known);
    report("evaluate.metric",
           concat("expected one of ", join(known, " | "), " for this job, found \"", spec.evaluate.metric, "\"",
                  nearest.empty() ? "" : concat("; did you mean \"", nearest, "\"?")));
  }
  at_least(report, "evaluate.patience", spec.evaluate.patience, 0);
  if (spec.evaluate.patience > 0 && spec.job.kind != "finetune") {
    report("evaluate.patience", "stops finetuning early; pretraining runs its train.steps: leave it out");
  }
}

}  // namespace

void validate_objective(const JobSpec& spec, const Report& report) {
  const ObjectiveSpec& o = spec.objective;
  if (!(o.ratio > 0 && o.ratio <= 1)) {
    report("objective.ratio", concat("must be above 0 and at most 1, found ", o.ratio));
  }
  share(report, "objective.mask", o.mask);
  share(report, "objective.random", o.random);
  if (o.mask + o.random > 1 + 1e-9) {
    report("objective.random", concat("mask + random must be at most 1, found ", o.mask, " + ", o.random));
  }
  at_least(report, "objective.max_ngram", o.max_ngram, 1);
  at_most(report, "objective.max_ngram", o.max_ngram, 64);
  if (spec.job.kind != "pretrain") {
    if (o != ObjectiveSpec{}) report("objective", "belongs to pretraining; a finetuning job learns its [[task]]");
    return;
  }
  const bool causal = spec.model.config.causal;
  if (o.kind == ObjectiveKind::kNextToken && !causal) {
    report("objective.kind",
           "\"next-token\" contradicts model.causal = false, where a token sees the one it should predict: leave it "
           "out, or set \"masked\", or make the model causal");
  }
  if (o.kind == ObjectiveKind::kMasked && causal) {
    report("objective.kind", "\"masked\" contradicts model.causal = true: leave it out, or set model.causal = false");
  }
}

void validate_task(const JobSpec& spec, const Report& report) {
  if (spec.job.kind != "finetune") {
    if (spec.task != TaskSpec{}) {
      report("task", "[[task]] is what a finetuning job learns: set job.kind = \"finetune\", or remove it");
    }
  } else if (spec.task == TaskSpec{}) {
    report("task", "say what to learn: [[task]] with name, kind, train and classes");
  } else {
    validate_files(spec.task, report);
    validate_labels(spec.task, report);
    validate_head(spec.task, report);
    if (spec.tokenizer.kind == TokenizerKind::kBpe) {
      report("tokenizer.kind",
             "\"bpe\" is trained on a genome; a task needs a tokenizer that is there: kind = \"file\"");
    }
    const DataSpec& d = spec.data;
    for (const auto& [key, there] : {std::pair{"data.files", !d.files.empty()},
                                     {"data.source", !d.sources.empty()},
                                     {"data.holdout", !d.holdout.empty()},
                                     {"data.exclude", !d.exclude.empty()},
                                     {"data.shift", d.shift != 0},
                                     {"data.packing", d.packing}}) {
      if (!there) continue;
      report(key, "belongs to pretraining; a finetuning job reads the tables of its [[task]]: remove it");
      break;
    }
  }
  validate_metric(spec, report);
}

}  // namespace strand
