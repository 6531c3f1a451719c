#include <iostream>

#include "cli/commands.h"
#include "coordinator/client/commands.h"
#include "shared/base/text.h"

namespace strand {
namespace {

CommandStreams streams() {
  return {std::cout, std::cerr};
}

// Which coordinator, and --json: the same for all.
void add_common(CLI::App* command, CommandOptions* common, Chosen* chosen) {
  command->add_option("--coordinator", common->endpoint, "its endpoint; default: the one that runs in --dir");
  command->add_option("--dir", common->directory,
                      "the coordinator's directory (--dir of strand run or strand coordinator)");
  add_key_options(command, chosen);
  add_json_flag(command, chosen);
}

void finish(CommandOptions* common, const Chosen* chosen) {
  common->json = chosen->json;
  common->stop = &stop_on_signals();
  common->make_transport = [chosen] { return chosen->make_transport(); };
}

void add_submit(CLI::App& app, Chosen* chosen) {
  auto options = std::make_shared<SubmitOptions>();
  CLI::App* command = add_command(app, "submit", "Hand a job to a running coordinator",
                                  "strand submit job.toml --coordinator tcp://10.0.0.1:7000 --follow");
  command->add_option("job", options->job_file, "the job file")->required();
  command->add_option("--set", options->sets, "key=value, over the job file; may be repeated")->allow_extra_args(false);
  command->add_option("--run-dir", options->run_directory,
                      "where the run lives; default: <coordinator's --dir>/<job>-<id>");
  command->add_flag("--resume", options->resume, "go on with the run in that directory");
  command->add_flag("--follow", options->follow, "show what happens until the job rests; its exit code");
  add_common(command, &options->common, chosen);
  command->callback([options, chosen] {
    finish(&options->common, chosen);
    chosen->run = [options] { return submit_command(*options, streams()); };
  });
}

struct JobCommand {
  CommandOptions common;
  std::string job;
  int64_t priority = 0;
};

using JobAction = std::function<Result<int>(const JobCommand&)>;

CLI::App* add_job_command(CLI::App& app, Chosen* chosen, const std::string& name, const std::string& what,
                          const std::string& example, const JobAction& action,
                          std::shared_ptr<JobCommand> options = nullptr) {
  if (!options) options = std::make_shared<JobCommand>();
  CLI::App* command = add_command(app, name, what, example);
  command->add_option("job", options->job, "its number or name")->required();
  add_common(command, &options->common, chosen);
  command->callback([options, chosen, action] {
    finish(&options->common, chosen);
    chosen->run = [options, action] { return action(*options); };
  });
  return command;
}

void add_job_commands(CLI::App& app, Chosen* chosen) {
  add_job_command(app, chosen, "show", "Everything about one job", "strand show ecoli --dir cluster",
                  [](const JobCommand& c) { return show_command(c.common, c.job, streams()); });
  add_job_command(app, chosen, "wait", "Wait until a job rests; its exit code", "strand wait 3 --dir cluster",
                  [](const JobCommand& c) { return wait_command(c.common, c.job, streams()); });
  const auto change = [&](const std::string& name, const std::string& what) {
    add_job_command(app, chosen, name, what, concat("strand ", name, " ecoli --dir cluster"),
                    [name](const JobCommand& c) { return change_command(c.common, name, c.job, streams()); });
  };
  change("cancel", "End a job for good, without a checkpoint");
  change("pause", "Stop a job with a checkpoint and free its workers");
  change("resume", "Queue a paused, stopped or failed job again");
  auto options = std::make_shared<JobCommand>();
  CLI::App* priority = add_job_command(
      app, chosen, "priority", "Change a job's place in the queue; larger goes first",
      "strand priority ecoli 10 --dir cluster",
      [](const JobCommand& c) { return priority_command(c.common, c.job, c.priority, streams()); }, options);
  priority->add_option("priority", options->priority, "a whole number")->required();
}

// What needs nothing but the coordinator.
void add_list(CLI::App& app, Chosen* chosen, const char* name, const char* what, const char* example,
              Result<int> (*list)(const CommandOptions&, CommandStreams)) {
  auto options = std::make_shared<CommandOptions>();
  CLI::App* command = add_command(app, name, what, example);
  add_common(command, options.get(), chosen);
  command->callback([options, chosen, list] {
    finish(options.get(), chosen);
    chosen->run = [options, list] { return list(*options, streams()); };
  });
}

void add_logs(CLI::App& app, Chosen* chosen) {
  auto options = std::make_shared<LogsOptions>();
  CLI::App* command =
      add_command(app, "logs", "What the processes of a run wrote", "strand logs --run-dir runs/ecoli-quickstart -f");
  command->add_option("job", options->job, "its number or name, or");
  command->add_option("--run-dir", options->run_directory, "its run directory");
  command->add_flag("-f,--follow", options->follow, "go on until the job rests");
  add_common(command, &options->common, chosen);
  command->callback([options, chosen] {
    finish(&options->common, chosen);
    chosen->run = [options] { return logs_command(*options, streams()); };
  });
}

void add_metrics(CLI::App& app, Chosen* chosen) {
  auto options = std::make_shared<MetricsOptions>();
  CLI::App* command = add_command(app, "metrics", "Step records of a run, or the coordinator's counters",
                                  "strand metrics --run-dir runs/ecoli-quickstart --last 5");
  command->add_option("job", options->job, "its number or name, or");
  command->add_option("--run-dir", options->run_directory, "its run directory, without a coordinator");
  command->add_option("--last", options->last, "only the newest records");
  add_common(command, &options->common, chosen);
  command->callback([options, chosen] {
    finish(&options->common, chosen);
    chosen->run = [options] { return metrics_command(*options, streams()); };
  });
}

void add_checkpoint(CLI::App& app, Chosen* chosen) {
  CLI::App* group =
      add_command(app, "checkpoint", "Checkpoints of a run", "strand checkpoint list runs/ecoli-quickstart");
  group->require_subcommand(1);
  const auto add = [&](const std::string& name, const std::string& what, auto action) {
    auto options = std::make_shared<CheckpointOptions>();
    CLI::App* command = add_command(*group, name, what, concat("strand checkpoint ", name, " runs/ecoli-quickstart"));
    command->add_option("run", options->run_directory, "a run directory");
    command->add_option("--job", options->job, "a job's number or name, through its coordinator");
    if (name == "verify") command->add_option("--step", options->step, "only this one");
    add_common(command, &options->common, chosen);
    command->callback([options, chosen, action] {
      finish(&options->common, chosen);
      chosen->run = [options, action] { return action(*options, streams()); };
    });
  };
  add("list", "Steps, sizes, digests", checkpoint_list_command);
  add("verify", "Read every byte of every checkpoint and check it", checkpoint_verify_command);
}

void add_shutdown(CLI::App& app, Chosen* chosen) {
  auto options = std::make_shared<ShutdownOptions>();
  CLI::App* command = add_command(app, "shutdown", "Stop a coordinator; its jobs stop with checkpoints",
                                  "strand shutdown --dir cluster");
  command->add_flag("--leave-jobs", options->leave_jobs,
                    "workers train on and are found again by the next coordinator");
  add_common(command, &options->common, chosen);
  command->callback([options, chosen] {
    finish(&options->common, chosen);
    chosen->run = [options] { return shutdown_command(*options, streams()); };
  });
}

}  // namespace

void add_client_commands(CLI::App& app, Chosen* chosen) {
  add_submit(app, chosen);
  add_list(app, chosen, "jobs", "All jobs, one a line", "strand jobs --dir cluster", jobs_command);
  add_list(app, chosen, "workers", "All workers, one a line", "strand workers --dir cluster", workers_command);
  add_job_commands(app, chosen);
  add_logs(app, chosen);
  add_metrics(app, chosen);
  add_checkpoint(app, chosen);
  add_shutdown(app, chosen);
}

}  // namespace strand
