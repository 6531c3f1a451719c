#include "dataserver/corpus/corpus_store.h"

#include <gtest/gtest.h>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/corpus/corpus_reader.h"
#include "shared/base/text.h"
#include "tests/unit/dataserver/genomes.h"

namespace strand {
namespace {

using testing::MemoryStore;
using testing::TemporaryFolder;
using Records = std::vector<std::pair<std::string, std::string>>;

Records some_records(uint64_t seed) {
  std::mt19937_64 random(seed);
  return {{"chr1", testing::random_sequence(&random, 3 * kChunkBases + 17)},
          {"plasmid", testing::random_sequence(&random, 501)},
          {"chr2", testing::random_sequence(&random, kChunkBases)}};
}

TEST(CorpusStore, KeepsEveryLetterAndCoordinate) {
  const Records records = some_records(8);
  const TemporaryFolder folder;
  const auto store = open_data_store(folder.path() + "/store", false);
  ASSERT_TRUE(store.ok()) << store.error().message();
  const auto info = build_corpus(store->get(), {folder.file("a.fa.gz", testing::gzip(testing::fasta(records, 80)))},
                                 testing::keep_going);
  ASSERT_TRUE(info.ok()) << info.error().message();
  ASSERT_EQ(info->records.size(), records.size());
  CorpusReader reader(store->get(), *info, std::make_shared<ChunkCache>(1));  // a cache of one chunk
  std::string letters;
  for (uint64_t i = 0; i < records.size(); ++i) {
    const auto& text = records[i].second;
    EXPECT_EQ(info->records[i].name, records[i].first);
    ASSERT_EQ(info->records[i].bases, static_cast<int64_t>(text.size()));
    ASSERT_TRUE(reader.read_letters({i, 0, info->records[i].bases}, &letters).ok());
    EXPECT_EQ(letters, text);
    std::string other(text.size(), '.');
    for (const BaseRun& run : info->records[i].other) {
      for (int64_t at = run.begin; at < run.end; ++at) other[static_cast<size_t>(at)] = 'x';
    }
    for (size_t at = 0; at < text.size(); ++at) {
      ASSERT_EQ(other[at] == 'x', letter_kind(text[at]) != LetterKind::kBase) << at;
    }
  }
  ASSERT_TRUE(reader.read_letters({0, kChunkBases - 5, 2 * kChunkBases + 9}, &letters).ok());
  EXPECT_EQ(letters, records[0].second.substr(kChunkBases - 5, kChunkBases + 14));
  EXPECT_TRUE(verify_corpus(store->get(), *info, testing::keep_going).ok());
}

TEST(CorpusStore, ContentHashIgnoresWrappingCaseAndCompressionOnly) {
  Records records = some_records(9);
  const TemporaryFolder folder;
  MemoryStore store;
  int files = 0;
  const auto content = [&](const std::string& bytes) {
    const auto info = build_corpus(&store, {folder.file(concat(files++), bytes)}, testing::keep_going);
    EXPECT_TRUE(info.ok());
    return info->content;
  };
  const Digest128 base = content(testing::fasta(records, 70));
  EXPECT_EQ(content(testing::fasta(records, 33)), base);
  EXPECT_EQ(content(testing::gzip(testing::fasta(records, 70))), base);
  Records masked = records;
  for (char& c : masked[0].second) c = to_upper(c);
  EXPECT_EQ(content(testing::fasta(masked, 70)), base);
  Records renamed = records;
  renamed[1].first = "plasmid2";
  EXPECT_NE(content(testing::fasta(renamed, 70)), base);
  Records changed = records;
  changed[2].second[100] = to_upper(changed[2].second[100]) == 'A' ? 'C' : 'A';
  EXPECT_NE(content(testing::fasta(changed, 70)), base);
  std::swap(records[0], records[1]);
  EXPECT_NE(content(testing::fasta(records, 70)), base);
}

TEST(CorpusStore, TheSameBytesAgainAreNotBuiltAgain) {
  const TemporaryFolder folder;
  MemoryStore store;
  const std::string file = folder.file("a.fa", testing::fasta(some_records(10), 70));
  const auto first = build_corpus(&store, {file}, testing::keep_going);
  ASSERT_TRUE(first.ok());
  store.operations_left = 0;  // a write would fail
  const auto second = build_corpus(&store, {file}, testing::keep_going);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(corpus_info_to_json(*first), corpus_info_to_json(*second));
  ASSERT_TRUE(list_corpora(&store).ok());
  EXPECT_EQ(list_corpora(&store)->size(), 1u);
}

TEST(CorpusStore, AnInterruptedBuildShowsNothingAndTheNextOneIsWhole) {
  const TemporaryFolder folder;
  const std::string file = folder.file("a.fa", testing::fasta(some_records(11), 70));
  MemoryStore whole;
  ASSERT_TRUE(build_corpus(&whole, {file}, testing::keep_going).ok());
  for (int64_t budget = 0;; ++budget) {
    MemoryStore store;
    store.operations_left = budget;
    const auto built = build_corpus(&store, {file}, testing::keep_going);
    if (built.ok()) break;
    EXPECT_TRUE(list_corpora(&store)->empty()) << budget;
    store.operations_left = -1;
    ASSERT_TRUE(build_corpus(&store, {file}, testing::keep_going).ok());
    EXPECT_EQ(store.values, whole.values);
  }
  MemoryStore store;
  const auto stopped = build_corpus(&store, {file}, [](double) { return false; });
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code(), ErrorCode::kStopped);
  EXPECT_TRUE(store.values.empty());
}

TEST(CorpusStore, ANameUsedTwiceIsRefusedWithBothPlaces) {
  const TemporaryFolder folder;
  MemoryStore store;
  const std::string first = folder.file("one.fa", ">a\nACGT\n>b\nACGT\n");
  const std::string second = folder.file("two.fa", ">c\nACGT\n>b more\nACGT\n");
  const auto result = build_corpus(&store, {first, second}, testing::keep_going);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), ErrorCode::kBadInput);
  EXPECT_NE(result.error().message().find(second + ": line 3"), std::string::npos) << result.error().message();
  EXPECT_NE(result.error().message().find(first + ": line 3"), std::string::npos) << result.error().message();
  EXPECT_TRUE(store.values.empty());
}

// They are read at once, in whatever time each takes, and taken in order.
TEST(CorpusStore, ManyFilesAreWhatTheyAreWhenPutTogether) {
  std::mt19937_64 random(13);
  const TemporaryFolder folder;
  MemoryStore many, one;
  std::vector<std::string> files;
  std::string all;
  for (int i = 0; i < 40; ++i) {
    Records records;
    for (int r = 0; r < 3; ++r) {
      const size_t length = 1 + random() % (i % 7 == 0 ? 3 * kChunkBases : 500);
      records.emplace_back(concat("r", i, ".", r), testing::random_sequence(&random, length));
    }
    const std::string text = testing::fasta(records, 70);
    files.push_back(folder.file(concat("f", i), i % 3 == 0 ? testing::gzip(text) : text));
    all += text;
  }
  const auto apart = build_corpus(&many, files, testing::keep_going);
  const auto together = build_corpus(&one, {folder.file("all.fa", all)}, testing::keep_going);
  ASSERT_TRUE(apart.ok() && together.ok());
  EXPECT_EQ(apart->content, together->content);
  EXPECT_EQ(apart->bases, together->bases);
  for (size_t i = 0; i < apart->records.size(); ++i) EXPECT_EQ(apart->records[i].file, i / 3);
  EXPECT_TRUE(verify_corpus(&many, *apart, testing::keep_going).ok());
}

// Of several files that are wrong the first is named, however soon the others are found out.
TEST(CorpusStore, TheFirstWrongFileIsTheOneThatIsNamed) {
  std::mt19937_64 random(14);
  const TemporaryFolder folder;
  std::vector<std::string> files;
  for (int i = 0; i < 6; ++i) {
    const bool wrong = i == 2 || i >= 4;
    const std::string letters = testing::random_sequence(&random, i < 4 ? 3 * kChunkBases : 5);
    files.push_back(folder.file(concat("f", i), concat(">r", i, "\n", letters, "\nAC", wrong ? "!" : "", "\n")));
  }
  MemoryStore store;
  const auto built = build_corpus(&store, files, testing::keep_going);
  ASSERT_FALSE(built.ok());
  EXPECT_EQ(built.error().code(), ErrorCode::kBadInput);
  EXPECT_NE(built.error().message().find(files[2] + ": line 3, column 3"), std::string::npos)
      << built.error().message();
  EXPECT_TRUE(store.values.empty());
}

TEST(CorpusStore, ANewerStoreIsRefusedSayingBothVersions) {
  const TemporaryFolder folder;
  const std::string directory = folder.path() + "/store";
  {
    const auto store = open_data_store(directory, false);
    ASSERT_TRUE(store.ok());
    StoreBatch batch;
    batch.put("version", "7");
    ASSERT_TRUE((*store)->write(batch).ok());
  }
  for (const bool read_only : {false, true}) {
    const auto store = open_data_store(directory, read_only);
    ASSERT_FALSE(store.ok());
    EXPECT_EQ(store.error().code(), ErrorCode::kBadInput);
    EXPECT_NE(store.error().message().find("version 7"), std::string::npos) << store.error().message();
    EXPECT_NE(store.error().message().find(concat("version ", kStoreVersion)), std::string::npos);
  }
}

TEST(CorpusStore, VerifyFindsAnyChangedLetter) {
  const TemporaryFolder folder;
  MemoryStore store;
  const auto info =
      build_corpus(&store, {folder.file("a.fa", testing::fasta(some_records(12), 70))}, testing::keep_going);
  ASSERT_TRUE(info.ok());
  EXPECT_TRUE(verify_corpus(&store, *info, testing::keep_going).ok());
  auto& value = store.values.at(chunk_key(info->id, 0, 1));
  for (const size_t from_end : {1, 100, 5000}) {
    value[value.size() - from_end] = static_cast<char>(value[value.size() - from_end] ^ 4);
    EXPECT_FALSE(verify_corpus(&store, *info, testing::keep_going).ok());
    value[value.size() - from_end] = static_cast<char>(value[value.size() - from_end] ^ 4);
  }
  EXPECT_TRUE(verify_corpus(&store, *info, testing::keep_going).ok());
}

TEST(CorpusStore, RealGenome) {
  MemoryStore store;
  const auto info = build_corpus(&store, {testing::kEcoli}, testing::keep_going);
  ASSERT_TRUE(info.ok()) << info.error().message();
  ASSERT_EQ(info->records.size(), 1u);
  EXPECT_EQ(info->records[0].name, "NC_000913.3");
  EXPECT_EQ(info->bases, 4641652);
  EXPECT_EQ(info->counts[0] + info->counts[1] + info->counts[2] + info->counts[3] + info->counts[4], 4641652);
  EXPECT_EQ(info->counts[4], 0);
}

}  // namespace
}  // namespace strand
