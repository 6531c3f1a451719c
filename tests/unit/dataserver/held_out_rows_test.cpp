// What is held out is tokenised once: from the store the same rows come as from memory.
#include "dataserver/examples/held_out_rows.h"

#include <gtest/gtest.h>

#include <random>

#include "dataserver/corpus/corpus_store.h"
#include "tests/unit/dataserver/genomes.h"

namespace strand {
namespace {

using testing::MemoryStore;
using testing::TemporaryFolder;

class HeldOutRowsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::mt19937_64 random(60);
    const std::string text = testing::fasta(
        {{"a", testing::random_letters(&random, 70000, "ACGT")}, {"b", testing::random_letters(&random, 300, "ACGT")}},
        70);
    auto info = build_corpus(&store_, {folder_.file("a.fa", text)}, testing::keep_going);
    ASSERT_TRUE(info.ok());
    reader_ = std::make_unique<CorpusReader>(&store_, *info);
  }
  KeptTokens kept(bool may_write) { return {&store_, "derived/held-out/x/", may_write}; }
  Result<HeldOutRows> make(const Tokenizer& tokenizer, const RowStyle& style, const KeptTokens& where) {
    return HeldOutRows::make(reader_.get(), tokenizer, runs_, style, where);
  }
  static std::vector<uint16_t> all(const HeldOutRows& rows, int64_t segment) {
    std::vector<uint16_t> found;
    std::vector<uint16_t> tokens(static_cast<size_t>(segment));
    for (uint64_t i = 0; i < rows.size(); ++i) {
      const auto length = rows.row(i, tokens.data());
      EXPECT_TRUE(length.ok()) << length.error().message();
      if (!length.ok()) return {};
      found.push_back(*length);
      found.insert(found.end(), tokens.begin(), tokens.end());
    }
    return found;
  }

  TemporaryFolder folder_;
  MemoryStore store_;
  std::unique_ptr<CorpusReader> reader_;
  const std::vector<BaseRun> runs_ = {{0, 5, 40000}, {0, 40001, 40002}, {0, 50000, 70000}, {1, 0, 300}};
};

TEST_F(HeldOutRowsTest, FromTheStoreAsFromMemoryInEveryStyle) {
  for (const int k : {0, 3}) {
    const auto tokenizer = k == 0 ? make_nucleotide_tokenizer() : make_kmer_tokenizer(k);
    // Written once, in one style; what is kept does not depend on it.
    for (auto at = store_.values.lower_bound("derived/"); at != store_.values.end();) at = store_.values.erase(at);
    for (const int64_t segment : {7, 100, 20000}) {
      for (const bool masked : {false, true}) {
        RowStyle style;
        style.segment = segment;
        style.masked = masked;
        if (masked) style.frame = tokenizer->frame();
        const auto memory = make(*tokenizer, style, {});
        const auto written = make(*tokenizer, style, kept(true));
        const auto read = make(*tokenizer, style, kept(false));
        ASSERT_TRUE(memory.ok() && written.ok() && read.ok());
        const auto expected = all(*memory, segment);
        EXPECT_FALSE(expected.empty());
        EXPECT_EQ(all(*written, segment), expected);
        EXPECT_EQ(all(*read, segment), expected);
        for (const auto* rows : {&written, &read}) {
          EXPECT_EQ((*rows)->size(), memory->size());
          EXPECT_EQ((*rows)->target_bases(), memory->target_bases());
        }
      }
    }
  }
}

TEST_F(HeldOutRowsTest, WhatIsKeptIsNotTokenisedAgain) {
  RowStyle style;
  style.segment = 50;
  const auto nucleotide = make_nucleotide_tokenizer(), kmers = make_kmer_tokenizer(2);
  const auto first = make(*nucleotide, style, kept(true));
  const size_t keys = store_.values.size();
  // Another tokenizer under the same key would make other rows: it is not asked.
  const auto again = make(*kmers, style, kept(true));
  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_EQ(all(*again, 50), all(*first, 50));
  EXPECT_EQ(store_.values.size(), keys);
}

TEST_F(HeldOutRowsTest, AReadOnlyStoreWithoutThemStaysAsItIs) {
  RowStyle style;
  style.segment = 50;
  const auto before = store_.values;
  const auto rows = make(*make_nucleotide_tokenizer(), style, kept(false));
  ASSERT_TRUE(rows.ok());
  EXPECT_GT(rows->size(), 0u);
  EXPECT_EQ(store_.values, before);
}

TEST_F(HeldOutRowsTest, DamageIsTold) {
  RowStyle style;
  style.segment = 50;
  const auto tokenizer = make_nucleotide_tokenizer();
  ASSERT_TRUE(make(*tokenizer, style, kept(true)).ok());
  const auto good = store_.values;
  const auto expect_corrupt = [&](const char* what) {
    const auto rows = make(*tokenizer, style, kept(true));
    bool refused = !rows.ok() && rows.error().code() == ErrorCode::kCorrupt;
    std::vector<uint16_t> tokens(50);
    for (uint64_t i = 0; rows.ok() && !refused && i < rows->size(); ++i) {
      const auto row = rows->row(i, tokens.data());
      refused = !row.ok() && row.error().code() == ErrorCode::kCorrupt;
    }
    EXPECT_TRUE(refused) << what;
    store_.values = good;
  };
  const std::string piece = big_endian_key("derived/held-out/x/tokens", 3);
  store_.values.erase(piece);
  expect_corrupt("a piece is missing");
  store_.values.at(piece).resize(10);
  expect_corrupt("a piece is short");
  store_.values.at("derived/held-out/x/index").pop_back();
  expect_corrupt("the index is cut");
  store_.values.at("derived/held-out/x/index").resize(24);
  expect_corrupt("the index is of fewer runs");
}

// An attempt that was broken off leaves no index, and the next one begins again.
TEST_F(HeldOutRowsTest, AFullDiskInTheMidstLeavesNothingThatCounts) {
  RowStyle style;
  style.segment = 50;
  const auto tokenizer = make_nucleotide_tokenizer();
  for (int64_t operations = 0; operations < 10; ++operations) {
    store_.operations_left = operations;
    const auto rows = make(*tokenizer, style, kept(true));
    store_.operations_left = -1;
    if (rows.ok()) continue;
    EXPECT_FALSE(store_.values.contains("derived/held-out/x/index"));
  }
  const auto memory = make(*tokenizer, style, {}), written = make(*tokenizer, style, kept(true));
  ASSERT_TRUE(memory.ok() && written.ok());
  EXPECT_EQ(all(*written, 50), all(*memory, 50));
}

}  // namespace
}  // namespace strand
