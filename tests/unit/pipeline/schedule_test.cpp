// The lists of every schedule within small numbers, and what is refused.
#include "worker/pipeline/schedule.h"

#include <gtest/gtest.h>

#include <map>
#include <tuple>

#include "shared/base/text.h"
#include "tests/unit/pipeline/shapes.h"

namespace strand {
namespace {

using enum InstructionKind;

TEST(ScheduleTest, EveryPieceOfWorkOnceAndGradientsOfWeightsInRisingMicroBatch) {
  int seen = 0;
  for_each_schedule(8, 33, [&](PipelineKind kind, const PipelineSchedule& schedule) {
    SCOPED_TRACE(name_of(kind, schedule.shape));
    ++seen;
    EXPECT_TRUE(check_schedule(schedule).ok());
    for (const auto& list : schedule.stages) {
      std::map<std::tuple<InstructionKind, int, int>, int> times;
      std::map<int, int> last_weights;  // by chunk
      for (const Instruction& i : list) {
        ++times[{i.kind, i.chunk, i.micro_batch}];
        if (i.kind != kBackward && i.kind != kBackwardWeight) continue;
        const auto last = last_weights.find(i.chunk);
        ASSERT_EQ(i.micro_batch, last == last_weights.end() ? 0 : last->second + 1);
        last_weights[i.chunk] = i.micro_batch;
      }
      const bool split = kind == PipelineKind::kZeroBubbleH1;
      ASSERT_EQ(list.size(),
                static_cast<size_t>((split ? 3 : 2) * schedule.shape.chunks * schedule.shape.micro_batches));
      for (const auto& [work, count] : times) {
        ASSERT_EQ(count, 1);
        ASSERT_EQ(std::get<0>(work) == kBackwardInput || std::get<0>(work) == kBackwardWeight,
                  split && std::get<0>(work) != kForward);
      }
    }
  });
  EXPECT_EQ(seen, count_schedules(8, 33)) << "every legal shape makes a schedule";
}

TEST(ScheduleTest, OneForwardOneBackwardOfTwoStagesByHand) {
  const auto schedule = make_schedule(PipelineKind::kOneForwardOneBackward, {2, 1, 3});
  ASSERT_TRUE(schedule.ok());
  const std::vector<Instruction> first = {{kForward, 0, 0}, {kForward, 0, 1},  {kBackward, 0, 0},
                                          {kForward, 0, 2}, {kBackward, 0, 1}, {kBackward, 0, 2}};
  const std::vector<Instruction> last = {{kForward, 0, 0},  {kBackward, 0, 0}, {kForward, 0, 1},
                                         {kBackward, 0, 1}, {kForward, 0, 2},  {kBackward, 0, 2}};
  EXPECT_EQ(schedule->stages[0], first);
  EXPECT_EQ(schedule->stages[1], last);
}

TEST(ScheduleTest, InterleavedGoesThroughChunksInGroupsOfStages) {
  const auto schedule = make_schedule(PipelineKind::kInterleaved, {2, 2, 4});
  ASSERT_TRUE(schedule.ok());
  std::string forwards, backwards;
  for (const Instruction& i : schedule->stages[1]) {
    (i.kind == kForward ? forwards : backwards) += concat(i.chunk, ":", i.micro_batch, " ");
  }
  EXPECT_EQ(forwards, "0:0 0:1 1:0 1:1 0:2 0:3 1:2 1:3 ");
  EXPECT_EQ(backwards, "1:0 1:1 0:0 0:1 1:2 1:3 0:2 0:3 ");
}

// Zero-bubble changes where weights' gradients are, and nothing else.
TEST(ScheduleTest, ZeroBubbleKeepsTheOrderOfForwardAndInputGradientOf1F1B) {
  for (int p = 1; p <= 8; ++p) {
    for (int m = 1; m <= 33; ++m) {
      const auto plain = make_schedule(PipelineKind::kOneForwardOneBackward, {p, 1, m});
      const auto split = make_schedule(PipelineKind::kZeroBubbleH1, {p, 1, m});
      ASSERT_TRUE(plain.ok() && split.ok());
      for (size_t stage = 0; stage < plain->stages.size(); ++stage) {
        std::vector<Instruction> expected = plain->stages[stage], found;
        for (Instruction& i : expected) i.kind = i.kind == kBackward ? kBackwardInput : i.kind;
        for (const Instruction& i : split->stages[stage]) {
          if (i.kind != kBackwardWeight) found.push_back(i);
        }
        ASSERT_EQ(found, expected) << p << " stages, " << m << " micro batches, stage " << stage;
      }
    }
  }
}

TEST(ScheduleTest, EverySentMessageIsTakenByTheRunBesideIt) {
  int messages = 0;
  for_each_schedule(5, 11, [&](PipelineKind, const PipelineSchedule& schedule) {
    const PipelineShape& shape = schedule.shape;
    for (int stage = 0; stage < shape.stages; ++stage) {
      for (const Instruction& i : schedule.stages[static_cast<size_t>(stage)]) {
        const auto tag = output_of(shape, stage, i);
        if (!tag) continue;
        ++messages;
        const int receiver = receiver_of(shape, stage, tag->kind);
        EXPECT_EQ(sender_of(shape, receiver, tag->kind), stage);
        const int step = tag->kind == MessageKind::kActivation ? 1 : -1;
        EXPECT_EQ(shape.run_of(receiver, tag->chunk), shape.run_of(stage, i.chunk) + step);
        EXPECT_EQ(tag->micro_batch, i.micro_batch);
        EXPECT_EQ(input_of(shape, receiver, {i.kind, tag->chunk, i.micro_batch}), tag);
      }
    }
  });
  EXPECT_GT(messages, 1000);
}

TEST(ScheduleTest, ShapesThatAScheduleCannotRunAreRefusedWithTheMend) {
  const auto refused = [](PipelineKind kind, const PipelineShape& shape, const std::string& mend) {
    const auto schedule = make_schedule(kind, shape);
    ASSERT_FALSE(schedule.ok()) << name_of(kind, shape);
    EXPECT_EQ(schedule.error().code(), ErrorCode::kBadInput);
    EXPECT_NE(schedule.error().message().find(mend), std::string::npos) << schedule.error().message();
  };
  for (const PipelineKind kind : kPipelineKinds) {
    refused(kind, {0, 1, 1}, "at least one");
    refused(kind, {1, 0, 1}, "at least one");
    refused(kind, {1, 1, 0}, "at least one");
    refused(kind, {1 << 20, 1 << 20, 1 << 20}, "lower one of them");
    if (kind != PipelineKind::kInterleaved) refused(kind, {2, 2, 4}, "set it to 1, or parallel.schedule to");
  }
  refused(PipelineKind::kInterleaved, {2, 1, 4}, "needs at least 2, found 1");
  refused(PipelineKind::kInterleaved, {4, 2, 6}, "found 6 over 4 stages; change one of them");
}

// As the page's table says: of micro batches that are kept at a time.
TEST(ScheduleTest, SlotsAreWhatEachChunkKeepsAtATime) {
  for_each_schedule(5, 12, [](PipelineKind kind, const PipelineSchedule& schedule) {
    const auto [p, v, m] = schedule.shape;
    for (int s = 0; s < p; ++s) {
      const std::vector<size_t> slots = slots_of_chunks(schedule, s);
      ASSERT_EQ(slots.size(), static_cast<size_t>(v));
      if (kind == PipelineKind::kInterleaved) {
        for (const size_t kept : slots) EXPECT_LE(kept, static_cast<size_t>(std::min(m, 2 * p)));
        continue;
      }
      const std::map<PipelineKind, int> expected = {{PipelineKind::kGPipe, m},
                                                    {PipelineKind::kOneForwardOneBackward, std::min(m, p - s)},
                                                    {PipelineKind::kZeroBubbleH1, std::min(m, p)}};
      EXPECT_EQ(slots.front(), static_cast<size_t>(expected.at(kind))) << name_of(kind, schedule.shape) << " " << s;
    }
  });
}

TEST(ScheduleTest, ForwardsAloneGoThroughAllRunsAndStandStillNowhere) {
  for (int p = 1; p <= 4; ++p) {
    for (int v = 1; v <= 3; ++v) {
      for (int m = 1; m <= 9; ++m) {
        const PipelineSchedule schedule = make_forward_schedule({p, v, m});
        // Round after round each stage does what it can; a message fits as long as its buffer has room.
        std::vector<size_t> next(static_cast<size_t>(p));
        std::map<std::pair<int, MessageTag>, int> sent;
        size_t done = 0;
        for (bool moved = true; moved;) {
          moved = false;
          for (int s = 0; s < p; ++s) {
            const auto& list = schedule.stages[static_cast<size_t>(s)];
            size_t& at = next[static_cast<size_t>(s)];
            if (at == list.size()) continue;
            const auto input = input_of(schedule.shape, s, list[at]), output = output_of(schedule.shape, s, list[at]);
            if (input && sent.erase({s, *input}) == 0) continue;
            if (output) sent[{receiver_of(schedule.shape, s, output->kind), *output}] = 1;
            ++at, ++done, moved = true;
          }
        }
        EXPECT_EQ(done, static_cast<size_t>(p * v * m)) << p << " stages, " << v << " chunks, " << m;
        EXPECT_TRUE(sent.empty());
      }
    }
  }
}

TEST(ScheduleTest, NamesGoThereAndBack) {
  for (const PipelineKind kind : kPipelineKinds) {
    const auto parsed = parse_pipeline_kind(pipeline_kind_name(kind));
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(*parsed, kind);
  }
  const auto unknown = parse_pipeline_kind("1b1f");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code(), ErrorCode::kBadInput);
  EXPECT_NE(unknown.error().message().find("\"zb-h1\", found \"1b1f\""), std::string::npos)
      << unknown.error().message();
}

// Each damage to a good schedule is found, and the message says where.
TEST(ScheduleTest, CheckFindsWhatIsDamaged) {
  const auto good = make_schedule(PipelineKind::kZeroBubbleH1, {3, 1, 4});
  ASSERT_TRUE(good.ok());
  const auto found = [](const PipelineSchedule& schedule, const std::string& text) {
    const Status status = check_schedule(schedule);
    ASSERT_FALSE(status.ok()) << text;
    EXPECT_NE(status.error().message().find(text), std::string::npos) << status.error().message();
  };
  int damages = 0;
  for (size_t stage = 0; stage < 3; ++stage) {
    for (size_t i = 0; i < good->stages[stage].size(); ++i, ++damages) {
      PipelineSchedule left_out = *good, twice = *good, strange = *good;
      auto& list = left_out.stages[stage];
      list.erase(list.begin() + static_cast<ptrdiff_t>(i));
      EXPECT_FALSE(check_schedule(left_out).ok());
      twice.stages[stage].push_back(twice.stages[stage][i]);
      found(twice, concat("stage ", stage, ": ", to_text(twice.stages[stage][i]), ": comes twice"));
      strange.stages[stage][i].micro_batch = 4;
      found(strange, "there are 1 chunks and 4 micro batches");
    }
  }
  EXPECT_EQ(damages, 36);

  PipelineSchedule swapped = *good;  // stage 0: F0 F1 F2 ...; sent in another order than taken
  std::swap(swapped.stages[0][0], swapped.stages[0][1]);
  found(swapped,
        "stage 0 sends the activation of micro batch 1 (chunk 0) where stage 1 takes the activation of micro "
        "batch 0");
  PipelineSchedule weights = *good;
  auto& last = weights.stages[2];
  std::swap(last[last.size() - 1], last[last.size() - 2]);
  found(weights, "rising micro batch");
  PipelineSchedule lists = *good;
  lists.stages.pop_back();
  found(lists, "2 lists for 3 stages");
}

}  // namespace
}  // namespace strand
