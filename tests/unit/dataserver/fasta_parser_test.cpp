#include "dataserver/corpus/fasta_parser.h"

#include <gtest/gtest.h>

#include "shared/base/text.h"
#include "tests/unit/dataserver/genomes.h"

namespace strand {
namespace {

using Records = std::vector<std::pair<std::string, std::string>>;

class Collect final : public FastaSink {
 public:
  Status begin_record(const std::string& name, int64_t) override {
    records.emplace_back(name, "");
    return {};
  }
  Status bases(std::string_view letters) override {
    EXPECT_FALSE(letters.empty());
    records.back().second += letters;
    return {};
  }
  Status end_record() override {
    ++ended;
    return {};
  }
  Records records;
  size_t ended = 0;
};

Result<Records> parse(const std::string& text, size_t piece = 1 << 20) {
  Collect sink;
  FastaParser parser("g.fa", &sink);
  for (size_t at = 0; at < text.size(); at += piece) STRAND_TRY(parser.feed(std::string_view(text).substr(at, piece)));
  STRAND_TRY(parser.finish());
  EXPECT_EQ(sink.ended, sink.records.size());
  return sink.records;
}

TEST(FastaParser, ReadsRecordsHoweverTheBytesAreCut) {
  std::mt19937_64 random(4);
  Records records;
  for (int i = 0; i < 6; ++i) {
    records.emplace_back(concat("chr", i), testing::random_sequence(&random, 1 + random() % 500));
  }
  const std::string text = testing::fasta(records, 61);
  for (size_t piece = 1; piece < 200; ++piece) {
    const auto read = parse(text, piece);
    ASSERT_TRUE(read.ok()) << read.error().message();
    EXPECT_EQ(*read, records) << piece;
  }
}

TEST(FastaParser, TakesWhatPeopleWrite) {
  const Records expected = {{"a", "ACGTnn"}, {"b", "RYA"}};
  for (const char* text :
       {">a text\nACGT\nnn\n>b\nRYA\n", ">a\r\nACGT\r\nnn\r\n>b\tx\r\nRYA\r\n", ">a\nACGTnn\n>b\nRYA",
        "\n\n>a\n\nACGT\n\nnn\n\n>b\nRYA\n\n", ">a \nACGT  \nnn\t\n>b\nRYA   "}) {
    for (const size_t piece : {1, 3, 100}) {
      const auto read = parse(text, piece);
      ASSERT_TRUE(read.ok()) << read.error().message();
      EXPECT_EQ(*read, expected) << text;
    }
  }
}

struct Bad {
  std::string text;
  std::string place;  // how the message begins
  std::string says;
};

class BadFasta : public ::testing::TestWithParam<Bad> {};

TEST_P(BadFasta, IsRefusedWithPlaceAndReason) {
  for (const size_t piece : {1, 2, 7, 1000000}) {
    const auto read = parse(GetParam().text, piece);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code(), ErrorCode::kBadInput);
    EXPECT_EQ(read.error().message().rfind(GetParam().place, 0), 0u) << read.error().message();
    EXPECT_NE(read.error().message().find(GetParam().says), std::string::npos) << read.error().message();
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, BadFasta,
    ::testing::Values(
        Bad{"ACGT\n>a\nACGT\n", "g.fa: line 1, column 1:", "before the first header"},
        Bad{"\n; comment\n>a\nACGT\n", "g.fa: line 2, column 1:", "before the first header"},
        Bad{"\xef\xbb\xbf>a\nACGT\n", "g.fa: line 1, column 1:", "before the first header"},
        Bad{">a\n>b\nACGT\n", "g.fa: line 1:", "without bases"},
        Bad{">a\nACGT\n>b\n", "g.fa: line 3:", "without bases"}, Bad{">a\nACGT\n>b", "g.fa: line 3:", "without bases"},
        Bad{">a\nAC\nACXT\n", "g.fa: line 3, column 3:", "'X'"}, Bad{">a\nAC-T\n", "g.fa: line 2, column 3:", "gaps"},
        Bad{">a\nACGT*\n", "g.fa: line 2, column 5:", "'*'"}, Bad{">a\nACGU\n", "g.fa: line 2, column 4:", "RNA"},
        Bad{">a\nACG T\n", "g.fa: line 2, column 4:", "blank"}, Bad{">a\nAC5T\n", "g.fa: line 2, column 3:", "'5'"},
        Bad{">a\nACGT>b\n", "g.fa: line 2, column 5:", "'>'"},
        Bad{">\nACGT\n", "g.fa: line 1, column 1:", "without a name"},
        Bad{"> a\nACGT\n", "g.fa: line 1, column 1:", "without a name"}, Bad{"", "g.fa:", "no records"},
        Bad{"\n \n", "g.fa:", "no records"},
        Bad{std::string("\x7f"
                        "ELF\0\0",
                        6),
            "g.fa: line 1, column 1:", "binary"},
        Bad{std::string(">a\nAC\0GT\n", 9), "g.fa: line 2, column 3:", "binary"},
        Bad{std::string(">a\0b\nACGT\n", 10), "g.fa: line 1, column 3:", "binary"},
        Bad{">" + std::string(FastaParser::kLongestHeader, 'a'), "g.fa: line 1:", "header longer"}));

}  // namespace
}  // namespace strand
