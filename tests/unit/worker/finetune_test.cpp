// Finetuning on tasks whose answer is planted in the rows: the trainer learns it, with the same bits for any number of
// threads and over a stop, and the best evaluation is a pure function of what was evaluated.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/unit/worker/motif_task.h"
#include "worker/best_evaluation.h"
#include "worker/predictions.h"

namespace strand {
namespace {

using testing::make_trainer;
using testing::motif_job;
using testing::MotifSource;

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();
constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

std::vector<StepResult> train(Trainer& trainer, const JobSpec& spec, int steps) {
  MotifSource source(spec.task.kind, spec.data.segment);
  std::vector<StepResult> results;
  for (int i = 0; i < steps; ++i) {
    const auto result = trainer.step(source);
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message());
    if (result.ok()) results.push_back(*result);
  }
  return results;
}

PredictionMetrics tested(Trainer& trainer, const JobSpec& spec, uint64_t rows) {
  MotifSource source(spec.task.kind, spec.data.segment);
  const auto predictions = trainer.predict(source, RowSet::kTest, rows, nullptr);
  EXPECT_TRUE(predictions.ok());
  const auto metrics = task_metrics(spec.task.kind, *predictions, {});
  EXPECT_TRUE(metrics.ok()) << (metrics.ok() ? "" : metrics.error().message());
  return *metrics;
}

TEST(Finetune, LearnsAPlantedMotifInEveryKindOfTask) {
  for (const TaskKind kind :
       {TaskKind::kClassify, TaskKind::kMultiLabel, TaskKind::kRegress, TaskKind::kClassifyTokens}) {
    SCOPED_TRACE(task_kind_name(kind));
    const JobSpec spec = motif_job(kind);
    const auto trainer = make_trainer(spec, 2);
    const auto results = train(*trainer, spec, 60);
    EXPECT_LT(results.back().loss, 0.3 * results.front().loss);
    const PredictionMetrics metrics = tested(*trainer, spec, 100);
    if (kind == TaskKind::kRegress) {
      EXPECT_GT(metrics.overall.pearson, 0.9);
    } else {
      EXPECT_GT(metrics.overall.accuracy, 0.9);
      EXPECT_GT(metrics.overall.roc_auc, 0.95);
    }
  }
}

TEST(Finetune, LossIsAMeanOverLabelsAndTokensAreThoseRead) {
  for (const TaskKind kind : {TaskKind::kClassify, TaskKind::kMultiLabel, TaskKind::kClassifyTokens}) {
    const JobSpec spec = motif_job(kind);
    const auto trainer = make_trainer(spec, 1);
    const StepResult first = train(*trainer, spec, 1).front();
    // Before anything is learnt each of two answers costs log 2, whatever the number of labels.
    EXPECT_NEAR(first.loss, std::log(2.0), 0.1) << task_kind_name(kind);
    int64_t tokens = 0;
    for (int64_t n = 0; n < spec.train.rows_per_step(); ++n) tokens += spec.data.segment - n % 3;
    EXPECT_EQ(first.tokens, tokens);
  }
}

// Rows of other lengths, none longer than half of what a row may be.
class ShortRows final : public BatchSource {
 public:
  explicit ShortRows(const JobSpec& spec) : rows_(spec.task.kind, spec.data.segment) {}
  Result<Batch> training_rows(uint64_t first_row, int64_t rows) override {
    return cut(rows_.training_rows(first_row, rows));
  }
  Result<Batch> held_out_rows(uint64_t first_row, int64_t rows) override {
    return cut(rows_.held_out_rows(first_row, rows));
  }

 private:
  Result<Batch> cut(Result<Batch> batch) {
    lengths_.clear();
    for (int64_t i = 0; i < batch->rows; ++i) {
      const uint64_t n = batch->first_row + static_cast<uint64_t>(i);
      lengths_.push_back(static_cast<uint16_t>(3 + n * 7 % static_cast<uint64_t>(batch->segment / 2 - 3)));
    }
    batch->lengths = lengths_.data();
    return batch;
  }

  MotifSource rows_;
  std::vector<uint16_t> lengths_;
};

// A micro batch as wide as its longest row gives what the padded one gives, but for the order of sums.
TEST(Finetune, NarrowMicroBatchesGiveTheSameLossesAndPredictions) {
  for (const bool causal : {false, true}) {
    for (const TaskKind kind : {TaskKind::kClassify, TaskKind::kRegress, TaskKind::kClassifyTokens}) {
      SCOPED_TRACE(task_kind_name(kind));
      JobSpec spec = motif_job(kind);
      spec.model.config.causal = causal;
      spec.model.config.dropout = spec.task.head_dropout = 0.1;  // drawn by place in the row, whatever its width
      const auto wide = make_trainer(spec, 1);
      spec.task.sort_by_length = true;
      const auto narrow = make_trainer(spec, 1);
      ShortRows rows(spec), same(spec);
      for (int i = 0; i < 5; ++i) {
        const auto one = wide->step(rows), two = narrow->step(same);
        ASSERT_TRUE(one.ok() && two.ok());
        EXPECT_NEAR(one->loss, two->loss, 1e-4 * std::abs(one->loss)) << "step " << i;
        EXPECT_NEAR(one->gradient_norm, two->gradient_norm, 1e-3 * one->gradient_norm);
        EXPECT_EQ(one->audit, two->audit);
        EXPECT_EQ(one->tokens, two->tokens);
      }
      const auto one = wide->predict(rows, RowSet::kHeldOut, 21, nullptr);
      const auto two = narrow->predict(same, RowSet::kHeldOut, 21, nullptr);
      ASSERT_TRUE(one.ok() && two.ok());
      ASSERT_EQ(one->logits.size(), two->logits.size());
      for (size_t i = 0; i < one->logits.size(); ++i) ASSERT_NEAR(one->logits[i], two->logits[i], 1e-3);
    }
  }
}

TEST(Finetune, TheModelHasNoTokenHeadAndTheTaskOne) {
  const JobSpec spec = motif_job(TaskKind::kClassify);
  const auto trainer = make_trainer(spec, 1);
  const auto& table = trainer->shard().table();
  EXPECT_EQ(table.back().name, "task.head.0.bias");
  EXPECT_TRUE(std::ranges::none_of(table, [](const auto& p) { return p.name.starts_with("head."); }));
  EXPECT_EQ(table.size(), job_parameter_table(spec).size());
}

TEST(Finetune, SameBitsForAnyNumberOfThreadsAndMicroBatchesInLanes) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    JobSpec spec = motif_job(TaskKind::kClassify);
    spec.train.precision = precision;
    spec.model.config.dropout = spec.task.head_dropout = 0.1;
    spec.task.head = {24};
    Digest128 state;
    std::vector<float> logits;
    for (const int threads : {1, 2, 4}) {
      const auto trainer = make_trainer(spec, threads);
      EXPECT_EQ(trainer->bf16(), precision == Precision::kBf16);
      train(*trainer, spec, 4);
      MotifSource source(spec.task.kind, spec.data.segment);
      const auto predictions = trainer->predict(source, RowSet::kHeldOut, 21, nullptr);
      ASSERT_TRUE(predictions.ok());
      if (threads == 1) state = trainer->state_digest(), logits = predictions->logits;
      EXPECT_EQ(trainer->state_digest(), state) << threads << " threads";
      EXPECT_EQ(predictions->logits, logits) << threads << " threads";
    }
  }
}

TEST(Finetune, StoppedAndTakenUpAgainWithEvaluationsBetweenGivesTheSameBits) {
  const JobSpec spec = motif_job(TaskKind::kMultiLabel);
  const auto whole = make_trainer(spec, 1), first = make_trainer(spec, 1), second = make_trainer(spec, 2);
  train(*whole, spec, 6);
  train(*first, spec, 3);
  tested(*first, spec, 30);
  std::ranges::copy(first->shard().weights(), second->shard().weights().begin());
  std::ranges::copy(first->shard().first_moment(), second->shard().first_moment().begin());
  std::ranges::copy(first->shard().second_moment(), second->shard().second_moment().begin());
  second->restored(3);
  tested(*second, spec, 5);
  train(*second, spec, 3);
  EXPECT_EQ(second->state_digest(), whole->state_digest());
}

TEST(Finetune, PredictionsDoNotDependOnTheMicroBatch) {
  JobSpec spec = motif_job(TaskKind::kClassify);
  MotifSource source(spec.task.kind, spec.data.segment);
  const auto four = make_trainer(spec, 1)->predict(source, RowSet::kHeldOut, 9, nullptr);
  spec.train.micro_batch = 1;
  const auto one = make_trainer(spec, 1)->predict(source, RowSet::kHeldOut, 9, nullptr);
  ASSERT_TRUE(four.ok() && one.ok());
  EXPECT_EQ(four->classes, one->classes);
  EXPECT_EQ(four->labels, 9);
  ASSERT_EQ(four->logits.size(), one->logits.size());
  for (size_t i = 0; i < one->logits.size(); ++i) EXPECT_NEAR(four->logits[i], one->logits[i], 1e-5);
  EXPECT_NEAR(four->loss, one->loss, 1e-6);
}

TEST(TaskMetrics, RowsWithoutAllTheirLabelsAreLeftOut) {
  Predictions predictions;
  predictions.outputs = 2;
  predictions.logits = {1, -1, 1, 1, -1, 1};
  predictions.values = {1, 0, kMissing, 1, 0, 1};
  const auto metrics = task_metrics(TaskKind::kMultiLabel, predictions, {});
  ASSERT_TRUE(metrics.ok());
  EXPECT_EQ(metrics->rows, 2);
  EXPECT_EQ(metrics->exact_match, 1);
  predictions.values.assign(6, kMissing);
  EXPECT_EQ(task_metrics(TaskKind::kMultiLabel, predictions, {}).error().code(), ErrorCode::kBadInput);
}

TEST(TaskMetrics, NumbersAreInTheirOwnUnit) {
  Predictions predictions;
  predictions.outputs = 1;
  predictions.logits = {-1, 0, 1};
  predictions.values = {-1, 0, 2};
  const auto metrics = task_metrics(TaskKind::kRegress, predictions, {{10}, {3}});
  ASSERT_TRUE(metrics.ok());
  EXPECT_NEAR(metrics->overall.mae, 1, 1e-12) << "one unit of three, over three rows";
  EXPECT_NEAR(metrics->overall.mse, 3, 1e-12);
}

// The whole past is in the value itself, so any cut into runs gives the same choice.
TEST(BestEvaluationTest, IsTheFirstOfTheBestAndCountsThoseAfterIt) {
  const std::vector<double> mcc = {kUndefined, 0.1, 0.5, 0.5, 0.4, 0.6, kUndefined, 0.6};
  BestEvaluation best;
  std::vector<Step> chosen;
  std::vector<int64_t> since;
  for (size_t i = 0; i < mcc.size(); ++i) {
    best = after_evaluation(best, "mcc", static_cast<Step>(10 * (i + 1)), mcc[i]);
    chosen.push_back(best.step);
    since.push_back(best.since);
  }
  EXPECT_EQ(chosen, (std::vector<Step>{10, 20, 30, 30, 30, 60, 60, 60}));
  EXPECT_EQ(since, (std::vector<int64_t>{0, 0, 0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(best.value, 0.6);
  EXPECT_EQ(best.last, 80);
}

TEST(BestEvaluationTest, ErrorsAreBetterWhenSmallerAndAnotherMetricBeginsAnew) {
  BestEvaluation best = after_evaluation({}, "loss", 1, 0.7);
  best = after_evaluation(best, "loss", 2, 0.6);
  EXPECT_EQ(best.step, 2);
  best = after_evaluation(best, "loss", 3, 0.8);
  EXPECT_EQ(best.step, 2);
  best = after_evaluation(best, "mae", 4, 5);
  EXPECT_EQ(best, (BestEvaluation{"mae", 4, 5, 0, 4}));
  EXPECT_FALSE(smaller_chooses("pearson"));
}

TEST(BestEvaluationTest, PatienceEndsAfterSoManyWithoutABetterOne) {
  const BestEvaluation best{"mcc", 10, 0.5, 2, 30};
  EXPECT_FALSE(out_of_patience(best, 0)) << "0: never";
  EXPECT_FALSE(out_of_patience(best, 3));
  EXPECT_TRUE(out_of_patience(best, 2));
  EXPECT_FALSE(out_of_patience({}, 1)) << "nothing was evaluated yet";
}

}  // namespace
}  // namespace strand
