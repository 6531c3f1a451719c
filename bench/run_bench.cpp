// What checkpoints and data cost a whole run of the 20M shape: pairs of real runs, saving every 10 steps and never,
// alternating, and what the step records say about waiting.
//   build/release/run_bench [pairs] [steps]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "tests/e2e/process.h"

namespace strand::e2e {
namespace {

struct RunTimes {
  double step_seconds = 0, data_wait = 0, worst_save = 0;
  int saves = 0;
};

// Sums over the steps after the first five (caches and page faults).
RunTimes read_records(const std::string& path) {
  RunTimes times;
  std::ifstream in(path);
  std::string line;
  while (std::getline(in, line)) {
    const auto record = parse_json(line, path);
    if (!record.ok() || !record->contains("step_seconds") || record->at("step").get<int>() <= 5) continue;
    times.step_seconds += record->at("step_seconds").get<double>();
    times.data_wait += record->at("data_wait_seconds").get<double>();
    const double save = record->at("checkpoint_wait_seconds").get<double>();
    times.worst_save = std::max(times.worst_save, save);
    times.saves += save > 0;
  }
  return times;
}

RunTimes measure(const std::string& folder, const std::string& tag, int every, int steps) {
  const std::string directory = folder + "/" + tag;
  const Process process = run(
      folder, tag,
      {"run", STRAND_QUICKSTART, "--dir", directory, "--json", "--set", "train.steps=" + std::to_string(steps), "--set",
       "train.warmup=10", "--set", "evaluate.every=0", "--set", "checkpoint.every=" + std::to_string(every)},
      std::chrono::minutes(10));
  if (process.exit_code() != 0) {
    std::fprintf(stderr, "the run failed: %s\n", process.err().c_str());
    std::exit(1);
  }
  return read_records(directory + "/metrics.jsonl");
}

int bench(int pairs, int steps) {
  const TemporaryFolder folder;
  std::vector<double> ratios;
  double worst_save = 0, worst_data = 0;
  std::printf("pair  never: s  every 10: s  longer  worst wait for a save  wait for data\n");
  for (int pair = 0; pair < pairs; ++pair) {
    const std::string tag = std::to_string(pair);
    const RunTimes without = measure(folder.path(), "never-" + tag, 0, steps);
    const RunTimes with = measure(folder.path(), "often-" + tag, 10, steps);
    ratios.push_back(with.step_seconds / without.step_seconds);
    worst_save = std::max(worst_save, with.worst_save);
    worst_data = std::max({worst_data, with.data_wait / with.step_seconds, without.data_wait / without.step_seconds});
    std::printf("%4d  %8.2f  %11.2f  %+5.1f%%  %18.1f ms  %11.3f%%\n", pair, without.step_seconds, with.step_seconds,
                100 * (ratios.back() - 1), 1000 * with.worst_save, 100 * with.data_wait / with.step_seconds);
    std::fflush(stdout);
  }
  std::sort(ratios.begin(), ratios.end());
  std::printf("median: %+.1f%% longer; worst wait for a save %.1f ms; worst share of waiting for data %.3f%%\n",
              100 * (ratios[ratios.size() / 2] - 1), 1000 * worst_save, 100 * worst_data);
  return 0;
}

}  // namespace
}  // namespace strand::e2e

int main(int argc, char** argv) {
  return strand::e2e::bench(argc > 1 ? std::atoi(argv[1]) : 3, argc > 2 ? std::atoi(argv[2]) : 105);
}
