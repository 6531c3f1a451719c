#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "cli/commands.h"
#include "cli/progress.h"
#include "coordinator/client/commands.h"
#include "dataserver/commands.h"
#include "shared/base/text.h"

namespace strand {
namespace {

struct AuditCommand {
  std::string run;  // a directory, or a job's number or name
  CommandOptions coordinator;
  DataAuditOptions audit;
};

Result<int> audit(AuditCommand command, bool json) {
  command.audit.run_directory = command.run;
  if (!std::filesystem::is_directory(command.run)) {
    if (command.coordinator.endpoint.empty() && command.coordinator.directory.empty()) {
      return not_found(concat("no run directory ", command.run, "; of a job also name its coordinator (--dir)"));
    }
    STRAND_ASSIGN(const auto client, connect_client(command.coordinator));
    STRAND_ASSIGN(const Json show, client->request("show", {{"job", command.run}}));
    command.audit.run_directory = show.at("run_directory").get<std::string>();
  }
  const SystemClock clock;
  ProgressBar bar(clock, json);
  const Time begin = clock.now();
  command.audit.stop = &stop_on_signals();
  command.audit.progress = [&](uint64_t done, uint64_t total) {
    bar.update(rate_progress(static_cast<int64_t>(done), static_cast<int64_t>(total), "steps",
                             to_seconds(clock.now() - begin)));
  };
  const auto report = data_audit(command.audit);
  bar.finish();
  if (!report.ok()) return report.error();
  std::printf("%s", json ? (report->report.json + "\n").c_str() : report->report.text.c_str());
  return report->agrees ? 0 : 1;
}

}  // namespace

void add_audit_command(CLI::App& group, Chosen* chosen) {
  auto options = std::make_shared<AuditCommand>();
  CLI::App* command =
      add_command(group, "audit",
                  "Whether every step took exactly its rows: the sums that the workers recorded against "
                  "those of the store. Exit code 1: a step differs",
                  "strand data audit runs/ecoli-quickstart");
  command->add_option("run", options->run, "a run directory, or a job's number or name")->required();
  command->add_option("--store", options->audit.store,
                      "the store's folder; default: in the run directory or beside it");
  command->add_option("--threads", options->audit.threads, "default: all cores")->check(CLI::NonNegativeNumber);
  command->add_option("--coordinator", options->coordinator.endpoint, "of a job: its coordinator's endpoint");
  command->add_option("--dir", options->coordinator.directory,
                      "of a job: the directory of the coordinator that has it");
  add_key_options(command, chosen);
  add_json_flag(command, chosen);
  command->callback([options, chosen] {
    options->coordinator.make_transport = [chosen] { return chosen->make_transport(); };
    chosen->run = [options, chosen] { return audit(*options, chosen->json); };
  });
}

}  // namespace strand
