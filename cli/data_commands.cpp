#include <cstdio>

#include "cli/commands.h"
#include "cli/progress.h"
#include "dataserver/commands.h"

namespace strand {
namespace {

Result<int> print(const Result<CommandReport>& report, bool json) {
  if (!report.ok()) return report.error();
  std::printf("%s", json ? (report->json + "\n").c_str() : report->text.c_str());
  return 0;
}

// A command whose options are `Options` and whose work is `run(options)`.
template <class Options, class Declare, class Run>
void add(CLI::App& parent, Chosen* chosen, const std::string& name, const std::string& what, const std::string& example,
         Declare declare, Run run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(parent, name, what, example);
  declare(command, options.get());
  add_json_flag(command, chosen);
  command->callback([options, chosen, run] {
    chosen->run = [options, run, json = chosen->json] { return print(run(*options, json), json); };
  });
}

void add_data(CLI::App& app, Chosen* chosen) {
  CLI::App* group = add_command(app, "data", "Genomes in a store", "strand data inspect runs/ecoli-quickstart/store");
  group->require_subcommand(1);
  add<DataBuildOptions>(
      *group, chosen, "build",
      "FASTA files (plain, gzip, bgzip) into a store; the same bytes again are found, not built",
      "strand data build genomes/*.fna.gz --store genomes.store",
      [](CLI::App* command, DataBuildOptions* options) {
        command->add_option("files", options->files, "FASTA files")->required();
        command->add_option("--store", options->store, "the store's folder; made when absent")->required();
      },
      [](DataBuildOptions options, bool json) {
        const SystemClock clock;
        ProgressBar bar(clock, json);
        options.stop = &stop_on_signals();
        options.progress = [&](double done) { bar.update({static_cast<int64_t>(done * 1000), 1000, "reading", -1}); };
        auto report = data_build(options);
        bar.finish();
        return report;
      });
  add<DataInspectOptions>(
      *group, chosen, "inspect", "Counts, composition, N share, splits, and a few decoded rows",
      "strand data inspect runs/ecoli-quickstart/store --job runs/ecoli-quickstart/job.toml",
      [](CLI::App* command, DataInspectOptions* options) {
        command->add_option("store", options->store, "the store's folder")->required();
        command->add_option("--job", options->job, "a job file: its split and first training rows");
        command->add_option("--examples", options->examples, "how many rows to decode");
      },
      [](const DataInspectOptions& options, bool) { return data_inspect(options); });
  add<DataVerifyOptions>(
      *group, chosen, "verify", "Every checksum, and the content hash of every genome",
      "strand data verify runs/ecoli-quickstart/store",
      [](CLI::App* command, DataVerifyOptions* options) {
        command->add_option("store", options->store, "the store's folder")->required();
      },
      [](const DataVerifyOptions& options, bool) { return data_verify(options); });
  add_audit_command(*group, chosen);
}

void add_tokenizer(CLI::App& app, Chosen* chosen) {
  CLI::App* group =
      add_command(app, "tokenizer", "Bases to tokens and back", "strand tokenizer encode nucleotide ACGTN");
  group->require_subcommand(1);
  add<TokenizerTrainOptions>(
      *group, chosen, "train", "A BPE vocabulary from FASTA files, as a tokenizer.json that Python reads",
      "strand tokenizer train genome.fna.gz --vocabulary 4096 --output tokenizer.json",
      [](CLI::App* command, TokenizerTrainOptions* options) {
        command->add_option("files", options->files, "FASTA files")->required();
        command->add_option("--vocabulary", options->vocabulary, "ids, special tokens included");
        command->add_option("--holdout-fraction", options->holdout.fraction, "the last part of every record, left out");
        command->add_option("--output", options->output, "the file to write")->required();
      },
      [](const TokenizerTrainOptions& options, bool) { return tokenizer_train(options); });
  add<TokenizerEncodeOptions>(
      *group, chosen, "encode", "The ids of a sequence", "strand tokenizer encode tokenizer.json ACGTACGT",
      [](CLI::App* command, TokenizerEncodeOptions* options) {
        command->add_option("tokenizer", options->tokenizer, "nucleotide, kmer:K, or a tokenizer's file or folder")
            ->required();
        command->add_option("text", options->text, "bases")->required();
      },
      [](const TokenizerEncodeOptions& options, bool) { return tokenizer_encode(options); });
  add<TokenizerDecodeOptions>(
      *group, chosen, "decode", "The sequence of ids", "strand tokenizer decode tokenizer.json 5 6 7 8",
      [](CLI::App* command, TokenizerDecodeOptions* options) {
        command->add_option("tokenizer", options->tokenizer, "nucleotide, kmer:K, or a tokenizer's file or folder")
            ->required();
        command->add_option("ids", options->ids, "token ids")->required();
      },
      [](const TokenizerDecodeOptions& options, bool) { return tokenizer_decode(options); });
}

}  // namespace

void add_data_commands(CLI::App& app, Chosen* chosen) {
  add_data(app, chosen);
  add_tokenizer(app, chosen);
}

}  // namespace strand
