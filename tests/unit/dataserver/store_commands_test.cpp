// What a store holds: listed, verified, exported, compared.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include "dataserver/commands.h"
#include "dataserver/corpus/alphabet.h"
#include "dataserver/dataset.h"
#include "dataserver/duplicates.h"
#include "dataserver/sequences/sequence_file.h"
#include "dataserver/tables/table_store.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "tests/unit/dataserver/genomes.h"

namespace strand {
namespace {

using testing::keep_going;
using testing::random_letters;

class StoreCommands : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }

  static Json json_of(const Result<CommandReport>& report) {
    EXPECT_TRUE(report.ok()) << report.error().message();
    if (!report.ok()) return Json::object();
    EXPECT_EQ(report->text.back(), '\n');
    auto json = parse_json(report->json, "report");
    EXPECT_TRUE(json.ok());
    return *json;
  }

  void build(const std::string& fasta_text) {
    DataBuildOptions options;
    options.files = {folder_.file("genome.fa", fasta_text)};
    options.store = path("store");
    const auto built = data_build(options);
    ASSERT_TRUE(built.ok()) << built.error().message();
  }

  std::string genome_job(const std::string& holdout) const {
    return folder_.file("job.toml", concat("[job]\nname = \"t\"\n[model]\nvocabulary = 16\n[data]\nfiles = [\"",
                                           path("genome.fa"), "\"]\nsegment = 60\n", holdout));
  }

  std::map<std::string, std::string> read_records(const std::string& file) const {
    std::map<std::string, std::string> records;
    const Status read = read_sequences(
        {file},
        [&](NamedSequence s) -> Status {
          EXPECT_TRUE(records.emplace(s.name, s.bases).second) << s.name;
          return {};
        },
        keep_going);
    EXPECT_TRUE(read.ok()) << read.error().message();
    return records;
  }

  // A job of a task with one table; its rows are in the store.
  std::string task_job(const std::string& table) {
    const std::string job = folder_.file(
        "task.toml", concat("[job]\nname = \"t\"\nkind = \"finetune\"\n[model]\nvocabulary = 16\n[train]\nlanes = 1\n",
                            "micro_batch = 2\n[[task]]\nname = \"t\"\nkind = \"classify\"\ntrain = \"", table,
                            "\"\nclasses = [\"a,b\", \"c\"]\nfolds = 4\nfold = 1\n"));
    const auto spec = load_job(job, {});
    EXPECT_TRUE(spec.ok()) << spec.error().message();
    const auto fs = make_posix_file_system();
    auto home = open_data_home(fs.get(), path("store"), false);
    EXPECT_TRUE(home.ok());
    const SystemClock clock;
    home->clock = &clock;
    const auto dataset = Dataset::open(*home, dataset_spec(*spec), keep_going);
    EXPECT_TRUE(dataset.ok()) << dataset.error().message();
    return job;
  }

  testing::TemporaryFolder folder_;
};

std::string upper(std::string letters) {
  for (char& letter : letters) letter = to_upper(letter);
  return letters;
}

TEST_F(StoreCommands, AGenomeIsExportedLetterByLetter) {
  std::mt19937_64 random(1);
  std::map<std::string, std::string> records;
  for (const size_t length : {1, 79, 80, 81, 160, 3000, (1 << 20) + 17}) {
    records[concat("r", length)] = testing::random_sequence(&random, length);
  }
  build(testing::fasta({records.begin(), records.end()}, 61));
  DataExportOptions options;
  options.store = path("store");
  options.output = path("out.fa");
  EXPECT_EQ(json_of(data_export(options))["sequences"], 7);
  std::string text;
  for (const auto& [name, letters] : records) {
    text += concat(">", name, "\n");
    for (size_t at = 0; at < letters.size(); at += 80) text += letters.substr(at, 80) + "\n";
  }
  EXPECT_EQ(testing::read_file(options.output), text);
}

// Every record of an exported split is that interval of the source, and the two parts and other letters make it up.
TEST_F(StoreCommands, ASplitIsExportedAsItsIntervals) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    std::mt19937_64 random(seed);
    std::map<std::string, std::string> source;
    for (int i = 0; i < 4; ++i) source[concat("chr", i)] = testing::random_sequence(&random, 2000 + random() % 3000);
    build(testing::fasta({source.begin(), source.end()}, 70));
    DataExportOptions options;
    options.store = path("store");
    options.job = genome_job("[data.holdout]\nfraction = 0.2\n");
    std::map<std::string, std::string> seen = source;
    for (const char* set : {"training", "held-out"}) {
      options.set = set;
      options.output = path(concat(set, ".fa"));
      const Json report = json_of(data_export(options));
      int64_t bases = 0;
      for (const auto& [name, letters] : read_records(options.output)) {
        const size_t colon = name.find(':'), dash = name.find('-');
        const std::string record = name.substr(0, colon);
        const size_t begin = std::stoul(name.substr(colon + 1)), end = std::stoul(name.substr(dash + 1));
        ASSERT_EQ(letters, upper(source[record].substr(begin, end - begin))) << name;
        EXPECT_EQ(letters.find_first_not_of("ACGT"), std::string::npos);
        for (size_t at = begin; at < end; ++at) {
          ASSERT_NE(seen[record][at], '.') << "twice: " << name;
          seen[record][at] = '.';
        }
        bases += static_cast<int64_t>(letters.size());
      }
      EXPECT_EQ(report["bases"].get<int64_t>(), bases);
      EXPECT_GT(bases, 0);
    }
    for (const auto& [name, left] : seen) EXPECT_EQ(left.find_first_of("ACGTacgt"), std::string::npos) << name;
    std::filesystem::remove_all(path("store"));
  }
}

TEST_F(StoreCommands, TheRowsOfATaskAreExportedAndVerifiedAndListed) {
  std::mt19937_64 random(2);
  std::string table = "sequence,label\n";
  std::set<std::string> rows;
  for (int i = 0; i < 40; ++i) {
    const std::string sequence = random_letters(&random, 20 + random() % 30, "ACGTN");
    const std::string label = i % 2 == 0 ? "\"a,b\"" : "c";
    table += concat(sequence, ",", label, "\n");
    rows.insert(concat(sequence, ",", label));
  }
  const std::string job = task_job(folder_.file("rows.csv", table));
  DataExportOptions options;
  options.store = path("store");
  options.job = job;
  std::set<std::string> exported;
  size_t count = 0;
  for (const char* set : {"train", "dev", "test"}) {
    options.set = set;
    options.output = path(concat(set, ".csv"));
    json_of(data_export(options));
    auto lines = split(testing::read_file(options.output), '\n');
    EXPECT_EQ(lines.front(), "sequence,label");
    EXPECT_EQ(lines.back(), "");
    exported.insert(lines.begin() + 1, lines.end() - 1);
    count += lines.size() - 2;
  }
  EXPECT_EQ(exported, rows);
  EXPECT_EQ(count, 40u);
  options.job = options.set = "";
  options.output = path("all.csv");
  EXPECT_EQ(json_of(data_export(options))["sequences"], 40);
  EXPECT_EQ(testing::read_file(options.output), table);

  const Json listed = json_of(data_list({path("store")}));
  ASSERT_EQ(listed["tables"].size(), 1u);
  EXPECT_EQ(listed["tables"][0]["rows"], 40);
  EXPECT_GT(listed["tables"][0]["built"].get<int64_t>(), 1'500'000'000);
  EXPECT_GT(listed["disk_bytes"].get<int64_t>(), 1000);
  const Json verified = json_of(data_verify({path("store")}));
  EXPECT_EQ(verified["tables"][0]["content"], listed["tables"][0]["content"]);
}

TEST_F(StoreCommands, AnExportThatFailsLeavesTheOldFile) {
  build(">chr1\nACGTACGTACGT\n");
  const std::string kept = folder_.file("out.fa", "as it was");
  DataExportOptions options;
  options.store = path("store");
  options.output = kept;
  options.dataset = "nothing";
  const auto unknown = data_export(options);
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().message().find("names 0 data sets"), std::string::npos) << unknown.error().message();
  options.dataset = "";
  options.set = "training";
  EXPECT_FALSE(data_export(options).ok());
  options.set = "";
  const std::atomic<bool> stop = true;
  options.stop = &stop;
  const auto stopped = data_export(options);
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code(), ErrorCode::kStopped);
  EXPECT_EQ(testing::read_file(kept), "as it was");
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    EXPECT_EQ(entry.path().string().find("out.fa."), std::string::npos) << entry.path();
  }
}

// Of tables that were altered below their checksums, the content hash tells.
TEST(StoredTables, AnAlteredRowIsFound) {
  const testing::TemporaryFolder folder;
  testing::MemoryStore store;
  const std::string file = folder.file("t.csv", "sequence,label\nACGT,1\nGGGG,0\nCCCC,1\n");
  const auto table = build_table(&store, file, {"sequence", {"label"}}, keep_going);
  ASSERT_TRUE(table.ok()) << table.error().message();
  EXPECT_TRUE(verify_table(&store, *table, keep_going).ok());
  const auto duplicates = duplicate_rows(&store, *table);
  ASSERT_TRUE(duplicates.ok());
  EXPECT_EQ(*duplicates, 1u);  // CCCC is GGGG's other strand
  size_t altered = 0;
  for (auto& [key, value] : store.values) {
    if (!key.starts_with("examples/")) continue;
    const auto example = decode_example(value);
    ASSERT_TRUE(example.ok());
    for (const bool label : {false, true}) {
      Example other = *example;
      (label ? other.labels[0] : other.sequence)[0] = label ? '7' : 'T';
      const std::string kept = std::exchange(value, encode_example(other));
      const Status verified = verify_table(&store, *table, keep_going);
      ASSERT_FALSE(verified.ok());
      EXPECT_EQ(verified.error().code(), ErrorCode::kCorrupt);
      value = kept;
      ++altered;
    }
  }
  EXPECT_EQ(altered, 6u);
  EXPECT_EQ(verify_table(&store, *table, [](double) { return false; }).error().code(), ErrorCode::kStopped);
}

TEST_F(StoreCommands, InspectCountsDuplicateRecords) {
  std::mt19937_64 random(3);
  const std::string one = random_letters(&random, 500, "ACGT"), two = random_letters(&random, 500, "ACGT");
  std::string turned = one;
  reverse_complement(&turned);
  build(testing::fasta({{"a", one}, {"b", two}, {"c", turned}, {"d", one}, {"e", two + "A"}}, 60));
  DataInspectOptions options;
  options.store = path("store");
  EXPECT_EQ(json_of(data_inspect(options))["genomes"][0]["duplicate_records"], 2);
}

// A held-out stretch that is also, reversed, in the training part is found where it was planted.
TEST_F(StoreCommands, LeaksOfAJobAreThoseBetweenTrainingAndHoldout) {
  std::mt19937_64 random(4);
  std::string genome = random_letters(&random, 60000, "ACGT");
  std::string repeat = genome.substr(10000, 3000);
  reverse_complement(&repeat);
  genome.replace(52000, 3000, repeat);
  build(testing::fasta({{"chr1", genome}}, 60));
  DataLeaksOptions options;
  options.inputs = {genome_job("[data.holdout]\nintervals = [\"chr1:50000-60000\"]\n")};
  options.store = path("store");
  options.show = -1;
  const auto found = data_leaks(options);
  ASSERT_TRUE(found.ok()) << found.error().message();
  EXPECT_FALSE(found->clean);
  const Json report = *parse_json(found->report.json, "report");
  const Json& pair = report["pairs"][0];
  EXPECT_EQ(pair["first"], options.inputs[0] + ": held out");
  EXPECT_EQ(pair["same"]["sequences"], 0);
  std::set<std::string> windows;
  for (const Json& near : pair["near"]["shown"]) {
    windows.insert(near["first"]["name"].get<std::string>());
    EXPECT_EQ(near["second"]["name"], "chr1:0-50000");
    EXPECT_EQ(near["containment"], 1.0);
  }
  EXPECT_EQ(windows, (std::set<std::string>{"chr1:52000-53000", "chr1:53000-54000", "chr1:54000-55000"}));
  options.inputs = {genome_job("")};
  const auto without = data_leaks(options);
  ASSERT_FALSE(without.ok());
  EXPECT_EQ(without.error().code(), ErrorCode::kBadInput);
}

// The folds of one table do not overlap, but a row that comes twice is on both sides of some fold.
TEST_F(StoreCommands, LeaksOfATaskAreThoseBetweenItsSets) {
  std::mt19937_64 random(5);
  std::string table = "sequence,label\n";
  std::vector<std::string> rows;
  for (int i = 0; i < 30; ++i) rows.push_back(random_letters(&random, 60, "ACGT"));
  for (int i = 0; i < 30; ++i) rows.push_back(rows[static_cast<size_t>(i)]);
  for (const std::string& row : rows) table += row + ",c\n";
  DataLeaksOptions options;
  options.inputs = {task_job(folder_.file("rows.csv", table))};
  options.show = 0;
  const auto found = data_leaks(options);
  ASSERT_TRUE(found.ok()) << found.error().message();
  const Json report = *parse_json(found->report.json, "report");
  ASSERT_EQ(report["parts"].size(), 3u);
  size_t all = 0, apart = 0, inside = 0;
  for (const Json& part : report["parts"]) {
    all += part["rows"].get<size_t>();
    inside += part["rows"].get<size_t>() - part["distinct"].get<size_t>();
  }
  for (const Json& pair : report["pairs"]) apart += pair["same"]["sequences"].get<size_t>();
  EXPECT_EQ(all, 60u);
  EXPECT_EQ(apart + inside, 30u);  // the two copies of a row are in one set or in two
  EXPECT_GT(apart, 0u);
}

}  // namespace
}  // namespace strand
