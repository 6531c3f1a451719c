// A finetuning run's choice over stops: whichever checkpoint it goes on from, it ends with the weights, the choice and
// the figures of an undisturbed run; a damaged best checkpoint is noticed before anything is trained on it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <utility>

#include "shared/base/text.h"
#include "tests/unit/worker/motif_task.h"
#include "worker/checkpoint/checkpoint_reader.h"
#include "worker/checkpoint/checkpoint_writer.h"
#include "worker/finetune.h"

namespace strand {
namespace {

using testing::make_trainer;
using testing::motif_job;
using testing::MotifSource;

// A dev set with the answers exchanged: the more is learnt, the worse it gets, so that the best comes early.
class ContrarySource final : public BatchSource {
 public:
  explicit ContrarySource(int64_t segment) : motifs_(TaskKind::kClassify, segment) {}
  Result<Batch> training_rows(uint64_t first, int64_t rows) override { return motifs_.training_rows(first, rows); }
  Result<Batch> test_rows(uint64_t first, int64_t rows) override { return motifs_.test_rows(first, rows); }
  Result<Batch> held_out_rows(uint64_t first, int64_t rows) override {
    STRAND_ASSIGN(Batch batch, motifs_.held_out_rows(first, rows));
    labels_.assign(batch.labels, batch.labels + rows);
    for (float& label : labels_) label = 1 - label;
    batch.labels = labels_.data();
    return batch;
  }

 private:
  MotifSource motifs_;
  std::vector<float> labels_;
};

constexpr Step kLast = 42;

class FinetuningTest : public ::testing::Test {
 protected:
  FinetuningTest() {
    spec_.train.steps = kLast;
    spec_.train.warmup = 0;
    spec_.evaluate.every = 8;
    spec_.evaluate.metric = "loss";
    dataset_.segments = 200;
    dataset_.eval_rows = 24;
    dataset_.test_rows = 15;
    folder_ = std::filesystem::temp_directory_path() / concat("strand-finetuning-", getpid());
    std::filesystem::create_directories(folder_);
  }
  ~FinetuningTest() override { std::filesystem::remove_all(folder_); }

  // A worker from a checkpoint (0: from the seed) to `last`, with a checkpoint at every fifth step and evaluation.
  struct Run {
    std::unique_ptr<Trainer> trainer;
    std::unique_ptr<Finetuning> finetuning;
  };
  Run begin() {
    Run run{make_trainer(spec_, 1), nullptr};
    run.finetuning = std::make_unique<Finetuning>(spec_, dataset_, *run.trainer, source_);
    return run;
  }
  Run go(Step from, Step last) {
    Run run = begin();
    if (from > 0) {
      const Status loaded = load(run, from);
      EXPECT_TRUE(loaded.ok()) << loaded.error().message();
    }
    while (run.trainer->current_step() < last) {
      EXPECT_TRUE(run.trainer->step(source_).ok());
      if (run.finetuning->due()) {
        StepReport report;
        EXPECT_TRUE(run.finetuning->evaluate(&report).ok());
        losses_[run.trainer->current_step()] = report.eval_loss;
        save(run);
      } else if (run.trainer->current_step() % 5 == 0) {
        save(run);
      }
    }
    return run;
  }
  Status load(Run& run, Step step) {
    STRAND_ASSIGN(const Manifest manifest, read_manifest(*fs_, folder_, step));
    STRAND_TRY(run.finetuning->load(*fs_, folder_, manifest));
    run.trainer->restored(step);
    return {};
  }
  void save(Run& run) {
    const Step step = run.trainer->current_step();
    std::filesystem::remove_all(folder_ + concat("/step-", step));
    Manifest manifest;
    ThreadPool pool(1);
    Workspace workspace(1);
    {
      CheckpointWriter writer(*fs_, folder_, run.trainer->shard(), [&](Step, Result<PartSaved> part) {
        ASSERT_TRUE(part.ok()) << part.error().message();
        manifest.next_row = part->next_row;
        manifest.digest = part->digest;
        manifest.best = part->best;
        manifest.parts = {{part->file, part->bytes, part->checksum}};
      });
      writer.save({&pool, &workspace, Backend::kCpu}, run.trainer->shard(), Generation{1}, run.trainer->next_row(),
                  run.finetuning->best());
    }
    manifest.step = step;
    ASSERT_TRUE(
        write_file_atomically(*fs_, folder_ + concat("/step-", step, "/manifest"), encode_manifest(manifest)).ok());
  }
  JobFinished finish(Run& run) {
    JobFinished finished;
    const Status status = run.finetuning->finish(&finished);
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message());
    EXPECT_TRUE(std::isnan(std::exchange(finished.bits_per_base, 0))) << "a task has none";
    return finished;
  }

  JobSpec spec_ = motif_job(TaskKind::kClassify);
  DatasetStatus dataset_;
  ContrarySource source_{spec_.data.segment};
  std::unique_ptr<FileSystem> fs_ = make_posix_file_system();
  std::string folder_;
  std::map<Step, double> losses_;
};

TEST_F(FinetuningTest, AnyCheckpointLeadsToTheSameChoiceAndFigures) {
  Run whole = go(0, kLast);
  EXPECT_EQ(losses_.size(), 6u) << "at 8, 16, 24, 32, 40 and the last step";
  const auto smallest = [](const auto& a, const auto& b) { return a.second < b.second; };
  const Step expected = std::min_element(losses_.begin(), losses_.end(), smallest)->first;
  EXPECT_EQ(whole.finetuning->best().step, expected);
  ASSERT_LT(expected, 32) << "or loading the best is not tested";
  const JobFinished finished = finish(whole);
  EXPECT_EQ(finished.best.step, expected);
  EXPECT_EQ(finished.eval_loss, losses_[expected]) << "dev is measured with the best weights";
  EXPECT_NE(finished.test.find("\"rows\":15"), std::string::npos) << finished.test;
  for (const Step from : {5, 8, 15, 16, 20, 24, 30, 32, 40, 42}) {
    Run again = go(from, kLast);
    EXPECT_EQ(again.finetuning->best(), finished.best) << from;
    EXPECT_EQ(finish(again), finished) << from;
  }
}

TEST_F(FinetuningTest, ADamagedOrMissingBestIsNoticedOnLoading) {
  Run whole = go(0, kLast);
  const Step best = whole.finetuning->best().step;
  ASSERT_LT(best, 32);
  const std::string folder = folder_ + concat("/step-", best);
  std::filesystem::rename(folder + "/manifest", folder_ + "/aside");
  for (const Step step : {32, 35, 40, 42}) {
    Run again = begin();
    const Status loaded = load(again, step);
    ASSERT_FALSE(loaded.ok()) << step;
    EXPECT_EQ(loaded.error().code(), ErrorCode::kCorrupt);
    EXPECT_NE(loaded.error().message().find(concat("its best, of step ", best)), std::string::npos);
  }
  Run before = begin();
  EXPECT_TRUE(load(before, 5).ok()) << "what came before does not need it";
}

TEST_F(FinetuningTest, AnotherMetricForgetsTheChoice) {
  go(0, kLast);
  spec_.evaluate.metric = "accuracy";
  Run other = begin();
  ASSERT_TRUE(load(other, kLast).ok());
  EXPECT_TRUE(other.finetuning->best().metric.empty());
  const JobFinished finished = finish(other);
  EXPECT_EQ(finished.best.metric, "accuracy");
  EXPECT_EQ(finished.best.step, kLast);
}

TEST_F(FinetuningTest, AStopBetweenAStepAndItsEvaluationLeavesItDue) {
  Run run = go(0, 7);
  ASSERT_TRUE(run.trainer->step(source_).ok());
  EXPECT_TRUE(run.finetuning->due());
  save(run);  // stopped here
  Run again = begin();
  ASSERT_TRUE(load(again, 8).ok());
  EXPECT_TRUE(again.finetuning->due());
  ASSERT_TRUE(again.finetuning->evaluate(nullptr).ok());
  EXPECT_FALSE(again.finetuning->due());
  EXPECT_EQ(again.finetuning->best().last, 8);
}

TEST_F(FinetuningTest, OncePerPassWithoutAnInterval) {
  spec_.evaluate.every = 0;
  const Run run = begin();
  EXPECT_EQ(run.finetuning->interval(), (200 + spec_.train.rows_per_step() - 1) / spec_.train.rows_per_step());
  EXPECT_FALSE(run.finetuning->due()) << "nothing was learnt yet";
}

}  // namespace
}  // namespace strand
