#include "dataserver/formats/annotation_file.h"

#include <gtest/gtest.h>

#include "dataserver/corpus/feature_store.h"
#include "shared/base/text.h"
#include "tests/unit/dataserver/genomes.h"

namespace strand {
namespace {

using testing::MemoryStore;
using testing::TemporaryFolder;
using Qualifiers = std::vector<std::pair<std::string, std::string>>;

class Collect final : public FeatureSink {
 public:
  Status feature(Feature feature) override {
    features.push_back(std::move(feature));
    return {};
  }
  std::vector<Feature> features;
};

Result<std::vector<Feature>> read(std::string_view text, size_t piece = 1 << 20) {
  Collect sink;
  AnnotationParser parser(annotation_format(text), "f", {{"chr1", 100}, {"chr2", 50}}, &sink);
  for (size_t at = 0; at < text.size(); at += piece) STRAND_TRY(parser.feed(text.substr(at, piece)));
  STRAND_TRY(parser.finish());
  return sink.features;
}

const char* const kGff =
    "##gff-version 3\n##sequence-region chr1 1 100\n# comment\n\n"
    "chr2\tfrom here\tgene\t1\t50\t.\t-\t.\tID=g%3B1;Name=a b\n"
    "chr1\t.\tCDS\t3\t9\t0.5\t+\t0\tParent=t1,t2;\r\n###\n##FASTA\n>chr1\nACGT\n";
const char* const kBed =
    "browser position chr1:1-5\ntrack name=x\n#c\n"
    "chr1\t0\t100\n"
    "chr2\t10\t40\tb\t7\t-\t10\t40\t0\t2\t5,10,\t0,20,\n"
    "chr2 0 0 insertion\n";

TEST(AnnotationFile, ReadsGff3) {
  const auto features = read(kGff);
  ASSERT_TRUE(features.ok()) << features.error().message();
  ASSERT_EQ(features->size(), 2u);
  const Feature& gene = (*features)[0];
  EXPECT_EQ(gene.record, 1u);
  EXPECT_EQ(gene.kind, "gene");
  EXPECT_EQ(gene.parts, (std::vector<FeaturePart>{{0, 50, -1}}));
  EXPECT_EQ(gene.qualifiers, (Qualifiers{{"source", "from here"}, {"ID", "g;1"}, {"Name", "a b"}}));
  EXPECT_EQ(gene.line, 5);
  const Feature& cds = (*features)[1];
  EXPECT_EQ(cds.begin, 2);
  EXPECT_EQ(cds.end, 9);
  EXPECT_EQ(cds.qualifiers, (Qualifiers{{"score", "0.5"}, {"phase", "0"}, {"Parent", "t1,t2"}}));
}

TEST(AnnotationFile, ReadsBedWithBlocks) {
  const auto features = read(kBed);
  ASSERT_TRUE(features.ok()) << features.error().message();
  ASSERT_EQ(features->size(), 3u);
  EXPECT_EQ((*features)[0].parts, (std::vector<FeaturePart>{{0, 100, 0}}));
  EXPECT_EQ((*features)[1].parts, (std::vector<FeaturePart>{{30, 40, -1}, {10, 15, -1}}));
  EXPECT_EQ((*features)[1].strand, -1);
  EXPECT_EQ((*features)[1].qualifiers, (Qualifiers{{"name", "b"}, {"score", "7"}}));
  EXPECT_EQ((*features)[2].end, 0);
}

TEST(AnnotationFile, TheSameHoweverItIsCut) {
  for (const std::string text : {kGff, kBed}) {
    for (const size_t piece : {1, 7}) EXPECT_EQ(*read(text, piece), *read(text));
  }
}

TEST(AnnotationFile, SaysWhatDiffersFromTheGenome) {
  const auto gff = [](const std::string& line) { return "##gff-version 3\n" + line + "\n"; };
  const std::pair<std::string, std::string> cases[] = {
      {gff("chr3\t.\tgene\t1\t5\t.\t+\t.\tID=a"),
       "f: line 2: record 'chr3' is not in the genome; expected one like 'chr"},
      {gff("##sequence-region chr2 1 60"), "record 'chr2' has bases 1 to 60 here and 50 in the genome"},
      {gff("##sequence-region chr2 1 40"), "record 'chr2' has bases 1 to 40 here and 50 in the genome"},
      {gff("chr1\t.\tgene\t1\t101\t.\t+\t.\tID=a"), "base 101 of record 'chr1', which has 100 in the genome"},
      {gff("chr1\t.\tgene\t9\t5\t.\t+\t.\tID=a"), "the end 5 is before the beginning 9"},
      {gff("chr1\t.\tgene\t0\t5\t.\t+\t.\tID=a"), "expected bases from 1"},
      {gff("chr1\t.\tgene\tx\t5\t.\t+\t.\tID=a"), "start is 'x'; expected a whole number"},
      {gff("chr1\t.\tgene\t1\t5\t.\t*\t.\tID=a"), "strand '*'; expected + - . or ?"},
      {gff("chr1\t.\tgene\t1\t5\t.\t+\t.\tgene_id \"a\""), "convert GTF"},
      {gff("chr1 . gene 1 5 . + . ID=a"), "1 columns apart by tabs; expected the 9"},
      {gff("# nothing"), "no features"},
      {"", "no features"},
      {"chr1\t0\n", "2 columns; expected the 3 to 12 of BED"},
      {"chr1\t0\t101\n", "base 101 of record 'chr1'"},
      {"chr9\t0\t10\n", "record 'chr9' is not in the genome"},
      {"chr1\t0\t30\tb\t0\t+\t0\t0\t0\t2\t5,11\t0,20\n", "block 2 begins at 20 and has 11 bases"},
      {"chr1\t0\t30\tb\t0\t+\t0\t0\t0\t2\t5\t0,20\n", "2 blocks with 1 sizes and 2 starts"}};
  for (const auto& [text, says] : cases) {
    const auto features = read(text);
    ASSERT_FALSE(features.ok()) << text;
    EXPECT_EQ(features.error().code(), ErrorCode::kBadInput);
    EXPECT_NE(features.error().message().find(says), std::string::npos) << features.error().message();
  }
}

TEST(AnnotationFile, IsKeptBesideItsGenomeOnce) {
  const TemporaryFolder folder;
  MemoryStore store;
  const std::string genome =
      folder.file("g.fa", concat(">chr1\n", std::string(100, 'A'), "\n>chr2\n", std::string(50, 'C'), "\n"));
  const auto info = build_corpus(&store, {genome}, testing::keep_going);
  ASSERT_TRUE(info.ok());
  const std::string bad = folder.file("bad.bed", "chr1\t0\t5\nchr3\t0\t5\n");
  const auto before = store.values;
  EXPECT_FALSE(build_annotation(&store, *info, bad, testing::keep_going).ok());
  EXPECT_EQ(store.values, before);
  const std::string path = folder.file("a.gff3.gz", testing::gzip(kGff));
  const auto built = build_annotation(&store, *info, path, testing::keep_going);
  ASSERT_TRUE(built.ok()) << built.error().message();
  EXPECT_EQ(built->kinds, (std::map<std::string, uint64_t>{{"CDS", 1}, {"gene", 1}}));
  store.operations_left = 0;  // a write would fail
  EXPECT_TRUE(build_annotation(&store, *info, path, testing::keep_going).ok());
  ASSERT_EQ(list_annotations(&store, info->id)->size(), 1u);
  std::vector<std::string> kinds;
  const Status scanned = scan_features(&store, *built, [&](const Feature& feature) -> Status {
    kinds.push_back(feature.kind);
    return {};
  });
  EXPECT_TRUE(scanned.ok());
  EXPECT_EQ(kinds, (std::vector<std::string>{"CDS", "gene"}));  // by record, not as in the file
}

}  // namespace
}  // namespace strand
