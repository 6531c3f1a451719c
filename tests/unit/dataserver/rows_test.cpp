#include "dataserver/examples/rows.h"

#include <gtest/gtest.h>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/corpus/split.h"
#include "dataserver/examples/held_out_rows.h"
#include "dataserver/sampler/sampler.h"
#include "tests/unit/dataserver/genomes.h"

namespace strand {
namespace {

using testing::MemoryStore;
using testing::TemporaryFolder;

RowStyle style(int64_t segment) {
  RowStyle plain;
  plain.segment = segment;
  return plain;
}

class Rows : public ::testing::Test {
 protected:
  void SetUp() override {
    std::mt19937_64 random(20);
    const std::string text = testing::fasta({{"a", testing::random_sequence(&random, 20000)},
                                             {"b", testing::random_sequence(&random, 9000)},
                                             {"c", testing::random_letters(&random, 1000, "ACGT")}},
                                            70);
    auto info = build_corpus(&store_, {folder_.file("a.fa", text)}, testing::keep_going);
    ASSERT_TRUE(info.ok());
    HoldoutSpec holdout;
    holdout.fraction = 0.2;
    auto split = split_corpus(*info, holdout, info->files);
    ASSERT_TRUE(split.ok());
    split_ = *split;
    reader_ = std::make_unique<CorpusReader>(&store_, *info);
  }

  std::string bases(const BaseRun& run) {
    std::string text;
    EXPECT_TRUE(reader_->read(run, &text).ok());
    return text;
  }

  TemporaryFolder folder_;
  MemoryStore store_;
  Split split_;
  std::unique_ptr<CorpusReader> reader_;
  std::vector<std::unique_ptr<Tokenizer>> tokenizers_;

  const std::vector<std::unique_ptr<Tokenizer>>& tokenizers() {
    tokenizers_.push_back(make_nucleotide_tokenizer());
    tokenizers_.push_back(make_kmer_tokenizer(3));
    std::vector<std::string> sequences;
    for (const BaseRun& run : split_.training) sequences.push_back(bases(run));
    BpeTrainOptions options;
    options.vocabulary = 60;
    auto bpe = train_bpe(sequences, options);
    EXPECT_TRUE(bpe.ok());
    tokenizers_.push_back(std::move(bpe).value());
    return tokenizers_;
  }
};

TEST_F(Rows, TrainingRowsSpellTheirWindowOnTheirStrand) {
  const int64_t segment = 40;
  for (const auto& tokenizer : tokenizers()) {
    const TrainingRows rows(reader_.get(), tokenizer.get(), WindowIndex(split_.training, 60, 45), style(segment), true);
    TrainingRows::Scratch scratch;
    uint64_t cut = 0;
    int reversed = 0;
    for (uint64_t n = 0; n < 2 * rows.segments(); ++n) {
      std::vector<uint16_t> tokens(segment, 9999);
      uint16_t length = 0;
      uint64_t window = 0;
      ASSERT_TRUE(rows.fill(3, n, &scratch, tokens.data(), {&length, 1}, &window).ok());
      const SampledRow sampled = sample_row(3, rows.segments(), true, n);
      EXPECT_EQ(window, sampled.window);
      std::string expected = bases(rows.windows().window(sampled.window));
      if (sampled.reverse_complement) reverse_complement(&expected);
      reversed += sampled.reverse_complement ? 1 : 0;
      std::vector<int32_t> ids;
      tokenizer->encode(expected, &ids);
      ASSERT_EQ(length, std::min<size_t>(ids.size(), segment));
      cut += ids.size() - length;
      for (size_t i = 0; i < segment; ++i) ASSERT_EQ(tokens[i], i < length ? ids[i] : 0);
    }
    EXPECT_EQ(scratch.rows.cut_tokens, cut);
    EXPECT_GT(reversed, 0);
  }
}

// The rows are a pure function of (seed, n): any order of asking, however many at once, whatever the cache holds, by
// any tokenizer and style, the same bits.
TEST_F(Rows, TheSameRowsInAnyOrderFromAnyServer) {
  for (const auto& tokenizer : tokenizers()) {
    for (const bool framed : {false, true}) {
      RowStyle plain = style(50);
      if (framed) plain.frame = {{2}, {3, 1}};
      const TrainingRows rows(reader_.get(), tokenizer.get(), WindowIndex(split_.training, 70, 50), plain, true);
      CorpusReader small(&store_, reader_->info(), std::make_shared<ChunkCache>(1));
      const TrainingRows second(&small, tokenizer.get(), WindowIndex(split_.training, 70, 50), plain, true);
      TrainingRows::Scratch scratch, other;
      constexpr size_t kRows = 500;
      std::vector<uint16_t> all(kRows * 50), lengths(kRows);
      std::vector<uint64_t> windows(kRows);
      ASSERT_TRUE(rows.fill(9, 0, &scratch, all.data(), lengths, windows.data()).ok());
      std::mt19937_64 random(21);
      for (size_t end = kRows; end > 0;) {
        const size_t count = std::min<size_t>(end, 1 + random() % 40), begin = end - count;
        std::vector<uint16_t> again(count * 50, 7), some(count);
        std::vector<uint64_t> from(count);
        ASSERT_TRUE(second.fill(9, begin, &other, again.data(), some, from.data()).ok());
        ASSERT_TRUE(std::equal(again.begin(), again.end(), all.begin() + static_cast<ptrdiff_t>(begin * 50)));
        ASSERT_TRUE(std::equal(some.begin(), some.end(), lengths.begin() + static_cast<ptrdiff_t>(begin)));
        ASSERT_TRUE(std::equal(from.begin(), from.end(), windows.begin() + static_cast<ptrdiff_t>(begin)));
        end = begin;
      }
      EXPECT_EQ(scratch.rows.cut_tokens, other.rows.cut_tokens);
    }
  }
}

TEST_F(Rows, EveryHeldOutTokenButARunsFirstIsATargetOnce) {
  for (const int64_t segment : {2, 3, 17, 100000}) {
    for (const auto& tokenizer : tokenizers()) {
      const auto rows = HeldOutRows::make(reader_.get(), *tokenizer, split_.held_out, style(segment));
      ASSERT_TRUE(rows.ok());
      std::map<std::vector<uint16_t>, int> served;
      int64_t targets = 0, target_bases = 0;
      for (uint64_t i = 0; i < rows->size(); ++i) {
        std::vector<uint16_t> tokens(static_cast<size_t>(segment));
        const auto row = rows->row(i, tokens.data());
        ASSERT_TRUE(row.ok());
        const uint16_t length = *row;
        ASSERT_GE(length, 2);
        for (size_t t = 1; t < length; ++t) target_bases += tokenizer->characters(tokens[t]);
        targets += length - 1;
        tokens.resize(length);
        ++served[tokens];
      }
      int64_t expected_targets = 0, expected_bases = 0;
      for (const BaseRun& run : split_.held_out) {
        std::vector<int32_t> ids;
        tokenizer->encode(bases(run), &ids);
        for (size_t begin = 0; begin + 1 < ids.size(); begin += static_cast<size_t>(segment - 1)) {
          const size_t end = std::min(ids.size(), begin + static_cast<size_t>(segment));
          std::vector<uint16_t> row(ids.begin() + static_cast<ptrdiff_t>(begin),
                                    ids.begin() + static_cast<ptrdiff_t>(end));
          const auto found = served.find(row);
          ASSERT_NE(found, served.end());
          if (--found->second == 0) served.erase(found);
          expected_targets += static_cast<int64_t>(end - begin) - 1;
        }
        for (size_t t = 1; t < ids.size(); ++t) expected_bases += tokenizer->characters(ids[t]);
      }
      EXPECT_TRUE(served.empty());
      EXPECT_EQ(targets, expected_targets);
      EXPECT_EQ(target_bases, expected_bases);
      EXPECT_EQ(rows->target_bases(), expected_bases);
    }
  }
}

}  // namespace
}  // namespace strand
