// How close the executor comes to the simulator: the stages of one replica as threads, every instruction a sleep, the
// links queues in memory. Ends with 1 when a step takes more than 1.05 of what the simulator says.
//   pipeline_bench [--schedule all|gpipe|1f1b|interleaved|zb-h1] [--stages N] [--chunks N, of interleaved]
//                  [--micro-batches N] [--milliseconds N, of an instruction] [--link-milliseconds N] [--draw 0|1]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "shared/base/check.h"
#include "shared/base/text.h"
#include "tests/support/stage_ring.h"
#include "worker/pipeline/executor.h"
#include "worker/pipeline/simulator.h"

namespace strand {
namespace {

constexpr double kBar = 1.05;

class SleepingCompute final : public StageCompute {
 public:
  explicit SleepingCompute(Duration time) : time_(time) {}
  Result<Frame> forward(int, int, const Frame&) override { return sleep(); }
  Result<Frame> backward(int, int, const Frame&) override { return sleep(); }
  Result<Frame> backward_input(int, int, const Frame&) override { return sleep(); }
  Status backward_weight(int, int) override {
    std::this_thread::sleep_for(time_);
    return {};
  }

 private:
  Frame sleep() const {
    std::this_thread::sleep_for(time_);
    return Frame::from_string("bytes");
  }
  Duration time_;
};

struct Measured {
  double seconds = 0;
  std::vector<std::vector<InstructionTrace>> traces;
};

Measured run_step(const PipelineSchedule& schedule, Duration instruction, Duration latency) {
  const auto stages = static_cast<size_t>(schedule.shape.stages);
  StageRing ring(schedule.shape, kLinkBuffers, latency);
  std::vector<SleepingCompute> computes(stages, SleepingCompute(instruction));
  Measured measured{0, std::vector<std::vector<InstructionTrace>>(stages)};
  const SystemClock clock;
  const Time begin = clock.now();
  std::vector<std::thread> threads;
  for (size_t stage = 0; stage < stages; ++stage) {
    threads.emplace_back([&, stage] {
      auto traces =
          run_stage(schedule, static_cast<int>(stage), &computes[stage], ring.link(static_cast<int>(stage)), clock, {});
      STRAND_CHECK(traces.ok(), traces.ok() ? "" : traces.error().message());
      measured.traces[stage] = std::move(*traces);
    });
  }
  for (std::thread& thread : threads) thread.join();
  measured.seconds = to_seconds(clock.now() - begin);
  return measured;
}

double simulated_makespan(const PipelineSchedule& schedule, const InstructionSeconds& seconds, const LinkModel& link,
                          bool drawing, double unit) {
  const auto result = simulate(schedule, seconds, link);
  STRAND_CHECK(result.ok(), result.ok() ? "" : result.error().message());
  STRAND_CHECK(result->deadlock.empty(), result->deadlock_text());
  if (drawing) std::printf("%s", draw(schedule, seconds, *result, unit).c_str());
  return result->makespan;
}

// True: within the bar.
bool compare(const PipelineSchedule& schedule, const std::string& name, double instruction, double latency, bool draw) {
  const LinkModel link{latency, kLinkBuffers};
  const auto planned = uniform_seconds(schedule, {instruction, instruction, instruction, instruction});
  const double expected = simulated_makespan(schedule, planned, link, draw, instruction);
  const Measured measured = run_step(schedule, from_seconds(instruction), from_seconds(latency));
  const double replayed = simulated_makespan(schedule, compute_seconds(measured.traces), link, false, 1);
  const double ratio = measured.seconds / expected;
  std::printf("%-12s simulated %7.1f ms   measured %7.1f ms   ratio %.4f   of the measured instruction times %.4f\n",
              name.c_str(), 1e3 * expected, 1e3 * measured.seconds, ratio, measured.seconds / replayed);
  return ratio <= kBar;
}

int run(std::map<std::string, std::string> options) {
  const auto number = [&](const std::string& name) { return std::atof(options[name].c_str()); };
  bool within = true, known = false;
  for (const PipelineKind kind : kPipelineKinds) {
    const std::string name = pipeline_kind_name(kind);
    if (options["--schedule"] != "all" && options["--schedule"] != name) continue;
    known = true;
    const PipelineShape shape{static_cast<int>(number("--stages")),
                              kind == PipelineKind::kInterleaved ? static_cast<int>(number("--chunks")) : 1,
                              static_cast<int>(number("--micro-batches"))};
    const auto schedule = make_schedule(kind, shape);
    if (!schedule.ok()) {
      std::fprintf(stderr, "%s\n", schedule.error().message().c_str());
      return 2;
    }
    within = compare(*schedule, name, 1e-3 * number("--milliseconds"), 1e-3 * number("--link-milliseconds"),
                     number("--draw") != 0) &&
             within;
  }
  if (!known) {
    std::fprintf(stderr, "%s\n", parse_pipeline_kind(options["--schedule"]).error().message().c_str());
    return 2;
  }
  return within ? 0 : 1;
}

}  // namespace
}  // namespace strand

int main(int argc, char** argv) {
  std::map<std::string, std::string> options = {{"--schedule", "all"},    {"--stages", "4"},
                                                {"--chunks", "2"},        {"--micro-batches", "16"},
                                                {"--milliseconds", "20"}, {"--link-milliseconds", "0"},
                                                {"--draw", "0"}};
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc || options.count(argv[i]) == 0) {
      std::fprintf(stderr, "unknown option or missing value: %s\n", argv[i]);
      return 2;
    }
    options[argv[i]] = argv[i + 1];
  }
  return strand::run(options);
}
