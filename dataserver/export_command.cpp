#include <algorithm>
#include <optional>

#include "dataserver/commands.h"
#include "dataserver/corpus/corpus_reader.h"
#include "dataserver/corpus/exclusions.h"
#include "dataserver/corpus/joined_corpus.h"
#include "dataserver/dataset.h"
#include "dataserver/examples/task_split.h"
#include "dataserver/tables/labels.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"

namespace strand {

namespace {

constexpr int64_t kPiece = int64_t{1} << 20;  // bases read at a time
constexpr size_t kLine = 80;                  // letters in a line of FASTA

struct Written {
  std::string what;  // "the training split of job.toml"
  uint64_t sequences = 0;
  uint64_t bases = 0;
};

class Exporter {
 public:
  Exporter(const DataExportOptions& options, AtomicFile file) : options_(options), file_(std::move(file)) {}

  Status write(const DataHome& home) {
    if (!options_.job.empty()) {
      STRAND_ASSIGN(const JobSpec job, load_job(options_.job, {}));
      return job.job.kind == "finetune" ? write_task(home, job.task) : write_split(home, job);
    }
    if (!options_.set.empty()) return bad_input("--set is a part of a job's split: name the job too, with --job");
    STRAND_ASSIGN(const auto corpora, list_corpora(home.store.get()));
    STRAND_ASSIGN(const auto tables, list_tables(home.store.get()));
    if (corpora.size() + tables.size() == 1 && options_.dataset.empty()) {
      return tables.empty() ? write_genome(home, corpora[0]) : write_table(home, tables[0]);
    }
    return write_named(home, corpora, tables);
  }

  Status commit() { return file_.commit(); }
  const Written& written() const { return written_; }

 private:
  // The one data set whose identity begins with options_.dataset.
  Status write_named(const DataHome& home, const std::vector<CorpusInfo>& corpora,
                     const std::vector<TableInfo>& tables) {
    std::vector<std::string> ids;
    const CorpusInfo* genome = nullptr;
    const TableInfo* table = nullptr;
    size_t found = 0;
    const auto meant = [&](const std::string& id) {
      ids.push_back(id);
      if (options_.dataset.empty() || !id.starts_with(options_.dataset)) return false;
      ++found;
      return true;
    };
    for (const CorpusInfo& info : corpora) genome = meant(info.id) ? &info : genome;
    for (const TableInfo& info : tables) table = meant(info.id) ? &info : table;
    if (found != 1) {
      return bad_input(concat(options_.store, ": --dataset '", options_.dataset, "' names ", found,
                              " data sets; expected the first digits of one of: ", join(ids, ", ")));
    }
    return genome != nullptr ? write_genome(home, *genome) : write_table(home, *table);
  }

  Status write_genome(const DataHome& home, const CorpusInfo& info) {
    CorpusReader reader(home.store.get(), info);
    written_.what = "genome " + info.id;
    for (uint64_t i = 0; i < info.records.size(); ++i) {
      STRAND_TRY(write_run(&reader, {i, 0, info.records[i].bases}, info.records[i].name, info.bases));
    }
    return {};
  }

  Status write_split(const DataHome& home, const JobSpec& job) {
    STRAND_ASSIGN(CorpusInfo info, find_data(home.store.get(), job.data));
    STRAND_ASSIGN(const Split split, split_data(info, job.data));
    const std::string set = options_.set.empty() ? "training" : options_.set;
    const bool training = set == "training";
    if (!training && set != "held-out") return bad_input(concat("--set '", set, "'; expected training or held-out"));
    written_.what = concat("the ", set, " part of ", options_.job);
    const int64_t bases = training ? split.training_bases : split.held_out_bases;
    CorpusReader reader(home.store.get(), std::move(info));
    for (const BaseRun& run : training ? split.training : split.held_out) {
      const std::string& record = reader.info().records[run.record].name;
      STRAND_TRY(write_run(&reader, run, concat(record, ":", run.begin, "-", run.end), bases));
    }
    if (written_.sequences == 0) return bad_input(concat(options_.job, ": nothing is held out; see data.holdout"));
    return {};
  }

  // One record of FASTA, with the letters as they stood in the file.
  Status write_run(CorpusReader* reader, const BaseRun& run, const std::string& name, int64_t all_bases) {
    STRAND_TRY(put(concat(">", name, "\n")));
    std::string letters, text;
    size_t column = 0;
    for (int64_t begin = run.begin; begin < run.end; begin += kPiece) {
      STRAND_TRY(reader->read_letters({run.record, begin, std::min(run.end, begin + kPiece)}, &letters));
      text.clear();
      for (size_t at = 0; at < letters.size();) {
        if (column == kLine) {
          text += '\n';
          column = 0;
        }
        const size_t count = std::min(kLine - column, letters.size() - at);
        text.append(letters, at, count);
        at += count;
        column += count;
      }
      STRAND_TRY(put(text));
      written_.bases += letters.size();
      STRAND_TRY(tell(written_.bases, static_cast<uint64_t>(all_bases)));
    }
    ++written_.sequences;
    return put("\n");
  }

  Status write_task(const DataHome& home, const TaskSpec& task) {
    const std::string* const files[] = {&task.train, &task.dev, &task.test};
    constexpr const char* kNames[] = {"train", "dev", "test"};
    const TableColumns columns = table_columns(task);
    std::array<std::optional<TableInfo>, kRowSets> tables;
    std::array<uint64_t, kRowSets> rows = {};
    for (size_t i = 0; i < kRowSets; ++i) {
      if (files[i]->empty()) continue;
      STRAND_ASSIGN(tables[i], find_table(home.store.get(), *files[i], columns));
      rows[i] = tables[i]->rows;
    }
    STRAND_ASSIGN(const TaskSplit split, split_task(task, rows));
    const std::string wanted = options_.set.empty() ? "train" : options_.set;
    const auto* const name = std::find(std::begin(kNames), std::end(kNames), wanted);
    if (name == std::end(kNames)) return bad_input(concat("--set '", wanted, "'; expected train, dev or test"));
    const SetRows& set = split.sets[static_cast<size_t>(name - std::begin(kNames))];
    if (set.count == 0) return bad_input(concat(options_.job, ": the task has no ", wanted, " rows"));
    written_.what = concat("the ", wanted, " rows of ", options_.job);
    std::vector<std::string> header = {columns.sequence};
    header.insert(header.end(), columns.labels.begin(), columns.labels.end());
    return write_rows(home, *tables[set.table], header, &set);
  }

  Status write_table(const DataHome& home, const TableInfo& table) {
    written_.what = "table " + table.id;
    STRAND_ASSIGN(const Example first, read_example(home.store.get(), table, 0));
    std::vector<std::string> header = {"sequence"};
    for (size_t i = 0; i < first.labels.size(); ++i) {
      header.push_back(first.labels.size() == 1 ? "label" : concat("label", i + 1));
    }
    return write_rows(home, table, header, nullptr);
  }

  // The rows of `set`, or all of them.
  Status write_rows(const DataHome& home, const TableInfo& table, const std::vector<std::string>& header,
                    const SetRows* set) {
    STRAND_TRY(put_fields(header));
    uint64_t next = 0;
    return scan_examples(home.store.get(), table, [&](uint64_t row, const Example& example) -> Status {
      if (row % 1024 == 0) STRAND_TRY(tell(row, table.rows));
      if (set != nullptr && (next == set->count || set->row(next) != row)) return {};
      ++next;
      ++written_.sequences;
      written_.bases += example.sequence.size();
      std::vector<std::string> fields = {example.sequence};
      fields.insert(fields.end(), example.labels.begin(), example.labels.end());
      return put_fields(fields);
    });
  }

  // A line of CSV (RFC 4180).
  Status put_fields(const std::vector<std::string>& fields) {
    std::string line;
    for (const std::string& field : fields) {
      if (!line.empty()) line += ',';
      if (field.find_first_of(",\"\n\r") == std::string::npos) {
        line += field;
        continue;
      }
      line += '"';
      for (const char letter : field) line += letter == '"' ? "\"\"" : std::string(1, letter);
      line += '"';
    }
    return put(line + "\n");
  }

  Status put(const std::string& text) { return file_.append(text.data(), text.size()); }

  Status tell(uint64_t done, uint64_t all) {
    if (options_.progress)
      options_.progress(static_cast<double>(done) / static_cast<double>(std::max<uint64_t>(1, all)));
    if (options_.stop == nullptr || !options_.stop->load()) return {};
    return Error(ErrorCode::kStopped, concat("stopped; ", options_.output, " is as it was"));
  }

  const DataExportOptions& options_;
  AtomicFile file_;
  Written written_;
};

}  // namespace

Result<CommandReport> data_export(const DataExportOptions& options) {
  const auto fs = make_posix_file_system();
  STRAND_ASSIGN(const DataHome home, open_data_home(fs.get(), options.store, true));
  STRAND_ASSIGN(AtomicFile file, AtomicFile::create(*fs, options.output));
  Exporter exporter(options, std::move(file));
  STRAND_TRY(exporter.write(home));
  STRAND_TRY(exporter.commit());
  const Written& written = exporter.written();
  return CommandReport{concat("wrote ", options.output, ": ", written.what, ", ",
                              with_thousands(static_cast<int64_t>(written.sequences)), " sequences, ",
                              with_thousands(static_cast<int64_t>(written.bases)), " bases\n"),
                       dump_json({{"output", options.output},
                                  {"of", written.what},
                                  {"sequences", written.sequences},
                                  {"bases", written.bases}})};
}

}  // namespace strand
