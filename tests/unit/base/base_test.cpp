#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "shared/base/hash.h"
#include "shared/base/result.h"
#include "shared/base/rng.h"
#include "shared/base/text.h"

namespace strand {
namespace {

// Known-answer vectors published with Random123 1.09 (kat_vectors, philox4x32 10).
TEST(Philox, MatchesPublishedVectors) {
  EXPECT_EQ(philox({0, 0}, {0, 0, 0, 0}), (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0xa4093822, 0x299f31d0}, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, KeysOfNearSeedsAndPurposesDiffer) {
  std::set<uint64_t> keys;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    for (const Purpose purpose : {Purpose::kInit, Purpose::kPermutation, Purpose::kMasking}) {
      const PhiloxKey key = philox_key(seed, purpose);
      keys.insert(static_cast<uint64_t>(key.high) << 32 | key.low);
    }
  }
  EXPECT_EQ(keys.size(), 3000u);
}

TEST(Philox, NormalDeviatesHaveMeanZeroAndVarianceOne) {
  const PhiloxKey key = philox_key(7, Purpose::kTest);
  double sum = 0, squares = 0;
  constexpr int kDraws = 100000;
  for (uint32_t i = 0; i < kDraws; ++i) {
    const auto words = philox(key, {i, 0, 0, 0});
    const double x = normal_pair(words[0], words[1])[0];
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0.0, 0.02);
  EXPECT_NEAR(squares / kDraws, 1.0, 0.02);
}

TEST(Hasher, ResultDoesNotDependOnTheCut) {
  std::string text(5000, 'x');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 31);
  const Digest128 whole = hash128(text);
  for (const size_t cut : {size_t{0}, size_t{1}, size_t{255}, size_t{4999}}) {
    Hasher128 hasher;
    hasher.update(text.data(), cut);
    hasher.update(text.data() + cut, text.size() - cut);
    EXPECT_EQ(hasher.digest(), whole) << cut;
  }
  Hasher128 a, b;
  a.update_text("ab");
  a.update_text("c");
  b.update_text("a");
  b.update_text("bc");
  EXPECT_NE(a.digest(), b.digest());
}

TEST(Text, NearestNameFindsTypingErrorsAndNotStrangers) {
  const std::vector<std::string> keys = {"learning_rate", "weight_decay", "steps"};
  EXPECT_EQ(nearest_name("learning_rat", keys), "learning_rate");
  EXPECT_EQ(nearest_name("stpes", keys), "steps");
  EXPECT_EQ(nearest_name("zzzzzzzzzz", keys), "");
}

TEST(Text, NumbersForPeople) {
  EXPECT_EQ(with_thousands(1082130432), "1,082,130,432");
  EXPECT_EQ(with_thousands(-999), "-999");
  EXPECT_EQ(human_bytes(126 * 1024 * 1024), "126.0 MiB");
  EXPECT_EQ(human_seconds(3723), "1 h 02 min");
}

Result<int> half(int x) {
  if (x % 2 != 0) return bad_input(concat(x, " is odd"));
  return x / 2;
}
Result<int> quarter(int x) {
  STRAND_ASSIGN(const int h, half(x));
  STRAND_ASSIGN(const int q, half(h));
  return q;
}

TEST(Result, MacrosHandErrorsUp) {
  EXPECT_EQ(*quarter(8), 2);
  ASSERT_FALSE(quarter(6).ok());
  EXPECT_EQ(quarter(6).error().message(), "3 is odd");
  EXPECT_EQ(exit_code(quarter(6).error()), 2);
}

}  // namespace
}  // namespace strand
