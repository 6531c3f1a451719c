// Finetuning on tasks whose answer is planted in the rows: the trainer learns it, with the same bits for any number of
// threads and over a stop, and the best evaluation is a pure function of what was evaluated.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/unit/worker/test_model.h"
#include "worker/best_evaluation.h"
#include "worker/predictions.h"

namespace strand {
namespace {

using testing::draw;
using testing::make_trainer;
using testing::small_job;

constexpr uint16_t kA = 4, kB = 5;  // a motif of two tokens, drawn nowhere else
constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();
constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

// Random tokens 6 to 15; odd rows hold the motif at a drawn place. What the labels are follows from the task.
class MotifSource final : public BatchSource {
 public:
  MotifSource(TaskKind kind, int64_t segment) : kind_(kind), segment_(segment) {}
  Result<Batch> training_rows(uint64_t first, int64_t rows) override { return make(first, first, rows); }
  Result<Batch> held_out_rows(uint64_t first, int64_t rows) override { return make(first, first + 1000000, rows); }
  Result<Batch> test_rows(uint64_t first, int64_t rows) override { return make(first, first + 2000000, rows); }

 private:
  static uint64_t whole(uint64_t row, uint64_t what, uint64_t below) {
    return static_cast<uint64_t>((draw(row, what) + 1) / 2 * static_cast<float>(below)) % below;
  }

  Batch make(uint64_t first, uint64_t number, int64_t rows) {
    const auto cells = static_cast<size_t>(rows * segment_);
    tokens_.assign(cells, 0);
    targets_.assign(cells, kNoTarget);
    lengths_.clear();
    labels_.clear();
    for (int64_t r = 0; r < rows; ++r) put(number + static_cast<uint64_t>(r), static_cast<size_t>(r * segment_));
    Batch batch{first, rows, segment_, tokens_.data(), lengths_.data()};
    if (kind_ == TaskKind::kClassifyTokens) {
      batch.targets = targets_.data();
    } else {
      batch.labels = labels_.data();
      batch.labels_per_row = static_cast<int64_t>(labels_.size()) / rows;
    }
    return batch;
  }

  void put(uint64_t n, size_t first) {
    const auto length = static_cast<size_t>(segment_) - n % 3;
    lengths_.push_back(static_cast<uint16_t>(length));
    const bool odd = n % 2 == 1;
    const size_t place = whole(n, 999, length - 1);
    for (size_t i = 0; i < length; ++i) {
      tokens_[first + i] = static_cast<uint16_t>(6 + whole(n, i, 10));
      if (odd && i == place) tokens_[first + i] = kA;
      if (odd && i == place + 1) tokens_[first + i] = kB;
      targets_[first + i] = tokens_[first + i] == kA ? 1 : 0;
    }
    const float yes = odd ? 1.0f : 0.0f;
    switch (kind_) {
      case TaskKind::kClassify: labels_.push_back(yes); break;
      case TaskKind::kMultiLabel: labels_.insert(labels_.end(), {yes, n % 7 == 0 ? kMissing : 1 - yes}); break;
      case TaskKind::kRegress: labels_.push_back(2 * yes - 1); break;
      case TaskKind::kClassifyTokens: break;
    }
  }

  TaskKind kind_;
  int64_t segment_;
  std::vector<uint16_t> tokens_, lengths_, targets_;
  std::vector<float> labels_;
};

JobSpec motif_job(TaskKind kind) {
  JobSpec spec = small_job();
  spec.job.kind = "finetune";
  spec.model.config.causal = false;
  spec.train.micro_batch = 4;
  spec.train.learning_rate = 6e-3;
  spec.task.kind = kind;
  spec.task.pooling = kind == TaskKind::kClassifyTokens ? PoolingChoice::kAuto : PoolingChoice::kMean;
  if (kind == TaskKind::kClassify || kind == TaskKind::kClassifyTokens) spec.task.classes = 2;
  if (kind == TaskKind::kMultiLabel) spec.task.labels = {"has", "has_not"};
  return spec;
}

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
