#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>

#include "cli/commands.h"
#include "shared/base/log.h"
#include "shared/base/version.h"
#include "shared/formats/json.h"
#include "worker/group/peer_hub.h"

namespace strand {
namespace {

std::atomic<bool> stop_requested{false};

void on_signal(int) {
  if (stop_requested.exchange(true)) _exit(130);
}

void print_error(const Error& error, bool json) {
  std::fprintf(stderr, "strand: %s\n", error.message().c_str());
  if (!json) return;
  const Json document = {{"error", error_code_name(error.code())}, {"message", error.message()}};
  std::printf("%s\n", document.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
}

}  // namespace

CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& what, const std::string& example) {
  CLI::App* command = parent.add_subcommand(name, what);
  command->footer("example: " + example);
  return command;
}

void add_json_flag(CLI::App* command, Chosen* chosen) {
  command->add_flag("--json", chosen->json, "one JSON document on stdout, everything else on stderr");
}

const std::atomic<bool>& stop_on_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  // A supervised child ignores SIGINT (Ctrl-C reaches the whole group); leave that as it is.
  struct sigaction previous {};
  sigaction(SIGINT, nullptr, &previous);
  if (previous.sa_handler != SIG_IGN) sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  return stop_requested;
}

static Result<int> run_chosen(Chosen* chosen) {
  STRAND_ASSIGN(chosen->make_transport, transport_maker(chosen->keys, kMaxTransportFrame));
  STRAND_ASSIGN(chosen->make_peer_transport, transport_maker(chosen->keys, kMaxPeerFrame));
  return chosen->run();
}

static int run_main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  CLI::App app("Strand trains genome language models: on this machine or many, with the same job file.");
  app.footer("start here: strand run examples/ecoli/quickstart.toml\nevery command has --help with an example");
  app.set_version_flag("--version", kStrandVersion);
  app.require_subcommand(1);
  Chosen chosen;
  add_run_command(app, &chosen);
  add_finetune_command(app, &chosen);
  add_client_commands(app, &chosen);
  add_data_commands(app, &chosen);
  add_weights_commands(app, &chosen);
  add_embed_command(app, &chosen);
  add_score_command(app, &chosen);
  add_generate_command(app, &chosen);
  add_predict_command(app, &chosen);
  add_inspect_commands(app, &chosen);
  add_daemon_commands(app, &chosen);
  add_keys_commands(app, &chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;  // --help and --version are fine; a wrong command line is bad input
  }
  Result<int> result = run_chosen(&chosen);
  flush_log();
  if (result.ok()) return *result;
  print_error(result.error(), chosen.json);
  return exit_code(result.error());
}

}  // namespace strand

int main(int argc, char** argv) {
  return strand::run_main(argc, argv);
}
