// Stages of replicas as their workers run them, beside the plain trainer: the same losses, gradients and weights, bit
// for bit.
#include "worker/stage_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/unit/worker/stage_group.h"

namespace strand::testing {
namespace {

void expect_same_steps(const JobSpec& spec, const Shape& shape, int steps) {
  const auto trainer = trainer_of(spec);
  Group group(spec, shape);
  Rows source(spec);
  const std::string what = text(shape, spec.model.config, spec.train.precision);
  for (int i = 0; i < steps; ++i) {
    const auto expected = trainer->step(source);
    ASSERT_TRUE(expected.ok()) << expected.error().message();
    const StepResult found = group.step();
    EXPECT_EQ(found.loss, expected->loss) << what;
    EXPECT_EQ(found.tokens, expected->tokens) << what;
    EXPECT_EQ(found.audit, expected->audit) << what;
    EXPECT_EQ(group.shard().digest(), trainer->digest()) << what;
  }
  EXPECT_EQ(group.shard().state_digest(trainer->next_row()), trainer->state_digest()) << what;
}

TEST(StageModel, EveryShapeGivesTheBitsOfTheTrainer) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    for (Shape shape : kShapes) {
      for (const bool recompute : {false, true}) {
        shape.recompute = recompute;
        expect_same_steps(job(deep(medium_config()), precision), shape, 3);
      }
    }
  }
}

TEST(StageModel, LanesAreRoundedWhereTheJobSaysSo) {
  JobSpec spec = job(deep(medium_config()), Precision::kFp32);
  spec.train.gradient_dtype = GradientDtype::kBf16;
  for (const Shape& shape : kShapes) expect_same_steps(spec, shape, 2);
}

TEST(StageModel, EveryFamilyGivesTheBitsOfTheTrainer) {
  std::vector<TransformerConfig> configs = medium_configs();
  for (const TransformerConfig& config : unusual_configs()) configs.push_back(config);
  for (const TransformerConfig& config : configs) {
    for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
      for (const Shape& shape : {Shape{kOneForwardOneBackward, 2, 1, 2}, Shape{kInterleaved, 2, 2, 1, true},
                                 Shape{kZeroBubbleH1, 3, 1, 1}, Shape{kZeroBubbleH1, 2, 1, 1, true}}) {
        expect_same_steps(job(deep(config), precision), shape, 1);
      }
    }
  }
}

TEST(StageModel, FinetunesAndMeasuresAsTheTrainer) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    for (const Shape& shape : kShapes) {
      JobSpec spec = job(deep(medium_config()), precision);
      spec.job.kind = "finetune";
      spec.task.kind = TaskKind::kClassify;
      spec.task.classes = 3;
      expect_same_steps(spec, shape, 2);
      const auto trainer = trainer_of(spec);
      Group group(spec, shape);
      Rows source(spec);
      for (const RowSet set : {RowSet::kHeldOut, RowSet::kTest}) {  // the last micro batch has one row
        const auto expected = trainer->predict(source, set, 9, nullptr);
        ASSERT_TRUE(expected.ok()) << expected.error().message();
        const auto [loss, logits] = group.evaluate(set, 9);
        EXPECT_EQ(loss / static_cast<double>(expected->labels), expected->loss);
        EXPECT_EQ(logits, expected->logits) << text(shape, spec.model.config, precision);
      }
    }
  }
}

TEST(StageModel, EvaluatesAsTheTrainerBetweenSteps) {
  const JobSpec spec = job(deep(medium_config()), Precision::kFp32);
  for (const Shape& shape : kShapes) {
    const auto trainer = trainer_of(spec);
    Group group(spec, shape);
    Rows source(spec);
    for (int i = 0; i < 2; ++i) {
      const auto expected = trainer->evaluate(source, 7, nullptr);
      ASSERT_TRUE(expected.ok());
      EXPECT_EQ(group.evaluate(RowSet::kHeldOut, 7).first / static_cast<double>(expected->tokens), expected->loss);
      ASSERT_TRUE(trainer->step(source).ok());
      group.step();
      EXPECT_EQ(group.shard().digest(), trainer->digest());
    }
  }
}

TEST(StageModel, AStepGivenUpLeavesNothingBehind) {
  const JobSpec spec = job(deep(medium_config()), Precision::kFp32);
  for (const Shape& shape : {Shape{kOneForwardOneBackward, 1, 1, 1}, Shape{kZeroBubbleH1, 2, 1, 1}}) {
    const auto trainer = trainer_of(spec);
    Group group(spec, shape);
    Rows source(spec);
    for (int i = 0; i < 2; ++i) {
      group.begin_and_leave();
      ASSERT_TRUE(trainer->step(source).ok());
      group.step();
      EXPECT_EQ(group.shard().digest(), trainer->digest());
    }
  }
}

// log2(lanes) + 1, as the lane tree; where weights wait, one for each further lane on its way.
TEST(StageModel, GradientBuffersAreReused) {
  const JobSpec spec = job(deep(medium_config()), Precision::kFp32);
  for (const Shape& shape : kShapes) {
    Group group(spec, shape);
    for (int i = 0; i < 3; ++i) group.step();
    const bool one_lane_at_a_time = shape.chunks == 1 && shape.schedule != kZeroBubbleH1;
    EXPECT_LE(group.gradient_buffers(), one_lane_at_a_time ? 3 : 5) << text(shape, spec.model.config, Precision::kFp32);
  }
}

TEST(StageModel, AFrameOfAnotherSizeIsRefused) {
  const JobSpec spec = job(deep(medium_config()), Precision::kFp32);
  Group group(spec, {kOneForwardOneBackward, 1, 1, 1});
  group.begin_and_leave();
  JobSpec cut_spec = spec;
  cut_spec.parallel.stages = 2;
  const StageCut cut = cut_model(cut_spec).value();
  const auto ranges = cut_ranges(job_parameter_table(cut_spec), tensor_places(cut));
  Machine machine(1, Backend::kCpu);
  StageModel model(cut_spec, cut, 1, ranges, machine.context, {});
  const std::vector<float> weights(static_cast<size_t>(cut.stages[1].elements));
  Rows source(spec);
  model.begin(make_schedule(kOneForwardOneBackward, {2, 1, 8}).value(),
              {0, {0, 4}, {weights.data()}, &source, [](RangeGradient) {}});
  const auto refused = model.forward(0, 0, Frame::from_string("short"));
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("14 x 48 fp32 numbers (2688 bytes), found 5 bytes"), std::string::npos)
      << refused.error().message();
}

// A loss that is no number is told, not hidden, and every range is still given away: the group can say so and go on.
TEST(StageModel, ALossThatIsNotFiniteIsInTheNumbers) {
  const JobSpec spec = job(deep(medium_config()), Precision::kFp32);
  Machine machine(1, Backend::kCpu);
  const StageCut cut = cut_model(spec).value();
  const auto table = job_parameter_table(spec);
  const auto ranges = cut_ranges(table, tensor_places(cut));
  StageModel model(spec, cut, 0, ranges, machine.context, {});
  std::vector<float> weights = test_weights(table);
  const auto norm = std::ranges::find(table, "final_norm.weight", &ParameterInfo::name);
  ASSERT_NE(norm, table.end());
  weights[static_cast<size_t>(norm->first_element)] = std::numeric_limits<float>::quiet_NaN();
  Rows source(spec);
  size_t given = 0, uses = ranges.size();
  for (const PlannedRange& range : ranges) uses += range.place.second_use >= 0 ? 1 : 0;
  std::vector<double> losses;
  const PipelineSchedule schedule = make_schedule(kOneForwardOneBackward, {1, 1, 8}).value();
  model.begin(schedule, {0, {0, 4}, {weights.data()}, &source, [&](const RangeGradient& gradient) {
                           ++given;
                           for (const auto& piece : gradient.pieces) {
                             for (const LaneNumbers& lane : piece.numbers) {
                               losses.insert(losses.end(), lane.losses.begin(), lane.losses.end());
                             }
                           }
                         }});
  const SystemClock clock;
  ASSERT_TRUE(run_stage(schedule, 0, &model, nullptr, clock, {}).ok());
  EXPECT_EQ(given, uses);
  ASSERT_EQ(losses.size(), 8u);
  EXPECT_TRUE(std::ranges::all_of(losses, [](double loss) { return std::isnan(loss); }));
}

}  // namespace
}  // namespace strand::testing
