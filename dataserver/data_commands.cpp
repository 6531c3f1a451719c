#include "dataserver/commands.h"
#include "dataserver/corpus/feature_store.h"
#include "dataserver/corpus/standard_input.h"
#include "dataserver/dataset.h"
#include "dataserver/duplicates.h"
#include "dataserver/shuffle_report.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "shared/fs/glob.h"

namespace strand {

namespace {

double share(int64_t part, int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

Json genome_json(const CorpusInfo& info, uint64_t duplicates) {
  int64_t lower_case = 0;
  Json records = Json::array();
  for (const RecordInfo& record : info.records) {
    int64_t other = 0;
    for (const BaseRun& run : record.other) other += run.length();
    lower_case += record.lower_case;
    records.push_back({{"name", record.name},
                       {"file", info.files[record.file]},
                       {"bases", record.bases},
                       {"other", other},
                       {"lower_case", record.lower_case}});
  }
  const int64_t known = info.bases - info.counts[4];
  return {{"id", info.id},
          {"content", info.content.hex()},
          {"files", info.files},
          {"bases", info.bases},
          {"counts",
           {{"A", info.counts[0]},
            {"C", info.counts[1]},
            {"G", info.counts[2]},
            {"T", info.counts[3]},
            {"other", info.counts[4]}}},
          {"gc_share", share(info.counts[1] + info.counts[2], known)},
          {"other_share", share(info.counts[4], info.bases)},
          {"lower_case_share", share(lower_case, info.bases)},
          {"duplicate_records", duplicates},
          {"records", std::move(records)}};
}

std::string genome_text(const CorpusInfo& info, uint64_t duplicates) {
  const int64_t known = info.bases - info.counts[4];
  std::string text = concat("genome ", info.id, "\n");
  for (const std::string& file : info.files) text += concat("  file      ", file, "\n");
  text += concat("  bases     ", with_thousands(info.bases), " in ", info.records.size(), " records\n");
  text += "  letters  ";
  for (size_t i = 0; i < 4; ++i) text += concat(" ", "ACGT"[i], " ", with_thousands(info.counts[i]));
  text += concat(", other ", with_thousands(info.counts[4]), " (",
                 format_number(100 * share(info.counts[4], info.bases), 3), "%); GC ",
                 format_number(100 * share(info.counts[1] + info.counts[2], known), 2), "%\n");
  text += concat("  content   ", info.content.hex(), "\n");
  if (duplicates > 0) text += concat("  the same   ", duplicates, " records repeat an earlier one, on either strand\n");
  constexpr size_t kShown = 20;
  for (size_t i = 0; i < info.records.size() && i < kShown; ++i) {
    text += concat("  record    ", info.records[i].name, "  ", with_thousands(info.records[i].bases), " bases\n");
  }
  if (info.records.size() > kShown) text += concat("  ... and ", info.records.size() - kShown, " more records\n");
  return text;
}

Status describe_tables(Store* store, Json* json, std::string* text) {
  STRAND_ASSIGN(const auto tables, list_tables(store));
  (*json)["tables"] = Json::array();
  for (const TableInfo& info : tables) {
    STRAND_ASSIGN(const uint64_t duplicates, duplicate_rows(store, info));
    (*json)["tables"].push_back({{"id", info.id},
                                 {"content", info.content.hex()},
                                 {"file", info.path},
                                 {"rows", info.rows},
                                 {"letters", info.letters},
                                 {"duplicate_rows", duplicates}});
    *text += concat("table ", info.id, "\n  file      ", info.path, "\n  rows      ", info.rows, " of ",
                    with_thousands(static_cast<int64_t>(info.letters)), " letters; ", duplicates,
                    " repeat an earlier sequence, on either strand\n  content   ", info.content.hex(), "\n");
  }
  return {};
}

// What its files or annotations say about a genome; nothing when they say nothing.
Status describe_features(Store* store, const std::string& corpus, Json* json, std::string* text) {
  STRAND_ASSIGN(const auto annotations, list_annotations(store, corpus));
  for (const AnnotationInfo& info : annotations) {
    (*json)["annotations"].push_back(
        {{"id", info.id}, {"file", info.path}, {"features", info.features}, {"kinds", info.kinds}});
    const std::string source = info.id == corpus ? "the genome's own files" : info.path;
    *text += concat("  features  ", with_thousands(static_cast<int64_t>(info.features)), " of ", source, ":");
    for (const auto& [kind, count] : info.kinds) *text += concat(" ", kind, " ", count);
    *text += "\n";
  }
  return {};
}

void describe_split(const Split& split, const DatasetSummary& summary, Json* json, std::string* text) {
  *text += concat("  training            ", with_thousands(split.training_bases), " bases, ", summary.segments,
                  " segments\n  held out            ", with_thousands(split.held_out_bases), " bases, ",
                  summary.eval_rows, " rows\n");
  if (split.excluded_bases > 0) {
    *text += concat("  excluded            ", split.excluded_bases, " bases\n");
  }
  (*json)["training_bases"] = split.training_bases;
  (*json)["held_out_bases"] = split.held_out_bases;
  (*json)["excluded_bases"] = split.excluded_bases;
}

void describe_task(const DatasetSummary& summary, Json* json, std::string* text) {
  *text += concat("  rows                train ", summary.segments, ", dev ", summary.eval_rows, ", test ",
                  summary.test_rows, "\n  longest row         ", summary.longest_row, " tokens; served with ",
                  summary.segment, "\n  outputs             ", join(summary.output_names, ", "), "\n");
  constexpr const char* kSets[kRowSets] = {"train", "dev", "test"};
  for (size_t set = 0; set < kRowSets; ++set) {
    if (summary.cut_rows[set] == 0) continue;
    *text += concat("  cut of ", kSets[set], "  ", summary.cut_rows[set], " rows by ", summary.cut_tokens[set],
                    " tokens: lengthen data.segment\n");
  }
  (*json)["test_rows"] = summary.test_rows;
  (*json)["outputs"] = summary.output_names;
  (*json)["longest_row"] = summary.longest_row;
  (*json)["row_length"] = summary.segment;
  (*json)["cut_rows"] = summary.cut_rows;
  (*json)["cut_tokens"] = summary.cut_tokens;
  (*json)["label_mean"] = summary.label_mean;
  (*json)["label_deviation"] = summary.label_deviation;
}

// The split and first rows of a job's dataset.
Status inspect_job(const DataHome& home, const DataInspectOptions& options, Json* json, std::string* text) {
  STRAND_ASSIGN(const JobSpec job, load_job(options.job, {}));
  STRAND_ASSIGN(const auto dataset, Dataset::open(home, dataset_spec(job), [](double) { return true; }));
  const DatasetSummary& summary = dataset->summary();
  Json fields = Json::object();
  *text += concat("dataset of ", options.job, "\n");
  for (const FingerprintField& field : summary.fields) {
    fields[field.name] = field.value;
    *text +=
        concat("  ", field.name, std::string(20 - std::min<size_t>(19, field.name.size()), ' '), field.value, "\n");
  }
  (*json)["dataset"] = {{"fingerprint", summary.fingerprint.hex()},
                        {"fields", std::move(fields)},
                        {"segments", summary.segments},
                        {"eval_rows", summary.eval_rows},
                        {"eval_bases", summary.eval_bases}};
  if (const Split* split = dataset->split(); split != nullptr) {
    describe_split(*split, summary, &(*json)["dataset"], text);
  } else {
    describe_task(summary, &(*json)["dataset"], text);
  }
  describe_order(*dataset, job, &(*json)["dataset"], text);
  Json rows = Json::array();
  if (options.examples > 0) {
    const auto count = static_cast<uint32_t>(std::min<int64_t>(options.examples, 1000));
    STRAND_ASSIGN(const RowBlock block, dataset->rows(job.train.seed, RowSet::kTraining, 0, count));
    for (uint32_t i = 0; i < count; ++i) {
      const auto begin = block.tokens.begin() + static_cast<ptrdiff_t>(i * static_cast<size_t>(summary.segment));
      const std::vector<int32_t> ids(begin, begin + block.lengths[i]);
      const std::string decoded = dataset->tokenizer().decode(ids);
      rows.push_back({{"row", i}, {"tokens", ids}, {"text", decoded}});
      *text += concat("  row ", i, "  ", ids.size(), " tokens  ", decoded, "\n");
      const auto labels = block.labels.begin() + static_cast<ptrdiff_t>(size_t{i} * summary.labels_per_row);
      const std::vector<float> numbers(labels, labels + summary.labels_per_row);
      if (numbers.empty()) continue;
      rows.back()["labels"] = numbers;
      *text += concat("    labels ", dump_json(rows.back()["labels"]), "\n");
    }
  }
  (*json)["examples"] = std::move(rows);
  return {};
}

}  // namespace

Result<CommandReport> data_build(const DataBuildOptions& options) {
  const auto fs = make_posix_file_system();
  STRAND_ASSIGN(std::vector<std::string> files, expand_globs(*fs, options.files));  // those that no shell has taken
  STRAND_ASSIGN(DataHome home, open_data_home(fs.get(), options.store, false));
  for (std::string& file : files) {
    if (file != "-") continue;
    STRAND_TRY(keep_standard_input(options.store));
    file = kStandardInput;
  }
  const SystemClock clock;
  home.clock = &clock;
  const auto progress = [&](double done) {
    if (options.progress) options.progress(done);
    return options.stop == nullptr || !options.stop->load();
  };
  STRAND_ASSIGN(const CorpusInfo info, build_corpus(home.store.get(), files, progress));
  for (const std::string& path : options.annotations) {
    STRAND_TRY(build_annotation(home.store.get(), info, path, progress));
  }
  STRAND_TRY(note_built(home, info.id));
  STRAND_ASSIGN(const uint64_t duplicates, duplicate_records(home.store.get(), info));
  Json json = genome_json(info, duplicates);
  std::string text = genome_text(info, duplicates);
  STRAND_TRY(describe_features(home.store.get(), info.id, &json, &text));
  return CommandReport{std::move(text), dump_json(json)};
}

Result<CommandReport> data_inspect(const DataInspectOptions& options) {
  const auto fs = make_posix_file_system();
  STRAND_ASSIGN(const DataHome home, open_data_home(fs.get(), options.store, true));
  STRAND_ASSIGN(const auto corpora, list_corpora(home.store.get()));
  Json json = {{"store", options.store}, {"version", kStoreVersion}, {"genomes", Json::array()}};
  std::string text = concat("store ", options.store, ", version ", kStoreVersion, "\n");
  for (const CorpusInfo& info : corpora) {
    STRAND_ASSIGN(const uint64_t duplicates, duplicate_records(home.store.get(), info));
    json["genomes"].push_back(genome_json(info, duplicates));
    text += genome_text(info, duplicates);
    STRAND_TRY(describe_features(home.store.get(), info.id, &json["genomes"].back(), &text));
  }
  STRAND_TRY(describe_tables(home.store.get(), &json, &text));
  if (!options.job.empty()) STRAND_TRY(inspect_job(home, options, &json, &text));
  return CommandReport{std::move(text), dump_json(json)};
}

}  // namespace strand
