#include "worker/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/unit/worker/test_model.h"

namespace strand {
namespace {

using testing::make_trainer;
using testing::PeriodicSource;
using testing::small_job;

std::vector<StepResult> train(Trainer& trainer, const JobSpec& spec, int steps) {
  PeriodicSource source(spec.model.config.vocabulary, spec.data.segment);
  std::vector<StepResult> results;
  for (int i = 0; i < steps; ++i) {
    auto result = trainer.step(source);
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message());
    if (result.ok()) results.push_back(*result);
  }
  return results;
}

TEST(Trainer, LossFallsOnPeriodicSequences) {
  const JobSpec spec = small_job();
  const auto trainer = make_trainer(spec, 2);
  const auto results = train(*trainer, spec, 60);
  EXPECT_NEAR(results.front().loss, std::log(16.0), 0.2);
  EXPECT_LT(results.back().loss, 0.5 * results.front().loss);
  EXPECT_EQ(results.back().step, 60);
  EXPECT_EQ(trainer->next_row(), 60u * 24u);
  EXPECT_GT(results.back().gradient_norm, 0);
}

TEST(Trainer, SameBitsForAnyNumberOfThreads) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    JobSpec spec = small_job();
    spec.train.precision = precision;
    spec.model.config.dropout = 0.1;
    Digest128 digest, state;
    for (const int threads : {1, 2, 3, 4}) {
      const auto trainer = make_trainer(spec, threads);
      EXPECT_EQ(trainer->bf16(), precision == Precision::kBf16);
      train(*trainer, spec, 4);
      if (threads == 1) digest = trainer->digest(), state = trainer->state_digest();
      EXPECT_EQ(trainer->digest(), digest) << threads << " threads";
      EXPECT_EQ(trainer->state_digest(), state) << threads << " threads";
    }
  }
}

TEST(Trainer, RecomputingChangesNoBit) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    JobSpec spec = small_job();
    spec.train.precision = precision;
    spec.model.config.dropout = 0.1;
    const auto keeping = make_trainer(spec, 2);
    spec.parallel.recompute = true;
    const auto recomputing = make_trainer(spec, 2);
    train(*keeping, spec, 4);
    train(*recomputing, spec, 4);
    EXPECT_EQ(recomputing->state_digest(), keeping->state_digest());
  }
}

TEST(Trainer, SeedDecides) {
  JobSpec spec = small_job();
  const auto one = make_trainer(spec, 1), again = make_trainer(spec, 1);
  spec.train.seed = 2;
  const auto other = make_trainer(spec, 1);
  EXPECT_EQ(one->digest(), again->digest());
  EXPECT_NE(one->digest(), other->digest());
}

TEST(Trainer, ContinuesFromStoredStateWithTheSameBits) {
  const JobSpec spec = small_job();
  const auto whole = make_trainer(spec, 1), first = make_trainer(spec, 1), second = make_trainer(spec, 2);
  train(*whole, spec, 6);
  train(*first, spec, 3);
  const auto take_over = [](std::span<float> from, std::span<float> to) {
    std::copy(from.begin(), from.end(), to.begin());
  };
  take_over(first->shard().weights(), second->shard().weights());
  take_over(first->shard().first_moment(), second->shard().first_moment());
  take_over(first->shard().second_moment(), second->shard().second_moment());
  second->restored(3);
  train(*second, spec, 3);
  EXPECT_EQ(second->state_digest(), whole->state_digest());
}

TEST(Trainer, LanesAndMicroBatchesOnlyChangeTheOrderOfAdding) {
  JobSpec spec = small_job();
  const auto a = make_trainer(spec, 1);
  spec.train.lanes = 1;
  spec.train.micro_batches_per_lane = 1;
  spec.train.micro_batch = 24;
  const auto b = make_trainer(spec, 1);
  const auto step_a = train(*a, spec, 1), step_b = train(*b, spec, 1);
  EXPECT_NEAR(step_a[0].loss, step_b[0].loss, 1e-6);
  EXPECT_NEAR(step_a[0].gradient_norm, step_b[0].gradient_norm, 1e-5 * step_b[0].gradient_norm);
  EXPECT_EQ(step_a[0].tokens, step_b[0].tokens);
}

TEST(Trainer, NonFiniteLossNamesThePlaceAndCommitsNothing) {
  const JobSpec spec = small_job();
  const auto trainer = make_trainer(spec, 1);
  train(*trainer, spec, 2);
  const auto last = trainer->shard().weights().size() - 1;
  const float kept = trainer->shard().weights()[last];
  trainer->shard().weights()[last] = std::numeric_limits<float>::quiet_NaN();
  const Digest128 before = trainer->state_digest();
  PeriodicSource source(spec.model.config.vocabulary, spec.data.segment);
  const auto result = trainer->step(source);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), ErrorCode::kBadInput);
  EXPECT_NE(result.error().message().find("step 3, lane 0, micro batch 0"), std::string::npos)
      << result.error().message();
  EXPECT_EQ(trainer->state_digest(), before);
  EXPECT_EQ(trainer->current_step(), 2);
  // Mended, the same trainer goes on as if nothing had happened.
  trainer->shard().weights()[last] = kept;
  const auto other = make_trainer(spec, 1);
  train(*trainer, spec, 1);
  train(*other, spec, 3);
  EXPECT_EQ(trainer->state_digest(), other->state_digest());
}

TEST(Trainer, TokenBeyondTheVocabularyIsRefused) {
  const JobSpec spec = small_job();
  const auto trainer = make_trainer(spec, 1);
  class Bad : public PeriodicSource {
   public:
    using PeriodicSource::PeriodicSource;
    Result<Batch> training_rows(uint64_t first_row, int64_t rows) override {
      auto batch = PeriodicSource::training_rows(first_row, rows);
      tokens_.assign(batch->tokens, batch->tokens + rows * batch->segment);
      tokens_[5] = 16;
      batch->tokens = tokens_.data();
      return batch;
    }

   private:
    std::vector<uint16_t> tokens_;
  } source(16, spec.data.segment);
  const auto result = trainer->step(source);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), ErrorCode::kBadInput);
  EXPECT_NE(result.error().message().find("token 16 at position 5"), std::string::npos) << result.error().message();
  EXPECT_EQ(trainer->current_step(), 0);
}

TEST(Trainer, EvaluationCountsEachPredictedTokenOnce) {
  JobSpec spec = small_job();
  const auto trainer = make_trainer(spec, 1);
  PeriodicSource source(spec.model.config.vocabulary, spec.data.segment);
  uint64_t seen = 0;
  const auto all = trainer->evaluate(source, 7, [&](uint64_t done) { seen = done; });
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(seen, 7u);
  int64_t tokens = 0;
  double nats = 0;
  const auto held_out = source.held_out_rows(0, 7);
  for (int row = 0; row < 7; ++row) tokens += held_out->lengths[row] - 1;
  EXPECT_EQ(all->tokens, tokens);
  EXPECT_EQ(all->bases, tokens);
  EXPECT_NEAR(all->bits_per_base, all->loss / std::log(2.0), 1e-12);
  // Another micro batch size: the same rows, the same loss.
  spec.train.micro_batch = 1;
  const auto single = make_trainer(spec, 1)->evaluate(source, 7, nullptr);
  ASSERT_TRUE(single.ok());
  EXPECT_NEAR(single->loss, all->loss, 1e-6);
  nats = single->loss * static_cast<double>(tokens);
  EXPECT_NEAR(nats, all->loss * static_cast<double>(tokens), 1e-4);
}

TEST(Trainer, EvaluationWeighsBasesOfTheTokens) {
  const JobSpec spec = small_job();
  auto created = Trainer::create(spec, std::vector<uint8_t>(16, 6), {.threads = 1, .backend = Backend::kCpu});
  ASSERT_TRUE(created.ok());
  (*created)->initialise();
  PeriodicSource source(16, spec.data.segment);
  const auto result = (*created)->evaluate(source, 4, nullptr);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->bases, 6 * result->tokens);
  EXPECT_NEAR(result->bits_per_base, result->loss / std::log(2.0) / 6, 1e-12);
}

TEST(Trainer, EvaluationDoesNotDisturbTraining) {
  const JobSpec spec = small_job();
  const auto plain = make_trainer(spec, 1), evaluated = make_trainer(spec, 1);
  PeriodicSource source(16, spec.data.segment);
  train(*plain, spec, 2);
  train(*evaluated, spec, 1);
  ASSERT_TRUE(evaluated->evaluate(source, 5, nullptr).ok());
  train(*evaluated, spec, 1);
  EXPECT_EQ(plain->state_digest(), evaluated->state_digest());
}

TEST(Trainer, RefusesWhatIsNotBuilt) {
  const auto refused = [](const JobSpec& spec, const std::string& key) {
    const auto trainer = Trainer::create(spec, std::vector<uint8_t>(16, 1), {});
    ASSERT_FALSE(trainer.ok()) << key;
    EXPECT_EQ(trainer.error().code(), ErrorCode::kBadInput);
    EXPECT_NE(trainer.error().message().find(key), std::string::npos) << trainer.error().message();
  };
  JobSpec spec = small_job();
  spec.parallel.stages = 2;
  refused(spec, "parallel.stages");
  spec = small_job();
  spec.model.config.heads = 5;
  refused(spec, "model.heads");
  spec = small_job();
  spec.train.lanes = 3;
  refused(spec, "train.lanes");
  spec = small_job();
  spec.model.config.vocabulary = 15;
  refused(spec, "model.vocabulary");
}

TEST(Trainer, FingerprintNamesWhatDecidesTheBits) {
  const std::string fingerprint = numerics_fingerprint();
  for (const char* field : {"strand=", "compiler=", "onednn=", "isa=", "backend="}) {
    EXPECT_NE(fingerprint.find(field), std::string::npos) << fingerprint;
  }
}

}  // namespace
}  // namespace strand
