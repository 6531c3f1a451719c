#include "dataserver/dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "dataserver/dataset_tokenizer.h"
#include "shared/base/text.h"
#include "tests/unit/dataserver/homes.h"

namespace strand {
namespace {

using testing::TemporaryFolder;

class DatasetTest : public testing::DatasetHome {
 protected:
  void SetUp() override {
    std::mt19937_64 random(30);
    file_ = folder_.file("g.fa", testing::fasta({{"a", testing::random_sequence(&random, 30000)},
                                                 {"b", testing::random_letters(&random, 30000, "ACGT")}},
                                                70));
    spec_.data.files = {file_};
    spec_.data.segment = 50;
    spec_.data.holdout.fraction = 0.1;
    spec_.model_vocabulary = 64;
    spec_.rows_per_step = 64;
  }

  std::string file_;
  DatasetSpec spec_;
};

TEST_F(DatasetTest, TheSameDatasetFromAnyStoreGivesTheSameRows) {
  const auto one = open(spec_);
  ASSERT_TRUE(one.ok()) << one.error().message();
  home_ = memory_home("two");
  const auto two = open(spec_);
  ASSERT_TRUE(two.ok());
  EXPECT_EQ((*one)->summary().fingerprint, (*two)->summary().fingerprint);
  const auto all = (*one)->rows(5, RowSet::kTraining, 10, 90);
  ASSERT_TRUE(all.ok());
  for (uint32_t i = 0; i < 90; i += 9) {
    const auto part = (*two)->rows(5, RowSet::kTraining, 10 + i, 9);
    ASSERT_TRUE(part.ok());
    EXPECT_TRUE(std::equal(part->tokens.begin(), part->tokens.end(), all->tokens.begin() + i * 50));
    EXPECT_TRUE(std::equal(part->lengths.begin(), part->lengths.end(), all->lengths.begin() + i));
  }
}

// Each choice that changes rows changes the fingerprint, in its own field.
TEST_F(DatasetTest, EveryChoiceIsInTheFingerprint) {
  const auto base = open(spec_);
  ASSERT_TRUE(base.ok());
  const auto changed = [&](const std::string& field, const std::function<void(DatasetSpec*)>& change) {
    expect_in_fingerprint(spec_, field, change);
  };
  changed("holdout", [](DatasetSpec* s) { s->data.holdout.fraction = 0.2; });
  changed("tokenizer", [](DatasetSpec* s) {
    s->tokenizer.kind = TokenizerKind::kKmer;
    s->tokenizer.k = 2;
  });
  changed("segment", [](DatasetSpec* s) { s->data.segment = 40; });
  changed("segment_bases", [](DatasetSpec* s) { s->data.segment_bases = 45; });
  changed("stride", [](DatasetSpec* s) { s->data.stride = 25; });
  changed("reverse_complement", [](DatasetSpec* s) { s->data.reverse_complement = false; });
  const std::string other_file = folder_.file("h.fa", ">a\n" + std::string(9000, 'A') + "\n");
  changed("bases", [&](DatasetSpec* s) { s->data.files = {other_file}; });
  EXPECT_EQ(first_difference((*base)->summary().fields, (*base)->summary().fields), "");
}

TEST_F(DatasetTest, ATrainedVocabularyIsKeptAndUsesTrainingBasesOnly) {
  spec_.tokenizer.kind = TokenizerKind::kBpe;
  spec_.tokenizer.vocabulary = 60;
  const auto first = open(spec_);
  ASSERT_TRUE(first.ok()) << first.error().message();
  const std::string json = testing::read_file(home_.directory + "/tokenizer.json");
  EXPECT_EQ(json, (*first)->tokenizer().to_json());
  const auto window = (*first)->summary().fields[4];
  EXPECT_EQ(window.name, "segment_bases");
  EXPECT_GT(std::stoi(window.value), 50);  // more than one base a token

  // A restart, with a damaged copy for other tools: the same bytes again.
  ASSERT_TRUE(write_file_atomically(*fs_, home_.directory + "/tokenizer.json", "{}").ok());
  const auto second = open(spec_);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(testing::read_file(home_.directory + "/tokenizer.json"), json);
  EXPECT_EQ((*second)->summary().fingerprint, (*first)->summary().fingerprint);

  // Other held-out bases, the same vocabulary.
  std::mt19937_64 random(31);
  std::string text = testing::read_file(file_);
  text.replace(text.size() - 1001, 70, testing::random_letters(&random, 70, "A"));
  text.erase(std::remove(text.begin() + static_cast<ptrdiff_t>(text.size()) - 1001, text.end(), '\n'), text.end());
  home_ = memory_home("two");
  spec_.data.files = {folder_.file("other.fa", text)};
  const auto third = open(spec_);
  ASSERT_TRUE(third.ok()) << third.error().message();
  EXPECT_NE((*third)->summary().fields[0].value, (*first)->summary().fields[0].value);
  EXPECT_EQ((*third)->tokenizer().to_json(), json);
}

TEST_F(DatasetTest, FewWindowsOverflowAtTheDefaultLength) {
  spec_.tokenizer.kind = TokenizerKind::kBpe;
  spec_.tokenizer.vocabulary = 64;
  const auto dataset = open(spec_);
  ASSERT_TRUE(dataset.ok());
  const auto segments = static_cast<uint32_t>((*dataset)->summary().segments);
  const auto rows = (*dataset)->rows(1, RowSet::kTraining, 0, segments);
  ASSERT_TRUE(rows.ok());
  EXPECT_LT(rows->cut_tokens, uint64_t{segments} * 50 / 100);
  int full = 0;
  for (const uint16_t length : rows->lengths) full += length > 35 ? 1 : 0;
  EXPECT_GT(full, static_cast<int>(segments) / 3);
}

TEST_F(DatasetTest, RefusesWhatCannotTrain) {
  DatasetSpec spec = spec_;
  spec.rows_per_step = 100000;
  refused(spec, "more segments than data: one step takes 100000 rows");
  spec = spec_;
  spec.model_vocabulary = 8;
  refused(spec, "model.vocabulary is 8");
  spec = spec_;
  spec.data.segment = 1;
  refused(spec, "data.segment = 1");
  spec = spec_;
  spec.data.files = {folder_.file("n.fa", ">a\nNNNNNNN\n")};
  refused(spec, "no training bases");
  spec.data.files = {folder_.file("one.fa", ">a\nNANNCN\n>b\nG\n")};
  spec.data.holdout = {};
  refused(spec, "no training segment");
  spec.data.files = {folder_.path() + "/absent.fa"};
  refused(spec, "absent.fa");
  spec = spec_;
  spec.tokenizer.kind = TokenizerKind::kFile;
  spec.tokenizer.file = folder_.file("t.json", "{\"model\": 5");
  refused(spec, "t.json");
}

TEST_F(DatasetTest, RefusesATokenizerThatDoesNotCoverTheData) {
  spec_.tokenizer.kind = TokenizerKind::kBpe;
  spec_.tokenizer.vocabulary = 9;  // special tokens and bases, no merges
  const auto trained = open(spec_);
  ASSERT_TRUE(trained.ok());
  const std::string json = (*trained)->tokenizer().to_json();
  for (const char letter : {'A', 'C', 'G', 'T'}) {
    std::string lacking = json;
    const size_t at = lacking.find(concat('"', letter, "\":"));
    ASSERT_NE(at, std::string::npos);
    lacking[at + 1] = 'Q';
    DatasetSpec spec = spec_;
    spec.tokenizer.kind = TokenizerKind::kFile;
    spec.tokenizer.file = folder_.file("t.json", lacking);
    refused(spec, concat("no id for the base ", letter));
  }
}

TEST_F(DatasetTest, RefusesRowsThatDoNotExist) {
  const auto dataset = open(spec_);
  ASSERT_TRUE(dataset.ok());
  const uint64_t rows = (*dataset)->summary().eval_rows;
  EXPECT_TRUE((*dataset)->rows(1, RowSet::kHeldOut, rows - 1, 1).ok());
  EXPECT_FALSE((*dataset)->rows(1, RowSet::kHeldOut, rows, 1).ok());
  EXPECT_FALSE((*dataset)->rows(1, RowSet::kHeldOut, UINT64_MAX, 2).ok());
  EXPECT_FALSE((*dataset)->rows(1, RowSet::kTraining, UINT64_MAX, 1).ok());
  EXPECT_FALSE((*dataset)->rows(1, RowSet::kTraining, 0, 0).ok());
  EXPECT_FALSE((*dataset)->rows(1, RowSet::kTraining, 0, UINT32_MAX).ok());
  EXPECT_TRUE((*dataset)->rows(1, RowSet::kTraining, uint64_t{1} << 60, 1).ok());
}

// No held-out base reaches a training row, on either strand: the held-out part is all T, the training part has none.
TEST_F(DatasetTest, NoHeldOutBaseInATrainingRow) {
  std::mt19937_64 random(33);
  const std::string text = ">a\n" + testing::random_letters(&random, 4000, "CG") + std::string(1000, 'T') + "\n>b\n" +
                           testing::random_letters(&random, 800, "CG") + std::string(200, 'T') + "\n";
  spec_.data.files = {folder_.file("t.fa", text)};
  spec_.data.holdout.fraction = 0.2;
  spec_.data.stride = 7;
  const auto dataset = open(spec_);
  ASSERT_TRUE(dataset.ok()) << dataset.error().message();
  const auto segments = static_cast<uint32_t>((*dataset)->summary().segments);
  const auto rows = (*dataset)->rows(1, RowSet::kTraining, 0, 3 * segments);
  ASSERT_TRUE(rows.ok());
  std::set<char> letters;
  for (uint32_t i = 0; i < 3 * segments; ++i) {
    const auto begin = rows->tokens.begin() + i * 50;
    for (const char c : (*dataset)->tokenizer().decode({begin, begin + rows->lengths[i]})) letters.insert(c);
  }
  EXPECT_EQ(letters, (std::set<char>{'C', 'G'}));
  EXPECT_EQ((*dataset)->summary().eval_bases, 1198);
}

TEST_F(DatasetTest, TheMarkovBaselineIsKept) {
  const auto dataset = open(spec_);
  ASSERT_TRUE(dataset.ok());
  const auto bits = (*dataset)->markov_bits();
  ASSERT_TRUE(bits.ok());
  ASSERT_EQ(bits->size(), 13u);
  EXPECT_NEAR((*bits)[0], 2.0, 0.01);
  static_cast<testing::MemoryStore*>(home_.store.get())->operations_left = 0;  // computing again would have to write
  const auto again = (*dataset)->markov_bits();
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, *bits);
}

TEST(SampleTraining, TakesAllOrEquallySpacedPieces) {
  const TemporaryFolder folder;
  testing::MemoryStore store;
  std::mt19937_64 random(34);
  const std::string text = testing::random_letters(&random, 5 << 20, "ACGT");
  auto info = build_corpus(&store, {folder.file("a.fa", ">a\n" + text + "\n")}, testing::keep_going);
  ASSERT_TRUE(info.ok());
  CorpusReader reader(&store, *info);
  const std::vector<BaseRun> runs = {{0, 0, 1000}, {0, 2000, 5 << 20}};
  const auto all = sample_training(&reader, runs, int64_t{1} << 30);
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(*all, (std::vector<std::string>{text.substr(0, 1000), text.substr(2000)}));
  const auto some = sample_training(&reader, runs, 2 << 20);
  ASSERT_TRUE(some.ok());
  size_t bases = 0;
  for (const std::string& piece : *some) {
    bases += piece.size();
    // Not text.find: the thread sanitizer looks at all bytes that its memcmp might compare, at every position.
    EXPECT_NE(std::search(text.begin(), text.end(), piece.begin(), piece.end()), text.end());
  }
  EXPECT_LE(bases, size_t{2} << 20);
  EXPECT_GT(bases, size_t{1} << 20);
}

}  // namespace
}  // namespace strand
