// A small job for groups of workers, and what its runs leave behind: digests, step records, logs.
#pragma once

#include <functional>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "tests/e2e/process.h"

namespace strand::e2e {

using Words = std::vector<std::string>;

// job.toml and its genome in `folder`: 8 blocks, 4 lanes of 4 micro batches, a checkpoint every 20 steps, one thread.
void write_group_job(const std::string& folder, int steps);
// Options of `strand run` for a shape; as many workers as it has.
Words shape(int stages, int replicas);
Words operator+(Words first, const Words& more);

struct Digests {
  std::string digest, state;
  bool operator==(const Digests&) const = default;
};
void PrintTo(const Digests& d, std::ostream* out);
// What a finished `strand run --json` printed; empty when it failed.
Digests digests_of(const Process& process);

// False when it did not come to hold.
bool within(std::chrono::milliseconds limit, const std::function<bool()>& holds);

// metrics.jsonl, in order.
std::vector<Json> step_records(const std::string& run_directory);
// The step of the last record; 0 when there is none.
int newest_step(const std::string& run_directory);
// Waits until that step is recorded; false when the process has ended before, or for 60 s there was no new step.
bool reaches(Process& process, const std::string& run_directory, int step);

// One line of a log of DIR/logs.
struct LogLine {
  double time = 0;  // seconds of the wall clock
  std::string role, event;
  std::map<std::string, std::string> fields;
  double number(const std::string& field) const;  // -1: not there
};
std::vector<LogLine> log_lines(const std::string& path);

// Of the coordinator that `strand run` started for this run directory; empty as long as there is none.
std::string coordinator_endpoint(const std::string& run_directory);
// One more worker of the run, in a process group of its own. Reached by the others through a socket of the run's own
// folder; its log is logs/NAME.log.
Process join_run(const std::string& folder, const std::string& run_directory, const std::string& name, int id);

}  // namespace strand::e2e
