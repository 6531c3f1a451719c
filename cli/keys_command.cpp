#include <cstdio>
#include <filesystem>

#include "cli/commands.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "shared/security/key_files.h"

namespace strand {
namespace {

struct NewKeys {
  std::string directory = "keys";
  std::vector<std::string> hosts;
  bool json = false;
};

// Only the owner may look into the folder; one that is there stays as it is.
Status make_folder(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::is_directory(path, error)) return {};
  fs::create_directories(path, error);
  if (!error) fs::permissions(path, fs::perms::owner_all, error);
  if (error) return bad_input(concat("cannot make the folder ", path, ": ", error.message()));
  return {};
}

Result<int> new_keys(const NewKeys& options) {
  STRAND_TRY(make_folder(options.directory));
  const std::string path = options.directory + "/" + kKeyFile;
  STRAND_ASSIGN(const CurvePair pair, new_key_files(path, options.hosts));
  if (options.json) {
    const Json document = {{"secret", path}, {"public", path + ".pub"}, {"public_key", pair.public_key}};
    std::printf("%s\n", dump_json(document).c_str());
    return 0;
  }
  std::printf("secret key  %s  (keep it here: for --keys)\n", path.c_str());
  std::printf("public key  %s.pub  (into the cluster's list: for --allow)\n", path.c_str());
  return 0;
}

}  // namespace

void add_key_options(CLI::App* command, Chosen* chosen) {
  command->add_option("--keys", chosen->keys.keys,
                      "this machine's secret key: the folder of strand keys new, or the file");
  command->add_option("--allow", chosen->keys.allow, "the cluster's list of public keys (docs/security.md)");
}

Result<TransportMaker> transport_maker(const KeyOptions& options, int64_t max_frame) {
  if (options.keys.empty() && options.allow.empty()) {
    return TransportMaker([max_frame] { return make_zmq_transport(std::nullopt, max_frame); });
  }
  if (options.keys.empty()) return bad_input("--allow needs --keys: this machine's own secret key (strand keys new)");
  if (options.allow.empty()) return bad_input("--keys needs --allow: the file with the cluster's public keys");
  STRAND_ASSIGN(const CurveKeys keys, load_curve_keys(options.keys, options.allow));
  return TransportMaker([keys, max_frame] { return make_zmq_transport(keys, max_frame); });
}

void add_keys_commands(CLI::App& app, Chosen* chosen) {
  CLI::App* group = add_command(app, "keys", "Keys for clusters of several machines", "strand keys new --dir keys");
  group->require_subcommand(1);
  auto options = std::make_shared<NewKeys>();
  CLI::App* command =
      add_command(*group, "new", "A key pair for this machine: a secret file of mode 0600 and a public one beside it",
                  "strand keys new --dir keys --host 10.0.0.1");
  command->add_option("--dir", options->directory, "the folder; made when absent. Keys in it are never overwritten");
  command->add_option("--host", options->hosts,
                      "names or addresses that others reach this machine by: written behind the public key");
  add_json_flag(command, chosen);
  command->callback([options, chosen] {
    options->json = chosen->json;
    chosen->run = [options] { return new_keys(*options); };
  });
}

}  // namespace strand
