// Rows and labels of finetuning tasks.
#include "dataserver/task_dataset.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "dataserver/corpus/alphabet.h"
#include "shared/base/text.h"
#include "tests/unit/dataserver/homes.h"

namespace strand {
namespace {

struct LabelledRow {
  std::string sequence, label;
  auto operator<=>(const LabelledRow&) const = default;
};

class TaskDatasetTest : public testing::DatasetHome {
 protected:
  void SetUp() override {
    train_ = random_rows(90, 200, 20, 60);
    dev_ = random_rows(91, 50, 20, 60);
    test_ = random_rows(92, 60, 20, 60);
    spec_.data.segment = 64;
    spec_.model_vocabulary = 16;
    spec_.rows_per_step = 16;
    TaskSpec& task = spec_.task.emplace();
    task.name = "t";
    task.train = write("train.csv", train_);
    task.dev = write("dev.csv", dev_);
    task.test = write("test.csv", test_);
    task.class_names = {"EI", "IE", "N"};
  }

  static std::vector<LabelledRow> random_rows(uint64_t seed, size_t count, size_t shortest, size_t longest) {
    std::mt19937_64 random(seed);
    std::vector<LabelledRow> rows;
    for (size_t i = 0; i < count; ++i) {
      const size_t length = shortest + random() % (longest - shortest + 1);
      rows.push_back({testing::random_letters(&random, length, "ACGT"), i % 3 == 0 ? "EI" : i % 3 == 1 ? "IE" : "N"});
    }
    rows[0].sequence.resize(longest, 'A');
    return rows;
  }

  std::string write(const std::string& name, const std::vector<LabelledRow>& rows) {
    std::string text = "sequence,label\n";
    for (const LabelledRow& row : rows) text += concat(row.sequence, ",\"", row.label, "\"\n");
    return folder_.file(name, text);
  }

  // All rows of a set: what they spell, and the name of their class.
  std::vector<LabelledRow> served(const Dataset& dataset, RowSet set, uint64_t seed = 1) {
    const DatasetSummary& summary = dataset.summary();
    const auto count = static_cast<uint32_t>(summary.rows_of(set));
    const auto block = dataset.rows(seed, set, 0, count);
    EXPECT_TRUE(block.ok()) << block.error().message();
    std::vector<LabelledRow> rows;
    for (size_t i = 0; i < count; ++i) {
      const auto begin = block->tokens.begin() + static_cast<ptrdiff_t>(i * static_cast<size_t>(summary.segment));
      EXPECT_EQ(begin[0], 2);
      EXPECT_EQ(begin[block->lengths[i] - 1], 3);
      rows.push_back({dataset.tokenizer().decode({begin + 1, begin + block->lengths[i] - 1}),
                      summary.output_names[static_cast<size_t>(block->labels[i])]});
    }
    return rows;
  }

  std::vector<LabelledRow> train_, dev_, test_;
  DatasetSpec spec_;
};

TEST_F(TaskDatasetTest, EverySetIsItsTable) {
  const auto dataset = open(spec_);
  ASSERT_TRUE(dataset.ok()) << dataset.error().message();
  const DatasetSummary& summary = (*dataset)->summary();
  EXPECT_EQ(summary.segments, 200u);
  EXPECT_EQ(summary.eval_rows, 50u);
  EXPECT_EQ(summary.test_rows, 60u);
  EXPECT_EQ(summary.labels_per_row, 1u);
  EXPECT_EQ(summary.output_names, (std::vector<std::string>{"EI", "IE", "N"}));
  EXPECT_EQ(summary.longest_row, 62u);
  EXPECT_EQ(summary.segment, 62) << "rows are as long as the longest needs";
  EXPECT_EQ(served(**dataset, RowSet::kTest), test_) << "in the order of the file";
  const auto as_set = [](std::vector<LabelledRow> rows) { return std::multiset(rows.begin(), rows.end()); };
  EXPECT_EQ(as_set(served(**dataset, RowSet::kHeldOut)), as_set(dev_));
  EXPECT_EQ(as_set(served(**dataset, RowSet::kTraining)), as_set(train_)) << "one pass";
  EXPECT_NE(served(**dataset, RowSet::kHeldOut), dev_) << "a shuffled order";
  EXPECT_EQ(served(**dataset, RowSet::kHeldOut, 1), served(**dataset, RowSet::kHeldOut, 2)) << "but a fixed one";
  EXPECT_NE(served(**dataset, RowSet::kTraining, 1), served(**dataset, RowSet::kTraining, 2));
  EXPECT_FALSE((*dataset)->rows(1, RowSet::kTest, 59, 2).ok());
  EXPECT_TRUE((*dataset)->rows(1, RowSet::kTraining, 1000, 2).ok()) << "passes go on";
}

TEST_F(TaskDatasetTest, TwoSetsOfTheSameRowsAreRefused) {
  DatasetSpec judged = spec_, chosen = spec_;
  judged.task->dev = write("copy.csv", train_);
  chosen.task->test = write("again.csv", dev_);
  for (const auto& [spec, said] : {std::pair(judged, "copy.csv: task.dev has the very rows of task.train"),
                                   std::pair(chosen, "again.csv: task.test has the very rows of task.dev")}) {
    const auto dataset = open(spec);
    ASSERT_FALSE(dataset.ok());
    EXPECT_EQ(dataset.error().code(), ErrorCode::kBadInput);
    EXPECT_NE(dataset.error().message().find(said), std::string::npos) << dataset.error().message();
  }
}

TEST_F(TaskDatasetTest, TheSameRowsFromAnyStoreAndFormat) {
  const auto one = open(spec_);
  home_ = memory_home("two");
  std::string tsv = "label\tsequence\n";
  for (const LabelledRow& row : train_) tsv += concat(row.label, "\t", row.sequence, "\n");
  spec_.task->train = folder_.file("train.tsv.gz", testing::gzip(tsv));
  const auto two = open(spec_);
  const auto again = open(spec_);  // from what the store kept
  ASSERT_TRUE(one.ok() && two.ok() && again.ok());
  EXPECT_EQ((*one)->summary().fingerprint, (*two)->summary().fingerprint);
  EXPECT_EQ((*one)->summary().fields, (*again)->summary().fields);
  const auto whole = (*one)->rows(5, RowSet::kTraining, 150, 90);
  for (uint32_t i = 0; i < 90; i += 9) {
    const auto part = (*two)->rows(5, RowSet::kTraining, 150 + i, 9);
    ASSERT_TRUE(part.ok());
    EXPECT_TRUE(std::equal(part->tokens.begin(), part->tokens.end(), whole->tokens.begin() + i * 62));
    EXPECT_TRUE(std::equal(part->labels.begin(), part->labels.end(), whole->labels.begin() + i));
  }
}

TEST_F(TaskDatasetTest, EveryChoiceIsInTheFingerprint) {
  const auto changed = [&](const std::string& field, const std::function<void(DatasetSpec*)>& change) {
    expect_in_fingerprint(spec_, field, change);
  };
  const std::string other = write("other.csv", random_rows(99, 70, 20, 60));
  changed("train", [&](DatasetSpec* s) { s->task->train = other; });
  changed("dev", [&](DatasetSpec* s) { s->task->dev = other; });
  changed("test", [&](DatasetSpec* s) { s->task->test = ""; });
  changed("classes", [](DatasetSpec* s) { s->task->class_names = {"EI", "IE", "N", "more"}; });
  changed("classes", [](DatasetSpec* s) { s->task->class_names = {"IE", "EI", "N"}; });
  changed("text", [](DatasetSpec* s) { s->task->prefix = "A"; });
  changed("frame", [](DatasetSpec* s) { s->task->special_tokens = false; });
  changed("segment", [](DatasetSpec* s) { s->data.segment = 65; });
  changed("reverse_complement", [](DatasetSpec* s) { s->task->reverse_complement = true; });
  changed("tokenizer", [](DatasetSpec* s) {
    s->tokenizer.kind = TokenizerKind::kKmer;
    s->tokenizer.k = 1;
  });
  const auto split = [](DatasetSpec* s) {
    s->task->dev = "";
    s->task->dev_fraction = 0.2;
  };
  changed("dev", split);
  split(&spec_);
  changed("split", [](DatasetSpec* s) { s->task->dev_fraction = 0.3; });
  changed("split", [](DatasetSpec* s) { s->task->split_seed = 2; });
  spec_.task->test = "";
  spec_.task->folds = 5;
  changed("split", [](DatasetSpec* s) { s->task->fold = 1; });
}

TEST_F(TaskDatasetTest, FoldsTestEveryRowOnce) {
  spec_.task->dev = spec_.task->test = "";
  spec_.task->folds = 10;
  std::multiset<LabelledRow> tested;
  for (spec_.task->fold = 0; spec_.task->fold < 10; ++spec_.task->fold) {
    const auto dataset = open(spec_);
    ASSERT_TRUE(dataset.ok()) << dataset.error().message();
    std::multiset<LabelledRow> all;
    for (const RowSet set : {RowSet::kTraining, RowSet::kHeldOut, RowSet::kTest}) {
      for (const LabelledRow& row : served(**dataset, set)) {
        all.insert(row);
        if (set == RowSet::kTest) tested.insert(row);
      }
    }
    EXPECT_EQ(all, std::multiset(train_.begin(), train_.end()));
  }
  EXPECT_EQ(tested, std::multiset(train_.begin(), train_.end()));
}

TEST_F(TaskDatasetTest, LongRowsAreCutAndCountedOrRefused) {
  spec_.data.segment = 40;
  const auto dataset = open(spec_);
  ASSERT_TRUE(dataset.ok()) << dataset.error().message();
  const DatasetSummary& summary = (*dataset)->summary();
  EXPECT_EQ(summary.segment, 40);
  EXPECT_EQ(summary.longest_row, 62u);
  const std::vector<LabelledRow>* tables[] = {&train_, &dev_, &test_};
  for (size_t set = 0; set < kRowSets; ++set) {
    uint64_t rows = 0, tokens = 0;
    for (const LabelledRow& row : *tables[set]) {
      if (row.sequence.size() <= 38) continue;
      ++rows;
      tokens += row.sequence.size() - 38;
    }
    EXPECT_EQ(summary.cut_rows[set], rows);
    EXPECT_EQ(summary.cut_tokens[set], tokens);
  }
  const auto rows = served(**dataset, RowSet::kTest);
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].sequence, test_[i].sequence.substr(0, 38));
  spec_.task->too_long = TooLong::kRefuse;
  refused(spec_, "train.csv: line 2: a row of more than data.segment = 40 tokens, the first of ");
  spec_.data.segment = 62;
  EXPECT_TRUE(open(spec_).ok());
}

TEST_F(TaskDatasetTest, TheOtherStrandComesHalfOfTheTimeInTrainingOnly) {
  spec_.task->reverse_complement = true;
  const auto dataset = open(spec_);
  ASSERT_TRUE(dataset.ok());
  std::map<std::string, std::string> label_of;
  for (const LabelledRow& row : train_) label_of[row.sequence] = row.label;
  int turned = 0;
  for (const LabelledRow& row : served(**dataset, RowSet::kTraining)) {
    std::string sequence = row.sequence;
    if (!label_of.contains(sequence)) {
      reverse_complement(&sequence);
      ++turned;
    }
    ASSERT_TRUE(label_of.contains(sequence));
    EXPECT_EQ(row.label, label_of[sequence]);
  }
  EXPECT_NEAR(turned, 100, 40);
  EXPECT_EQ(served(**dataset, RowSet::kTest), test_);
}

TEST_F(TaskDatasetTest, NumbersAreStandardisedByTheTrainingRows) {
  std::vector<double> values;
  for (size_t i = 0; i < train_.size(); ++i) {
    train_[i].label = i % 10 == 9 ? "NA" : concat(1000 + std::sin(static_cast<double>(i)));
    if (i % 10 != 9) values.push_back(std::stod(train_[i].label));
  }
  for (auto& row : dev_) row.label = "0";
  for (auto& row : test_) row.label = "1000.5";
  TaskSpec& task = *spec_.task;
  task.kind = TaskKind::kRegress;
  task.class_names.clear();
  task.train = write("train.csv", train_);
  task.dev = write("dev.csv", dev_);
  task.test = write("test.csv", test_);
  const auto dataset = open(spec_);
  ASSERT_TRUE(dataset.ok()) << dataset.error().message();
  const DatasetSummary& summary = (*dataset)->summary();
  ASSERT_EQ(summary.label_mean.size(), 1u);
  double mean = 0, squares = 0;
  for (const double v : values) mean += v / static_cast<double>(values.size());
  for (const double v : values) squares += (v - mean) * (v - mean) / static_cast<double>(values.size());
  EXPECT_NEAR(summary.label_mean[0], mean, 1e-9);
  EXPECT_NEAR(summary.label_deviation[0], std::sqrt(squares), 1e-9);
  const auto test = (*dataset)->rows(1, RowSet::kTest, 0, 1);
  EXPECT_FLOAT_EQ(test->labels[0], static_cast<float>((1000.5 - mean) / std::sqrt(squares)));
  const auto train = (*dataset)->rows(1, RowSet::kTraining, 0, 200);
  double sum = 0, missing = 0;
  for (const float label : train->labels) {
    if (std::isnan(label))
      ++missing;
    else
      sum += label;
  }
  EXPECT_NEAR(sum, 0, 1e-3);
  EXPECT_EQ(missing, 20);
  // The exact numbers are in the fingerprint, where a checkpoint keeps them.
  bool found = false;
  for (const FingerprintField& field : summary.fields) {
    found |= field.name == "label_mean" && std::stod(field.value) == summary.label_mean[0];
  }
  EXPECT_TRUE(found);
  task.standardize = false;
  const auto plain = open(spec_);
  EXPECT_TRUE((*plain)->summary().label_mean.empty());
  EXPECT_EQ((*plain)->rows(1, RowSet::kTest, 0, 1)->labels[0], 1000.5f);
}

TEST_F(TaskDatasetTest, SeveralLabelsARow) {
  TaskSpec& task = *spec_.task;
  task.kind = TaskKind::kMultiLabel;
  task.class_names = {"a", "b", "c"};
  for (auto* rows : {&train_, &dev_, &test_}) {
    for (size_t i = 0; i < rows->size(); ++i) (*rows)[i].label = concat("[", i % 2, ", ", i % 3 == 0 ? 1 : 0, ", nan]");
  }
  task.train = write("train.csv", train_);
  task.dev = write("dev.csv", dev_);
  task.test = write("test.csv", test_);
  const auto dataset = open(spec_);
  ASSERT_TRUE(dataset.ok()) << dataset.error().message();
  EXPECT_EQ((*dataset)->summary().labels_per_row, 3u);
  const auto block = (*dataset)->rows(1, RowSet::kTest, 0, 60);
  for (size_t i = 0; i < 60; ++i) {
    EXPECT_EQ(block->labels[3 * i], static_cast<float>(i % 2));
    EXPECT_EQ(block->labels[3 * i + 1], i % 3 == 0 ? 1 : 0);
    EXPECT_TRUE(std::isnan(block->labels[3 * i + 2]));
  }
}

// The label of a base goes wherever the base goes, also on the other strand.
TEST_F(TaskDatasetTest, TokenLabelsFollowTheirBases) {
  TaskSpec& task = *spec_.task;
  task.kind = TaskKind::kClassifyTokens;
  task.class_names = {"w", "s"};  // weak A T, strong C G: the same on both strands
  task.reverse_complement = true;
  spec_.data.segment = 40;
  for (auto* rows : {&train_, &dev_, &test_}) {
    for (LabelledRow& row : *rows) {
      row.label.clear();
      for (const char base : row.sequence) row.label += base == 'A' || base == 'T' ? 'w' : 's';
    }
  }
  task.train = write("train.csv", train_);
  task.dev = write("dev.csv", dev_);
  task.test = write("test.csv", test_);
  const auto dataset = open(spec_);
  ASSERT_TRUE(dataset.ok()) << dataset.error().message();
  EXPECT_EQ((*dataset)->summary().labels_per_row, 0u);
  for (const RowSet set : {RowSet::kTraining, RowSet::kHeldOut, RowSet::kTest}) {
    const auto count = static_cast<uint32_t>((*dataset)->summary().rows_of(set));
    const auto block = (*dataset)->rows(1, set, 0, count);
    ASSERT_TRUE(block.ok());
    ASSERT_EQ(block->targets.size(), block->tokens.size());
    for (size_t i = 0; i < block->tokens.size(); ++i) {
      const uint16_t token = block->tokens[i];
      const bool base = token >= 5 && token <= 8;  // A G C T
      EXPECT_EQ(block->targets[i], base ? (token == 6 || token == 7 ? 1 : 0) : kNoTarget);
    }
  }
}

TEST_F(TaskDatasetTest, WhatIsWrongIsRefusedWithItsLine) {
  const auto with_train = [&](const std::string& text) {
    DatasetSpec spec = spec_;
    spec.rows_per_step = 0;
    spec.task->train = folder_.file("bad.csv", text);
    return spec;
  };
  refused(with_train("sequence,label\nACGT,EI\nACGT,EX\n"),
          "bad.csv: line 3, column \"label\": expected one of EI, IE, N");
  refused(with_train("sequence,label\nACGT,EI\n,EI\n"), "bad.csv: line 3, column \"sequence\": an empty sequence");
  refused(with_train("sequence,label\n"), "bad.csv: no rows");
  DatasetSpec spec = spec_;
  spec.rows_per_step = 201;
  refused(spec, "one step takes 201 rows");
  spec = spec_;
  spec.model_vocabulary = 8;
  refused(spec, "model.vocabulary is 8");
  spec = spec_;
  spec.data.segment = 2;
  refused(spec, "the tokenizer's special tokens take 2 of them");
  spec = spec_;
  spec.tokenizer.kind = TokenizerKind::kBpe;
  refused(spec, "trained on a genome");
  spec = spec_;
  spec.task->test = folder_.file("bad_test.csv", "sequence,label\nACGT,XX\n");
  refused(spec, "bad_test.csv: line 2");
  spec = spec_;
  spec.task->prefix = std::string(80, 'A');
  refused(spec, "task.prefix and task.suffix with one base take 81 tokens of 62");
}

// As predicting does: a table without labels, and nothing to train on.
TEST_F(TaskDatasetTest, ATableWithoutLabelsMayBeServedAlone) {
  spec_.rows_per_step = 0;
  TaskSpec& task = *spec_.task;
  task.train = task.dev = "";
  task.label = "";
  task.test = folder_.file("new.fa", ">a\nACGT\n>b\nGG\n");
  const auto dataset = open(spec_);
  ASSERT_TRUE(dataset.ok()) << dataset.error().message();
  EXPECT_EQ((*dataset)->summary().labels_per_row, 0u);
  const auto block = (*dataset)->rows(1, RowSet::kTest, 0, 2);
  ASSERT_TRUE(block.ok());
  EXPECT_EQ(block->lengths, (std::vector<uint16_t>{6, 4}));
  EXPECT_TRUE(block->labels.empty());
  EXPECT_FALSE((*dataset)->rows(1, RowSet::kTraining, 0, 1).ok());
}

}  // namespace
}  // namespace strand
