#include <cstdio>
#include <filesystem>

#include "cli/commands.h"
#include "dataserver/tokenizer/open_tokenizer.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "shared/fs/file_system.h"
#include "worker/weights/commands.h"

namespace strand {
namespace {

// What a run keeps of its tokenizer is one file; without the configuration beside it Python guesses the class and
// the special tokens. AIDO.DNA publishes none: its rules are the nucleotide tokenizer's.
Result<std::vector<std::pair<std::string, std::string>>> missing_tokenizer_files(FileSystem& fs,
                                                                                 const std::string& directory,
                                                                                 const std::string& family) {
  std::vector<std::pair<std::string, std::string>> missing;
  std::unique_ptr<Tokenizer> tokenizer;
  if (directory.empty()) {
    if (family != "aido-dna") return missing;
    tokenizer = make_nucleotide_tokenizer();
  } else {
    if (fs.exists(directory + "/tokenizer_config.json")) return missing;
    STRAND_ASSIGN(tokenizer, open_tokenizer(fs, directory));
  }
  for (TokenizerFile& file : tokenizer->files()) {
    if (directory.empty() || !fs.exists(directory + "/" + file.name)) {
      missing.emplace_back(std::move(file.name), std::move(file.content));
    }
  }
  return missing;
}

void print_notes(const std::vector<std::string>& notes) {
  for (const std::string& note : notes) std::printf("note        %s\n", note.c_str());
}

// --- strand import ---------------------------------------------------------------------------------------------------

Result<int> run_import(ImportOptions options, bool json) {
  if (options.run_directory.empty()) {
    const auto name = std::filesystem::absolute(options.directory).lexically_normal();
    options.run_directory = "runs/" + (name.has_filename() ? name : name.parent_path()).filename().string();
  }
  const auto fs = make_posix_file_system();
  options.missing_tokenizer_files = [&fs](const std::string& directory, const std::string& family) {
    return missing_tokenizer_files(*fs, directory, family);
  };
  STRAND_ASSIGN(const ImportedModel model, import_model(*fs, options));
  const std::string absolute = std::filesystem::absolute(model.run_directory).lexically_normal().string();
  const std::string section = model_section(model.config, absolute);
  if (json) {
    const Json document = {{"run", model.run_directory},   {"family", model.family}, {"parameters", model.parameters},
                           {"digest", model.digest.hex()}, {"notes", model.notes},   {"model", section}};
    std::printf("%s\n", dump_json(document).c_str());
    return 0;
  }
  std::printf("run         %s\nfamily      %s\nparameters  %s\ndigest      %s\n", model.run_directory.c_str(),
              model.family.c_str(), with_thousands(model.parameters).c_str(), model.digest.hex().c_str());
  print_notes(model.notes);
  std::printf("\nTo train on from it, a job file's\n\n%s", section.c_str());
  return 0;
}

void add_import(CLI::App& app, Chosen* chosen) {
  auto options = std::make_shared<ImportOptions>();
  CLI::App* command = add_command(app, "import", "Published weights (Hugging Face files) into a run directory",
                                  "strand import models/opt-125m --dir runs/opt-125m");
  command->add_option("directory", options->directory, "config.json beside model.safetensors or pytorch_model.bin")
      ->required();
  command->add_option("--dir", options->run_directory, "where to; default: runs/NAME OF THE DIRECTORY");
  command->add_option("--seed", options->seed, "of a language-model head that the file lacks")
      ->check(CLI::NonNegativeNumber);
  add_json_flag(command, chosen);
  command->callback(
      [options, chosen] { chosen->run = [options, json = chosen->json] { return run_import(*options, json); }; });
}

// --- strand export ---------------------------------------------------------------------------------------------------

struct ExportCommand {
  ExportOptions options;
  std::string format = "hf", dtype = "f32";
};

Result<int> run_export(const ExportCommand& command, bool json) {
  const auto fs = make_posix_file_system();
  ExportOptions options = command.options;
  options.missing_tokenizer_files = [&fs](const std::string& directory, const std::string& family) {
    return missing_tokenizer_files(*fs, directory, family);
  };
  STRAND_ASSIGN(const ExportedModel model, export_model(*fs, options));
  if (json) {
    const Json document = {{"from", model.origin},
                           {"step", model.step},
                           {"directory", command.options.directory},
                           {"family", model.family},
                           {"architecture", model.architecture},
                           {"parameters", model.parameters},
                           {"dtype", command.dtype},
                           {"digest", model.digest.hex()},
                           {"files", model.files},
                           {"notes", model.notes}};
    std::printf("%s\n", dump_json(document).c_str());
    return 0;
  }
  std::printf("from        %s\nto          %s\nopens as    %s\nparameters  %s\ndigest      %s\nfiles       %s\n",
              model.origin.c_str(), command.options.directory.c_str(), model.architecture.c_str(),
              with_thousands(model.parameters).c_str(), model.digest.hex().c_str(), join(model.files, ", ").c_str());
  print_notes(model.notes);
  return 0;
}

void add_export(CLI::App& app, Chosen* chosen) {
  auto command = std::make_shared<ExportCommand>();
  ExportOptions* options = &command->options;
  CLI::App* app_command = add_command(app, "export", "A checkpoint as files that the usual Python libraries load",
                                      "strand export runs/ecoli-quickstart --format hf exported/");
  app_command->add_option("source", options->source, "a run directory, an import, or published weights")->required();
  app_command->add_option("directory", options->directory, "where to; must be absent or empty")->required();
  app_command->add_option("--format", command->format, "hf: config.json, model.safetensors, tokenizer.json")
      ->check(CLI::IsMember({"hf"}));
  app_command->add_option("--step", options->step, "which checkpoint; default: the newest valid one");
  app_command->add_option("--dtype", command->dtype, "f32, or bf16 (rounded)")->check(CLI::IsMember({"f32", "bf16"}));
  app_command->add_option("--shard-bytes", options->shard_bytes, "cut into files of at most this many bytes; 0: one");
  add_json_flag(app_command, chosen);
  app_command->callback([command, chosen] {
    command->options.bf16 = command->dtype == "bf16";
    chosen->run = [command, json = chosen->json] { return run_export(*command, json); };
  });
}

}  // namespace

void add_weights_commands(CLI::App& app, Chosen* chosen) {
  add_import(app, chosen);
  add_export(app, chosen);
}

}  // namespace strand
