// Data sets of several sources.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "dataserver/audit.h"
#include "shared/base/row_audit.h"
#include "shared/base/text.h"
#include "tests/unit/dataserver/homes.h"

namespace strand {
namespace {

constexpr size_t kSegment = 50;
constexpr int64_t kRowsPerStep = 8;

class SourcesDataset : public testing::DatasetHome {
 protected:
  void SetUp() override {
    std::mt19937_64 random(90);
    // Sources with letters of their own, so that a row says where it comes from; records of the same name.
    texts_ = {{"at", testing::random_letters(&random, 20000, "AT")},
              {"cg", testing::random_letters(&random, 5000, "CG")}};
    for (const auto& [name, text] : texts_) files_[name] = folder_.file(name + ".fa", ">chr1\n" + text + "\n");
    spec_.data.sources = {{"at", {files_["at"]}, 1}, {"cg", {files_["cg"]}, 3}};
    spec_.data.segment = kSegment;
    spec_.data.reverse_complement = false;
    spec_.model_vocabulary = 16;
    spec_.rows_per_step = kRowsPerStep;
  }

  static std::string text_of(const Dataset& dataset, const RowBlock& block, size_t row) {
    const auto begin = block.tokens.begin() + static_cast<ptrdiff_t>(row * kSegment);
    return dataset.tokenizer().decode({begin, begin + block.lengths[row]});
  }
  static bool is_at(const std::string& text) { return text.find_first_of("CG") == std::string::npos; }

  std::map<std::string, std::string> texts_, files_;
  DatasetSpec spec_;
};

TEST_F(SourcesDataset, RowsComeFromEachSourceByItsWeight) {
  const auto dataset = open(spec_);
  ASSERT_TRUE(dataset.ok()) << dataset.error().message();
  EXPECT_EQ((*dataset)->summary().segments, 500u);
  const auto block = (*dataset)->rows(1, RowSet::kTraining, 0, 400);
  ASSERT_TRUE(block.ok());
  std::map<uint64_t, int> of_cg;
  int at = 0;
  for (size_t row = 0; row < 400; ++row) {
    const std::string text = text_of(**dataset, *block, row);
    const bool from_at = is_at(text);
    EXPECT_EQ(text, texts_[from_at ? "at" : "cg"].substr(block->samples[row] % 400 * kSegment, kSegment));
    EXPECT_EQ(block->samples[row] < 400, from_at) << "windows are numbered through the sources";
    at += from_at;
    EXPECT_NEAR(at, static_cast<double>(row + 1) / 4, 1) << row;
    if (!from_at) ++of_cg[block->samples[row]];
  }
  EXPECT_EQ(of_cg.size(), 100u);
  for (const auto& [window, times] : of_cg) EXPECT_EQ(times, 3) << "300 rows are three passes over 100";
}

// Another server with another store, rows asked for one by one and backwards: the same rows; and the audit, which asks
// for whole steps, agrees with what those rows add up to.
TEST_F(SourcesDataset, TheSameStreamHoweverItIsAskedFor) {
  spec_.data.mixture = {{4, {5, 1}}, {9, {0, 1}}};
  spec_.data.shift = 10;
  spec_.data.reverse_complement = true;
  const auto one = open(spec_);
  ASSERT_TRUE(one.ok()) << one.error().message();
  home_ = memory_home("two");
  const auto two = open(spec_);
  ASSERT_TRUE(two.ok());
  EXPECT_EQ((*one)->summary().fingerprint, (*two)->summary().fingerprint);
  const auto whole = (*one)->rows(5, RowSet::kTraining, 0, 120);
  ASSERT_TRUE(whole.ok());
  for (uint64_t row = 120; row-- > 0;) {
    const auto part = (*two)->rows(5, RowSet::kTraining, row, 1);
    ASSERT_TRUE(part.ok());
    ASSERT_TRUE(std::equal(part->tokens.begin(), part->tokens.end(),
                           whole->tokens.begin() + static_cast<ptrdiff_t>(row * kSegment)));
    ASSERT_EQ(part->samples[0], whole->samples[row]);
    if (row >= 8 * kRowsPerStep) {
      EXPECT_FALSE(is_at(text_of(**one, *whole, row))) << "from step 9 on only one source";
    }
  }
  for (uint64_t step = 0; step < 15; ++step) {
    RowAudit audit;
    for (uint64_t row = step * kRowsPerStep; row < (step + 1) * kRowsPerStep; ++row) {
      audit.add(row, whole->samples[row], whole->tokens.data() + row * kSegment, whole->lengths[row]);
    }
    EXPECT_EQ(audit_rows(**two, 5, step * kRowsPerStep, kRowsPerStep).value(), audit.sum());
  }
}

TEST_F(SourcesDataset, NewWeightsFromAStepOnLeaveEarlierRowsAlone) {
  const auto before = open(spec_);
  spec_.data.mixture = {{11, {1, 0}}};
  const auto after = open(spec_);
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_NE((*before)->summary().fingerprint, (*after)->summary().fingerprint);
  const auto one = (*before)->rows(3, RowSet::kTraining, 0, 160), two = (*after)->rows(3, RowSet::kTraining, 0, 160);
  constexpr size_t kSame = 10 * kRowsPerStep;
  EXPECT_TRUE(std::equal(one->tokens.begin(), one->tokens.begin() + kSame * kSegment, two->tokens.begin()));
  for (size_t row = kSame; row < 160; ++row) EXPECT_TRUE(is_at(text_of(**after, *two, row)));
}

// Without weights shares follow the sizes; a temperature evens them out.
TEST_F(SourcesDataset, TemperatureIsBetweenSizesAndEvenShares) {
  for (SourceSpec& source : spec_.data.sources) source.weight = -1;
  const auto share_of_at = [&](double temperature) {
    spec_.data.temperature = temperature;
    const auto dataset = open(spec_);
    EXPECT_TRUE(dataset.ok());
    const auto block = (*dataset)->rows(1, RowSet::kTraining, 0, 300);
    int at = 0;
    for (size_t row = 0; row < 300; ++row) at += is_at(text_of(**dataset, *block, row));
    return at / 300.0;
  };
  EXPECT_NEAR(share_of_at(1), 0.8, 0.004);      // 400 of 500 windows
  EXPECT_NEAR(share_of_at(2), 2.0 / 3, 0.004);  // square roots: 20 and 10
  EXPECT_NEAR(share_of_at(1e9), 0.5, 0.004);
}

TEST_F(SourcesDataset, AWholeSpeciesIsHeldOut) {
  spec_.data.sources[1].weight = -1;
  spec_.data.holdout.sources = {"cg"};
  const auto dataset = open(spec_);
  ASSERT_TRUE(dataset.ok()) << dataset.error().message();
  EXPECT_EQ((*dataset)->split()->held_out_bases, 5000);
  const auto training = (*dataset)->rows(1, RowSet::kTraining, 0, 800);
  for (size_t row = 0; row < 800; ++row) ASSERT_TRUE(is_at(text_of(**dataset, *training, row)));
  const auto eval_rows = static_cast<uint32_t>((*dataset)->summary().eval_rows);
  const auto held_out = (*dataset)->rows(1, RowSet::kHeldOut, 0, eval_rows);
  std::set<char> letters;
  for (size_t row = 0; row < eval_rows; ++row) {
    for (const char c : text_of(**dataset, *held_out, row)) letters.insert(c);
  }
  EXPECT_EQ(letters, (std::set<char>{'C', 'G'}));
}

TEST_F(SourcesDataset, RecordsAreNamedWithOrWithoutTheirSource) {
  spec_.data.exclude.intervals = {{"at/chr1", 0, 1000}};
  spec_.data.holdout.intervals = {{"cg/chr1", 0, 500}};
  const auto dataset = open(spec_);
  ASSERT_TRUE(dataset.ok()) << dataset.error().message();
  EXPECT_EQ((*dataset)->split()->excluded_bases, 1000);
  EXPECT_EQ((*dataset)->split()->held_out_bases, 500);
  spec_.data.holdout.intervals = {{"chr1", 0, 500}};
  refused(spec_, "data.holdout.intervals: several sources have a record 'chr1'; name one, as in 'at/chr1'");
  spec_.data.holdout.intervals = {{"cg/chr2", 0, 500}};
  refused(spec_, "no record is named 'cg/chr2'; did you mean 'cg/chr1'?");
  spec_.data.holdout.intervals.clear();
  spec_.data.exclude.intervals = {{"at/chr1", 0, 20000}};
  refused(spec_, "data.source.weight: source at has weight 1 and no training row");
  spec_.data.exclude.intervals.clear();
  spec_.data.sources[0].weight = 1e-9;
  refused(spec_, "data.source.weight: weight 1e-09 is less than 1 in 65536 of all");
}

TEST_F(SourcesDataset, EveryChoiceIsInTheFingerprint) {
  const auto changed = [&](const std::string& field, const std::function<void(DatasetSpec*)>& change) {
    expect_in_fingerprint(spec_, field, change);
  };
  changed("mixture", [](DatasetSpec* s) { s->data.sources[0].weight = 2; });
  changed("mixture", [](DatasetSpec* s) { s->data.mixture = {{2, {1, 1}}}; });
  changed("shift", [](DatasetSpec* s) { s->data.shift = 7; });
  changed("bases", [](DatasetSpec* s) { s->data.sources[0].name = "other"; });
  changed("bases", [](DatasetSpec* s) { std::swap(s->data.sources[0], s->data.sources[1]); });
  changed("holdout", [](DatasetSpec* s) {
    s->data.sources[1].weight = -1;
    s->data.holdout.sources = {"cg"};
  });
  spec_.data.mixture = {{2, {1, 1}}};
  DatasetSpec other = spec_;
  other.rows_per_step = 16;  // step 2 begins at another row
  const auto one = open(spec_), two = open(other);
  EXPECT_NE((*one)->summary().fingerprint, (*two)->summary().fingerprint);
}

// Short contigs in full rows; what is known of their tokens is kept; each source packs its own.
TEST_F(SourcesDataset, PackedRowsAreFullAndOfOneSource) {
  std::mt19937_64 random(91);
  for (SourceSpec& source : spec_.data.sources) {
    std::string text;
    for (int i = 0; i < 90; ++i) {
      text += concat(">", i, "\n",
                     testing::random_letters(&random, 3 + random() % 60, source.name == "at" ? "AT" : "CG"), "\n");
    }
    source.files = {folder_.file(source.name + "-contigs.fa", text)};
  }
  expect_in_fingerprint(spec_, "segment_bases", [](DatasetSpec* s) { s->data.packing = true; });
  spec_.data.packing = true;
  for (const TokenizerKind kind : {TokenizerKind::kNucleotide, TokenizerKind::kBpe}) {
    spec_.tokenizer.kind = kind;
    spec_.tokenizer.vocabulary = 40;
    spec_.model_vocabulary = 64;
    const auto dataset = open(spec_);
    ASSERT_TRUE(dataset.ok()) << dataset.error().message();
    const auto segments = static_cast<uint32_t>((*dataset)->summary().segments);
    const auto block = (*dataset)->rows(1, RowSet::kTraining, 0, 4 * segments);
    ASSERT_TRUE(block.ok());
    std::set<uint64_t> samples, short_rows;
    for (size_t row = 0; row < 4 * segments; ++row) {
      if (block->lengths[row] < kSegment) short_rows.insert(block->samples[row]);
      samples.insert(block->samples[row]);
      std::set<char> letters;
      std::string text = text_of(**dataset, *block, row);
      for (size_t at; (at = text.find("[SEP]")) != std::string::npos;) text.erase(at, 5);
      for (const char c : text) letters.insert(c);
      EXPECT_LE(letters.size(), 2u) << text;
    }
    EXPECT_EQ(samples.size(), segments);
    EXPECT_LE(short_rows.size(), 2u) << "the last of each source";
    if (kind == TokenizerKind::kBpe) static_cast<testing::MemoryStore*>(home_.store.get())->operations_left = 0;
    const auto again = open(spec_);
    ASSERT_TRUE(again.ok()) << again.error().message();
    EXPECT_EQ((*again)->rows(1, RowSet::kTraining, 7, 50)->tokens,
              (*dataset)->rows(1, RowSet::kTraining, 7, 50)->tokens);
  }
  spec_.tokenizer.kind = TokenizerKind::kKmer;
  spec_.tokenizer.overlapping = true;
  spec_.tokenizer.k = 2;
  home_ = memory_home("two");
  refused(spec_, "data.packing: overlapping k-mers share letters");
}

TEST_F(SourcesDataset, OverlappingKmersFillTheirRows) {
  spec_.tokenizer.kind = TokenizerKind::kKmer;
  spec_.tokenizer.overlapping = true;
  spec_.tokenizer.k = 3;
  spec_.model_vocabulary = 69;
  const auto dataset = open(spec_);
  ASSERT_TRUE(dataset.ok()) << dataset.error().message();
  const auto block = (*dataset)->rows(1, RowSet::kTraining, 0, 100);
  for (size_t row = 0; row < 100; ++row) {
    EXPECT_EQ(block->lengths[row], kSegment);
    const std::string text = text_of(**dataset, *block, row);
    EXPECT_EQ(text.size(), kSegment + 2);
    EXPECT_NE(texts_[is_at(text) ? "at" : "cg"].find(text), std::string::npos);
  }
}

// A window moves by less than `shift`, never out of its run, and elsewhere in every pass.
TEST_F(SourcesDataset, ShiftMovesWindows) {
  spec_.data.sources.clear();
  spec_.data.files = {files_["at"]};
  const auto fixed = open(spec_);
  spec_.data.shift = 20;
  const auto shifted = open(spec_);
  ASSERT_TRUE(fixed.ok() && shifted.ok());
  const std::string& text = texts_["at"];
  std::map<int, int> shifts;
  std::vector<int> of_window(400, -1);
  int changed = 0;
  const auto one = (*fixed)->rows(1, RowSet::kTraining, 0, 800), two = (*shifted)->rows(1, RowSet::kTraining, 0, 800);
  for (size_t row = 0; row < 800; ++row) {
    ASSERT_EQ(one->samples[row], two->samples[row]) << "the order stays";
    const uint64_t window = two->samples[row];
    ASSERT_EQ(text_of(**fixed, *one, row), text.substr(window * kSegment, kSegment));
    const std::string moved = text_of(**shifted, *two, row);
    int shift = 0;
    while (shift < 20 && text.substr(window * kSegment + static_cast<size_t>(shift), kSegment) != moved) ++shift;
    if (window == 399) {
      EXPECT_EQ(shift, 0) << "the last window ends with its run";
      continue;
    }
    ASSERT_LT(shift, 20);
    ++shifts[shift];
    if (row >= 400) changed += shift != of_window[window];
    of_window[window] = shift;
  }
  EXPECT_EQ(shifts.size(), 20u);
  EXPECT_GT(changed, 350);
}

}  // namespace
}  // namespace strand
