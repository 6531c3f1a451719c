// What is excluded is in no row, and what excludes is read with care.
#include "dataserver/corpus/exclusions.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "shared/base/text.h"
#include "tests/unit/dataserver/homes.h"

namespace strand {
namespace {

class Exclusions : public testing::DatasetHome {
 protected:
  struct Made {
    DatasetSpec spec;
    std::string letters;  // of all records
  };

  // Two records of A and T, with G and C in random intervals that are excluded, half of them by a BED file.
  Made made(uint64_t seed, const std::string& holdout_record) {
    std::mt19937_64 random(seed);
    Made made;
    std::vector<std::pair<std::string, std::string>> records;
    std::string bed = "track name=x\n# a comment\n\n";
    for (const char* name : {"chr1", "chr2"}) {
      std::string letters = testing::random_letters(&random, 4000, "AT");
      for (int i = 0; i < 8; ++i) {
        const size_t begin = random() % 3900, length = 1 + random() % 120;
        letters.replace(begin, length, testing::random_letters(&random, length, "GC"));
        const auto end = static_cast<int64_t>(std::min<size_t>(4000, begin + length));
        letters.resize(4000);
        if (i % 2 == 0) {
          bed += concat(name, "\t", begin, "\t", end, "\tname\t0\t+", i % 4 == 0 ? "\r\n" : "\n");
        } else {
          made.spec.data.exclude.intervals.push_back({name, static_cast<int64_t>(begin), end});
        }
      }
      made.letters += letters;
      records.emplace_back(name, letters);
    }
    made.spec.data.exclude.files = {folder_.file(concat("e", seed, ".bed.gz"), testing::gzip(bed))};
    made.spec.data.files = {folder_.file(concat("g", seed, ".fa"), testing::fasta(records, 70))};
    made.spec.data.segment = 40;
    made.spec.rows_per_step = 4;
    if (holdout_record.empty()) {
      made.spec.data.holdout.fraction = 0.2;
    } else {
      made.spec.data.holdout.records = {holdout_record};
    }
    return made;
  }
};

TEST_F(Exclusions, NoExcludedBaseIsInAnyRow) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    Made of = made(seed, seed % 2 == 0 ? "" : "chr2");
    if (seed % 3 == 1) {
      of.spec.tokenizer.kind = TokenizerKind::kKmer;
      of.spec.tokenizer.k = 3;
    }
    if (seed % 3 == 2) of.spec.data.stride = 7;
    const auto dataset = open(of.spec);
    ASSERT_TRUE(dataset.ok()) << dataset.error().message();
    const DatasetSummary& summary = (*dataset)->summary();
    size_t letters = 0;
    for (const RowSet set : {RowSet::kTraining, RowSet::kHeldOut}) {
      const auto rows = static_cast<uint32_t>(summary.rows_of(set)) * (set == RowSet::kTraining ? 2 : 1);
      const auto block = (*dataset)->rows(seed, set, 0, rows);
      ASSERT_TRUE(block.ok()) << block.error().message();
      for (size_t i = 0; i < rows; ++i) {
        const auto begin = block->tokens.begin() + static_cast<ptrdiff_t>(i * static_cast<size_t>(summary.segment));
        const std::string text = (*dataset)->tokenizer().decode({begin, begin + block->lengths[i]});
        ASSERT_EQ(text.find_first_of("GC"), std::string::npos) << "seed " << seed << ": " << text;
        letters += text.size();
      }
    }
    EXPECT_GT(letters, 8000u);
    // Nothing else was taken out.
    const Split& split = *(*dataset)->split();
    const auto kept = std::count_if(of.letters.begin(), of.letters.end(), [](char c) { return c == 'A' || c == 'T'; });
    EXPECT_EQ(split.training_bases + split.held_out_bases, kept);
    EXPECT_EQ(split.excluded_bases, 8000 - kept);
  }
}

TEST_F(Exclusions, AreInTheFingerprint) {
  const DatasetSpec spec = made(1, "").spec;
  expect_in_fingerprint(spec, "exclude", [](DatasetSpec* other) { other->data.exclude = {}; });
  expect_in_fingerprint(spec, "exclude", [](DatasetSpec* other) { other->data.exclude.intervals.clear(); });
  expect_in_fingerprint(spec, "exclude", [&](DatasetSpec* other) {
    other->data.exclude.files = {folder_.file("other.bed", "chr1 7 8\n")};
  });
}

TEST_F(Exclusions, RefusesWithFileAndLine) {
  DatasetSpec spec;
  spec.data.files = {folder_.file("g.fa", ">chr1\nACGTACGTAC\n>chr2\nACGTAC\n")};
  spec.data.segment = 4;
  const auto refused_bed = [&](const std::string& text, const std::string& says) {
    spec.data.exclude.files = {folder_.file("e.bed", text)};
    refused(spec, says);
  };
  refused_bed("chr1\t0\t4\nchr2\t5\t7\n",
              "e.bed: line 2: expected 0 <= begin <= end <= 6, the length of 'chr2'; found 5 and 7");
  refused_bed("chr1\t5\t4\n", "line 1: expected 0 <= begin");
  refused_bed("chr1\t-1\t4\n", "line 1: expected 0 <= begin");
  refused_bed("chr9\t0\t4\n", "line 1: no record is named 'chr9'; did you mean 'chr");
  refused_bed("chr1\t0\n", "line 1: expected a record, its begin and its end");
  refused_bed("chr1,0,4\n", "line 1: expected a record, its begin and its end");
  refused_bed("chr1\t0\t4x\n", "line 1: expected a record");
  refused_bed("# nothing\n", "no intervals");
  refused_bed("chr1\t0\t10\nchr2\t0\t6\n", "16 excluded");
  spec.data.exclude.files = {folder_.path() + "/absent.bed"};
  refused(spec, "absent.bed");
  spec.data.exclude.files = {};
  spec.data.exclude.intervals = {{"chr2", 3, 7}};
  refused(spec, "data.exclude: [3, 7) of record 'chr2'");
}

}  // namespace
}  // namespace strand
