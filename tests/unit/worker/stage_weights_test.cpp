// When a stage reads which weights.
#include <gtest/gtest.h>

#include "tests/unit/worker/stage_group.h"

namespace strand::testing {
namespace {

// No weight is read before its range was waited for.
TEST(StageModel, WeightsThatComeBlockByBlockGiveTheSameBits) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    for (const TransformerConfig& config : medium_configs()) {
      for (const Shape& shape : kShapes) {
        const JobSpec spec = job(deep(config), precision);
        const auto trainer = trainer_of(spec);
        Group group(spec, shape);
        group.come_late();
        Rows source(spec);
        const auto expected = trainer->evaluate(source, 7, nullptr);
        ASSERT_TRUE(expected.ok());
        EXPECT_EQ(group.evaluate(RowSet::kHeldOut, 7).first / static_cast<double>(expected->tokens), expected->loss);
        ASSERT_TRUE(trainer->step(source).ok());
        group.step();
        EXPECT_EQ(group.shard().digest(), trainer->digest()) << text(shape, config, precision);
      }
    }
  }
}

// Whatever ends a wait for weights ends the pass with it, wherever it is; the next one begins anew.
TEST(StageModel, AWaitThatIsEndedEndsThePass) {
  const JobSpec spec = job(deep(medium_config()), Precision::kFp32);
  Machine machine(1, Backend::kCpu);
  const StageCut cut = cut_model(spec).value();
  const auto table = job_parameter_table(spec);
  const auto ranges = cut_ranges(table, tensor_places(cut));
  StageModel model(spec, cut, 0, ranges, machine.context, {});
  const std::vector<float> weights = test_weights(table);
  Rows source(spec);
  const PipelineSchedule schedule = make_schedule(kOneForwardOneBackward, {1, 1, 8}).value();
  const SystemClock clock;
  size_t given = 0, waits = 0, parts = 0;
  const auto run = [&](size_t ends_at) {
    given = waits = 0;
    model.begin(schedule, {0,
                           {0, 4},
                           {weights.data()},
                           &source,
                           [&](const RangeGradient&) { ++given; },
                           [&](const std::vector<uint32_t>&) -> Status {
                             if (++waits <= ends_at) return {};
                             return Error(ErrorCode::kStopped, "a new plan");
                           }});
    return run_stage(schedule, 0, &model, nullptr, clock, {});
  };
  ASSERT_TRUE(run(SIZE_MAX).ok());
  parts = waits;
  EXPECT_EQ(parts, 7u) << "embeddings, five blocks, the head, each once";
  for (size_t ends_at = 0; ends_at < parts; ++ends_at) {
    const auto ended = run(ends_at);
    ASSERT_FALSE(ended.ok());
    EXPECT_EQ(ended.error().code(), ErrorCode::kStopped);
    EXPECT_EQ(waits, ends_at + 1);
    EXPECT_EQ(given, 0u);
  }
  ASSERT_TRUE(run(SIZE_MAX).ok());
  EXPECT_GT(given, 0u);
}

}  // namespace
}  // namespace strand::testing
