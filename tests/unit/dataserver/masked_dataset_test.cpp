// Rows of a genome for a masked model.
#include <gtest/gtest.h>

#include <map>

#include "dataserver/examples/masking.h"
#include "tests/unit/dataserver/homes.h"

namespace strand {
namespace {

constexpr size_t kSegment = 50;

class MaskedDataset : public testing::DatasetHome {
 protected:
  void SetUp() override {
    std::mt19937_64 random(80);
    text_ = testing::random_letters(&random, 30000, "ACGT");
    spec_.data.files = {folder_.file("g.fa", testing::fasta({{"a", text_}}, 70))};
    spec_.data.segment = kSegment;
    spec_.data.holdout.fraction = 0.1;
    spec_.data.reverse_complement = false;
    spec_.model_vocabulary = 16;
    spec_.rows_per_step = 16;
    spec_.masked.emplace();
  }

  // The letters under the mask, without the frame.
  static std::string letters(const Dataset& dataset, const RowBlock& block, size_t row) {
    std::vector<int32_t> ids;
    for (size_t i = 1; i + 1 < block.lengths[row]; ++i) {
      const size_t at = row * kSegment + i;
      ids.push_back(block.targets[at] == kNoTarget ? block.tokens[at] : block.targets[at]);
    }
    return dataset.tokenizer().decode(ids);
  }

  std::string text_;
  DatasetSpec spec_;
};

TEST_F(MaskedDataset, RowsAreFramedWindowsWithTargetsOfTheirOwn) {
  const auto dataset = open(spec_);
  ASSERT_TRUE(dataset.ok()) << dataset.error().message();
  EXPECT_EQ((*dataset)->summary().fields[4], (FingerprintField{"segment_bases", "48"})) << "room for [CLS] and [SEP]";
  for (const RowSet set : {RowSet::kTraining, RowSet::kHeldOut}) {
    const auto rows = static_cast<uint32_t>((*dataset)->summary().rows_of(set));
    const auto block = (*dataset)->rows(1, set, 0, rows);
    ASSERT_TRUE(block.ok());
    ASSERT_EQ(block->targets.size(), block->tokens.size());
    EXPECT_TRUE(block->labels.empty());
    std::map<char, int> bases;
    for (size_t row = 0; row < rows; ++row) {
      const size_t length = block->lengths[row];
      EXPECT_EQ(block->tokens[row * kSegment], 2);
      EXPECT_EQ(block->tokens[row * kSegment + length - 1], 3);
      const std::string window = letters(**dataset, *block, row);
      const size_t found = text_.find(window);
      ASSERT_NE(found, std::string::npos) << "a row spells a piece of the genome: " << window;
      EXPECT_EQ(found < 27000, set == RowSet::kTraining);
      size_t targets = 0;
      for (size_t i = 0; i < kSegment; ++i) {
        const bool target = block->targets[row * kSegment + i] != kNoTarget;
        EXPECT_FALSE(target && (i == 0 || i + 1 >= length)) << "no target among specials and padding";
        targets += target;
      }
      EXPECT_EQ(targets, masked_count({}, length - 2, length));
      for (const char base : window) ++bases[base];
    }
    int all = 0;
    for (const auto& [base, count] : bases) all += count;
    if (set == RowSet::kHeldOut) {
      EXPECT_EQ(all, 3000) << "every held-out base is there once";
    }
  }
  EXPECT_EQ((*dataset)->markov_bits()->size(), 0u) << "no baseline that sees one side only";
}

// The held-out masks do not follow the job's seed; the training masks do; another server gives the same.
TEST_F(MaskedDataset, EvaluationIsAFixedSet) {
  const auto one = open(spec_);
  home_ = memory_home("two");
  const auto two = open(spec_);
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ((*one)->summary().fingerprint, (*two)->summary().fingerprint);
  EXPECT_EQ((*one)->rows(1, RowSet::kHeldOut, 3, 9)->tokens, (*two)->rows(2, RowSet::kHeldOut, 3, 9)->tokens);
  EXPECT_EQ((*one)->rows(1, RowSet::kHeldOut, 3, 9)->targets, (*two)->rows(2, RowSet::kHeldOut, 3, 9)->targets);
  EXPECT_NE((*one)->rows(1, RowSet::kTraining, 3, 9)->tokens, (*two)->rows(2, RowSet::kTraining, 3, 9)->tokens);
  const auto whole = (*one)->rows(5, RowSet::kTraining, 100, 60);
  for (uint32_t i = 0; i < 60; i += 12) {
    const auto part = (*two)->rows(5, RowSet::kTraining, 100 + i, 12);
    EXPECT_TRUE(std::equal(part->targets.begin(), part->targets.end(), whole->targets.begin() + i * kSegment));
  }
  int64_t bases = 0;
  const auto eval_rows = static_cast<uint32_t>((*one)->summary().eval_rows);
  const auto held_out = (*one)->rows(7, RowSet::kHeldOut, 0, eval_rows);
  for (const uint16_t target : held_out->targets) bases += target != kNoTarget;
  EXPECT_EQ((*one)->summary().eval_bases, bases);
}

TEST_F(MaskedDataset, EveryChoiceIsInTheFingerprint) {
  const auto changed = [&](const std::string& field, const std::function<void(DatasetSpec*)>& change) {
    expect_in_fingerprint(spec_, field, change);
  };
  changed("mask_ratio", [](DatasetSpec* s) { s->masked->ratio = 0.2; });
  changed("mask_share", [](DatasetSpec* s) { s->masked->mask = 0.9; });
  changed("random_share", [](DatasetSpec* s) { s->masked->random = 0.2; });
  changed("random_ids", [](DatasetSpec* s) { s->masked->random_ids = RandomIds::kNoSpecials; });
  changed("max_ngram", [](DatasetSpec* s) { s->masked->max_ngram = 3; });
  changed("count_special", [](DatasetSpec* s) { s->masked->count_special = true; });
  changed("rounding", [](DatasetSpec* s) { s->masked->rounding = MaskRounding::kDown; });
  changed("segment", [](DatasetSpec* s) { s->data.segment = 40; });
  DatasetSpec next_token = spec_;
  next_token.masked.reset();
  next_token.data.segment_bases = 48;
  const auto plain = open(next_token), masked = open(spec_);
  ASSERT_TRUE(plain.ok() && masked.ok());
  EXPECT_EQ(first_difference((*plain)->summary().fields, (*masked)->summary().fields),
            "dataset field 'objective' was not expected");
}

TEST_F(MaskedDataset, ARowMustHaveRoomBesideTheFrame) {
  spec_.data.segment = 3;
  refused(spec_, "the tokenizer's special tokens take 2 of them");
}

}  // namespace
}  // namespace strand
