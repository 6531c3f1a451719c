#include "dataserver/formats/flat_file.h"

#include <gtest/gtest.h>

#include "dataserver/formats/location.h"
#include "dataserver/formats/sequence_reader.h"
#include "shared/base/text.h"
#include "tests/unit/dataserver/flat_files.h"
#include "tests/unit/dataserver/genomes.h"

namespace strand {
namespace {

using testing::MemoryStore;
using testing::TemporaryFolder;

class Collect final : public FastaSink, public FeatureSink {
 public:
  Status begin_record(const std::string& name, int64_t) override {
    text += ">" + name + "\n";
    return {};
  }
  Status bases(std::string_view letters) override {
    text += letters;
    return {};
  }
  Status end_record() override {
    text += "\n";
    return {};
  }
  Status feature(Feature feature) override {
    features.push_back(std::move(feature));
    return {};
  }
  std::string text;
  std::vector<Feature> features;
};

Result<Collect> read(FlatFormat format, std::string_view text, size_t piece = 1 << 20) {
  Collect sink;
  const auto parser = FlatFileParser::make(format, "f", &sink, &sink);
  for (size_t at = 0; at < text.size(); at += piece) STRAND_TRY(parser->feed(text.substr(at, piece)));
  STRAND_TRY(parser->finish());
  return sink;
}

const char* const kGenBank =
    "GBBCT1.SEQ  Genetic Sequence Data Bank\n\n"
    "LOCUS       AB000001       80 bp    DNA     circular BCT 01-JAN-2000\n"
    "DEFINITION  made up\n            in two lines.\n"
    "ACCESSION   AB000001 AB9\nVERSION     AB000001.2  GI:5\n"
    "FEATURES             Location/Qualifiers\n"
    "     source          1..80\n"
    "     gene            complement(<5..>70)\n"
    "                     /gene=\"abc\"\n"
    "                     /pseudo\n"
    "     CDS             join(61..80,1..10,\n"
    "                     AB000001.2:12..20)\n"
    "                     /note=\"says \"\"quoted\"\" over\n"
    "                     /two lines\"\n"
    "                     /translation=\"MKV\n"
    "                     LLA\"\n"
    "                     /codon_start=1\n"
    "BASE COUNT     1 a\n"
    "ORIGIN      \n"
    "        1 acgtacgtac gtacgtacgt acgtnrykac gtacgtacgt acgtacgtac gtacgtacgt\n"
    "       61 acgtacgtac gtacgtacgt\n"
    "//\n";

TEST(GenBank, ReadsSequenceNamesAndFeatures) {
  const auto whole = read(FlatFormat::kGenBank, kGenBank);
  ASSERT_TRUE(whole.ok()) << whole.error().message();
  EXPECT_TRUE(whole->text.starts_with(">AB000001.2\nACGTACGTACGTACGTACGTACGTNRYKACGT")) << whole->text;
  ASSERT_EQ(whole->features.size(), 3u);
  const Feature& gene = whole->features[1];
  EXPECT_EQ(gene.kind, "gene");
  EXPECT_EQ(gene.line, 10);
  EXPECT_EQ(gene.strand, -1);
  EXPECT_EQ(gene.parts, (std::vector<FeaturePart>{{4, 70, -1, true, true}}));
  EXPECT_EQ(gene.qualifiers, (std::vector<std::pair<std::string, std::string>>{{"gene", "abc"}, {"pseudo", ""}}));
  const Feature& cds = whole->features[2];
  EXPECT_EQ(cds.parts, (std::vector<FeaturePart>{{60, 80, 1}, {0, 10, 1}, {11, 20, 1}}));
  EXPECT_EQ(cds.begin, 0);
  EXPECT_EQ(cds.end, 80);
  EXPECT_EQ(cds.qualifiers,
            (std::vector<std::pair<std::string, std::string>>{
                {"note", "says \"quoted\" over /two lines"}, {"translation", "MKVLLA"}, {"codon_start", "1"}}));
  for (const size_t piece : {1, 7, 64}) {
    const auto cut = read(FlatFormat::kGenBank, kGenBank, piece);
    ASSERT_TRUE(cut.ok());
    EXPECT_EQ(cut->text, whole->text);
    EXPECT_EQ(cut->features, whole->features);
  }
}

TEST(Location, ReadsTheWholeGrammar) {
  const LocationScope scope = {"X1.1", "X1", 100};
  using Parts = std::vector<FeaturePart>;
  const auto parts = [&](std::string_view text) {
    const auto location = parse_location(text, scope);
    EXPECT_TRUE(location.ok()) << text << ": " << location.error().message();
    return location.ok() ? location->parts : Parts();
  };
  EXPECT_EQ(parts("7"), (Parts{{6, 7, 1}}));
  EXPECT_EQ(parts("<7"), (Parts{{6, 7, 1, true, false}}));
  EXPECT_EQ(parts("7^8"), (Parts{{7, 7, 1}}));
  EXPECT_EQ(parts("100^1"), (Parts{{100, 100, 1}}));
  EXPECT_EQ(parts("(5.7)..9"), (Parts{{4, 9, 1}}));
  EXPECT_EQ(parts("5..(7.9)"), (Parts{{4, 9, 1}}));
  EXPECT_EQ(parts("5.9"), (Parts{{4, 9, 1}}));
  EXPECT_EQ(parts("X1:5..9"), (Parts{{4, 9, 1}}));
  EXPECT_EQ(parts("complement(join(1..2,5..6))"), (Parts{{4, 6, -1}, {0, 2, -1}}));
  EXPECT_EQ(parts("join(complement(5..6),complement(1..2))"), (Parts{{4, 6, -1}, {0, 2, -1}}));
  EXPECT_EQ(parts("complement(complement(1..2))"), (Parts{{0, 2, 1}}));
  EXPECT_TRUE(parse_location("order(1..2,5..6)", scope)->ordered);
  EXPECT_FALSE(parse_location("join(1..2,5..6)", scope)->ordered);
}

TEST(Location, RefusesWithColumnAndMend) {
  const LocationScope scope = {"X1.1", "X1", 100};
  const std::pair<std::string, std::string> cases[] = {
      {"1..101", "column 4 of the location: base 101 is outside the record; expected 1 to 100"},
      {"0..5", "base 0 is outside"},
      {"9..5", "ends before it begins"},
      {"join(1..5,Y2.1:1..5)", "column 11 of the location: a part on another record, 'Y2.1'; expected bases of X1.1"},
      {"7^9", "between no two bases"},
      {"", "found nothing"},
      {"1..", "expected the number of a base"},
      {"join(1..2", "expected ',' or ')'"},
      {"1..2)", "expected the end"},
      {"one-of(1,2)..5", "expected the number of a base"},
      {"99999999999999999999999", "is outside the record"},
      {std::string(200, ' ').replace(0, 0, ""), "expected the number"}};
  for (const auto& [text, says] : cases) {
    const auto location = parse_location(text, scope);
    ASSERT_FALSE(location.ok()) << text;
    EXPECT_NE(location.error().message().find(says), std::string::npos) << location.error().message();
  }
  std::string deep;
  for (int i = 0; i < 10000; ++i) deep += "complement(";
  EXPECT_NE(parse_location(deep, scope).error().message().find("levels"), std::string::npos);
}

// Every prefix is refused, but for those that end with a whole record.
TEST(FlatFiles, EveryTruncationIsRefused) {
  const std::string embl = testing::embl({{"X1.1", "ACGTNACGTA"}, {"X2.1", "ACGT"}});
  for (const auto& [format, text] :
       {std::pair(FlatFormat::kGenBank, std::string(kGenBank)), {FlatFormat::kEmbl, embl}}) {
    const auto whole = read(format, text);
    ASSERT_TRUE(whole.ok()) << whole.error().message();
    for (size_t length = 0; length < text.size(); ++length) {
      const auto result = read(format, text.substr(0, length));
      if (!result.ok()) {
        EXPECT_EQ(result.error().code(), ErrorCode::kBadInput);
        EXPECT_TRUE(result.error().message().starts_with("f: ")) << result.error().message();
        continue;
      }
      EXPECT_TRUE(whole->text.starts_with(result->text));
      EXPECT_TRUE(trim(text.substr(0, length)).ends_with("\n//")) << length;
    }
  }
}

TEST(FlatFiles, SayWhatIsWrongAndWhere) {
  const auto refused = [](std::string text, const std::string& from, const std::string& to, const std::string& says) {
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    const auto result =
        read(text.starts_with("ID") ? FlatFormat::kEmbl : FlatFormat::kGenBank, text.replace(at, from.size(), to));
    ASSERT_FALSE(result.ok()) << says;
    EXPECT_EQ(result.error().code(), ErrorCode::kBadInput);
    EXPECT_NE(result.error().message().find(says), std::string::npos) << result.error().message();
  };
  refused(kGenBank, "80 bp", "81 bp", "f: line 24: the record 'AB000001.2' has 80 bases; expected 81, as line 3 says");
  refused(kGenBank, "1..80", "1..81", "f: line 9: feature source: column 4 of the location: base 81 is outside");
  refused(kGenBank, "AB000001.2:12", "AB000002.1:12",
          "feature CDS: column 19 of the location: a part on another record");
  refused(kGenBank, "/gene=\"abc\"", "/gene=\"abc", "the text of /gene has no closing quote");
  refused(kGenBank, "       61 acgt", "       51 acgt", "first base is said to be 51; expected 61");
  refused(kGenBank, "acgtnryk", "acgunryk", "found 'u' in the sequence");
  refused(kGenBank, "acgtnryk", "acg-nryk", "write n for an unknown base");
  refused(kGenBank, "       80 bp ", "80 bp ",
          "line 3: the record's length is ''; expected its number of bases, apart from the name");
  refused(kGenBank, "80 bp", "80 aa", "amino acids");
  refused(kGenBank, "80 bp", "x8 bp", "the record's length is 'x8'");
  refused(kGenBank, "ORIGIN      \n", "CONTIG      join(X:1..80)\n//\nORIGIN      \n", "has no sequence");
  refused(kGenBank, "//\n", "//\ntext\n", "line 25: found 'text' between two records");
  refused(kGenBank, "//\n", "LOCUS       X 4 bp\n", "begins inside the record 'AB000001.2' of line 3");
  refused(kGenBank, "     CDS             join(61..80,1..10,\n                     AB000001.2:12..20)", "     CDS",
          "feature CDS: no location");
  const std::string embl = testing::embl({{"X1.1", "ACGTNACGTA"}});
  refused(embl, "10 BP.", "11 BP.", "has 10 bases; expected 11");
  refused(embl, "        10\n", "        11\n", "last base is said to be 11; expected 10");
  refused(embl, "1..10", "1..12", "base 12 is outside the record; expected 1 to 10");
  refused(embl, "10 BP.", "10 AA.", "amino acids");
  refused(embl, "SQ ", "CO ", "has no sequence");
}

TEST(Embl, ReadsOldAndNewIdLines) {
  const auto name = [](const std::string& head) {
    const auto result =
        read(FlatFormat::kEmbl, head + "SQ   Sequence 4 BP;\n     acgt                          4\n//\n");
    EXPECT_TRUE(result.ok()) << result.error().message();
    return result.ok() ? result->text : "";
  };
  EXPECT_EQ(name("ID   X56734; SV 1; linear; mRNA; STD; PLN; 4 BP.\nXX\n"), ">X56734.1\nACGT\n");
  EXPECT_EQ(name("ID   TRBG361    standard; mRNA; PLN; 4 BP.\nAC   X56734; S46826;\nSV   X56734.1\n"),
            ">X56734.1\nACGT\n");
  EXPECT_EQ(name("ID   chr1    standard; DNA; HTG; 4 BP.\nAC   ;\n"), ">chr1\nACGT\n");
}

// The same names and bases are the same corpus, whatever they were read from.
TEST(FlatFiles, TheSameContentAsFasta) {
  std::mt19937_64 random(3);
  testing::Records records;
  for (const size_t length : {1, 59, 60, 61, 1000, 70001}) {
    std::string letters = testing::random_sequence(&random, length);
    for (char& c : letters) c = static_cast<char>(c & ~32);
    records.emplace_back(concat("X", length, ".1"), letters);
  }
  const TemporaryFolder folder;
  MemoryStore store;
  const auto content = [&](const std::string& name, const std::string& bytes) {
    const auto info = build_corpus(&store, {folder.file(name, bytes)}, testing::keep_going);
    EXPECT_TRUE(info.ok()) << name << info.error().message();
    if (info.ok()) {
      for (const RecordInfo& record : info->records) EXPECT_EQ(record.lower_case, 0);
    }
    return info.ok() ? info->content.hex() : name;
  };
  const std::string expected = content("a.fa", testing::fasta(records, 60));
  EXPECT_EQ(content("a.gb", testing::genbank(records)), expected);
  EXPECT_EQ(content("a.embl", testing::embl(records)), expected);
  EXPECT_EQ(content("a.gb.gz", testing::gzip(testing::genbank(records))), expected);
  EXPECT_EQ(content("a.embl.xz", testing::xz(testing::embl(records))), expected);
}

}  // namespace
}  // namespace strand
