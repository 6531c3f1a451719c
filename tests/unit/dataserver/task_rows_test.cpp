#include "dataserver/examples/task_rows.h"

#include <gtest/gtest.h>

#include <set>

#include "dataserver/examples/task_split.h"
#include "shared/base/text.h"
#include "shared/wire/messages.h"
#include "tests/unit/dataserver/genomes.h"

namespace strand {
namespace {

RowStyle style(int64_t segment) {
  RowStyle made;
  made.segment = segment;
  made.frame = {{2}, {3}};
  return made;
}

std::vector<std::unique_ptr<Tokenizer>> tokenizers() {
  std::vector<std::unique_ptr<Tokenizer>> made;
  made.push_back(make_nucleotide_tokenizer());
  made.push_back(make_kmer_tokenizer(3));
  std::mt19937_64 random(70);
  BpeTrainOptions options;
  options.vocabulary = 90;
  made.push_back(std::move(train_bpe({testing::random_letters(&random, 30000, "ACGT")}, options)).value());
  return made;
}

// With or without text around it, whatever the room: prefix and suffix are whole, the sequence loses its end, and no
// row is longer than the room or shorter than it must be.
TEST(TaskEncoder, CutsTheSequenceNeverTheTextAround) {
  std::mt19937_64 random(71);
  for (const auto& tokenizer : tokenizers()) {
    for (const TaskText& text : {TaskText{}, TaskText{"GATTACA", "TTTTTTTTT"}, TaskText{"", "CCAACCAACCAA"}}) {
      for (int round = 0; round < 40; ++round) {
        const std::string sequence = testing::random_letters(&random, 20 + random() % 100, "ACGT");
        const int64_t segment = 24 + static_cast<int64_t>(random() % 100);
        const TaskEncoder encoder(tokenizer.get(), text, style(segment));
        std::vector<int32_t> ids, whole;
        const auto uncut = encoder.encode(sequence, &ids);
        ASSERT_TRUE(uncut.ok()) << uncut.error().message();
        tokenizer->encode(text.prefix + sequence + text.suffix, &whole);
        EXPECT_EQ(*uncut, whole.size());
        const auto room = static_cast<size_t>(segment - 2);
        ASSERT_LE(ids.size(), room);
        if (whole.size() <= room) {
          EXPECT_EQ(ids, whole);
          continue;
        }
        std::string spelled = tokenizer->decode(ids);
        std::erase(spelled, ' ');
        ASSERT_TRUE(spelled.starts_with(text.prefix)) << spelled;
        ASSERT_TRUE(spelled.ends_with(text.suffix)) << spelled;
        const std::string kept =
            spelled.substr(text.prefix.size(), spelled.size() - text.prefix.size() - text.suffix.size());
        EXPECT_TRUE(sequence.starts_with(kept)) << "the end of the sequence goes";
        if (text.empty()) {
          EXPECT_EQ(ids.size(), room);
        }
        if (!text.empty() && tokenizer->vocabulary() == 16) {
          EXPECT_EQ(ids.size(), room) << "one token a base: exact";
        }
      }
    }
  }
}

TEST(TaskEncoder, TextThatLeavesNoRoomIsRefused) {
  const auto tokenizer = make_nucleotide_tokenizer();
  const TaskEncoder encoder(tokenizer.get(), {"AAAAA", "CCCCC"}, style(12));
  std::vector<int32_t> ids;
  const auto refused = encoder.encode("ACGT", &ids);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("with one base take 11 tokens of 10"), std::string::npos)
      << refused.error().message();
}

TEST(ClassesOfTokens, SingleBaseTokensKeepEveryClass) {
  const auto tokenizer = make_nucleotide_tokenizer();
  std::vector<int32_t> ids;
  tokenizer->encode("ACGNT", &ids);
  const std::vector<uint16_t> classes = {4, 0, 4, 2, 1};
  std::vector<uint16_t> targets(ids.size());
  ASSERT_TRUE(classes_of_tokens(*tokenizer, ids, "ACGNT", classes, targets.data()).ok());
  EXPECT_EQ(targets, classes);
}

TEST(ClassesOfTokens, LongerTokensTakeTheCommonestOfTheirBases) {
  const auto tokenizer = make_kmer_tokenizer(3);
  std::vector<int32_t> ids;
  tokenizer->encode("ACGTTTGGA", &ids);
  ASSERT_EQ(ids.size(), 3u);
  std::vector<uint16_t> targets(3);
  ASSERT_TRUE(classes_of_tokens(*tokenizer, ids, "ACGTTTGGA", {1, 2, 2, 5, 5, 0, 7, 8, 9}, targets.data()).ok());
  EXPECT_EQ(targets, (std::vector<uint16_t>{2, 5, 7})) << "of equally common ones the first";
}

// Whatever the tokenizer and the cut: a token's class is one of its bases' classes, and an even labelling stays even.
TEST(ClassesOfTokens, EveryTokenTakesAClassOfItsOwnBases) {
  std::mt19937_64 random(72);
  for (const auto& tokenizer : tokenizers()) {
    for (int round = 0; round < 100; ++round) {
      const std::string letters =
          testing::random_letters(&random, 1 + random() % 200, round % 2 ? "ACGT" : "ACGTACGTN");
      std::vector<int32_t> ids;
      tokenizer->encode(letters, &ids);
      if (random() % 3 == 0) ids.resize(1 + random() % ids.size());
      std::vector<uint16_t> classes(letters.size());
      for (size_t i = 0; i < classes.size(); ++i) classes[i] = static_cast<uint16_t>(i);
      std::vector<uint16_t> targets(ids.size());
      ASSERT_TRUE(classes_of_tokens(*tokenizer, ids, letters, classes, targets.data()).ok());
      int last = -1;
      for (size_t i = 0; i < ids.size(); ++i) {
        if (ids[i] == tokenizer->specials().unknown) {
          EXPECT_EQ(targets[i], kNoTarget);
          continue;
        }
        const auto spelled = static_cast<size_t>(tokenizer->characters(ids[i]));
        ASSERT_GT(static_cast<int>(targets[i]), last) << "tokens go along the sequence";
        last = targets[i];
        EXPECT_EQ(tokenizer->decode({ids[i]})[0], letters[targets[i]]) << "all are different: the first base's";
        EXPECT_LE(targets[i] + spelled, letters.size());
      }
    }
  }
}

TEST(TaskSplit, FoldsAreDisjointAndCoverTheTable) {
  for (const uint64_t rows : {10u, 11u, 3190u}) {
    for (const double dev_fraction : {0.0, 0.1}) {
      TaskSpec task;
      task.train = "t.csv";
      task.folds = 10;
      task.dev_fraction = dev_fraction;
      std::multiset<uint64_t> tested, chosen;
      for (task.fold = 0; task.fold < 10; ++task.fold) {
        const auto split = split_task(task, {rows, 0, 0});
        ASSERT_TRUE(split.ok()) << split.error().message();
        std::set<uint64_t> all;
        size_t count = 0;
        for (const SetRows& set : split->sets) {
          EXPECT_EQ(set.table, 0u);
          EXPECT_EQ(set.count, set.rows.size());
          EXPECT_TRUE(std::is_sorted(set.rows.begin(), set.rows.end()));
          all.insert(set.rows.begin(), set.rows.end());
          count += set.rows.size();
        }
        EXPECT_EQ(all.size(), rows) << "the sets cover the table";
        EXPECT_EQ(count, rows) << "and share no row";
        const auto& test = split->of(RowSet::kTest).rows;
        EXPECT_LE(test.size(), rows / 10 + 1);
        EXPECT_GE(test.size(), rows / 10);
        tested.insert(test.begin(), test.end());
        const auto& dev = split->of(RowSet::kHeldOut).rows;
        chosen.insert(dev.begin(), dev.end());
        if (dev_fraction > 0) {
          EXPECT_NEAR(static_cast<double>(dev.size()), dev_fraction * (rows - test.size()), 0.51);
        }
      }
      EXPECT_EQ(tested.size(), rows) << "every row is tested once";
      EXPECT_EQ(std::set<uint64_t>(tested.begin(), tested.end()).size(), rows);
      if (dev_fraction == 0) {
        EXPECT_EQ(std::set<uint64_t>(chosen.begin(), chosen.end()).size(), rows);
      }
    }
  }
}

TEST(TaskSplit, TheSeedDecidesAndTheFoldDoesNot) {
  TaskSpec task;
  task.train = "t.csv";
  task.dev_fraction = 0.25;
  const auto dev = [&](uint64_t seed) {
    task.split_seed = seed;
    return split_task(task, {1000, 0, 50})->of(RowSet::kHeldOut).rows;
  };
  EXPECT_EQ(dev(1).size(), 250u);
  EXPECT_EQ(dev(1), dev(1));
  EXPECT_NE(dev(1), dev(2));
}

TEST(TaskSplit, TablesAreTheirOwnSets) {
  TaskSpec task;
  task.train = "a.csv";
  task.test = "c.csv";
  const auto split = split_task(task, {5, 0, 3});
  ASSERT_TRUE(split.ok());
  EXPECT_EQ(split->of(RowSet::kTraining).row(4), 4u);
  EXPECT_EQ(split->of(RowSet::kHeldOut).count, 0u);
  EXPECT_EQ(split->of(RowSet::kTest).table, 2u);
  EXPECT_EQ(split->of(RowSet::kTest).count, 3u);
}

TEST(TaskSplit, AnEmptySetIsRefused) {
  TaskSpec task;
  task.train = "a.csv";
  task.folds = 10;
  const auto few = split_task(task, {4, 0, 0});
  ASSERT_FALSE(few.ok());
  EXPECT_NE(few.error().message().find("task.folds: no "), std::string::npos) << few.error().message();
  task.folds = 0;
  task.dev_fraction = 0.5;
  const auto one = split_task(task, {1, 0, 0});
  ASSERT_FALSE(one.ok());
  EXPECT_NE(one.error().message().find("task.dev_fraction: no train row"), std::string::npos) << one.error().message();
}

}  // namespace
}  // namespace strand
