// Pinned chunks and the tokens made straight from them, against the letters.
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/corpus/base_tokens.h"
#include "dataserver/corpus/corpus_reader.h"
#include "dataserver/corpus/corpus_store.h"
#include "tests/unit/dataserver/genomes.h"

namespace strand {
namespace {

using testing::MemoryStore;
using testing::TemporaryFolder;

constexpr std::array<uint16_t, 4> kIds = {5, 700, 6, 65535};

TEST(BaseTokens, AreThoseOfTheLettersOnEitherStrand) {
  std::mt19937_64 random(50);
  const BaseTokens tokens(kIds);
  const std::string letters = testing::random_letters(&random, 3001, "ACGT");
  const Chunk chunk = pack_chunk(letters);
  for (int i = 0; i < 2000; ++i) {
    const auto begin = static_cast<uint32_t>(random() % letters.size());
    const auto count = static_cast<uint32_t>(random() % std::min<size_t>(60, letters.size() - begin + 1));
    std::string expected = letters.substr(begin, count);
    for (const bool turned : {false, true}) {
      if (turned) reverse_complement(&expected);
      std::vector<uint16_t> found(count + 2, 9);
      turned ? tokens.put_reverse_complement(chunk, begin, count, found.data() + 1)
             : tokens.put(chunk, begin, count, found.data() + 1);
      EXPECT_EQ(found.front(), 9) << "nothing is written outside";
      EXPECT_EQ(found.back(), 9);
      for (uint32_t at = 0; at < count; ++at) ASSERT_EQ(found[at + 1], kIds[base_code(expected[at])]) << begin;
    }
  }
}

class PinnedRunsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::mt19937_64 random(51);
    for (const size_t length : {400000, 1, 65536, 131073}) {
      texts_.push_back(testing::random_letters(&random, length, "ACGT"));
    }
    std::vector<std::pair<std::string, std::string>> records;
    for (const std::string& text : texts_)
      records.emplace_back(std::string(1, static_cast<char>('a' + records.size())), text);
    auto info = build_corpus(&store_, {folder_.file("g.fa", testing::fasta(records, 70))}, testing::keep_going);
    ASSERT_TRUE(info.ok());
    info_ = *info;
  }
  BaseRun random_run(std::mt19937_64* random) const {
    const uint64_t record = (*random)() % texts_.size();
    const auto bases = static_cast<int64_t>(texts_[record].size());
    const auto begin = static_cast<int64_t>((*random)() % static_cast<uint64_t>(bases + 1));
    const uint64_t most = (*random)() % 4 == 0 ? 200000 : 300;
    return {record, begin, std::min(bases, begin + static_cast<int64_t>((*random)() % most))};
  }
  void expect_runs(CorpusReader* reader, uint64_t seed) const {
    std::mt19937_64 random(seed);
    PinnedRuns pins;
    for (int round = 0; round < 20; ++round) {
      std::vector<BaseRun> runs;
      for (uint64_t i = random() % 9; i > 0; --i) runs.push_back(random_run(&random));
      ASSERT_TRUE(reader->pin(runs, &pins).ok());
      ASSERT_EQ(pins.runs(), runs.size());
      for (size_t i = 0; i < runs.size(); ++i) {
        std::string found;
        for (const ChunkPiece& piece : pins.pieces(i)) {
          std::string part(piece.count, ' ');
          unpack_bases(*piece.chunk, piece.begin, piece.count, part.data());
          found += part;
        }
        const auto begin = static_cast<size_t>(runs[i].begin);
        ASSERT_EQ(found, texts_[runs[i].record].substr(begin, static_cast<size_t>(runs[i].length()))) << seed;
      }
    }
  }

  TemporaryFolder folder_;
  MemoryStore store_;
  CorpusInfo info_;
  std::vector<std::string> texts_;
};

TEST_F(PinnedRunsTest, AnyRunsWithAnyCache) {
  for (const uint64_t bytes : {1, 40000, 1 << 20}) {
    CorpusReader reader(&store_, info_, std::make_shared<ChunkCache>(bytes));
    for (uint64_t seed = 0; seed < 5; ++seed) expect_runs(&reader, seed);
    EXPECT_LE(reader.cache_use().bytes, std::max<uint64_t>(bytes, 20000));
  }
}

TEST_F(PinnedRunsTest, EachChunkIsReadOnceWhileTheCacheHasRoom) {
  CorpusReader reader(&store_, info_);
  PinnedRuns pins;
  const std::vector<BaseRun> runs = {{0, 0, 100}, {0, 70000, 70100}, {0, 65500, 65600}, {3, 131072, 131073}};
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(reader.pin(runs, &pins).ok());
  EXPECT_EQ(reader.cache_use().hits + reader.cache_use().misses, 3 * 5u);
  EXPECT_EQ(reader.cache_use().misses, 5u) << "two pieces lie in chunks that another run misses too";
  EXPECT_EQ(pins.pieces(1)[0].chunk, pins.pieces(2)[1].chunk);
}

TEST_F(PinnedRunsTest, ThreadsShareACacheThatIsTooSmall) {
  CorpusReader reader(&store_, info_, std::make_shared<ChunkCache>(50000));
  std::vector<std::thread> threads;
  for (uint64_t seed = 0; seed < 4; ++seed) threads.emplace_back([&, seed] { expect_runs(&reader, 100 + seed); });
  for (std::thread& thread : threads) thread.join();
}

// Whoever reads, what all hold together is bounded, and a reader that ends gives its share back.
TEST_F(PinnedRunsTest, ReadersShareTheBoundOfACache) {
  constexpr uint64_t kBound = 60000;  // three chunks of some 16 KiB; a data set has eleven
  const auto cache = std::make_shared<ChunkCache>(kBound);
  auto first = std::make_unique<CorpusReader>(&store_, info_, cache);
  CorpusReader second(&store_, info_, cache);
  for (uint64_t seed = 0; seed < 10; ++seed) {
    expect_runs(seed % 2 == 0 ? first.get() : &second, 200 + seed);
    EXPECT_LE(first->cache_use().bytes + second.cache_use().bytes, kBound);
  }
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] { expect_runs(i % 2 == 0 ? first.get() : &second, 300 + i); });
  }
  for (std::thread& thread : threads) thread.join();
  PinnedRuns pins;
  ASSERT_TRUE(first->pin(std::vector<BaseRun>{{0, 0, 250000}}, &pins).ok());
  EXPECT_EQ(second.cache_use().bytes, 0u) << "four newer ones are more than there is room for";
  first.reset();
  ASSERT_TRUE(second.pin(std::vector<BaseRun>{{0, 0, 150000}}, &pins).ok());
  const uint64_t misses = second.cache_use().misses;
  ASSERT_TRUE(second.pin(std::vector<BaseRun>{{0, 0, 150000}}, &pins).ok());
  EXPECT_EQ(second.cache_use().misses, misses) << "the whole bound is free for it";
}

TEST_F(PinnedRunsTest, AMissingChunkIsAnErrorAndTheReaderGoesOn) {
  CorpusReader reader(&store_, info_);
  PinnedRuns pins;
  const std::string kept = store_.values.at(chunk_key(info_.id, 0, 1));
  store_.values.erase(chunk_key(info_.id, 0, 1));
  const std::vector<BaseRun> runs = {{0, 65530, 65540}};
  EXPECT_FALSE(reader.pin(runs, &pins).ok());
  store_.values[chunk_key(info_.id, 0, 1)] = kept;
  EXPECT_TRUE(reader.pin(runs, &pins).ok());
}

}  // namespace
}  // namespace strand
