// Variants lie on the genome they are said to, or are refused with the place.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "dataserver/variants/genome_variants.h"

namespace strand {
namespace {

constexpr const char* kHeader = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n";

class Variants : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_);
    genome_ = write("g.fa", ">chr1 a\nACGTACGTAC\nGTnnACGTAA\n>chr2\nTTTTCCCC\n>chr3\nGGGG\n");
  }
  std::string write(const std::string& name, const std::string& content) {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << content;
    return folder_ + "/" + name;
  }
  std::vector<Variant> read(const std::string& name, const std::string& content) {
    const auto variants = read_variants(write(name, content));
    error_ = variants.ok() ? "" : variants.error().message();
    return variants.ok() ? *variants : std::vector<Variant>();
  }
  // Of a VCF's rows against the genome; the records visited.
  std::vector<std::string> visit(const std::string& rows) {
    const auto variants = read("v.vcf", kHeader + rows);
    std::vector<std::string> visited;
    if (error_ != "") return visited;
    const Status status = visit_variants(
        genome_, folder_ + "/v.vcf", variants,
        [&](const RecordVariants& record) -> Status {
          for (const size_t v : record.variants) visited.push_back(record.name + ":" + std::to_string(v));
          return {};
        },
        [](double) { return true; });
    if (!status.ok()) error_ = status.error().message();
    return visited;
  }
  void refused(const std::string& rows, const std::vector<std::string>& words) {
    visit(rows);
    EXPECT_NE(error_, "") << rows;
    for (const std::string& word : words) EXPECT_NE(error_.find(word), std::string::npos) << word << " in " << error_;
  }

  std::string folder_ = testing::TempDir() + "/variants";
  std::string genome_, error_;
};

TEST_F(Variants, VcfAndTablesHoldTheSameRows) {
  const auto vcf = read("a.vcf", std::string(kHeader) + "chr1\t3\trs1\tG\tA,T\t.\t.\t.\r\nchr2\t5\t.\tCC\tC\n");
  ASSERT_EQ(error_, "");
  const auto table = read("a.csv", "ID,CHROM,POS,REF,ALT\nx,chr1,3,G,\"A,T\"\ny,chr2,5,CC,C\n");
  ASSERT_EQ(error_, "");
  ASSERT_EQ(vcf.size(), 2u);
  for (size_t v = 0; v < 2; ++v) {
    EXPECT_EQ(vcf[v].chromosome, table[v].chromosome);
    EXPECT_EQ(vcf[v].position, table[v].position);
    EXPECT_EQ(vcf[v].reference, table[v].reference);
    EXPECT_EQ(vcf[v].alternatives, table[v].alternatives);
  }
  EXPECT_EQ(vcf[0].line, 3);
  EXPECT_EQ(vcf[0].alternatives, (std::vector<std::string>{"A", "T"}));
}

TEST_F(Variants, EveryOneIsVisitedOnItsRecord) {
  const auto visited = visit("chr2\t5\t.\tCC\tC\nchr1\t1\t.\tA\tG\nchr1\t13\t.\tNN\tA\nchr1\t20\t.\ta\tG\n");
  EXPECT_EQ(error_, "");
  EXPECT_EQ(visited, (std::vector<std::string>{"chr1:1", "chr1:2", "chr1:3", "chr2:0"}));
}

TEST_F(Variants, AnotherGenomesAreRefusedWithLineExpectedAndFound) {
  refused("chr1\t1\t.\tA\tG\nchr1\t2\t.\tT\tG\n", {"v.vcf: line 4", "chr1:2", "expected REF T", "found C", "g.fa"});
  refused("chr2\t8\t.\tCC\tC\n", {"line 3", "has 8 bases"});
  refused("chr4\t1\t.\tA\tG\n", {"line 3", "CHROM is \"chr4\"", "g.fa", "rename"});
}

TEST_F(Variants, RowsThatAreNoVariantsAreRefused) {
  refused("chr1\t0\t.\tA\tG\n", {"line 3", "POS is \"0\""});
  refused("chr1\t1x\t.\tA\tG\n", {"POS is \"1x\""});
  refused("chr1 1 . A G\n", {"line 3", "1 columns", "tabs"});
  refused("chr1\t1\t.\t.\tG\n", {"REF is \".\""});
  refused("chr1\t1\t.\tA\tG,,T\n", {"ALT is \"G,,T\""});
  read("b.vcf", "chr1\t1\t.\tA\tG\n");
  EXPECT_NE(error_.find("line 1: a row before"), std::string::npos) << error_;
  read("c.vcf", kHeader);
  EXPECT_NE(error_.find("no variants"), std::string::npos) << error_;
  read("d.csv", "CHROM,POS,REF\nchr1,1,A\n");
  EXPECT_NE(error_.find("no column \"ALT\""), std::string::npos) << error_;
}

TEST_F(Variants, WindowsAreCentredAndStayInsideTheRecord) {
  const std::string letters = "AACCGGTTnR";
  const auto window = [&](int64_t position, const std::string& reference, const std::string& alternative,
                          int64_t context) {
    return allele_window(letters, {1, "c", position, reference, {alternative}}, alternative, context);
  };
  const auto expect = [](const AlleleWindow& w, const std::string& reference, const std::string& alternative,
                         size_t offset) {
    EXPECT_EQ(w.reference, reference);
    EXPECT_EQ(w.alternative, alternative);
    EXPECT_EQ(w.offset, offset);
  };
  expect(window(5, "G", "T", 4), "CCGG", "CCTG", 2);
  expect(window(1, "A", "C", 4), "AACC", "CACC", 0);
  expect(window(10, "R", "C", 4), "TTNN", "TTNC", 3);
  expect(window(5, "G", "GAA", 4), "CCGG", "CCGAAG", 2);
  expect(window(5, "GG", "g", 4), "CCGG", "CCG", 2);
  expect(window(4, "CGGTT", "C", 4), "ACCGGTT", "ACC", 2);  // as long as the reference needs
  expect(window(5, "G", "T", 100), "AACCGGTTNN", "AACCTGTTNN", 4);
}

}  // namespace
}  // namespace strand
