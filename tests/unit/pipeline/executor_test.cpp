// The executor of each stage on a thread of its own, over links in memory.
#include "worker/pipeline/executor.h"

#include <gtest/gtest.h>

#include <thread>

#include "shared/base/text.h"
#include "tests/support/sim_clock.h"
#include "tests/support/stage_ring.h"
#include "tests/unit/pipeline/fake_compute.h"
#include "tests/unit/pipeline/shapes.h"

namespace strand {
namespace {

using std::chrono::milliseconds;

using StageResult = Result<std::vector<InstructionTrace>>;

// All stages of one step, each on its thread.
struct Pipeline {
  explicit Pipeline(const PipelineSchedule& given, int buffers = 1)
      : schedule(given), ring(given.shape, buffers), options(given.stages.size()) {
    for (int stage = 0; stage < schedule.shape.stages; ++stage) computes.emplace_back(schedule.shape, stage);
  }
  std::vector<StageResult> run() {
    std::vector<StageResult> results(schedule.stages.size(), internal_error("did not run"));
    std::vector<std::thread> threads;
    for (size_t stage = 0; stage < results.size(); ++stage) {
      threads.emplace_back([this, &results, stage] {
        StageLink* link = schedule.shape.stages == 1 ? nullptr : ring.link(static_cast<int>(stage));
        results[stage] =
            run_stage(schedule, static_cast<int>(stage), &computes[stage], link, SystemClock(), options[stage]);
      });
    }
    for (std::thread& thread : threads) thread.join();
    return results;
  }

  PipelineSchedule schedule;
  StageRing ring;
  std::vector<ExecutorOptions> options;
  std::vector<FakeCompute> computes;
};

TEST(ExecutorTest, EveryScheduleInItsOrderWithTheGradientsOfNoPipeline) {
  int seen = 0;
  for_each_schedule(4, 9, [&](PipelineKind kind, const PipelineSchedule& schedule) {
    const PipelineShape& shape = schedule.shape;
    SCOPED_TRACE(name_of(kind, shape));
    ++seen;
    Pipeline pipeline(schedule);
    const auto results = pipeline.run();
    const std::vector<uint64_t> expected = serial_gradients(shape.runs(), shape.micro_batches);
    for (size_t stage = 0; stage < results.size(); ++stage) {
      ASSERT_TRUE(results[stage].ok()) << results[stage].error().message();
      const FakeCompute& compute = pipeline.computes[stage];
      EXPECT_EQ(compute.calls(), schedule.stages[stage]);
      EXPECT_EQ(compute.held(), 0u) << "each forward met its backward";
      ASSERT_EQ(results[stage]->size(), schedule.stages[stage].size());
      EXPECT_EQ(compute.gradients().size(), static_cast<size_t>(shape.chunks));
      for (const auto& [run, gradient] : compute.gradients()) {
        EXPECT_EQ(gradient, expected[static_cast<size_t>(run)]) << "run " << run;
      }
    }
    EXPECT_EQ(pipeline.ring.left_over(), 0u);
  });
  EXPECT_EQ(seen, count_schedules(4, 9));
}

// Whoever had not ended its list when it happened ends with the reason.
TEST(ExecutorTest, AFailureAtAnyInstructionEndsAllStagesWithTheReason) {
  int others_told = 0;
  for (const PipelineKind kind : kPipelineKinds) {
    const auto schedule = make_schedule(kind, {3, kind == PipelineKind::kInterleaved ? 2 : 1, 3});
    ASSERT_TRUE(schedule.ok());
    for (size_t failing = 0; failing < 3; ++failing) {
      for (size_t call = 0; call < schedule->stages[failing].size(); ++call) {
        SCOPED_TRACE(concat(pipeline_kind_name(kind), " stage ", failing, " call ", call));
        Pipeline pipeline(*schedule);
        pipeline.computes[failing].fail_at(call);
        const auto results = pipeline.run();
        const std::string reason =
            concat("pipeline stage ", failing, ", ", to_text(schedule->stages[failing][call]), ": the planted failure");
        for (size_t stage = 0; stage < 3; ++stage) {
          if (results[stage].ok()) {
            EXPECT_NE(stage, failing);
            EXPECT_EQ(pipeline.computes[stage].calls(), schedule->stages[stage]) << "ended its list before";
            continue;
          }
          EXPECT_EQ(results[stage].error().message(), reason);
          EXPECT_EQ(results[stage].error().code(), ErrorCode::kUnavailable);
          if (stage != failing) ++others_told;
        }
        EXPECT_EQ(pipeline.computes[failing].calls().size(), call + 1) << "nothing runs after a failure";
      }
    }
  }
  EXPECT_GT(others_told, 100);
}

// A stop of one stage, at every look: computing and waiting.
TEST(ExecutorTest, AStopEndsAllStages) {
  const auto schedule = make_schedule(PipelineKind::kOneForwardOneBackward, {3, 1, 4});
  ASSERT_TRUE(schedule.ok());
  for (int looks = 0; looks < 8; ++looks) {
    Pipeline pipeline(*schedule);
    int seen = 0;
    pipeline.options[1].slice = milliseconds(1);
    pipeline.options[1].still_wanted = [&]() -> Status {
      if (seen++ < looks) return {};
      return Error(ErrorCode::kStopped, "a newer generation");
    };
    const auto results = pipeline.run();
    for (size_t stage = 0; stage < results.size(); ++stage) {
      if (results[stage].ok()) {  // the last stage has done its part before stage 1's last backward
        EXPECT_EQ(stage, 2u);
        EXPECT_EQ(pipeline.computes[stage].calls(), schedule->stages[stage]);
        continue;
      }
      EXPECT_EQ(results[stage].error().code(), ErrorCode::kStopped);
      EXPECT_EQ(results[stage].error().message(), "a newer generation");
    }
    EXPECT_LE(pipeline.computes[1].calls().size(), static_cast<size_t>(looks));
  }
}

// A neighbour that never answers: no room, and no message. Only the simulated clock moves.
class SilentLink final : public StageLink {
 public:
  SilentLink(SimClock* clock, bool room) : clock_(clock), room_(room) {}
  Result<bool> send(const MessageTag&, const Frame&, Duration wait) override {
    if (!room_) clock_->advance(wait);
    longest_ = std::max(longest_, wait);
    return room_;
  }
  Result<std::optional<Frame>> receive(const MessageTag&, Duration wait) override {
    clock_->advance(wait);
    longest_ = std::max(longest_, wait);
    return std::optional<Frame>();
  }
  void abort(const Error& reason) override { aborted_.push_back(reason.message()); }

  Duration longest() const { return longest_; }
  const std::vector<std::string>& aborted() const { return aborted_; }

 private:
  SimClock* clock_;
  bool room_;
  Duration longest_ = Duration::zero();
  std::vector<std::string> aborted_;
};

TEST(ExecutorTest, NoWaitIsLongerThanItsLimit) {
  const auto schedule = make_schedule(PipelineKind::kOneForwardOneBackward, {2, 1, 3});
  ASSERT_TRUE(schedule.ok());
  for (const bool room : {false, true}) {
    SimClock clock;
    const Time begin = clock.now();
    SilentLink link(&clock, room);
    FakeCompute compute(schedule->shape, 0);
    const auto result =
        run_stage(*schedule, 0, &compute, &link, clock,
                  {.wait_limit = std::chrono::seconds(7), .slice = milliseconds(300), .still_wanted = {}});
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code(), ErrorCode::kDeadline);
    const std::string message = result.error().message();
    EXPECT_NE(message.find(room ? "backward of micro batch 0 (chunk 0): waited 7.0 s for the gradient of micro batch 0"
                                : "forward of micro batch 0 (chunk 0): waited 7.0 s for room to send the activation"),
              std::string::npos)
        << message;
    EXPECT_EQ(clock.now() - begin, std::chrono::seconds(7));
    EXPECT_EQ(link.longest(), milliseconds(300)) << "a stop is looked for between slices";
    EXPECT_EQ(link.aborted(), std::vector<std::string>{message});
  }
}

// A forward that gives nothing to send is a defect of the model's side, not a message of no bytes.
TEST(ExecutorTest, AnEmptyActivationIsRefused) {
  class Empty final : public StageCompute {
    Result<Frame> forward(int, int, const Frame&) override { return Frame(); }
    Result<Frame> backward(int, int, const Frame&) override { return Frame(); }
    Result<Frame> backward_input(int, int, const Frame&) override { return Frame(); }
    Status backward_weight(int, int) override { return {}; }
  };
  const auto schedule = make_schedule(PipelineKind::kInterleaved, {1, 2, 1});
  ASSERT_TRUE(schedule.ok());
  Empty compute;
  const auto result = run_stage(*schedule, 0, &compute, nullptr, SystemClock(), {});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), ErrorCode::kInternal);
  EXPECT_NE(result.error().message().find("gave no bytes"), std::string::npos) << result.error().message();
}

// A stage that waits for its weights is no slow one.
TEST(ExecutorTest, WaitingForWeightsIsNotComputing) {
  class Late final : public StageCompute {
   public:
    explicit Late(SimClock* clock) : clock_(clock) {}
    Result<Frame> forward(int, int, const Frame&) override {
      clock_->advance(milliseconds(5));
      waited_ += milliseconds(3);
      return Frame();
    }
    Result<Frame> backward(int, int, const Frame&) override {
      clock_->advance(milliseconds(4));
      return Frame();
    }
    Result<Frame> backward_input(int, int, const Frame&) override { return Frame(); }
    Status backward_weight(int, int) override { return {}; }
    Duration waited() const override { return waited_; }

   private:
    SimClock* clock_;
    Duration waited_{};
  };
  const auto schedule = make_schedule(PipelineKind::kGPipe, {1, 1, 3});
  ASSERT_TRUE(schedule.ok());
  SimClock clock;
  Late compute(&clock);
  const auto traces = run_stage(*schedule, 0, &compute, nullptr, clock, {});
  ASSERT_TRUE(traces.ok()) << traces.error().message();
  ASSERT_EQ(traces->size(), 6u);
  for (const InstructionTrace& trace : *traces) {
    const bool forward = trace.instruction.kind == InstructionKind::kForward;
    EXPECT_NEAR(trace.wait_weights, forward ? 0.003 : 0.0, 1e-9);
    EXPECT_NEAR(trace.compute, forward ? 0.002 : 0.004, 1e-9);
  }
}

TEST(ExecutorTest, TracesSayWhenEachInstructionRan) {
  const auto schedule = make_schedule(PipelineKind::kGPipe, {2, 1, 2});
  ASSERT_TRUE(schedule.ok());
  Pipeline pipeline(*schedule);
  for (FakeCompute& compute : pipeline.computes) compute.sleep(milliseconds(2));
  std::vector<std::vector<InstructionTrace>> traces;
  for (auto& result : pipeline.run()) {
    ASSERT_TRUE(result.ok());
    traces.push_back(*result);
  }
  const auto seconds = compute_seconds(traces);
  for (size_t stage = 0; stage < traces.size(); ++stage) {
    double free = 0;
    for (size_t i = 0; i < traces[stage].size(); ++i) {
      const InstructionTrace& trace = traces[stage][i];
      EXPECT_EQ(trace.instruction, schedule->stages[stage][i]);
      EXPECT_GE(trace.compute, 0.002);
      EXPECT_EQ(trace.compute, seconds[stage][i]);
      EXPECT_GE(trace.start, free + trace.wait_input - 1e-9);
      free = trace.start + trace.compute + trace.wait_room;
    }
  }
}

}  // namespace
}  // namespace strand
