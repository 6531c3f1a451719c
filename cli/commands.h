// The command line: one function per group of commands adds them to the parser. CLI11 stays in this folder.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "shared/base/result.h"

namespace strand {

// What a parsed command does; its Result<int> is the exit code. The last one set runs.
struct Chosen {
  std::function<Result<int>()> run;
  bool json = false;  // --json: one document on stdout, everything else on stderr
};

// strand run
void add_run_command(CLI::App& app, Chosen* chosen);
// strand finetune
void add_finetune_command(CLI::App& app, Chosen* chosen);
// strand coordinator | dataserver | worker
void add_daemon_commands(CLI::App& app, Chosen* chosen);
// strand submit | jobs | show | wait | logs | cancel | pause | resume | priority | metrics
void add_client_commands(CLI::App& app, Chosen* chosen);
// strand data ... | tokenizer ...
void add_data_commands(CLI::App& app, Chosen* chosen);
// strand import | export
void add_weights_commands(CLI::App& app, Chosen* chosen);
// strand embed
void add_embed_command(CLI::App& app, Chosen* chosen);
// strand score
void add_score_command(CLI::App& app, Chosen* chosen);
// strand generate
void add_generate_command(CLI::App& app, Chosen* chosen);
// strand predict
void add_predict_command(CLI::App& app, Chosen* chosen);
// strand job check | checkpoint list|verify | digest | evaluate | doctor
void add_inspect_commands(CLI::App& app, Chosen* chosen);

// A subcommand with its example, shown by --help.
CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& what, const std::string& example);
void add_json_flag(CLI::App* command, Chosen* chosen);

// stop flag set by SIGINT and SIGTERM; the second signal ends the process at once.
const std::atomic<bool>& stop_on_signals();

}  // namespace strand
