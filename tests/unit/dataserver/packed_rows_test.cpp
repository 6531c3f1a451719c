#include "dataserver/examples/packed_rows.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/corpus/split.h"
#include "tests/unit/dataserver/genomes.h"

namespace strand {
namespace {

using testing::MemoryStore;
using testing::TemporaryFolder;

// Many short contigs with N in them, and one that is longer than any row.
class Packed : public ::testing::Test {
 protected:
  void SetUp() override {
    std::mt19937_64 random(70);
    std::string text;
    for (int i = 0; i < 200; ++i) {
      text += testing::fasta(
          {{"contig" + std::to_string(i), testing::random_letters(&random, 1 + random() % 90, "ACGTACGTACGTN") + "A"}},
          60);
    }
    text += testing::fasta({{"long", testing::random_letters(&random, 9000, "ACGT")}}, 60);
    auto info = build_corpus(&store_, {folder_.file("contigs.fa", text)}, testing::keep_going);
    ASSERT_TRUE(info.ok()) << info.error().message();
    HoldoutSpec holdout;
    holdout.records = {"contig3"};
    auto split = split_corpus(*info, holdout, info->files);
    ASSERT_TRUE(split.ok());
    runs_ = split->training;
    reader_ = std::make_unique<CorpusReader>(&store_, *info);
    std::vector<std::string> sequences;
    for (const BaseRun& run : runs_) sequences.push_back(bases(run));
    BpeTrainOptions options;
    options.vocabulary = 90;
    auto bpe = train_bpe(sequences, options);
    ASSERT_TRUE(bpe.ok());
    bpe_ = std::move(bpe).value();
  }

  std::string bases(const BaseRun& run) {
    std::string text;
    EXPECT_TRUE(reader_->read(run, &text).ok());
    return text;
  }

  // What rows must spell one after another: each run's tokens and a separator.
  std::vector<int32_t> stream(const Tokenizer& tokenizer, size_t begin, size_t end) {
    std::vector<int32_t> ids;
    for (size_t run = begin; run < end; ++run) {
      tokenizer.encode(bases(runs_[run]), &ids);
      ids.push_back(separator_of(tokenizer));
    }
    return ids;
  }

  TokenPlaces measured(const Tokenizer& tokenizer) {
    auto places = TokenPlaces::measure(reader_.get(), tokenizer, runs_, testing::keep_going);
    EXPECT_TRUE(places.ok()) << places.error().message();
    return std::move(places).value();
  }

  void expect_every_token_once(const Tokenizer& tokenizer, const TokenPlaces& places,
                               const std::vector<uint64_t>& parts, const RowStyle& style) {
    const PackedRows rows(reader_.get(), &tokenizer, runs_, places, parts, style, separator_of(tokenizer));
    PackedRows::Scratch scratch;
    uint64_t row = 0;
    const auto room = static_cast<size_t>(style.room());
    for (size_t part = 0; part < parts.size(); ++part) {
      const auto run_of = [&](size_t p) {
        if (p == parts.size()) return runs_.size();
        return static_cast<size_t>(
            std::find_if(runs_.begin(), runs_.end(), [&](const BaseRun& r) { return r.record >= parts[p]; }) -
            runs_.begin());
      };
      const std::vector<int32_t> expected = stream(tokenizer, run_of(part), run_of(part + 1));
      ASSERT_EQ(rows.rows_of_parts()[part], (expected.size() + room - 1) / room);
      for (size_t begin = 0; begin < expected.size(); begin += room, ++row) {
        std::vector<uint16_t> tokens(static_cast<size_t>(style.segment), 9999);
        const auto length = rows.row(row, false, &scratch, tokens.data());
        ASSERT_TRUE(length.ok());
        const size_t count = std::min(room, expected.size() - begin);
        ASSERT_EQ(*length, count + static_cast<size_t>(style.frame_size())) << "full but for a part's last";
        const auto first = tokens.begin() + static_cast<ptrdiff_t>(style.frame.prefix.size());
        ASSERT_TRUE(
            std::equal(first, first + static_cast<ptrdiff_t>(count), expected.begin() + static_cast<ptrdiff_t>(begin)))
            << "row " << row;
        for (size_t i = *length; i < tokens.size(); ++i) ASSERT_EQ(tokens[i], 0);
      }
    }
    EXPECT_EQ(scratch.cut_tokens, 0u);
  }

  TemporaryFolder folder_;
  MemoryStore store_;
  std::vector<BaseRun> runs_;
  std::unique_ptr<CorpusReader> reader_;
  std::unique_ptr<Tokenizer> bpe_;
};

TEST_F(Packed, EveryTokenIsInOneRowInOrder) {
  RowStyle framed;
  framed.segment = 40;
  framed.frame = {{2}, {3}};
  for (const int64_t segment : {1, 2, 33, 250, 5000}) {
    RowStyle style;
    style.segment = segment;
    for (const int k : {1, 3, 6}) {
      const auto kmers = k == 1 ? make_nucleotide_tokenizer() : make_kmer_tokenizer(k);
      expect_every_token_once(*kmers, TokenPlaces::of_kmers(runs_, k), {0}, style);
      if (segment > 30) expect_every_token_once(*kmers, measured(*kmers), {0, 77, 200}, style);
    }
    if (segment > 2) expect_every_token_once(*bpe_, measured(*bpe_), {0}, style);
  }
  expect_every_token_once(*bpe_, measured(*bpe_), {0, 100}, framed);
}

// Read on the other strand a row has the same letters between its separators, turned.
TEST_F(Packed, TheOtherStrandOfARowIsItsPiecesTurned) {
  const auto tokenizer = make_nucleotide_tokenizer();
  RowStyle style;
  style.segment = 100;
  const PackedRows rows(reader_.get(), tokenizer.get(), runs_, TokenPlaces::of_kmers(runs_, 1), {0}, style, 3);
  PackedRows::Scratch scratch;
  for (uint64_t row = 0; row < rows.rows_of_parts()[0]; ++row) {
    std::vector<uint16_t> forward(100), turned(100);
    const auto one = rows.row(row, false, &scratch, forward.data()), two = rows.row(row, true, &scratch, turned.data());
    ASSERT_EQ(*one, *two);
    const auto text = [&](const std::vector<uint16_t>& tokens) {
      std::string letters;
      for (size_t i = 0; i < *one; ++i) letters += tokens[i] == 3 ? '|' : tokenizer->decode({tokens[i]})[0];
      return letters;
    };
    std::string expected = text(forward);
    std::reverse(expected.begin(), expected.end());
    for (char& c : expected) {
      std::string letter(1, c);
      if (c != '|') reverse_complement(&letter);
      c = letter[0];
    }
    ASSERT_EQ(text(turned), expected);
  }
  // Merges make other tokens of it, which must fit.
  const PackedRows merged(reader_.get(), bpe_.get(), runs_, measured(*bpe_), {0}, style, separator_of(*bpe_));
  for (uint64_t row = 0; row < merged.rows_of_parts()[0]; ++row) {
    std::vector<uint16_t> tokens(100);
    ASSERT_LE(*merged.row(row, true, &scratch, tokens.data()), 100);
  }
}

TEST_F(Packed, PlacesAreKeptAndDamageIsSeen) {
  const TokenPlaces places = measured(*bpe_);
  const std::string bytes = places.serialize();
  const auto again = TokenPlaces::parse(bytes, runs_.size());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->serialize(), bytes);
  for (size_t run = 0; run < runs_.size(); ++run) {
    ASSERT_EQ(again->tokens(run), places.tokens(run));
    for (int64_t token = 0; token <= places.tokens(run); token += 100) {
      const TokenPlaces::Place before = again->at_or_before(run, token), after = again->at_or_after(run, token);
      ASSERT_LE(before.token, token);
      ASSERT_GE(after.token, token);
      ASSERT_EQ(before.base, places.at_or_before(run, token).base);
      ASSERT_EQ(after.base, places.at_or_after(run, token).base);
    }
  }
  EXPECT_EQ(TokenPlaces::parse(bytes.substr(0, bytes.size() - 8), runs_.size()).error().code(), ErrorCode::kCorrupt);
  EXPECT_EQ(TokenPlaces::parse(bytes.substr(1), runs_.size()).error().code(), ErrorCode::kCorrupt);
  EXPECT_EQ(TokenPlaces::parse(bytes, runs_.size() + 1).error().code(), ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace strand
