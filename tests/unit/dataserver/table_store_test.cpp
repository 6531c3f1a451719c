#include "dataserver/tables/table_store.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "dataserver/tables/labels.h"
#include "shared/base/text.h"
#include "tests/unit/dataserver/genomes.h"

namespace strand {
namespace {

using testing::MemoryStore;
using testing::TemporaryFolder;

const TableColumns kColumns = {"sequence", {"label"}};

std::vector<Example> all_examples(Store* store, const TableInfo& info) {
  std::vector<Example> examples;
  const Status scanned = scan_examples(store, info, [&](uint64_t row, const Example& example) -> Status {
    EXPECT_EQ(row, examples.size());
    examples.push_back(example);
    return {};
  });
  EXPECT_TRUE(scanned.ok()) << scanned.error().message();
  return examples;
}

TEST(TableStore, KeepsRowsAndReadsTheSameFileOnce) {
  const TemporaryFolder folder;
  MemoryStore store;
  const std::string path = folder.file("t.csv", "id,sequence,label\nx, acgtRYn ,1\ny,\"ACG\",\" [0, 1] \"\n");
  const auto built = build_table(&store, path, kColumns, testing::keep_going);
  ASSERT_TRUE(built.ok()) << built.error().message();
  EXPECT_EQ(built->rows, 2u);
  EXPECT_EQ(built->letters, 10u);
  const std::vector<Example> expected = {{2, "ACGTNNN", {"1"}}, {3, "ACG", {"[0, 1]"}}};
  EXPECT_EQ(all_examples(&store, *built), expected);
  for (uint64_t row = 0; row < 2; ++row) EXPECT_EQ(*read_example(&store, *built, row), expected[row]);
  EXPECT_FALSE(read_example(&store, *built, 2).ok());

  store.operations_left = 0;  // reading it again would have to write
  const auto again = build_table(&store, path, kColumns, testing::keep_going);
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(again->content, built->content);
  // Other columns, or other bytes, are another table.
  EXPECT_FALSE(build_table(&store, path, {"sequence", {"id"}}, testing::keep_going).ok());
  store.operations_left = -1;
  const auto other = build_table(&store, path, {"sequence", {}}, testing::keep_going);
  ASSERT_TRUE(other.ok());
  EXPECT_TRUE(all_examples(&store, *other)[0].labels.empty());
  EXPECT_EQ(list_tables(&store)->size(), 2u);
  EXPECT_TRUE(find_table(&store, path, kColumns).ok());
  EXPECT_EQ(find_table(&store, path, {"sequence", {"id"}}).error().code(), ErrorCode::kNotFound);
}

// A table of the repository, which nobody has just written: the second time its bytes are not read.
TEST(TableStore, ATableThatTheStoreRemembersIsNotReadAgain) {
  MemoryStore store;
  const std::string path = "examples/splice/primate-splice.csv.gz";
  const auto built = build_table(&store, path, kColumns, testing::keep_going);
  ASSERT_TRUE(built.ok()) << built.error().message();
  EXPECT_EQ(find_table(&store, path, kColumns)->content, built->content);
  const auto remembered = store.values.lower_bound("files/");
  ASSERT_TRUE(remembered != store.values.end() && remembered->first.starts_with("files/"));
  remembered->second.back() ^= 1;  // other bytes, as far as the store knows
  EXPECT_EQ(find_table(&store, path, kColumns).error().code(), ErrorCode::kNotFound);
}

TEST(TableStore, ContentDoesNotDependOnFormatOrCompression) {
  const TemporaryFolder folder;
  MemoryStore store;
  std::mt19937_64 random(61);
  std::string csv = "sequence,label\n", fasta;
  for (int i = 0; i < 300; ++i) {
    const std::string sequence = testing::random_letters(&random, 1 + random() % 90, "ACGT");
    csv += concat(sequence, ",", i % 3, "\n");
    fasta += concat(">r", i, " label=", i % 3, "\n", sequence, "\n");
  }
  const auto one = build_table(&store, folder.file("t.csv", csv), kColumns, testing::keep_going);
  const auto two = build_table(&store, folder.file("t.csv.gz", testing::gzip(csv)), kColumns, testing::keep_going);
  const auto three = build_table(&store, folder.file("t.fa", fasta), kColumns, testing::keep_going);
  ASSERT_TRUE(one.ok() && two.ok() && three.ok());
  EXPECT_EQ(one->content, two->content);
  EXPECT_EQ(one->content, three->content);
  csv[csv.size() - 2] = csv[csv.size() - 2] == '0' ? '1' : '0';
  const auto changed = build_table(&store, folder.file("u.csv", csv), kColumns, testing::keep_going);
  ASSERT_TRUE(changed.ok());
  EXPECT_NE(changed->content, one->content);
}

TEST(TableStore, NothingOfAStoppedOrRefusedTableIsVisible) {
  const TemporaryFolder folder;
  MemoryStore store;
  std::string csv = "sequence,label\n";
  for (int i = 0; i < 20000; ++i) csv += "ACGTACGTACGTACGTACGTACGTACGTACGTACGTACGT,1\n";
  const std::string path = folder.file("t.csv", csv);
  const auto stopped = build_table(&store, path, kColumns, [](double share) { return share < 0.5; });
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code(), ErrorCode::kStopped);
  EXPECT_TRUE(store.values.empty());
  const std::pair<std::string, std::string> cases[] = {
      {"sequence,label\nAC,1\n,0\n", "t.csv: line 3, column \"sequence\": an empty sequence"},
      {"sequence,label\nACGU,1\n",
       "t.csv: line 2, column \"sequence\": letter 4 is 'U'; expected IUPAC codes of DNA (A C "
       "G T N R Y S W K M B D H V): this is RNA, write T for U"},
      {"sequence,label\nAC-GT,1\n", "letter 3 is '-'; "},
      {"sequence,label\nAC\n", "line 2: expected 2 fields"}};
  for (const auto& [text, says] : cases) {
    const auto refused = build_table(&store, folder.file("t.csv", text), kColumns, testing::keep_going);
    ASSERT_FALSE(refused.ok()) << text;
    EXPECT_EQ(refused.error().code(), ErrorCode::kBadInput);
    EXPECT_NE(refused.error().message().find(says), std::string::npos) << refused.error().message();
    EXPECT_TRUE(store.values.empty());
  }
}

TEST(TableStore, DamageIsFound) {
  const Example example{7, "ACGT", {"1", ""}};
  const std::string bytes = encode_example(example);
  EXPECT_EQ(*decode_example(bytes), example);
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto cut = decode_example(bytes.substr(0, size));
    if (cut.ok()) {
      EXPECT_LT(cut->labels.size(), 2u) << "only whole texts may be missing";
    }
  }
  EXPECT_FALSE(decode_example("").ok());
}

TEST(Lists, AreReadAsTablesWriteThem) {
  const std::vector<std::string> three = {"0", "1", "x"};
  for (const char* text :
       {"[0, 1, x]", "['0', \"1\", 'x']", "0;1;x", "0,1,x", " 0 1  x ", "[0,1,x]", "['0','1','x',]"}) {
    std::vector<std::string> items;
    EXPECT_TRUE(split_list(text, &items)) << text;
    EXPECT_EQ(items, three) << text;
  }
  std::vector<std::string> items;
  EXPECT_TRUE(split_list("[]", &items) && items.empty());
  EXPECT_TRUE(split_list("['a, b']", &items) && items == std::vector<std::string>{"a, b"});
  for (const char* text : {"[0", "0]", "['0, 1]", "\"x"}) EXPECT_FALSE(split_list(text, &items)) << text;
}

std::string error_of(const TaskSpec& task, const Example& example) {
  const LabelReader reader(task, "t.csv");
  std::vector<double> values;
  std::vector<uint16_t> classes;
  const Status read =
      task.kind == TaskKind::kClassifyTokens ? reader.read_letters(example, &classes) : reader.read(example, &values);
  return read.ok() ? "" : read.error().message();
}

TEST(Labels, BecomeNumbers) {
  TaskSpec task;
  std::vector<double> values;
  task.class_names = {"EI", "IE", "N"};
  ASSERT_TRUE(LabelReader(task, "t").read({2, "A", {"N"}}, &values).ok());
  EXPECT_EQ(values, std::vector<double>{2});
  task.kind = TaskKind::kMultiLabel;
  ASSERT_TRUE(LabelReader(task, "t").read({2, "A", {"['1', '0', 'nan']"}}, &values).ok());
  EXPECT_EQ(values[0], 1);
  EXPECT_TRUE(std::isnan(values[2]));
  task.class_names.clear();
  task.labels = {"a", "b"};
  ASSERT_TRUE(LabelReader(task, "t").read({2, "A", {"0", ""}}, &values).ok());
  EXPECT_EQ(values.size(), 2u);
  EXPECT_TRUE(values[0] == 0 && std::isnan(values[1]));
  task.kind = TaskKind::kRegress;
  ASSERT_TRUE(LabelReader(task, "t").read({2, "A", {"-1.5e3", "7"}}, &values).ok());
  EXPECT_EQ(values, (std::vector<double>{-1500, 7}));
  task.labels.clear();
  task.label = "";
  EXPECT_EQ(LabelReader(task, "t").per_row(), 0) << "examples without labels";
  task.label = "y";
  task.kind = TaskKind::kClassifyTokens;
  std::vector<uint16_t> classes;
  for (const auto& [names, text] :
       std::vector<std::pair<std::vector<std::string>, std::string>>{{{"0", "1", "2"}, "[0, 1, 2, 2]"},
                                                                     {{"0", "1", "2"}, "0122"},
                                                                     {{"H", "E", "_"}, "HE__"},
                                                                     {{"O", "exon", "CDS"}, "O exon CDS CDS"}}) {
    task.class_names = names;
    const Status read = LabelReader(task, "t").read_letters({2, "ACGT", {text}}, &classes);
    ASSERT_TRUE(read.ok()) << read.error().message();
    EXPECT_EQ(classes, (std::vector<uint16_t>{0, 1, 2, 2})) << text;
  }
}

TEST(Labels, ErrorsNameLineColumnAndWhatWasExpected) {
  TaskSpec task;
  task.classes = 2;
  EXPECT_EQ(error_of(task, {12, "A", {"2"}}),
            "t.csv: line 12, column \"label\": expected one of 0, 1; found \"2\": mend "
            "the row, or declare the class in task.classes");
  EXPECT_NE(error_of(task, {12, "A", {""}}), "") << "a class must be there";
  EXPECT_NE(error_of(task, {12, "A", {"01"}}), "");
  task.classes = 400;
  EXPECT_NE(error_of(task, {3, "A", {"x"}}).find("8, 9, ... (400 classes)"), std::string::npos);
  task.kind = TaskKind::kMultiLabel;
  task.classes = 3;
  EXPECT_NE(error_of(task, {3, "A", {"[0, 1]"}}).find("expected a list of 3 labels like [0, 1], found \"[0, 1]\""),
            std::string::npos);
  EXPECT_NE(error_of(task, {3, "A", {"[0, 1, 2]"}}).find("expected 0 or 1, or nothing"), std::string::npos);
  EXPECT_NE(error_of(task, {3, "A", {"[0, 1, 1"}}).find("expected a list of 3"), std::string::npos);
  task.kind = TaskKind::kRegress;
  task.labels = {"y", "z"};
  task.classes = 0;
  EXPECT_EQ(error_of(task, {3, "A", {"1", "much"}}).find("t.csv: line 3, column \"z\": expected a finite number"), 0u);
  EXPECT_NE(error_of(task, {3, "A", {"1", "inf"}}), "");
  EXPECT_NE(error_of(task, {3, "A", {"1", "1.5x"}}), "");
  task = {};
  task.kind = TaskKind::kClassifyTokens;
  task.classes = 2;
  EXPECT_NE(error_of(task, {3, "ACG", {"01"}}).find("expected 3 classes, one for each base, found 1"),
            std::string::npos);
  EXPECT_NE(error_of(task, {3, "ACG", {"0 1 2"}}).find("expected one of 0, 1; found \"2\""), std::string::npos);
}

}  // namespace
}  // namespace strand
