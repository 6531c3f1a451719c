#include "dataserver/tables/table_parser.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "dataserver/tables/table_file.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "tests/unit/dataserver/genomes.h"

namespace strand {
namespace {

using Fields = std::vector<std::string>;
const Fields kColumns = {"sequence", "label"};

class Collect final : public TableSink {
 public:
  Status row(TableRow row) override {
    rows.push_back(std::move(row.fields));
    lines.push_back(row.line);
    return {};
  }
  std::vector<Fields> rows;
  std::vector<int64_t> lines;
};

struct Parsed {
  std::vector<Fields> rows;
  std::vector<int64_t> lines;
  std::string error;
  bool operator==(const Parsed&) const = default;
};

Parsed parse(TableFormat format, const std::string& text, const Fields& columns = kColumns, size_t piece = 1 << 20) {
  Collect sink;
  const auto parser = TableParser::make(format, "t", columns, &sink);
  Status status;
  for (size_t at = 0; at < text.size() && status.ok(); at += piece) {
    status = parser->feed(std::string_view(text).substr(at, piece));
  }
  if (status.ok()) status = parser->finish();
  if (!status.ok()) return {{}, {}, status.error().message()};
  return {sink.rows, sink.lines, ""};
}

std::string quoted(const std::string& field) {
  std::string out = "\"";
  for (const char c : field) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

// The same rows in every way they can be written, cut anywhere.
TEST(TableParser, EveryFormatGivesTheSameRowsHoweverItIsCut) {
  std::mt19937_64 random(60);
  for (int round = 0; round < 60; ++round) {
    std::vector<Fields> rows;
    std::string csv = round % 2 == 0 ? "" : "\xef\xbb\xbf", tsv, json, fasta;
    const std::string end = round % 3 == 0 ? "\r\n" : "\n";
    csv += "label,\"a, \"\"b\"\"\",sequence" + end;
    tsv += "sequence\tlabel" + end;
    for (int i = 0; i < 1 + round % 7; ++i) {
      const Fields row = {testing::random_letters(&random, 1 + random() % 50, "ACGTNacgt"),
                          testing::random_letters(&random, 1 + random() % 5, "01xyz,[];'")};
      rows.push_back(row);
      const bool plain = row[1].find(',') == std::string::npos && random() % 2 == 0;
      csv +=
          concat(plain ? row[1] : quoted(row[1]), ",\"x\"\"\n,\",", random() % 2 == 0 ? row[0] : quoted(row[0]), end);
      if (random() % 3 == 0) csv += end;
      tsv += concat(row[0], "\t", quoted(row[1]), end);
      json += concat("{\"label\": ", dump_json(Json(row[1])),
                     ", \"more\": {\"x\": 1}, \"sequence\": ", dump_json(Json(row[0])), "}", end);
      const size_t half = row[0].size() / 2;
      fasta +=
          concat(">r", i, " x label=\"", row[1], "\"", end, row[0].substr(0, half), end, end, row[0].substr(half), end);
    }
    if (round % 4 == 0) csv.resize(csv.size() - end.size());
    const std::pair<TableFormat, std::string> all[] = {{TableFormat::kCsv, csv},
                                                       {TableFormat::kTsv, tsv},
                                                       {TableFormat::kJsonLines, json},
                                                       {TableFormat::kFasta, fasta}};
    for (const auto& [format, text] : all) {
      const Parsed whole = parse(format, text);
      ASSERT_EQ(whole.error, "") << text;
      ASSERT_EQ(whole.rows, rows) << text;
      for (const size_t piece : {1, 2, 3, 17}) ASSERT_EQ(parse(format, text, kColumns, piece), whole) << text;
    }
  }
}

TEST(TableParser, RowsKnowTheirLines) {
  EXPECT_EQ(parse(TableFormat::kCsv, "sequence,label\n\nA,\"1\n2\"\nC,3\n").lines, (std::vector<int64_t>{3, 5}));
  EXPECT_EQ(parse(TableFormat::kFasta, "\n>a|1\nA\nC\n>b|2\nG\n").lines, (std::vector<int64_t>{2, 5}));
  EXPECT_EQ(parse(TableFormat::kJsonLines, "\n{\"sequence\": \"A\", \"label\": 1}\n").lines, (std::vector<int64_t>{2}));
}

TEST(TableParser, JsonValuesReadAsTheyWouldBeWritten) {
  const std::pair<std::string, std::string> values[] = {
      {"\"x\"", "x"}, {"3", "3"},           {"-0.25", "-0.25"},    {"1e-3", "0.001"},
      {"true", "1"},  {"false", "0"},       {"null", ""},          {"[0, 1]", "[0,1]"},
      {"[]", "[]"},   {"\"\\u00e9\"", "é"}, {"[\"a\"]", "[\"a\"]"}};
  for (const auto& [json, field] : values) {
    const Parsed parsed = parse(TableFormat::kJsonLines, "{\"sequence\": \"A\", \"label\": " + json + "}\n");
    ASSERT_EQ(parsed.error, "") << json;
    EXPECT_EQ(parsed.rows[0][1], field);
  }
}

TEST(TableParser, LabelsOfFastaHeaders) {
  const std::pair<std::string, std::string> headers[] = {{">a label=1", "1"},
                                                         {">a|1", "1"},
                                                         {">a b label=x c", "x"},
                                                         {">sp|P1|EI more", "EI"},
                                                         {">a label=[0, 1] x", "[0, 1]"},
                                                         {">a label=\"x y\"", "x y"},
                                                         {">a|2 label=3", "3"},
                                                         {">a|label=4", "4"}};
  for (const auto& [header, label] : headers) {
    const Parsed parsed = parse(TableFormat::kFasta, header + "\nACGT\n", {"label", "name", "sequence"});
    ASSERT_EQ(parsed.error, "") << header;
    EXPECT_EQ(parsed.rows[0][0], label) << header;
    EXPECT_EQ(parsed.rows[0][2], "ACGT");
  }
  EXPECT_EQ(parse(TableFormat::kFasta, ">a b\nAC\n", {"name", "sequence"}).rows, (std::vector<Fields>{{"a", "AC"}}));
}

TEST(TableParser, ErrorsNameTheirPlaceAndTheMend) {
  struct Case {
    TableFormat format;
    std::string text, message;
  };
  const TableFormat csv = TableFormat::kCsv, tsv = TableFormat::kTsv, json = TableFormat::kJsonLines,
                    fasta = TableFormat::kFasta;
  const Case cases[] = {
      {csv, "", "t: empty; expected a line of column names"},
      {csv, "sequence,label\n", "t: no rows"},
      {csv, "sequence,lable\nA,1\n",
       "t: line 1: no column \"label\"; the columns are sequence, lable; did you mean "
       "\"lable\"? rename it in the file, or name the column that is meant"},
      {csv, "sequence,label,label\nA,1,2\n", "t: line 1: two columns are called \"label\""},
      {csv, "sequence,label\nA,1\nC\n", "t: line 3: expected 2 fields (sequence, label), found 1: quote a field"},
      {csv, "sequence,label\nA,[0,1]\n", "t: line 2: expected 2 fields (sequence, label), found 3"},
      {tsv, "sequence\tlabel\nA,1\n",
       "t: line 2: expected 2 fields (sequence, label), found 1: one tab between two fields, not a comma"},
      {csv, "sequence,label\nA;1\n", "t: line 2: expected 2 fields (sequence, label), found 1: one comma between two"},
      {csv, "sequence\tlabel\nA\t1\n",
       "t: line 1: expected column names between commas, found 1 tab: this table is separated by tabs; call it .tsv"},
      {tsv, "sequence,label,more\nA,1,2\n",
       "t: line 1: expected column names between tabs, found 2 commas: this table is separated by commas; call it "
       ".csv"},
      {csv, "sequence;label\nA;1\n",
       "t: line 1: expected column names between commas, found 1 semicolon: this table is separated by semicolons; "
       "save it with "
       "commas"},
      {tsv, "sequence;label\nA;1\n",
       "t: line 1: expected column names between tabs, found 1 semicolon: this table is separated by semicolons; save "
       "it with tabs"},
      {csv, "sequence,label\nA,1\nA\"C,1\n", "t: line 3, column 2: a quote inside an unquoted field"},
      {csv, "sequence,label\n\"A\"C,1\n", "t: line 2, column 4: text after a closing quote"},
      {csv, "sequence,label\nA,\"1\nC,2\n", "t: line 2, column 3: a quoted field has no end"},
      {csv, "sequence,label\nA\"C,1\nA,2\n", "t: line 2, column 2: a quote inside an unquoted field"},
      {csv, "sequence,label\nA,\"x\ny\"z\n", "t: line 3, column 3: text after a closing quote"},
      {csv, "sequence,label\nA,\xff\n", "t: line 2, column 3: byte 0xff is no UTF-8 text"},
      {csv, std::string("sequence,label\nA,\0\n", 18), "t: line 2, column 3: byte 0x00 is no UTF-8 text"},
      {json, "{\"sequence\": \"A\", \"label\": 1}\n{\"sequence\": }\n", "t: line 2, column 14: not valid JSON"},
      {json, "{\"sequence\": \"A\"}\n", "t: line 1: no column \"label\"; the columns are sequence;"},
      {json, "[1, 2]\n", "t: line 1: expected an object like {\"sequence\": ..., \"label\": ...}, found array"},
      {json, "{\"sequence\": {}, \"label\": 1}\n", "t: line 1: key \"sequence\": expected text, a number or an array"},
      {json, "\n\n", "t: no rows"},
      {fasta, "ACGT\n", "t: line 1, column 1: text before the first header"},
      {fasta, ">a\nACGT\n", "t: line 1: a header without a label; expected '>name label=1' or '>name|1'"},
      {fasta, "", "t: no rows"},
  };
  for (const Case& c : cases) {
    const Parsed parsed = parse(c.format, c.text);
    EXPECT_EQ(parsed.error.substr(0, c.message.size()), c.message) << c.text;
    EXPECT_EQ(parse(c.format, c.text, kColumns, 1).error, parsed.error) << c.text;
  }
  const Parsed columns = parse(fasta, ">a|1\nA\n", {"sequence", "y"});
  EXPECT_NE(columns.error.find("no column \"y\"; the columns are name, sequence, label"), std::string::npos);
}

TEST(TableParser, AnEndlessLineIsRefusedEarly) {
  Collect sink;
  for (const char* start : {"x", "\"\n"}) {
    const auto parser = TableParser::make(TableFormat::kCsv, "t", kColumns, &sink);
    ASSERT_TRUE(parser->feed(start).ok());
    const std::string piece(1 << 20, 'x');
    size_t fed = 0;
    Status status;
    while (status.ok() && fed < 3 * TableParser::kLongestRow) {
      status = parser->feed(start[0] == 'x' ? piece : piece + "\n");
      fed += piece.size();
    }
    EXPECT_FALSE(status.ok());
    EXPECT_LE(fed, TableParser::kLongestRow + piece.size());
  }
}

TEST(TableFile, ReadsByExtensionPlainOrGzip) {
  const testing::TemporaryFolder folder;
  const std::string csv = "sequence,label\nACGT,1\nAC,0\n";
  const std::vector<Fields> expected = {{"ACGT", "1"}, {"AC", "0"}};
  const std::pair<std::string, std::string> files[] = {
      {"a.csv", csv},
      {"a.csv.gz", testing::gzip(csv)},
      {"a.csv.xz", testing::xz(csv)},
      {"a.tsv.xz", testing::xz("sequence\tlabel\nACGT\t1\nAC\t0\n")},
      {"a.tsv", "sequence\tlabel\nACGT\t1\nAC\t0\n"},
      {"a.jsonl.gz", testing::gzip("{\"sequence\":\"ACGT\",\"label\":1}\n{\"sequence\":\"AC\",\"label\":0}\n")},
      {"a.fasta", ">x|1\nACGT\n>y|0\nAC\n"}};
  for (const auto& [name, bytes] : files) {
    Collect sink;
    const Status read = read_table(folder.file(name, bytes), kColumns, &sink, testing::keep_going);
    ASSERT_TRUE(read.ok()) << read.error().message();
    EXPECT_EQ(sink.rows, expected) << name;
  }
  const auto refused = [&](const std::string& path, const std::string& says) {
    Collect sink;
    const Status read = read_table(path, kColumns, &sink, testing::keep_going);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code(), ErrorCode::kBadInput);
    EXPECT_NE(read.error().message().find(says), std::string::npos) << read.error().message();
  };
  refused(folder.file("a.csv.bz2", csv), "expected a table called .csv");
  refused(folder.file("b.csv", ""), "an empty file");
  refused(folder.path() + "/absent.csv", "absent.csv");
  const std::string cut = testing::gzip(csv);
  refused(folder.file("c.csv.gz", cut.substr(0, cut.size() - 6)), "damaged compression");
  const std::string cut_xz = testing::xz(csv);
  refused(folder.file("c.csv.xz", cut_xz.substr(0, cut_xz.size() - 6)), "damaged compression");
}

// As published: a table of the GUE benchmark, when it is there.
TEST(TableFile, ARealXzTable) {
  const std::string path = "../shared/data/gue/EMP/H3K9ac/dev.csv.xz";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "needs " << path;
  Collect sink;
  const Status read = read_table(path, kColumns, &sink, testing::keep_going);
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_GT(sink.rows.size(), 2000u);
  for (const auto& fields : sink.rows) {
    ASSERT_GE(fields[0].size(), 400u);
    ASSERT_EQ(fields[0].find_first_not_of("ACGTN"), std::string::npos);
    ASSERT_TRUE(fields[1] == "0" || fields[1] == "1");
  }
}

TEST(TableFile, DistinctValuesAreTheClasses) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.file("a.csv", "sequence,label,name\nA,10, b\nA,9,a\nA,10,b\n");
  EXPECT_EQ(*distinct_values(path, "label", 5, testing::keep_going), (Fields{"9", "10"}));
  EXPECT_EQ(*distinct_values(path, "name", 5, testing::keep_going), (Fields{"a", "b"}));
  EXPECT_FALSE(distinct_values(path, "name", 1, testing::keep_going).ok());
}

}  // namespace
}  // namespace strand
