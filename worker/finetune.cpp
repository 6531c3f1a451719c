#include "worker/finetune.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/job_spec/objective.h"
#include "shared/metrics/prediction_json.h"
#include "worker/best_evaluation.h"
#include "worker/checkpoint/checkpoint_reader.h"

namespace strand {

Result<TaskEvaluation> evaluate_task(Trainer& trainer, const JobSpec& spec, const DatasetStatus& dataset,
                                     BatchSource& source, RowSet set,
                                     const std::function<void(uint64_t done)>& progress) {
  const uint64_t rows = set == RowSet::kTest ? dataset.test_rows : dataset.eval_rows;
  STRAND_ASSIGN(const Predictions predictions, trainer.predict(source, set, rows, progress));
  auto metrics = task_metrics(spec.task.kind, predictions, {dataset.label_mean, dataset.label_deviation});
  if (!metrics.ok()) {
    return metrics.error().with_context(
        concat(set == RowSet::kTest ? "test" : "dev", " set at step ", trainer.current_step()));
  }
  const auto cut = [&](RowSet of) {
    const auto at = static_cast<size_t>(of);
    return at < dataset.cut_rows.size() ? dataset.cut_rows[at] : 0;
  };
  return TaskEvaluation{predictions.loss, std::move(metrics).value(), cut(set), cut(RowSet::kTraining)};
}

std::string task_evaluation_json(const TaskEvaluation& evaluation) {
  Json json{{"loss", evaluation.loss}};
  json.update(prediction_metrics_json(evaluation.metrics));
  if (evaluation.cut_rows > 0) json["cut_rows"] = evaluation.cut_rows;
  if (evaluation.cut_training_rows > 0) json["cut_training_rows"] = evaluation.cut_training_rows;
  return dump_json(json);
}

Finetuning::Finetuning(const JobSpec& spec, const DatasetStatus& dataset, Trainer& trainer, BatchSource& source)
    : spec_(spec), dataset_(dataset), trainer_(trainer), source_(source), metric_(choosing_metric(spec)) {}

int64_t Finetuning::interval() const {
  if (spec_.evaluate.every > 0) return spec_.evaluate.every;
  const int64_t rows = spec_.train.rows_per_step();
  return std::max<int64_t>(1, (static_cast<int64_t>(dataset_.segments) + rows - 1) / rows);
}

bool Finetuning::due() const {
  const Step step = trainer_.current_step();
  if (dataset_.eval_rows == 0 || step == 0 || (!best_.metric.empty() && best_.last == step)) return false;
  return step % interval() == 0 || step == spec_.train.steps;
}

bool Finetuning::out_of_patience() const {
  return strand::out_of_patience(best_, spec_.evaluate.patience);
}

void Finetuning::keep_weights() {
  const auto weights = trainer_.shard().weights();
  best_weights_.assign(weights.begin(), weights.end());
}

Status Finetuning::evaluate(StepReport* report) {
  STRAND_ASSIGN(const TaskEvaluation dev, evaluate_task(trainer_, spec_, dataset_, source_, RowSet::kHeldOut, nullptr));
  const double value = metric_ == "loss" ? dev.loss : metric_value(dev.metrics, metric_).value_or(kNoMetric);
  best_ = after_evaluation(best_, metric_, trainer_.current_step(), value);
  if (best_.step == trainer_.current_step()) keep_weights();
  if (report == nullptr) return {};
  report->evaluated = true;
  report->eval_loss = dev.loss;
  report->eval_bits_per_base = std::numeric_limits<double>::quiet_NaN();
  for (const std::string& name : metric_names(dev.metrics.kind)) {
    report->metrics.push_back({name, *metric_value(dev.metrics, name)});
  }
  report->best = best_;
  return {};
}

Status Finetuning::load(FileSystem& fs, const std::string& checkpoint_directory, const Manifest& manifest) {
  ParamShard& shard = trainer_.shard();
  const BestEvaluation& best = manifest.best;
  const bool chosen = !best.metric.empty() && best.metric == metric_;
  if (chosen && best.step != manifest.step) {
    const auto of_best = read_manifest(fs, checkpoint_directory, best.step);
    Status loaded = of_best.ok() ? load_parts(fs, checkpoint_directory, *of_best, shard) : Status(of_best.error());
    if (!loaded.ok()) {
      return corrupt(concat("its best, of step ", best.step, ", cannot be read: ", loaded.error().message()));
    }
    keep_weights();
  }
  STRAND_TRY(load_parts(fs, checkpoint_directory, manifest, shard));
  if (chosen && best.step == manifest.step) keep_weights();
  best_ = chosen ? best : BestEvaluation();
  if (!chosen && !best.metric.empty()) {
    log_info("choice_begins_anew", {{"step", manifest.step}, {"was", best.metric}, {"now", metric_}});
  }
  return {};
}

Status Finetuning::finish(JobFinished* finished) {
  if (dataset_.eval_rows > 0 && best_.metric.empty()) STRAND_TRY(evaluate(nullptr));
  finished->state_digest = trainer_.state_digest();
  if (!best_.metric.empty() && best_.step != trainer_.current_step()) {
    std::ranges::copy(best_weights_, trainer_.shard().weights().begin());
    trainer_.restored(trainer_.current_step());
  }
  finished->digest = trainer_.digest();
  finished->best = best_;
  finished->eval_loss = finished->bits_per_base = std::numeric_limits<double>::quiet_NaN();
  if (dataset_.eval_rows > 0) {
    STRAND_ASSIGN(const TaskEvaluation dev,
                  evaluate_task(trainer_, spec_, dataset_, source_, RowSet::kHeldOut, nullptr));
    finished->eval_loss = dev.loss;
    finished->dev = task_evaluation_json(dev);
  }
  if (dataset_.test_rows > 0) {
    STRAND_ASSIGN(const TaskEvaluation test, evaluate_task(trainer_, spec_, dataset_, source_, RowSet::kTest, nullptr));
    finished->test = task_evaluation_json(test);
  }
  return {};
}

}  // namespace strand
