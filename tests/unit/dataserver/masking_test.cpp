#include "dataserver/examples/masking.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "shared/base/text.h"

namespace strand {
namespace {

class Masking : public ::testing::Test {
 protected:
  // [CLS] bases [SEP], a special token now and then.
  std::vector<uint16_t> row_of(size_t length, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<uint16_t> row(length);
    for (uint16_t& token : row) token = static_cast<uint16_t>(random() % 20 == 0 ? 4 : 5 + random() % 4);
    row.front() = 2;
    row.back() = 3;
    return row;
  }
  size_t maskable_in(const std::vector<uint16_t>& row) const {
    return static_cast<size_t>(std::count_if(row.begin(), row.end(), [](uint16_t t) { return t >= 5 && t <= 10; }));
  }
  MaskingRules rules(const ObjectiveSpec& objective = {}) const {
    auto made = masking_rules(objective, *tokenizer_);
    EXPECT_TRUE(made.ok());
    return *made;
  }

  std::unique_ptr<Tokenizer> tokenizer_ = make_nucleotide_tokenizer();
};

TEST_F(Masking, ExactlyTheShareNeverASpecialAlwaysAtLeastOne) {
  for (const double ratio : {1e-9, 0.15, 0.5, 1.0}) {
    for (const int64_t max_ngram : {1, 3, 10}) {
      ObjectiveSpec objective;
      objective.ratio = ratio;
      objective.max_ngram = max_ngram;
      const MaskingRules r = rules(objective);
      for (uint64_t n = 0; n < 200; ++n) {
        const size_t length = 3 + n;
        const auto before = row_of(length, n);
        auto tokens = before;
        std::vector<uint16_t> targets(length, 7);
        mask_row(r, 5, n, length, tokens.data(), targets.data());
        size_t count = 0;
        for (size_t i = 0; i < length; ++i) {
          if (targets[i] == kNoTarget) {
            ASSERT_EQ(tokens[i], before[i]);
            continue;
          }
          ASSERT_EQ(targets[i], before[i]) << "a target is what the token was";
          ASSERT_TRUE(before[i] >= 5 && before[i] <= 10) << "special token " << before[i];
          ++count;
        }
        const size_t maskable = maskable_in(before);
        ASSERT_EQ(count, masked_count(objective, maskable, length)) << "ratio " << ratio << " n-gram " << max_ngram;
        ASSERT_EQ(count > 0, maskable > 0);
      }
    }
  }
  const auto count = [](double ratio, size_t maskable) {
    ObjectiveSpec objective;
    objective.ratio = ratio;
    return masked_count(objective, maskable, maskable + 2);
  };
  EXPECT_EQ(count(0.15, 0), 0u);
  EXPECT_EQ(count(0.15, 1), 1u);
  EXPECT_EQ(count(0.15, 10), 2u) << "1.5 rounds up";
  EXPECT_EQ(count(0.15, 248), 37u);
  EXPECT_EQ(count(1.0, 248), 248u);
}

// Counted once more here, in both ways of counting and of rounding; what lies behind the row is padding.
TEST_F(Masking, SpecialsCountAndHalvesGoAsTheKeysSay) {
  for (const double ratio : {1e-9, 0.1, 0.15, 0.5, 0.9, 1.0}) {
    for (const bool special : {false, true}) {
      for (const MaskRounding rounding : {MaskRounding::kNearest, MaskRounding::kDown}) {
        ObjectiveSpec objective;
        objective.ratio = ratio;
        objective.count_special = special;
        objective.rounding = rounding;
        const MaskingRules r = rules(objective);
        for (size_t length = 2; length < 300; ++length) {
          std::vector<uint16_t> row = row_of(length, length);
          const size_t maskable = maskable_in(row);
          row.resize(length + 100, 0);
          auto tokens = row;
          std::vector<uint16_t> targets(row.size(), kNoTarget);
          mask_row(r, 5, length, length, tokens.data(), targets.data());
          size_t count = 0;
          for (size_t i = 0; i < row.size(); ++i) {
            if (targets[i] == kNoTarget) continue;
            ASSERT_TRUE(targets[i] >= 5 && targets[i] <= 10) << "special token " << targets[i];
            ++count;
          }
          const double share = ratio * static_cast<double>(special ? length : maskable);
          const auto below = static_cast<size_t>(share);
          const bool up = rounding == MaskRounding::kNearest && share - static_cast<double>(below) >= 0.5;
          const size_t expected = std::min(std::max<size_t>(below + (up ? 1 : 0), 1), maskable);
          ASSERT_EQ(count, expected) << ratio << " of " << length << (special ? " with" : " without") << " specials";
        }
      }
    }
  }
  // The example of both sources: 250 tokens with [CLS] and [SEP].
  ObjectiveSpec megatron, generator;
  megatron.count_special = true;
  generator.rounding = MaskRounding::kDown;
  EXPECT_EQ(masked_count(megatron, 248, 250), 38u) << "37.5, halves up";
  EXPECT_EQ(masked_count(generator, 248, 250), 37u);
  EXPECT_EQ(masked_count(generator, 19, 21), 2u) << "2.85 is cut off";
  EXPECT_EQ(masked_count(generator, 5, 7), 1u) << "0.75, but at least one";
}

// A dataset's masks stay what they are from version to version, as its fingerprint promises.
TEST_F(Masking, TheDefaultMasksArePinned) {
  const MaskingRules r = rules();
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (uint64_t n = 0; n < 100; ++n) {
    auto tokens = row_of(2 + 3 * n, n);
    std::vector<uint16_t> targets(tokens.size());
    mask_row(r, 5, n, tokens.size(), tokens.data(), targets.data());
    for (const auto* list : {&tokens, &targets}) {
      for (const uint16_t word : *list) hash = (hash ^ word) * 0x100000001b3;
    }
  }
  EXPECT_EQ(hash, 8125339440570468732u);
}

// A mask depends on (seed, row number) alone, not on what was asked before or by whom.
TEST_F(Masking, APureFunctionOfSeedAndRow) {
  const MaskingRules r = rules(), again = rules();
  const auto row = row_of(100, 1);
  const auto masked = [&](const MaskingRules& which, uint64_t seed, uint64_t n) {
    auto tokens = row;
    std::vector<uint16_t> targets(row.size());
    mask_row(which, seed, n, row.size(), tokens.data(), targets.data());
    tokens.insert(tokens.end(), targets.begin(), targets.end());
    return tokens;
  };
  std::map<std::vector<uint16_t>, int> seen;
  for (uint64_t n = 0; n < 100; ++n) ++seen[masked(r, 1, n)];
  for (uint64_t n = 100; n-- > 0;) EXPECT_EQ(seen[masked(again, 1, n)], 1) << "the same again, and unlike other rows";
  EXPECT_NE(masked(r, 1, 3), masked(r, 2, 3));
  EXPECT_NE(masked(r, 1, 3), masked(r, 1, 3 + (uint64_t{1} << 32)));
}

TEST_F(Masking, TargetsAreMaskedReplacedAndKeptInTheirShares) {
  for (const RandomIds ids : {RandomIds::kAll, RandomIds::kNoSpecials}) {
    ObjectiveSpec objective;
    objective.random_ids = ids;
    const MaskingRules r = rules(objective);
    EXPECT_EQ(r.random_ids.size(), ids == RandomIds::kAll ? 16u : 6u);
    const std::vector<uint16_t> before(400, 5);
    double masked = 0, same = 0, all = 0;
    std::map<uint16_t, int> drawn;
    for (uint64_t n = 0; n < 500; ++n) {
      auto tokens = before;
      std::vector<uint16_t> targets(before.size());
      mask_row(r, 9, n, before.size(), tokens.data(), targets.data());
      for (size_t i = 0; i < before.size(); ++i) {
        if (targets[i] == kNoTarget) continue;
        ++all;
        masked += tokens[i] == 1;
        same += tokens[i] == 5;
        ++drawn[tokens[i]];
      }
    }
    EXPECT_EQ(all, 500 * 60);
    // Random ids hit the mask and the token itself, too.
    const double choices = static_cast<double>(r.random_ids.size());
    EXPECT_NEAR(masked / all, 0.8 + (ids == RandomIds::kAll ? 0.1 / choices : 0), 0.01);
    EXPECT_NEAR(same / all, 0.1 + 0.1 / choices, 0.01);
    EXPECT_EQ(drawn.size(), ids == RandomIds::kAll ? 16u : 7u) << "every id of the set comes";
  }
  ObjectiveSpec objective;
  objective.mask = 1;
  objective.random = 0;
  std::vector<uint16_t> tokens(100, 6), targets(100);
  mask_row(rules(objective), 1, 1, 100, tokens.data(), targets.data());
  for (size_t i = 0; i < 100; ++i) EXPECT_EQ(tokens[i], targets[i] == kNoTarget ? 6 : 1);
}

// Lengths of spans of a sparse mask follow 1/n; positions are all as likely.
TEST_F(Masking, SpansAndPositionsAreDistributedAsSaid) {
  ObjectiveSpec objective;
  objective.ratio = 0.001;  // one span a row: 1 of 1000 is cut, so ask for 6
  const size_t length = 1000;
  std::vector<double> at(length, 0);
  const MaskingRules single = rules(objective);
  for (uint64_t n = 0; n < 20000; ++n) {
    std::vector<uint16_t> tokens(length, 8), targets(length);
    mask_row(single, 3, n, length, tokens.data(), targets.data());
    for (size_t i = 0; i < length; ++i) at[i] += targets[i] != kNoTarget;
  }
  double squared = 0;
  for (const double count : at) squared += (count - 20) * (count - 20) / 20;
  EXPECT_NEAR(squared, length, 5 * std::sqrt(2.0 * length)) << "chi squared of uniform positions";

  objective.max_ngram = 3;
  objective.ratio = 0.003;  // three tokens: a first span of three takes them all
  const MaskingRules spans = rules(objective);
  double threes = 0;
  for (uint64_t n = 0; n < 20000; ++n) {
    std::vector<uint16_t> tokens(length, 8), targets(length);
    mask_row(spans, 3, n, length, tokens.data(), targets.data());
    size_t first = 0;
    while (targets[first] == kNoTarget) ++first;
    threes += first + 2 < length && targets[first + 1] != kNoTarget && targets[first + 2] != kNoTarget;
  }
  EXPECT_NEAR(threes / 20000, 2.0 / 11, 0.02) << "P(3) = (1/3) / (1 + 1/2 + 1/3)";
}

TEST_F(Masking, ATokenizerWithoutAMaskIsRefused) {
  class NoMask final : public Tokenizer {
   public:
    explicit NoMask(const Tokenizer& base) : base_(base) {}
    int32_t vocabulary() const override { return base_.vocabulary(); }
    SpecialTokens specials() const override {
      SpecialTokens specials = base_.specials();
      specials.mask = -1;
      return specials;
    }
    const SequenceFrame& frame() const override { return base_.frame(); }
    void encode(std::string_view text, std::vector<int32_t>* ids) const override { base_.encode(text, ids); }
    std::string decode(const std::vector<int32_t>& ids) const override { return base_.decode(ids); }
    int32_t characters(int32_t id) const override { return base_.characters(id); }
    Digest128 fingerprint() const override { return base_.fingerprint(); }
    std::string to_json() const override { return base_.to_json(); }
    std::vector<TokenizerFile> files() const override { return base_.files(); }

   private:
    const Tokenizer& base_;
  };
  const auto refused = masking_rules({}, NoMask(*tokenizer_));
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("no mask token"), std::string::npos);
}

TEST_F(Masking, EveryChoiceIsAField) {
  const ObjectiveSpec base;
  std::vector<ObjectiveSpec> others(7, base);
  others[0].ratio = 0.15000000001;
  others[1].mask = 0.75;
  others[2].random = 0.11;
  others[3].random_ids = RandomIds::kNoSpecials;
  others[4].max_ngram = 2;
  others[5].count_special = true;
  others[6].rounding = MaskRounding::kDown;
  const SequenceFrame frame = tokenizer_->frame();
  for (const ObjectiveSpec& other : others) EXPECT_NE(masking_fields(other, frame), masking_fields(base, frame));
  EXPECT_NE(masking_fields(others[5], frame), masking_fields(others[6], frame));
  EXPECT_EQ(masking_fields(base, frame).size(), 7u) << "the defaults name no field that older datasets lack";
  EXPECT_NE(masking_fields(base, {}), masking_fields(base, frame));
}

}  // namespace
}  // namespace strand
