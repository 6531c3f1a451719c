// The command line: one function per group of commands adds them to the parser. CLI11 stays in this folder.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "shared/base/result.h"
#include "shared/net/transport.h"

namespace strand {

// --keys and --allow: the same for every command that listens or connects (keys_command.cpp).
struct KeyOptions {
  std::string keys;   // a secret key's file, or the folder of strand keys new
  std::string allow;  // the list of public keys
};
using TransportMaker = std::function<std::unique_ptr<Transport>()>;

// What a parsed command does; its Result<int> is the exit code. The last one set runs.
struct Chosen {
  std::function<Result<int>()> run;
  bool json = false;  // --json: one document on stdout, everything else on stderr
  KeyOptions keys;
  // Set before `run` is called. Between workers frames may be larger.
  TransportMaker make_transport, make_peer_transport;
};

// strand run
void add_run_command(CLI::App& app, Chosen* chosen);
// strand finetune
void add_finetune_command(CLI::App& app, Chosen* chosen);
// strand coordinator | dataserver | worker
void add_daemon_commands(CLI::App& app, Chosen* chosen);
// strand submit | jobs | show | wait | logs | cancel | pause | resume | priority | metrics
void add_client_commands(CLI::App& app, Chosen* chosen);
// strand keys new
void add_keys_commands(CLI::App& app, Chosen* chosen);
// strand data audit, into the group of strand data
void add_audit_command(CLI::App& group, Chosen* chosen);
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
void add_key_options(CLI::App* command, Chosen* chosen);
// Reads the files, once. Without options: transports without keys.
Result<TransportMaker> transport_maker(const KeyOptions& options, int64_t max_frame);

// stop flag set by SIGINT and SIGTERM; the second signal ends the process at once.
const std::atomic<bool>& stop_on_signals();

}  // namespace strand
