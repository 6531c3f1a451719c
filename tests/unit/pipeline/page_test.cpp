// docs/pipeline.md shows what the simulator says: its drawings and its table are made here.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "shared/base/text.h"
#include "worker/pipeline/simulator.h"

namespace strand {
namespace {

std::string page() {
  std::ifstream file("docs/pipeline.md");
  EXPECT_TRUE(file.good()) << "run from the repository's root";
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Simulated {
  PipelineSchedule schedule;
  InstructionSeconds seconds;
  Simulation result;
};
// A chunk's forward, input and weight gradient take `second` each.
Simulated simulated(PipelineKind kind, const PipelineShape& shape, double second) {
  auto schedule = make_schedule(kind, shape);
  EXPECT_TRUE(schedule.ok());
  auto seconds = uniform_seconds(*schedule, {second, 2 * second, second, second});
  auto result = simulate(*schedule, seconds, {});
  EXPECT_TRUE(result.ok());
  return {*schedule, seconds, *result};
}

TEST(PipelinePage, DrawingsAreTheSimulators) {
  const std::string text = page();
  for (const PipelineKind kind : kPipelineKinds) {
    const bool interleaved = kind == PipelineKind::kInterleaved;
    const Simulated s = simulated(kind, interleaved ? PipelineShape{2, 2, 4} : PipelineShape{4, 1, 6}, 1);
    const std::string drawing = draw(s.schedule, s.seconds, s.result, 1);
    EXPECT_NE(text.find(concat("```\n", drawing, "```\n")), std::string::npos)
        << pipeline_kind_name(kind) << ": docs/pipeline.md should hold\n"
        << drawing;
  }
}

TEST(PipelinePage, TableOfCostsIsTheSimulators) {
  const std::string text = page();
  for (const PipelineKind kind : kPipelineKinds) {
    const int chunks = kind == PipelineKind::kInterleaved ? 2 : 1;
    const Simulation result = simulated(kind, {4, chunks, 16}, 1.0 / chunks).result;
    std::string live;
    for (const StageCost& stage : result.stages) {
      live += concat(live.empty() ? "" : ", ", format_number(1.0 * stage.peak_live / chunks, chunks - 1));
    }
    const std::string row = concat("| `", pipeline_kind_name(kind), "` | ", format_number(result.makespan, 1), " | ",
                                   format_number(100 * result.bubble_of_work(), 2), "% | ", live, " |");
    EXPECT_NE(text.find(row), std::string::npos) << "docs/pipeline.md should hold\n" << row;
  }
}

TEST(PipelinePage, ADrawingByHand) {
  const Simulated s = simulated(PipelineKind::kOneForwardOneBackward, {2, 1, 2}, 1);
  EXPECT_EQ(draw(s.schedule, s.seconds, s.result, 1),
            "stage 0  F0 F1 .  .  B0 =  .  B1 =\n"
            "stage 1  .  F0 B0 =  F1 B1 =  .  .\n");
}

}  // namespace
}  // namespace strand
