// The client commands of the command line. Each prints to `out` (one JSON document with `json`, a table otherwise; what
// happens meanwhile goes to `progress`) and returns the process's exit code, or the error to be shown.
#pragma once

#include <atomic>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "coordinator/client/client.h"

namespace strand {

// Which coordinator, and how to print.
struct CommandOptions {
  std::string endpoint;  // empty: the one that runs in `directory`
  std::string directory;
  Duration timeout = std::chrono::seconds(10);
  bool json = false;
  std::function<std::unique_ptr<Transport>()> make_transport;  // empty: ZeroMQ without keys
  const std::atomic<bool>* stop = nullptr;                     // Ctrl-C: waiting ends with exit code 3
};
struct CommandStreams {
  std::ostream& out;
  std::ostream& progress;
};

struct SubmitOptions {
  CommandOptions common;
  std::string job_file;
  std::vector<std::string> sets;
  std::string run_directory;  // empty: <coordinator's directory>/<job name>-<id>
  bool resume = false;
  bool follow = false;  // print events until the job rests; its exit code
};
Result<int> submit_command(const SubmitOptions& options, CommandStreams streams);

Result<int> jobs_command(const CommandOptions& options, CommandStreams streams);
Result<int> workers_command(const CommandOptions& options, CommandStreams streams);
// `job` is a number or a name everywhere.
Result<int> show_command(const CommandOptions& options, const std::string& job, CommandStreams streams);
// Until the job rests; its exit code (0 done, 2 bad input, 3 stopped or paused, 4 given up or cancelled).
Result<int> wait_command(const CommandOptions& options, const std::string& job, CommandStreams streams);
// command: "cancel", "pause", "resume" or "stop".
Result<int> change_command(const CommandOptions& options, const std::string& command, const std::string& job,
                           CommandStreams streams);
Result<int> priority_command(const CommandOptions& options, const std::string& job, int64_t priority,
                             CommandStreams streams);

struct LogsOptions {
  CommandOptions common;
  std::string job;  // or
  std::string run_directory;
  bool follow = false;  // until Ctrl-C or the job rests
};
Result<int> logs_command(const LogsOptions& options, CommandStreams streams);

struct MetricsOptions {
  CommandOptions common;
  std::string job;            // or
  std::string run_directory;  // offline; both empty: the coordinator's counters
  int64_t last = 0;           // newest records only; 0: all (with json) or 20
};
Result<int> metrics_command(const MetricsOptions& options, CommandStreams streams);

struct CheckpointOptions {
  CommandOptions common;
  std::string job;            // through the coordinator, or
  std::string run_directory;  // offline
  int64_t step = -1;          // verify: only this one; -1: all
};
Result<int> checkpoint_list_command(const CheckpointOptions& options, CommandStreams streams);
// Reads every byte; exit code 2 when any checkpoint is damaged or none is there.
Result<int> checkpoint_verify_command(const CheckpointOptions& options, CommandStreams streams);

struct ShutdownOptions {
  CommandOptions common;
  bool leave_jobs = false;  // workers train on and are found again by the next coordinator
};
Result<int> shutdown_command(const ShutdownOptions& options, CommandStreams streams);

// Pieces `strand run` uses.
// Waits until the job rests, calling `each` with every new `show`; a coordinator that is away for less than `patience`
// is waited for. kStopped when options.stop is set.
Result<Json> wait_for_job(CoordinatorClient& client, const CommandOptions& options, uint64_t job, Duration poll,
                          Duration patience, const std::function<void(const Json& show)>& each);
Result<std::unique_ptr<CoordinatorClient>> connect_client(const CommandOptions& options);

}  // namespace strand
