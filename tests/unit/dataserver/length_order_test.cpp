// Finetuning rows dealt to micro batches by their lengths.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "dataserver/audit.h"
#include "shared/base/row_audit.h"
#include "shared/base/text.h"
#include "tests/unit/dataserver/homes.h"

namespace strand {
namespace {

constexpr uint32_t kRowsPerStep = 32, kMicroBatch = 8;

class LengthOrder : public testing::DatasetHome {
 protected:
  void SetUp() override {
    std::mt19937_64 random(110);
    std::string text = "sequence,label\n";
    for (int i = 0; i < 300; ++i) {
      text += concat(testing::random_letters(&random, 5 + random() % 90, "ACGT"), ",", i % 2, "\n");
    }
    spec_.data.segment = 100;
    spec_.model_vocabulary = 16;
    spec_.rows_per_step = kRowsPerStep;
    TaskSpec& task = spec_.task.emplace();
    task.train = folder_.file("train.csv", text);
    task.classes = 2;
    task.reverse_complement = true;
  }

  // The padding of micro batches that are as wide as their longest row, over what they hold.
  static double padding(const RowBlock& block) {
    double tokens = 0, all = 0;
    for (size_t begin = 0; begin + kMicroBatch <= block.lengths.size(); begin += kMicroBatch) {
      const auto first = block.lengths.begin() + static_cast<ptrdiff_t>(begin);
      for (size_t i = 0; i < kMicroBatch; ++i) tokens += first[static_cast<ptrdiff_t>(i)];
      all += kMicroBatch * static_cast<double>(*std::max_element(first, first + kMicroBatch));
    }
    return 1 - tokens / all;
  }

  DatasetSpec spec_;
};

TEST_F(LengthOrder, AStepHasTheSameRowsTheShortestFirst) {
  const auto plain = open(spec_);
  spec_.task->sort_by_length = true;
  const auto sorted = open(spec_);
  const auto again = open(spec_);  // from what the store kept
  ASSERT_TRUE(plain.ok() && sorted.ok() && again.ok()) << sorted.error().message();
  EXPECT_NE((*plain)->summary().fingerprint, (*sorted)->summary().fingerprint);
  const auto one = (*plain)->rows(4, RowSet::kTraining, 0, 20 * kRowsPerStep);
  const auto two = (*sorted)->rows(4, RowSet::kTraining, 0, 20 * kRowsPerStep);
  for (size_t step = 0; step < 20; ++step) {
    const auto of = [&](const RowBlock& block) {
      std::multiset<std::pair<uint64_t, uint16_t>> rows;
      for (size_t i = step * kRowsPerStep; i < (step + 1) * kRowsPerStep; ++i)
        rows.emplace(block.samples[i], block.lengths[i]);
      return rows;
    };
    EXPECT_EQ(of(*one), of(*two)) << "step " << step;
    const auto first = two->lengths.begin() + static_cast<ptrdiff_t>(step * kRowsPerStep);
    EXPECT_TRUE(std::is_sorted(first, first + kRowsPerStep)) << "step " << step;
  }
  EXPECT_LT(padding(*two), padding(*one) / 2);
  // Row by row, from another opening: the same stream, and what the audit asks for.
  for (uint64_t row = 5 * kRowsPerStep; row-- > 0;) {
    const auto alone = (*again)->rows(4, RowSet::kTraining, row, 1);
    ASSERT_TRUE(alone.ok());
    ASSERT_EQ(alone->samples[0], two->samples[row]);
    ASSERT_TRUE(std::equal(alone->tokens.begin(), alone->tokens.end(),
                           two->tokens.begin() + static_cast<ptrdiff_t>(row * alone->tokens.size())));
  }
  RowAudit audit;
  const size_t width = two->tokens.size() / two->lengths.size();
  for (size_t i = 0; i < kRowsPerStep; ++i)
    audit.add(i, two->samples[i], two->tokens.data() + i * width, two->lengths[i]);
  EXPECT_EQ(audit_rows(**again, 4, 0, kRowsPerStep).value(), audit.sum());
}

}  // namespace
}  // namespace strand
