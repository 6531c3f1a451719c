#include "dataserver/formats/two_bit.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "dataserver/formats/sequence_reader.h"
#include "shared/base/text.h"
#include "tests/unit/dataserver/genomes.h"
#include "tests/unit/dataserver/two_bit_file.h"

namespace strand {
namespace {

using testing::MemoryStore;
using testing::Records;
using testing::TemporaryFolder;
using testing::two_bit;

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
  Status end_record() override { return {}; }
  Records records;
};

Result<Records> read(const std::string& bytes) {
  const testing::TextSource source(bytes);
  Collect sink;
  STRAND_TRY(read_two_bit("f.2bit", source, &sink, testing::keep_going));
  return sink.records;
}

// Of A, C, G, T and N in either case: what the format can hold.
Records some_records(uint64_t seed) {
  std::mt19937_64 random(seed);
  Records records;
  for (const size_t length : {1, 2, 3, 4, 5, 257, 600000}) {
    std::string letters;
    while (letters.size() < length) {
      const std::string alphabets[] = {"ACGT", "acgt", "N", "n"};
      letters += testing::random_letters(&random, 1 + random() % 400, alphabets[random() % 4]);
    }
    letters.resize(length);
    records.emplace_back(concat("r", length), letters);
  }
  return records;
}

TEST(TwoBit, BothVersionsAndByteOrdersGiveEveryLetter) {
  const Records records = some_records(1);
  for (const int version : {0, 1}) {
    for (const bool big_endian : {false, true}) {
      const auto seen = read(two_bit(records, version, big_endian));
      ASSERT_TRUE(seen.ok()) << seen.error().message();
      EXPECT_EQ(*seen, records) << version << big_endian;
    }
  }
}

TEST(TwoBit, TheSameContentAsFasta) {
  const Records records = some_records(2);
  const TemporaryFolder folder;
  MemoryStore store;
  const auto one = build_corpus(&store, {folder.file("a.fa", testing::fasta(records, 60))}, testing::keep_going);
  // By its first bytes, not by its name.
  const auto two = build_corpus(&store, {folder.file("b.fa", two_bit(records, 0, false))}, testing::keep_going);
  ASSERT_TRUE(one.ok() && two.ok()) << two.error().message();
  EXPECT_EQ(one->content, two->content);
  EXPECT_NE(one->id, two->id);
  for (size_t i = 0; i < records.size(); ++i) {
    EXPECT_EQ(one->records[i].lower_case, two->records[i].lower_case);
    EXPECT_EQ(one->records[i].other, two->records[i].other);
  }
}

TEST(TwoBit, EveryTruncationIsRefused) {
  const std::string whole = two_bit({{"one", "ACGTNNNacgt"}, {"two", "nnACGTACGTA"}}, 0, false);
  for (size_t length = 0; length < whole.size(); ++length) {
    const auto result = read(whole.substr(0, length));
    ASSERT_FALSE(result.ok()) << length;
    EXPECT_EQ(result.error().code(), ErrorCode::kBadInput);
    EXPECT_TRUE(result.error().message().starts_with("f.2bit: byte ")) << result.error().message();
    EXPECT_NE(result.error().message().find("faToTwoBit"), std::string::npos);
  }
}

// A flipped bit is refused, or leaves records that lie within the file; never a crash.
TEST(TwoBit, AnyFlippedBitIsSafe) {
  for (const int version : {0, 1}) {
    const std::string whole = two_bit({{"one", "ACGTNNNacgt"}, {"two", "nnACGTACGTA"}}, version, version == 1);
    size_t refused = 0;
    for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
      std::string bytes = whole;
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
      const auto result = read(bytes);
      if (!result.ok()) {
        ++refused;
        EXPECT_EQ(result.error().code(), ErrorCode::kBadInput);
        continue;
      }
      ASSERT_EQ(result->size(), 2u) << bit;
      for (const auto& [name, letters] : *result) ASSERT_LE(letters.size(), 4 * whole.size());
    }
    EXPECT_GT(refused, 4 * whole.size());
  }
}

void refused(std::string bytes, const std::string& says) {
  const auto result = read(bytes);
  ASSERT_FALSE(result.ok()) << says;
  EXPECT_NE(result.error().message().find(says), std::string::npos) << result.error().message();
}

TEST(TwoBit, SaysWhatIsWrong) {
  const std::string whole = two_bit({{"one", "ACGTNNNacgt"}, {"two", "nnACGTACGTA"}}, 0, false);
  const auto with = [&](size_t at, const std::string& bytes) {
    std::string changed = whole;
    return changed.replace(at, bytes.size(), bytes);
  };
  const auto word = [](uint32_t value) { return testing::number_bytes(value, 4, false); };
  refused(with(4, word(2)), "version 2; expected 0 or 1");
  refused(with(8, word(0)), "no records");
  refused(with(8, word(4000000000)), "ends before the index");
  refused(with(12, word(7)), "the reserved word is 7");
  refused(with(17, "o e"), "a blank or a control character");
  refused(with(25, "one"), "record name 'one' comes twice, first at byte 16");
  refused(with(20, word(1u << 30)), "begins at byte 1073741824");
  refused(with(28, whole.substr(20, 4)), "begins inside another one");  // two's offset is one's
  refused(with(32, word(0)), "record 'one' has no bases");
  refused(with(40, word(9)), "record 'one': N block 1 covers bases 9 to 12; expected them from 0 to 11");
  refused(two_bit({}, 0, false), "no records");
}

TEST(TwoBit, ACompressedOneIsRefusedWithTheMend) {
  const TemporaryFolder folder;
  const std::string bytes = two_bit({{"one", "ACGT"}}, 0, false);
  for (const std::string& path :
       {folder.file("a.2bit.gz", testing::gzip(bytes)), folder.file("a.xz", testing::xz(bytes))}) {
    Collect sink;
    const Status read = read_sequences_into(path, &sink, nullptr, testing::keep_going);
    ASSERT_FALSE(read.ok());
    EXPECT_NE(read.error().message().find("decompress it"), std::string::npos);
  }
}

}  // namespace
}  // namespace strand
