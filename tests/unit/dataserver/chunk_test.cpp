#include "dataserver/corpus/chunk.h"

#include <gtest/gtest.h>

#include "dataserver/corpus/alphabet.h"
#include "tests/unit/dataserver/genomes.h"

namespace strand {
namespace {

TEST(Chunk, GivesBackEveryLetter) {
  std::mt19937_64 random(1);
  for (size_t length = 0; length < 700; ++length) {
    const std::string letters = testing::random_sequence(&random, length);
    const auto chunk = decode_chunk(encode_chunk(pack_chunk(letters)));
    ASSERT_TRUE(chunk.ok());
    EXPECT_EQ(unpack_chunk(*chunk), letters);
  }
}

// Long runs of one kind, which are packed many letters at a time, beside single ones: the runs are as few as can be.
TEST(Chunk, RunsAreMaximalWhereverTheyBegin) {
  std::mt19937_64 random(4);
  const char* kinds[] = {"ACGT", "acgt", "N", "n", "R", "ACGTacgtNnRy"};
  for (int round = 0; round < 300; ++round) {
    std::string letters;
    for (int run = 0; run < 12; ++run) letters += testing::random_letters(&random, random() % 300, kinds[random() % 6]);
    const Chunk chunk = pack_chunk(letters);
    ASSERT_EQ(unpack_chunk(chunk), letters);
    for (const auto* runs : {&chunk.other, &chunk.mask}) {
      for (size_t i = 0; i + 1 < runs->size(); ++i) {
        const LetterRun &a = (*runs)[i], &b = (*runs)[i + 1];
        ASSERT_TRUE(a.begin + a.length < b.begin || (a.begin + a.length == b.begin && a.letter != b.letter));
      }
    }
    for (const LetterRun& run : chunk.other) {  // their bits are 0
      std::string bits(run.length, ' ');
      unpack_bases(chunk, run.begin, run.length, bits.data());
      ASSERT_EQ(bits, std::string(run.length, 'A'));
    }
  }
}

TEST(Chunk, UnpacksAnyPieceOfBases) {
  std::mt19937_64 random(2);
  const std::string letters = testing::random_letters(&random, 97, "ACGT");
  const Chunk chunk = pack_chunk(letters);
  for (uint32_t begin = 0; begin <= 97; ++begin) {
    for (uint32_t count = 0; begin + count <= 97; ++count) {
      std::string out(count, ' ');
      unpack_bases(chunk, begin, count, out.data());
      ASSERT_EQ(out, letters.substr(begin, count));
    }
  }
}

TEST(Chunk, RefusesEveryCutAndAnySillyRun) {
  std::mt19937_64 random(3);
  const std::string bytes = encode_chunk(pack_chunk(testing::random_sequence(&random, 1000)));
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(decode_chunk(std::string_view(bytes).substr(0, length)).ok());
  }
  EXPECT_FALSE(decode_chunk(bytes + "x").ok());
  Chunk beyond = pack_chunk("ACGTN");
  beyond.other[0].length = 2;
  EXPECT_FALSE(decode_chunk(encode_chunk(beyond)).ok());
}

TEST(Alphabet, CodesAreThoseOfTheLettersInEitherCaseAndZeroElsewhere) {
  for (int byte = 0; byte < 256; ++byte) {
    const char letter = static_cast<char>(byte);
    const size_t code = std::string_view("ACGT").find(to_upper(letter));
    EXPECT_EQ(base_code(letter), code == std::string_view::npos ? 0 : code) << byte;
  }
}

TEST(Alphabet, ReverseComplementTwiceIsTheSame) {
  std::string bases = "AACGTTTGN";
  reverse_complement(&bases);
  EXPECT_EQ(bases, "NCAAACGTT");
  reverse_complement(&bases);
  EXPECT_EQ(bases, "AACGTTTGN");
}

}  // namespace
}  // namespace strand
