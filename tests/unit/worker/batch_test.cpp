// Batches with targets and labels of their own, as masked objectives and tasks have them.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/unit/worker/test_model.h"
#include "worker/trainer_impl.h"

namespace strand {
namespace {

using testing::make_trainer;
using testing::PeriodicSource;
using testing::small_job;

constexpr uint16_t kNone = 65535;
constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

class PreparedBatchTest : public ::testing::Test {
 protected:
  Batch batch() {
    Batch made;
    made.first_row = 7;
    made.rows = 2;
    made.segment = 4;
    made.tokens = tokens_.data();
    made.lengths = lengths_.data();
    return made;
  }
  Status fill(const Batch& batch, const HeadSpec* head = nullptr) {
    TransformerConfig config;
    config.vocabulary = 10;
    return prepared_.fill(batch, config, 7, 2, 4, head);
  }

  std::vector<uint16_t> tokens_ = {1, 2, 3, 4, 5, 6, 0, 0}, lengths_ = {4, 2};
  PreparedBatch prepared_;
};

constexpr int32_t kNo = kIgnoredTarget;

TEST_F(PreparedBatchTest, WithoutTargetsTheNextTokenIsTheTarget) {
  ASSERT_TRUE(fill(batch()).ok());
  EXPECT_EQ(prepared_.targets(), (std::vector<int32_t>{2, 3, 4, kNo, 6, kNo, kNo, kNo}));
  EXPECT_TRUE(prepared_.classes().empty());
  EXPECT_TRUE(prepared_.values().empty());
}

TEST_F(PreparedBatchTest, TargetsOfTheirOwnStayWhereTheyAreAndPaddingHasNone) {
  const std::vector<uint16_t> targets = {kNone, 9, kNone, 0, 5, kNone, 3, 3};
  Batch with = batch();
  with.targets = targets.data();
  ASSERT_TRUE(fill(with).ok());
  EXPECT_EQ(prepared_.targets(), (std::vector<int32_t>{kNo, 9, kNo, 0, 5, kNo, kNo, kNo}));
  const HeadSpec head{.task = TaskKind::kClassifyTokens, .outputs = 9};
  const Status beyond = fill(with, &head);
  ASSERT_FALSE(beyond.ok()) << "nine classes have no class 9";
  EXPECT_EQ(beyond.error().code(), ErrorCode::kBadInput);
  EXPECT_NE(beyond.error().message().find("row 7: target 9 at position 1"), std::string::npos);
}

TEST_F(PreparedBatchTest, LabelsPassThroughAndLeaveNoNextToken) {
  const std::vector<float> labels = {1, kMissing, 0.5f, 2};
  Batch with = batch();
  with.labels = labels.data();
  with.labels_per_row = 2;
  const HeadSpec head{.task = TaskKind::kMultiLabel, .outputs = 2};
  ASSERT_TRUE(fill(with, &head).ok());
  ASSERT_EQ(prepared_.values().size(), 4u);
  EXPECT_TRUE(std::isnan(prepared_.values()[1]));
  EXPECT_EQ(prepared_.values()[3], 2);
  EXPECT_TRUE(prepared_.classes().empty());
  EXPECT_EQ(prepared_.targets(), std::vector<int32_t>(8, kNo));
  ASSERT_TRUE(fill(batch()).ok());
  EXPECT_TRUE(prepared_.values().empty()) << "nothing is left of the batch before";
  EXPECT_EQ(fill(batch(), &head).error().code(), ErrorCode::kInternal) << "a task's batch has labels";
}

TEST_F(PreparedBatchTest, ClassesOfRowsAreNumbersOrMissing) {
  std::vector<float> labels = {2, kMissing};
  Batch with = batch();
  with.labels = labels.data();
  with.labels_per_row = 1;
  const HeadSpec head{.task = TaskKind::kClassify, .outputs = 3};
  ASSERT_TRUE(fill(with, &head).ok());
  EXPECT_EQ(prepared_.classes(), (std::vector<int32_t>{2, kNo}));
  EXPECT_EQ(prepared_.head_view().classes[0], 2);
  EXPECT_EQ(prepared_.head_view().end[1], 2) << "padding is not pooled";
  EXPECT_EQ(prepared_.real_tokens(), 6);
  labels[1] = 3;
  const Status beyond = fill(with, &head);
  ASSERT_FALSE(beyond.ok());
  EXPECT_EQ(beyond.error().code(), ErrorCode::kBadInput);
  EXPECT_NE(beyond.error().message().find("row 8: class 3, but there are only 3"), std::string::npos);
}

// Every fifth token of a periodic sequence under a mask.
class MaskedSource final : public PeriodicSource {
 public:
  using PeriodicSource::PeriodicSource;
  Result<Batch> training_rows(uint64_t first_row, int64_t rows) override {
    return mask(*PeriodicSource::training_rows(first_row, rows));
  }
  Result<Batch> held_out_rows(uint64_t first_row, int64_t rows) override {
    return mask(*PeriodicSource::held_out_rows(first_row, rows));
  }

 private:
  Batch mask(Batch batch) {
    const auto cells = static_cast<size_t>(batch.rows * batch.segment);
    masked_.assign(batch.tokens, batch.tokens + cells);
    targets_.assign(cells, kNone);
    for (size_t i = batch.first_row % 5; i < cells; i += 5) {
      targets_[i] = std::exchange(masked_[i], uint16_t{15});
    }
    batch.tokens = masked_.data();
    batch.targets = targets_.data();
    return batch;
  }
  std::vector<uint16_t> masked_, targets_;
};

JobSpec masked_job() {
  JobSpec spec = small_job();
  spec.model.config.causal = false;
  return spec;
}

TEST(MaskedTraining, LossFallsAndCountsMaskedPositionsOnly) {
  const JobSpec spec = masked_job();
  const auto trainer = make_trainer(spec, 2);
  MaskedSource source(16, spec.data.segment);
  double first = 0, last = 0;
  for (int step = 0; step < 60; ++step) {
    const auto result = trainer->step(source);
    ASSERT_TRUE(result.ok()) << result.error().message();
    last = result->loss;
    if (step == 0) {
      first = last;
      EXPECT_LT(result->tokens, spec.train.rows_per_step() * spec.data.segment / 4) << "a fifth of the tokens";
    }
  }
  EXPECT_NEAR(first, std::log(16.0), 0.3);
  EXPECT_LT(last, 0.5 * first);
  const auto evaluated = trainer->evaluate(source, 12, nullptr);
  ASSERT_TRUE(evaluated.ok());
  EXPECT_LT(evaluated->loss, 0.7 * first);
  EXPECT_TRUE(std::isnan(evaluated->bits_per_base)) << "it sees both sides";
}

TEST(MaskedTraining, SameBitsForAnyNumberOfThreads) {
  const JobSpec spec = masked_job();
  Digest128 digest;
  for (const int threads : {1, 2, 3}) {
    const auto trainer = make_trainer(spec, threads);
    MaskedSource source(16, spec.data.segment);
    for (int step = 0; step < 4; ++step) ASSERT_TRUE(trainer->step(source).ok());
    if (threads == 1) digest = trainer->state_digest();
    EXPECT_EQ(trainer->state_digest(), digest) << threads << " threads";
  }
}

}  // namespace
}  // namespace strand
