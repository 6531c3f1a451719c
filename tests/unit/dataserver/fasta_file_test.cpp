#include <gtest/gtest.h>
#include <unistd.h>

#include "dataserver/corpus/genome_file.h"
#include "tests/unit/dataserver/genomes.h"

namespace strand {
namespace {

using testing::TemporaryFolder;

class Letters final : public FastaSink {
 public:
  Status begin_record(const std::string& name, int64_t) override {
    text += ">" + name + "\n";
    return {};
  }
  Status bases(std::string_view letters) override {
    text += letters;
    return {};
  }
  Status end_record() override { return {}; }
  std::string text;
};

Result<std::string> read(const std::string& path) {
  Letters sink;
  STRAND_TRY(read_fasta_file(path, &sink, testing::keep_going));
  return sink.text;
}

TEST(GenomeFile, EveryCompressionAndManyMembersReadTheSame) {
  std::mt19937_64 random(5);
  const std::string first = testing::fasta({{"a", testing::random_sequence(&random, 200000)}}, 70);
  const std::string second = testing::fasta({{"b", testing::random_sequence(&random, 999)}}, 60);
  const TemporaryFolder folder;
  const auto plain = read(folder.file("plain.fa", first + second));
  ASSERT_TRUE(plain.ok());
  EXPECT_GT(plain->size(), 200000u);
  for (const auto& bytes : {testing::gzip(first + second), testing::gzip(first) + testing::gzip(second),
                            testing::bgzip(first + second, 60000), testing::bgzip(first + second, 1000),
                            testing::xz(first + second), testing::xz(first) + testing::xz(second)}) {
    const auto packed = read(folder.file("packed.gz", bytes));
    ASSERT_TRUE(packed.ok()) << packed.error().message();
    EXPECT_EQ(*packed, *plain);
  }
}

// Every cut of a small file, and cuts all over a large one: refused, never taken for a shorter genome.
TEST(GenomeFile, RefusesEveryTruncation) {
  std::mt19937_64 random(6);
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& bytes, size_t length) {
    const auto result = read(folder.file("cut.gz", bytes.substr(0, length)));
    ASSERT_FALSE(result.ok()) << length << " of " << bytes.size();
    EXPECT_EQ(result.error().code(), ErrorCode::kBadInput);
    EXPECT_NE(result.error().message().find("cut.gz"), std::string::npos);
  };
  const std::string small = testing::fasta({{"a", testing::random_sequence(&random, 500)}}, 70);
  for (const auto& bytes : {testing::gzip(small), testing::bgzip(small, 100), testing::xz(small)}) {
    for (size_t length = 0; length < bytes.size(); ++length) refused(bytes, length);
  }
  const std::string large = testing::fasta({{"a", testing::random_sequence(&random, 400000)}}, 70);
  for (const auto& bytes : {testing::gzip(large), testing::bgzip(large, 65000), testing::xz(large)}) {
    for (size_t cut = 1; cut < bytes.size(); cut += 16001) refused(bytes, bytes.size() - cut);
  }
  // Two members: a cut inside the second, its header included.
  for (const std::string& member : {testing::gzip(small), testing::xz(small)}) {
    for (size_t length = 1; length < member.size(); length += 3) refused(member + member, member.size() + length);
  }
}

TEST(GenomeFile, RefusesDamagedCompression) {
  std::mt19937_64 random(7);
  const TemporaryFolder folder;
  const std::string text = testing::fasta({{"a", testing::random_letters(&random, 3000, "ACGT")}}, 70);
  for (const std::string& bytes : {testing::gzip(text), testing::bgzip(text, 500), testing::xz(text)}) {
    for (size_t at = 20; at < bytes.size(); at += 13) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
      const auto result = read(folder.file("d.gz", damaged));
      if (result.ok()) {  // a byte of no account, like the member's time
        EXPECT_EQ(*result, *read(folder.file("t.fa", text))) << at;
      }
    }
  }
}

// xz checks every byte: any flip and anything behind the stream is refused, naming file, byte and mend.
TEST(GenomeFile, RefusesEveryFlippedByteOfXz) {
  std::mt19937_64 random(8);
  const TemporaryFolder folder;
  const std::string whole = testing::xz(testing::fasta({{"a", testing::random_letters(&random, 300, "ACGT")}}, 70));
  std::vector<std::string> bad = {whole + "tail", whole + std::string(3, '\0')};
  for (size_t at = 0; at < whole.size(); ++at) {
    bad.push_back(whole);
    bad.back()[at] = static_cast<char>(whole[at] ^ (1 << (random() % 8)));
  }
  for (const std::string& bytes : bad) {
    const auto result = read(folder.file("d.xz", bytes));
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code(), ErrorCode::kBadInput);
    if (!bytes.starts_with(whole.substr(0, 6))) continue;  // no xz any more: refused as text
    EXPECT_NE(result.error().message().find("d.xz: truncated or damaged compression near byte"), std::string::npos)
        << result.error().message();
    EXPECT_NE(result.error().message().find("xz -t"), std::string::npos);
  }
  EXPECT_TRUE(read(folder.file("padded.xz", whole + std::string(4, '\0'))).ok());  // stream padding
}

TEST(GenomeFile, RefusesWhatIsNoReadableFile) {
  const TemporaryFolder folder;
  for (const std::string& path : {folder.path() + "/absent.fa", folder.path(), folder.file("empty.fa", "")}) {
    const auto result = read(path);
    ASSERT_FALSE(result.ok()) << path;
    EXPECT_EQ(result.error().code(), ErrorCode::kBadInput);
    EXPECT_NE(result.error().message().find(path), std::string::npos);
  }
}

TEST(GenomeFile, APathWithAColonIsNoUrl) {
  const TemporaryFolder folder;
  EXPECT_TRUE(read(folder.file("http:x.fa", ">a\nACGT\n")).ok());
}

}  // namespace
}  // namespace strand
