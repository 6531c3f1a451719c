#include <unistd.h>

#include "cli/commands.h"
#include "coordinator/daemon.h"
#include "dataserver/daemon.h"
#include "shared/base/log.h"
#include "shared/fs/file_system.h"
#include "shared/net/transport.h"
#include "worker/daemon.h"

namespace strand {
namespace {

Result<int> as_exit_code(const Status& status) {
  if (!status.ok()) return status.error();
  return 0;
}

Status start_log(const std::string& role, const std::string& directory) {
  if (directory.empty()) {
    init_log(role, "", LogLevel::kInfo, LogLevel::kInfo);
    return {};
  }
  STRAND_TRY(make_posix_file_system()->make_directories(directory + "/logs"));
  // Somebody who started it by hand wants to see that it listens.
  const LogLevel terminal = isatty(STDERR_FILENO) != 0 ? LogLevel::kInfo : LogLevel::kError;
  init_log(role, concat(directory, "/logs/", role, ".log"), LogLevel::kInfo, terminal);
  return {};
}

void add_worker(CLI::App& app, Chosen* chosen) {
  struct Options {
    WorkerOptions worker;
    std::string directory, name = "worker";
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, "worker", "A worker: owns a device, trains what the coordinator assigns",
                                  "strand worker --coordinator tcp://10.0.0.1:7000 --bind tcp://10.0.0.2:7002");
  command->add_option("--coordinator", options->worker.coordinator, "the coordinator's endpoint")->required();
  command->add_option("--id", options->worker.worker_id, "this worker's id for ever; default: drawn at random");
  command->add_option("--threads", options->worker.threads, "compute threads; default: as the job says, else all cores")
      ->check(CLI::NonNegativeNumber);
  command->add_option(
      "--bind", options->worker.endpoint,
      "where other workers reach this one: ipc:///path or tcp://host:port; default: nowhere, it trains alone");
  command->add_option("--dir", options->directory, "where logs/NAME.log goes; default: stderr");
  command->add_option("--name", options->name, "of its log, where several workers have one --dir; default: worker");
  add_key_options(command, chosen);
  command->callback([options, chosen] {
    chosen->run = [options, chosen]() -> Result<int> {
      STRAND_TRY(start_log(options->name, options->directory));
      options->worker.stop = &stop_on_signals();
      options->worker.make_transport = chosen->make_transport;
      options->worker.make_peer_transport = chosen->make_peer_transport;
      return as_exit_code(run_worker(options->worker));
    };
  });
}

void add_coordinator(CLI::App& app, Chosen* chosen) {
  auto options = std::make_shared<CoordinatorOptions>();
  CLI::App* command =
      add_command(app, "coordinator", "The coordinator: job queue, membership, checkpoint catalogue, metrics",
                  "strand coordinator --bind tcp://127.0.0.1:7000 --dir cluster --data tcp://127.0.0.1:7001");
  command->add_option("--bind", options->endpoint, "where it listens: ipc:///path or tcp://host:port")->required();
  command->add_option("--dir", options->directory, "journal and runs; one file system seen by all machines")
      ->required();
  command->add_option("--data", options->data_endpoints, "endpoints of data servers, handed to workers");
  command->add_option("--http", options->http, "serve /metrics, /jobs and /healthz there, e.g. 127.0.0.1:9100");
  add_key_options(command, chosen);
  command->callback([options, chosen] {
    chosen->run = [options, chosen]() -> Result<int> {
      STRAND_TRY(start_log("coordinator", options->directory));
      options->stop = &stop_on_signals();
      options->make_transport = chosen->make_transport;
      return as_exit_code(run_coordinator(*options));
    };
  });
}

void add_dataserver(CLI::App& app, Chosen* chosen) {
  auto options = std::make_shared<DataServerOptions>();
  CLI::App* command = add_command(app, "dataserver", "A data server: streams tokenized genome segments",
                                  "strand dataserver --bind tcp://127.0.0.1:7001 --dir cluster");
  command->add_option("--bind", options->endpoint, "where it listens: ipc:///path or tcp://host:port")->required();
  command->add_option("--dir", options->run_directory, "where the store is")->required();
  command->add_option("--http", options->http, "serve /metrics and /healthz there, e.g. 127.0.0.1:9101");
  auto name = std::make_shared<std::string>("dataserver");
  command->add_option("--name", *name, "of its log, where several servers have one --dir; default: dataserver");
  add_key_options(command, chosen);
  command->callback([options, name, chosen] {
    chosen->run = [options, name, chosen]() -> Result<int> {
      STRAND_TRY(start_log(*name, options->run_directory));
      options->stop = &stop_on_signals();
      options->make_transport = chosen->make_transport;
      return as_exit_code(run_dataserver(*options));
    };
  });
}

}  // namespace

void add_daemon_commands(CLI::App& app, Chosen* chosen) {
  add_coordinator(app, chosen);
  add_dataserver(app, chosen);
  add_worker(app, chosen);
}

}  // namespace strand
