// The data and tokenizer commands as functions; the command line only parses options and prints.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "shared/base/result.h"
#include "shared/job_spec/job_spec.h"

namespace strand {

// What a command has to say: lines for people, and one JSON document for --json.
struct CommandReport {
  std::string text;  // ends with a line feed
  std::string json;
};

// strand data build: files of sequences into <store>. The same bytes again are found, not built.
struct DataBuildOptions {
  std::vector<std::string> files;
  std::vector<std::string> annotations{};   // GFF3 or BED files of the genome
  std::string store;                        // the folder; made when absent
  std::function<void(double)> progress;     // in [0, 1]
  const std::atomic<bool>* stop = nullptr;  // set by a signal: kStopped, nothing half-built is visible
};
Result<CommandReport> data_build(const DataBuildOptions& options);

// strand data inspect: counts, composition, N share, records and duplicates of every genome in <store>, rows and
// duplicates of every table; with a job, its split and
// the first `examples` training rows, decoded.
struct DataInspectOptions {
  std::string store;
  std::string job;  // a job file; empty: none. Its dataset must have been built (strand data build, strand run)
  int64_t examples = 3;
};
Result<CommandReport> data_inspect(const DataInspectOptions& options);

// strand data list: the genomes and tables in <store>, with sizes, content hashes and dates, without reading them.
struct DataListOptions {
  std::string store;
};
Result<CommandReport> data_list(const DataListOptions& options);

// strand data verify: every block checksum of the store, and the content hash of every genome and table from its stored
// letters.
struct DataVerifyOptions {
  std::string store;
  std::function<void(double)> progress{};   // in [0, 1]
  const std::atomic<bool>* stop = nullptr;  // set by a signal: kStopped
};
Result<CommandReport> data_verify(const DataVerifyOptions& options);

// strand data export: what is in <store> as files again. Of a job that pretrains its training or held-out runs as FASTA
// (">record:begin-end", 0-based, half-open), of a task the rows of a set as CSV; without a job a whole genome as FASTA,
// or a table as CSV. Letters of a genome as they stood in its file; of a table as they are served (upper case, N).
struct DataExportOptions {
  std::string store;
  std::string job;      // empty: a data set of the store
  std::string set;      // of the job: training (default) or held-out; train (default), dev or test
  std::string dataset;  // without a job: the first digits of its id; may be left out when there is only one
  std::string output;   // written atomically
  std::function<void(double)> progress{};   // in [0, 1]
  const std::atomic<bool>* stop = nullptr;  // set by a signal: kStopped, the output is as it was
};
Result<CommandReport> data_export(const DataExportOptions& options);

// strand data audit: whether a run took every row once: the sums that its workers recorded, step by step, against those
// of the store. Every line of metrics.jsonl that has a sum is compared, also those of steps that were replayed.
struct DataAuditOptions {
  std::string run_directory;  // holds job.toml and metrics.jsonl
  std::string store;          // empty: the store in the run directory, or the one beside it (strand dataserver)
  int threads = 0;            // 0: all cores
  std::function<void(uint64_t done, uint64_t total)> progress;  // in steps
  const std::atomic<bool>* stop = nullptr;                      // set by a signal: kStopped
};
struct DataAuditReport {
  CommandReport report;
  bool agrees = false;  // every recorded step
};
// kNotFound without a record, a dataset or a store; kBadInput for a record without sums.
Result<DataAuditReport> data_audit(const DataAuditOptions& options);

// strand data leaks: what splits and tables share, each two of them: the same sequences on either strand, and pairs
// whose 21-mers agree (leaks/leaks.h).
struct DataLeaksOptions {
  std::vector<std::string> inputs;  // tables, FASTA files, job files (leaks/leak_sources.h)
  std::string column = "sequence";
  std::string store;  // of jobs that pretrain
  double threshold = 0.8;
  int64_t scale = 16, window = 1000;
  int64_t show = 10;                        // of each list, also in the JSON document; below 0: all
  std::function<void(double)> progress;     // in [0, 1]
  const std::atomic<bool>* stop = nullptr;  // set by a signal: kStopped
};
struct DataLeaksReport {
  CommandReport report;
  bool clean = true;  // nothing was found
};
Result<DataLeaksReport> data_leaks(const DataLeaksOptions& options);

// strand tokenizer train: a BPE vocabulary from FASTA files, without the held-out part when one is named.
struct TokenizerTrainOptions {
  std::vector<std::string> files;
  int64_t vocabulary = 4096;
  int64_t max_length = 32;  // letters of the longest token; 2 to 255
  HoldoutSpec holdout;
  std::string output;  // tokenizer.json, written atomically
};
Result<CommandReport> tokenizer_train(const TokenizerTrainOptions& options);

// strand tokenizer encode | decode. `tokenizer`: "nucleotide", "kmer:K",
// "overlapping:K" or a path (tokenizer/open_tokenizer.h).
struct TokenizerEncodeOptions {
  std::string tokenizer;
  std::string text;
};
Result<CommandReport> tokenizer_encode(const TokenizerEncodeOptions& options);
struct TokenizerDecodeOptions {
  std::string tokenizer;
  std::vector<int32_t> ids;
};
Result<CommandReport> tokenizer_decode(const TokenizerDecodeOptions& options);

}  // namespace strand
