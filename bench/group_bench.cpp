// What a group of workers costs: real processes that take some steps each in turn, so that what else the machine does
// meets all of them. Ends with 1 when a bar is missed.
//   group_bench [--rounds N] [--seconds N, at most, of each] [--steps N, in a row] [--preset NAME] [--vocabulary N]
//               [--lanes N] [--micro-batches N, of a lane] [--schedule NAME]
//               [--only overhead|replicas|stages|messages|pulls]
// overhead: 1x1 through the shards beside Trainer::step, two threads, at most 1% longer.
// replicas: 1x2 with a thread each beside 1x1 with two threads, at least 90% of its tokens per second.
// stages:   2x1 with a thread each beside the simulator with the measured instruction times, at most 1.10 of it.
// pulls:    1x4 with a thread each beside 1x1 with two; no bar.
// messages: what 1, 2, 4 and 8 workers send each other in a step with few rows; for the norm one message from each to
// the
//   norm worker and one back, its own not counted.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench/group_members.h"
#include "shared/base/check.h"
#include "shared/base/clock.h"
#include "shared/base/text.h"
#include "worker/pipeline/schedule.h"
#include "worker/pipeline/simulator.h"

namespace strand {
namespace {

constexpr double kOverheadBar = 1.01, kReplicasBar = 0.90, kStagesBar = 1.10;
using Options = std::map<std::string, std::string>;

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(std::lround(q * static_cast<double>(values.size() - 1)))];
}

std::string spread(const std::vector<double>& values, int digits) {
  return concat(format_number(quantile(values, 0.5), digits), " (quartiles ",
                format_number(quantile(values, 0.25), digits), " to ", format_number(quantile(values, 0.75), digits),
                ", ", values.size(), " steps)");
}

int64_t number(const Options& options, const char* name) {
  return std::atoll(options.at(name).c_str());
}

JobSpec job(const Options& options) {
  JobSpec spec;
  const auto preset = preset_config(options.at("--preset"));
  STRAND_CHECK(preset.ok(), preset.ok() ? "" : preset.error().message());
  spec.model.config = *preset;
  spec.model.config.vocabulary = number(options, "--vocabulary");
  spec.train.steps = 1'000'000;  // more than are taken
  spec.train.lanes = number(options, "--lanes");
  spec.train.micro_batch = 4;
  spec.train.micro_batches_per_lane = number(options, "--micro-batches");
  spec.train.precision = Precision::kFp32;
  spec.train.learning_rate = 1e-4;
  spec.checkpoint.every = 0;
  spec.parallel.schedule = options.at("--schedule");
  return spec;
}

// All groups take a step, then all again in the other order, and so on; `each` sees a round's steps.
void in_turns(const std::vector<ForkedGroup*>& groups, const Options& options,
              const std::function<void(const std::vector<GroupStep>&)>& each) {
  std::vector<GroupStep> steps(groups.size());
  const SystemClock clock;
  const Time begin = clock.now();
  for (int64_t round = -2; round < number(options, "--rounds"); ++round) {  // two to warm up
    if (round > 0 && to_seconds(clock.now() - begin) > static_cast<double>(number(options, "--seconds"))) return;
    for (size_t i = 0; i < groups.size(); ++i) {
      const size_t at = round % 2 == 0 ? i : groups.size() - 1 - i;
      steps[at] = groups[at]->step(number(options, "--steps"));
    }
    if (round >= 0) each(steps);
  }
}

bool within(bool good, const char* bar) {
  std::printf("  bar: %s: %s\n", bar, good ? "within" : "MISSED");
  return good;
}

// Two groups' steps side by side.
struct Pair {
  std::vector<double> first, second, ratios, processor, tail;  // of a round; tail: of the second, milliseconds

  void add(const GroupStep& a, const GroupStep& b) {
    first.push_back(a.seconds);
    second.push_back(b.seconds);
    ratios.push_back(b.seconds / a.seconds);
    processor.push_back(b.processor / a.processor);
    tail.push_back(1e3 * b.tail);
  }
  void print(const char* a, const char* b) const {
    std::printf("  %s: %s s, best %.4f\n  %s: %s s, best %.4f\n", a, spread(first, 4).c_str(), quantile(first, 0), b,
                spread(second, 4).c_str(), quantile(second, 0));
    std::printf("  ratio of a round: %s, of the best %.4f\n  ratio of processor time: %s\n", spread(ratios, 4).c_str(),
                quantile(second, 0) / quantile(first, 0), spread(processor, 4).c_str());
    std::printf("  after the last gradient: %s ms\n", spread(tail, 1).c_str());
  }
};

bool measure_overhead(const Options& options) {
  const JobSpec spec = job(options);
  ForkedGroup plain(spec, {.threads = 2, .plain = true}), group(spec, {.threads = 2});
  Pair pair;
  in_turns({&plain, &group}, options, [&](const std::vector<GroupStep>& s) { pair.add(s[0], s[1]); });
  std::printf("1x1, two threads, a step through the shards beside the plain one\n");
  pair.print("plain", "shards");
  return within(quantile(pair.ratios, 0.5) <= kOverheadBar, "at most 1.01 of the plain step");
}

bool measure_replicas(const Options& options) {
  const JobSpec spec = job(options);
  ForkedGroup one(spec, {.threads = 2}), two(spec, {.replicas = 2, .threads = 1});
  Pair pair;
  in_turns({&one, &two}, options, [&](const std::vector<GroupStep>& s) { pair.add(s[0], s[1]); });
  std::printf("1x2 with one thread each beside 1x1 with two\n");
  pair.print("1x1", "1x2");
  return within(quantile(pair.ratios, 0.5) <= 1 / kReplicasBar, "at least 0.90 of the tokens per second");
}

bool measure_stages(const Options& options) {
  const JobSpec spec = job(options);
  ForkedGroup one(spec, {.threads = 2}), two(spec, {.stages = 2, .threads = 1});
  const auto kind = parse_pipeline_kind(spec.parallel.schedule);
  STRAND_CHECK(kind.ok());
  const auto schedule =
      make_schedule(*kind, {2, 1, static_cast<int>(spec.train.lanes * spec.train.micro_batches_per_lane)});
  STRAND_CHECK(schedule.ok());
  std::vector<double> measured, simulated, ratios, passes, tail, against_one;
  in_turns({&one, &two}, options, [&](const std::vector<GroupStep>& s) {
    const MemberStep &first = s[1].members[0], &last = s[1].members[1];
    const auto expected = simulate(*schedule, {first.instructions, last.instructions}, LinkModel{});
    STRAND_CHECK(expected.ok() && expected->deadlock.empty());
    const double pass = std::max(first.last_pass, last.last_pass);
    measured.push_back(s[1].seconds);
    simulated.push_back(expected->makespan);
    ratios.push_back(s[1].seconds / expected->makespan);
    passes.push_back(pass / expected->makespan);
    tail.push_back(1e3 * s[1].tail);
    against_one.push_back(s[0].seconds / s[1].seconds);
  });
  std::printf("2x1 with one thread each, %s\n  measured step: %s s\n  simulated with its instruction times: %s s\n",
              spec.parallel.schedule.c_str(), spread(measured, 4).c_str(), spread(simulated, 4).c_str());
  std::printf("  ratio of a step: %s\n  of its pass alone: %s\n  after the pass: %s ms\n", spread(ratios, 4).c_str(),
              spread(passes, 4).c_str(), spread(tail, 1).c_str());
  std::printf("  tokens per second, 2x1 / 1x1 with two threads: %s\n", spread(against_one, 4).c_str());
  return within(quantile(ratios, 0.5) <= kStagesBar, "at most 1.10");
}

void measure_pulls(const Options& options) {
  const JobSpec spec = job(options);
  ForkedGroup one(spec, {.threads = 2}), four(spec, {.replicas = 4, .threads = 1}, /*count=*/true);
  Pair pair;
  in_turns({&one, &four}, options, [&](const std::vector<GroupStep>& s) { pair.add(s[0], s[1]); });
  std::printf("1x4 with one thread each beside 1x1 with two\n");
  pair.print("1x1", "1x4");
  const auto pulled = static_cast<double>(four.counted().at("range_data").bytes);
  std::printf("  weights pulled: %.1f%% of their bytes while the receiver's first blocks computed already\n",
              100 * static_cast<double>(four.pulled_in_passes()) / pulled);
}

// Steps with few rows.
bool count_messages(const Options& options, GroupShape shape) {
  constexpr int kSteps = 20;
  JobSpec spec = job(options);
  spec.train.lanes = 8;
  spec.train.micro_batch = 1;
  spec.train.micro_batches_per_lane = 1;
  spec.data.segment = 64;
  ForkedGroup group(spec, shape, /*count=*/true);
  const auto settle = [] { std::this_thread::sleep_for(std::chrono::milliseconds(300)); };
  group.step();
  settle();
  const auto before = group.counted();
  for (int i = 0; i < kSteps; ++i) group.step();
  settle();
  const auto after = group.counted();
  std::printf("%dx%d, %d workers, messages and kilobytes a step:", shape.stages, shape.replicas,
              shape.stages * shape.replicas);
  for (const auto& [name, count] : after) {
    const uint64_t messages = count.messages - before.at(name).messages, bytes = count.bytes - before.at(name).bytes;
    if (messages == 0) continue;
    std::printf("  %s %.2f (%.1f)", name.c_str(), static_cast<double>(messages) / kSteps,
                1e-3 * static_cast<double>(bytes) / kSteps);
  }
  const auto told = [&](const char* name) { return after.at(name).messages - before.at(name).messages; };
  const uint64_t others = static_cast<uint64_t>(shape.stages * shape.replicas - 1) * kSteps;
  const bool good = told("partial_norms") == others && told("global_norm") == others;
  std::printf("%s\n", good ? "" : "  NOT one of each a worker for the norm");
  return good;
}

int run(const Options& options) {
  const std::string only = options.at("--only");
  bool good = true;
  if (only.empty() || only == "overhead") good = measure_overhead(options) && good;
  if (only.empty() || only == "replicas") good = measure_replicas(options) && good;
  if (only.empty() || only == "stages") good = measure_stages(options) && good;
  if (only == "pulls") measure_pulls(options);
  if (only.empty() || only == "messages") {
    for (const auto& [stages, replicas] :
         {std::pair{1, 1}, {1, 2}, {1, 4}, {1, 8}, {2, 1}, {4, 1}, {8, 1}, {2, 2}, {2, 4}}) {
      good = count_messages(options, {.stages = stages, .replicas = replicas}) && good;
    }
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace strand

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  strand::Options options = {{"--rounds", "11"},           {"--seconds", "3600"},  {"--steps", "1"},
                             {"--preset", "omni-dna-20m"}, {"--vocabulary", "16"}, {"--lanes", "4"},
                             {"--micro-batches", "4"},     {"--schedule", "1f1b"}, {"--only", ""}};
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc || options.count(argv[i]) == 0) {
      std::fprintf(stderr, "unknown option or missing value: %s\n", argv[i]);
      return 2;
    }
    options[argv[i]] = argv[i + 1];
  }
  return strand::run(options);
}
