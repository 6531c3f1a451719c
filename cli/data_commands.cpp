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

// Runs what its options' `progress` and `stop` follow, with a bar called `what`.
template <class Options, class Run>
auto with_bar(Options* options, const std::string& what, bool json, Run run) {
  const SystemClock clock;
  ProgressBar bar(clock, json);
  options->stop = &stop_on_signals();
  options->progress = [&](double done) { bar.update({static_cast<int64_t>(done * 1000), 1000, what, -1}); };
  auto result = run();
  bar.finish();
  return result;
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

struct LeaksCommand {
  DataLeaksOptions leaks;
  bool strict = false;
};

Result<int> leaks(LeaksCommand command, bool json) {
  const auto found = with_bar(&command.leaks, "comparing", json, [&] { return data_leaks(command.leaks); });
  if (!found.ok()) return found.error();
  std::printf("%s", json ? (found->report.json + "\n").c_str() : found->report.text.c_str());
  return command.strict && !found->clean ? 2 : 0;
}

void add_leaks(CLI::App& group, Chosen* chosen) {
  auto options = std::make_shared<LeaksCommand>();
  CLI::App* command = add_command(group, "leaks",
                                  "What splits and tables share, each two of them: the same sequences on either "
                                  "strand, and pairs whose 21-mers agree",
                                  "strand data leaks train.csv test.csv");
  command
      ->add_option("inputs", options->leaks.inputs,
                   "tables (.csv .tsv .jsonl), FASTA and .txt files; a job file (.toml) stands for its split")
      ->required();
  command->add_option("--column", options->leaks.column, "the column of the sequences; default: sequence");
  command->add_option("--store", options->leaks.store, "where the genome of a job was built");
  command->add_option("--threshold", options->leaks.threshold,
                      "share of the 21-mers of the one with fewer that makes a pair near; default 0.8");
  command->add_option("--scale", options->leaks.scale,
                      "of sequences with more than 1,000 different 21-mers one in so many is kept; default 16");
  command->add_option("--window", options->leaks.window, "bases of a piece of a held-out part; default 1000");
  command->add_option("--show", options->leaks.show, "findings listed of each kind; -1: all; default 10");
  command->add_flag("--strict", options->strict, "exit code 2 when anything is found");
  add_json_flag(command, chosen);
  command->callback([options, chosen] { chosen->run = [options, chosen] { return leaks(*options, chosen->json); }; });
}

void add_data(CLI::App& app, Chosen* chosen) {
  CLI::App* group =
      add_command(app, "data", "Genomes and tables in a store", "strand data inspect runs/ecoli-quickstart/store");
  group->require_subcommand(1);
  add<DataBuildOptions>(
      *group, chosen, "build",
      "Genomes (FASTA, 2bit, GenBank, EMBL; plain, gzip, bgzip, xz) into a store; the same bytes again are found",
      "strand data build genomes/*.fna.gz --store genomes.store",
      [](CLI::App* command, DataBuildOptions* options) {
        command->add_option("files", options->files, "files of sequences; '-' is standard input")->required();
        command->add_option("--annotations", options->annotations, "GFF3 or BED files of this genome");
        command->add_option("--store", options->store, "the store's folder; made when absent")->required();
      },
      [](DataBuildOptions options, bool json) {
        return with_bar(&options, "reading", json, [&] { return data_build(options); });
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
      *group, chosen, "verify", "Every checksum, and the content hash of every genome and table",
      "strand data verify runs/ecoli-quickstart/store",
      [](CLI::App* command, DataVerifyOptions* options) {
        command->add_option("store", options->store, "the store's folder")->required();
      },
      [](DataVerifyOptions options, bool json) {
        return with_bar(&options, "verifying", json, [&] { return data_verify(options); });
      });
  add<DataListOptions>(
      *group, chosen, "list", "The genomes and tables in a store: sizes, content hashes, dates",
      "strand data list runs/ecoli-quickstart/store",
      [](CLI::App* command, DataListOptions* options) {
        command->add_option("store", options->store, "the store's folder")->required();
      },
      [](const DataListOptions& options, bool) { return data_list(options); });
  add<DataExportOptions>(
      *group, chosen, "export",
      "What is in a store as a file again: a part of a job's split as FASTA, the rows of a task's set as CSV, or a "
      "whole genome or table",
      "strand data export runs/ecoli-quickstart/store --job runs/ecoli-quickstart/job.toml --set held-out --output "
      "h.fa",
      [](CLI::App* command, DataExportOptions* options) {
        command->add_option("store", options->store, "the store's folder")->required();
        command->add_option("--job", options->job, "a job file; without one a whole data set is exported");
        command->add_option("--set", options->set,
                            "of the job: training (default) or held-out; of a task train (default), dev or test");
        command->add_option("--dataset", options->dataset, "the first digits of a data set's id (strand data list)");
        command->add_option("--output", options->output, "the file to write")->required();
      },
      [](DataExportOptions options, bool json) {
        return with_bar(&options, "exporting", json, [&] { return data_export(options); });
      });
  add_leaks(*group, chosen);
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
        command->add_option("--max-length", options->max_length, "letters of the longest token; 32 when not given");
        command->add_option("--holdout-fraction", options->holdout.fraction, "the last part of every record, left out");
        command->add_option("--output", options->output, "the file to write")->required();
      },
      [](const TokenizerTrainOptions& options, bool) { return tokenizer_train(options); });
  add<TokenizerEncodeOptions>(
      *group, chosen, "encode", "The ids of a sequence", "strand tokenizer encode tokenizer.json ACGTACGT",
      [](CLI::App* command, TokenizerEncodeOptions* options) {
        command
            ->add_option("tokenizer", options->tokenizer,
                         "nucleotide, kmer:K, overlapping:K, or a tokenizer's file or folder")
            ->required();
        command->add_option("text", options->text, "bases")->required();
      },
      [](const TokenizerEncodeOptions& options, bool) { return tokenizer_encode(options); });
  add<TokenizerDecodeOptions>(
      *group, chosen, "decode", "The sequence of ids", "strand tokenizer decode tokenizer.json 5 6 7 8",
      [](CLI::App* command, TokenizerDecodeOptions* options) {
        command
            ->add_option("tokenizer", options->tokenizer,
                         "nucleotide, kmer:K, overlapping:K, or a tokenizer's file or folder")
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
