// Nucleotide and k-mer tokenizers against the published vocabularies.
#include <gtest/gtest.h>

#include <random>

#include "tests/unit/tokenizer/test_tokenizers.h"

namespace strand {
namespace {

using Ids = std::vector<int32_t>;

TEST(Nucleotide, PublishedVocabulary) {
  const auto tokenizer = make_nucleotide_tokenizer();
  EXPECT_EQ(tokenizer->vocabulary(), 16);
  EXPECT_EQ(encode(*tokenizer, "AGCTUN"), (Ids{5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(encode(*tokenizer, "[PAD][MASK][CLS][SEP][UNK][BOS][EOS][UNUSED1][UNUSED2][UNUSED3]"),
            (Ids{0, 1, 2, 3, 4, 11, 12, 13, 14, 15}));
  const SpecialTokens specials = tokenizer->specials();
  EXPECT_EQ((Ids{specials.pad, specials.mask, specials.cls, specials.sep, specials.unknown}), (Ids{0, 1, 2, 3, 4}));
  for (int32_t id = -1; id < 17; ++id) EXPECT_EQ(tokenizer->characters(id), id >= 5 && id <= 10 ? 1 : 0) << id;
}

TEST(Nucleotide, ARunOfUnknownLettersIsOneToken) {
  const auto tokenizer = make_nucleotide_tokenizer();
  EXPECT_EQ(encode(*tokenizer, "AacgtRYT"), (Ids{5, 4, 8}));
  EXPECT_EQ(encode(*tokenizer, " ry sw\tA\n"), (Ids{4, 4, 5}));
  EXPECT_EQ(encode(*tokenizer, "[MASA]"), (Ids{4, 5, 4, 5, 4}));
  EXPECT_EQ(encode(*tokenizer, "\xff\xc3"), (Ids{4}));
  EXPECT_EQ(encode(*tokenizer, ""), Ids{});
}

TEST(Kmer, PublishedOrderAndRemainder) {
  const auto tokenizer = make_kmer_tokenizer(6);
  EXPECT_EQ(tokenizer->vocabulary(), 4105);
  // Counting in base 4 over A, T, C, G from id 4; then A T C G N.
  EXPECT_EQ(encode(*tokenizer,
                   "AAAAAA"
                   "AAAAAT"
                   "AAAAAC"
                   "AAAATA"
                   "GGGGGG"),
            (Ids{4, 5, 6, 8, 4099}));
  EXPECT_EQ(encode(*tokenizer, "AAAAAAATCGN"), (Ids{4, 4100, 4101, 4102, 4103, 4104}));
  EXPECT_EQ(encode(*tokenizer, "AAANAAAAAAA"), (Ids{4100, 4100, 4100, 4104, 4, 4100}));
  EXPECT_EQ(encode(*tokenizer, "<mask>A<cls>"), (Ids{2, 4100, 3}));
  EXPECT_EQ(encode(*tokenizer, "AAArAAA"), (Ids{4100, 4100, 4100, 0, 4100, 4100, 4100}));
  EXPECT_EQ(tokenizer->characters(3), 0);
  EXPECT_EQ(tokenizer->characters(4), 6);
  EXPECT_EQ(tokenizer->characters(4104), 1);
}

class Letters : public testing::TestWithParam<int> {};  // 0: nucleotide, else k

std::unique_ptr<Tokenizer> make(int k) {
  return k == 0 ? make_nucleotide_tokenizer() : make_kmer_tokenizer(k);
}

TEST_P(Letters, DecodeUndoesEncode) {
  const auto tokenizer = make(GetParam());
  std::mt19937 random(21);  // seed 21
  for (int n = 0; n < 200; ++n) {
    std::string text;
    for (size_t i = random() % 100; i > 0; --i) text += "ACGTN"[random() % 5];
    const Ids ids = encode(*tokenizer, text);
    EXPECT_EQ(tokenizer->decode(ids), text);
    int64_t characters = 0;
    for (const int32_t id : ids) characters += tokenizer->characters(id);
    EXPECT_EQ(characters, static_cast<int64_t>(text.size()));
  }
}

TEST_P(Letters, ReadBackFromItsFile) {
  const auto tokenizer = make(GetParam());
  const auto again = parse_tokenizer_json(tokenizer->to_json(), "tokenizer.json");
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(again.value()->fingerprint(), tokenizer->fingerprint());
  EXPECT_EQ(again.value()->to_json(), tokenizer->to_json());
}

INSTANTIATE_TEST_SUITE_P(All, Letters, testing::Values(0, 1, 2, 3, 6));

TEST(Letters, FingerprintsDiffer) {
  EXPECT_NE(make_nucleotide_tokenizer()->fingerprint(), make_kmer_tokenizer(1)->fingerprint());
  EXPECT_NE(make_kmer_tokenizer(2)->fingerprint(), make_kmer_tokenizer(3)->fingerprint());
}

TEST(Nucleotide, BosAndEosInTheFrame) {
  const auto tokenizer = make_nucleotide_tokenizer(true);
  EXPECT_EQ(tokenizer->frame(), (SequenceFrame{{2, 11}, {12, 3}}));
  const auto again = parse_tokenizer_json(tokenizer->to_json(), "tokenizer.json");
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(again.value()->frame(), tokenizer->frame());
}

TEST(Overlapping, DnabertsIdsAndRule) {
  const auto tokenizer = make_overlapping_tokenizer(3);
  // vocab.txt of DNABERT's 3-mers: line 5 is AAA, 6 AAT, 9 ATA, 68 GGG.
  EXPECT_EQ(tokenizer->vocabulary(), 69);
  EXPECT_EQ(encode(*tokenizer, "AAATA"), (Ids{5, 6, 9}));
  EXPECT_EQ(encode(*tokenizer, "GGGG"), (Ids{68, 68}));
  EXPECT_EQ(encode(*tokenizer, "AA"), Ids{});
  EXPECT_EQ(encode(*tokenizer, "AAANAAA"), (Ids{5, 1, 1, 1, 5}));
  EXPECT_EQ(tokenizer->decode({2, 5, 6, 9, 3}), "[CLS]AAATA[SEP]");
  EXPECT_EQ(tokenizer->decode({5, 68}), "AAAGGG");
  EXPECT_EQ(make_overlapping_tokenizer(6)->vocabulary(), 4101);
}

TEST(Overlapping, ATokenForEveryLetterButTheLast) {
  std::mt19937 random(22);
  for (const int k : {1, 2, 3, 6}) {
    const auto tokenizer = make_overlapping_tokenizer(k);
    for (int n = 0; n < 50; ++n) {
      std::string text;
      for (size_t i = static_cast<size_t>(k) + random() % 100; i > 0; --i) text += "ACGT"[random() % 4];
      const Ids ids = encode(*tokenizer, text);
      ASSERT_EQ(ids.size(), text.size() - static_cast<size_t>(k) + 1);
      for (size_t i = 0; i < ids.size(); ++i) {
        ASSERT_EQ(tokenizer->decode({ids[i]}), text.substr(i, static_cast<size_t>(k)));
        ASSERT_EQ(tokenizer->characters(ids[i]), 1);
      }
      if (k > 1) {
        ASSERT_EQ(tokenizer->decode(ids), text);
      }
    }
    const auto again = parse_tokenizer_json(tokenizer->to_json(), "tokenizer.json");
    ASSERT_TRUE(again.ok()) << again.error().message();
    EXPECT_EQ(again.value()->fingerprint(), tokenizer->fingerprint());
    EXPECT_EQ(again.value()->to_json(), tokenizer->to_json());
  }
}

}  // namespace
}  // namespace strand
