#include "dataserver/corpus/split.h"

#include <gtest/gtest.h>

#include "shared/base/text.h"
#include "tests/unit/dataserver/genomes.h"

namespace strand {
namespace {

// Records of random length with random runs of other letters.
CorpusInfo random_info(std::mt19937_64* random, uint64_t records) {
  CorpusInfo info;
  info.files = {"/a.fa", "/b.fa"};
  info.identities.resize(2);
  for (uint64_t i = 0; i < records; ++i) {
    RecordInfo record;
    record.name = concat("r", i);
    record.file = i * 2 / records;
    record.bases = 20 + static_cast<int64_t>((*random)() % 200);
    for (int64_t at = static_cast<int64_t>((*random)() % 30); at < record.bases;) {
      const int64_t end = std::min(record.bases, at + 1 + static_cast<int64_t>((*random)() % 15));
      record.other.push_back({i, at, end});
      at = end + 1 + static_cast<int64_t>((*random)() % 60);
    }
    info.bases += record.bases;
    info.records.push_back(record);
  }
  return info;
}

std::vector<std::string> paint(const CorpusInfo& info, const std::vector<BaseRun>& runs) {
  std::vector<std::string> painted;
  for (const RecordInfo& record : info.records) painted.emplace_back(static_cast<size_t>(record.bases), '.');
  for (const BaseRun& run : runs) {
    EXPECT_LT(run.begin, run.end);
    for (int64_t at = run.begin; at < run.end; ++at) {
      char& cell = painted[run.record][static_cast<size_t>(at)];
      EXPECT_EQ(cell, '.') << "twice";
      cell = 'x';
    }
  }
  return painted;
}

// Every base is exactly one of: training, held out, other letter; and held out is what was asked for.
TEST(Split, PartsTheGenomeExactly) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    std::mt19937_64 random(seed);
    const CorpusInfo info = random_info(&random, 8);
    HoldoutSpec holdout;
    std::vector<std::vector<BaseRun>> wanted(info.records.size());
    if (seed % 4 == 0) {
      holdout.fraction = 0.3;
      for (uint64_t i = 0; i < 8; ++i) {
        const int64_t bases = info.records[i].bases;
        wanted[i].push_back({i, bases - static_cast<int64_t>(static_cast<double>(bases) * 0.3), bases});
      }
    } else if (seed % 4 == 1) {
      holdout.records = {"r2", "r5"};
      wanted[2].push_back({2, 0, info.records[2].bases});
      wanted[5].push_back({5, 0, info.records[5].bases});
    } else if (seed % 4 == 2) {
      holdout.files = {"/b.fa"};
      for (uint64_t i = 4; i < 8; ++i) wanted[i].push_back({i, 0, info.records[i].bases});
    } else {
      for (int k = 0; k < 12; ++k) {
        const uint64_t i = random() % 8;
        const auto begin = static_cast<int64_t>(random() % 18);
        const int64_t end = begin + 1 + static_cast<int64_t>(random()) % (info.records[i].bases - begin);
        if (end <= begin) continue;
        holdout.intervals.push_back({info.records[i].name, begin, end});
        wanted[i].push_back({i, begin, end});
      }
    }
    const auto split = split_corpus(info, holdout, info.files);
    ASSERT_TRUE(split.ok()) << split.error().message();
    const auto training = paint(info, split->training);
    const auto held_out = paint(info, split->held_out);
    int64_t bases[2] = {0, 0};
    for (uint64_t i = 0; i < info.records.size(); ++i) {
      std::string expected(static_cast<size_t>(info.records[i].bases), 't');
      for (const BaseRun& run : wanted[i]) std::fill(expected.begin() + run.begin, expected.begin() + run.end, 'h');
      for (const BaseRun& run : info.records[i].other) {
        std::fill(expected.begin() + run.begin, expected.begin() + run.end, 'n');
      }
      for (size_t at = 0; at < expected.size(); ++at) {
        ASSERT_EQ(training[i][at] == 'x', expected[at] == 't') << "seed " << seed << " record " << i << " at " << at;
        ASSERT_EQ(held_out[i][at] == 'x', expected[at] == 'h') << "seed " << seed << " record " << i << " at " << at;
        bases[0] += expected[at] == 't' ? 1 : 0;
        bases[1] += expected[at] == 'h' ? 1 : 0;
      }
    }
    EXPECT_EQ(split->training_bases, bases[0]);
    EXPECT_EQ(split->held_out_bases, bases[1]);
  }
}

TEST(Split, RefusesWhatCannotBe) {
  CorpusInfo info;
  info.files = {"/a.fa"};
  info.identities.resize(1);
  info.records = {{"chr1", 0, 100, 0, {{0, 0, 50}}}, {"chr2", 0, 10, 0, {{1, 0, 10}}}};
  info.bases = 110;
  const auto refused = [&](const HoldoutSpec& holdout, const std::string& says) {
    const auto split = split_corpus(info, holdout, info.files);
    ASSERT_FALSE(split.ok()) << says;
    EXPECT_EQ(split.error().code(), ErrorCode::kBadInput);
    EXPECT_NE(split.error().message().find(says), std::string::npos) << split.error().message();
  };
  HoldoutSpec holdout;
  EXPECT_TRUE(split_corpus(info, holdout, info.files).ok());
  holdout.fraction = 1.5;
  refused(holdout, "less than 1");
  holdout = {};
  holdout.records = {"chr3"};
  refused(holdout, "did you mean 'chr");
  holdout.records = {"chr1"};
  refused(holdout, "no training bases");
  holdout.records = {"chr2"};
  refused(holdout, "holds out no base");
  holdout = {};
  holdout.files = {"/b.fa"};
  refused(holdout, "'/b.fa' is not in data.files");
  holdout = {};
  holdout.intervals = {{"chr1", 60, 101}};
  refused(holdout, "end <= 100");
  holdout.intervals = {{"chr1", 60, 60}};
  refused(holdout, "begin < end");
  holdout.fraction = 0.1;
  refused(holdout, "exactly one");
}

}  // namespace
}  // namespace strand
