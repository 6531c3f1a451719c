#include "dataserver/corpus/feature_store.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "shared/base/text.h"
#include "tests/unit/dataserver/flat_files.h"
#include "tests/unit/dataserver/genomes.h"

namespace strand {
namespace {

using testing::MemoryStore;
using testing::TemporaryFolder;

std::vector<Feature> all_features(Store* store, const AnnotationInfo& annotation) {
  std::vector<Feature> features;
  const Status scanned = scan_features(store, annotation, [&](const Feature& feature) -> Status {
    features.push_back(feature);
    return {};
  });
  EXPECT_TRUE(scanned.ok()) << scanned.error().message();
  return features;
}

// A record of 20 bases whose table holds `features`.
std::string record_with(const std::string& name, const std::string& features) {
  return concat("LOCUS       ", name, " 20 bp DNA\nFEATURES             Location/Qualifiers\n", features,
                "ORIGIN\n        1 acgtacgtac gtacgtacgt\n//\n");
}

TEST(FeatureStore, KeepsWhatTheFilesSayByRecordAndBeginning) {
  const TemporaryFolder folder;
  MemoryStore store;
  const std::string one =
      folder.file("one.gb", record_with("A",
                                        "     CDS             join(9..12,14..>15)\n                     /gene=\"g\"\n"
                                        "     gene            complement(3..15)\n"));
  const std::string plain = folder.file("two.fa", ">B\nACGT\n");
  const std::string three = folder.file("three.gb", record_with("C", "     gene            5\n"));
  const auto info = build_corpus(&store, {one, plain, three}, testing::keep_going);
  ASSERT_TRUE(info.ok()) << info.error().message();
  const auto annotations = list_annotations(&store, info->id);
  ASSERT_TRUE(annotations.ok());
  ASSERT_EQ(annotations->size(), 1u);
  EXPECT_EQ(annotations->front().kinds, (std::map<std::string, uint64_t>{{"CDS", 1}, {"gene", 2}}));
  EXPECT_EQ(annotations->front().longest, 13);
  const auto features = all_features(&store, annotations->front());
  ASSERT_EQ(features.size(), 3u);
  EXPECT_EQ(features[0].kind, "gene");
  EXPECT_EQ(features[0].strand, -1);
  EXPECT_EQ(features[1].parts, (std::vector<FeaturePart>{{8, 12, 1}, {13, 15, 1, false, true}}));
  EXPECT_EQ(features[1].qualifiers, (std::vector<std::pair<std::string, std::string>>{{"gene", "g"}}));
  EXPECT_EQ(features[2].record, 2u);  // of the data set, not of its file
  EXPECT_EQ(features[2].begin, 4);
  for (const Feature& feature : features) EXPECT_EQ(*feature_from_json(feature_to_json(feature), "f"), feature);
}

TEST(FeatureStore, AnInterruptedBuildShowsNoFeaturesAndALostOneIsFound) {
  const TemporaryFolder folder;
  const std::string file =
      folder.file("one.gb", record_with("A", "     gene            1..5\n     gene            7..9\n"));
  MemoryStore whole;
  const auto info = build_corpus(&whole, {file}, testing::keep_going);
  ASSERT_TRUE(info.ok());
  int interrupted = 0;
  for (int64_t budget = 0;; ++budget) {
    MemoryStore store;
    store.operations_left = budget;
    if (build_corpus(&store, {file}, testing::keep_going).ok()) break;
    ++interrupted;
    EXPECT_TRUE(list_annotations(&store, info->id)->empty());
    store.operations_left = -1;
    ASSERT_TRUE(build_corpus(&store, {file}, testing::keep_going).ok());
    EXPECT_EQ(store.values, whole.values);
  }
  EXPECT_GT(interrupted, 3);
  const AnnotationInfo annotation = list_annotations(&whole, info->id)->front();
  whole.values.erase(whole.values.lower_bound("features/"));
  const Status lost = scan_features(&whole, annotation, [](const Feature&) { return Status(); });
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().code(), ErrorCode::kCorrupt);
}

// Real records, when they are there; the numbers were counted with other tools.
TEST(FeatureStore, RealGenBankFiles) {
  MemoryStore store;
  const auto counts = [&](const std::string& path, int64_t bases, uint64_t cds, uint64_t trna, size_t records) {
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "needs " << path;
    const auto info = build_corpus(&store, {path}, testing::keep_going);
    ASSERT_TRUE(info.ok()) << info.error().message();
    EXPECT_EQ(info->bases, bases);
    EXPECT_EQ(info->records.size(), records);
    const auto annotations = list_annotations(&store, info->id);
    ASSERT_EQ(annotations->size(), 1u);
    EXPECT_EQ(annotations->front().kinds.at("CDS"), cds);
    EXPECT_EQ(annotations->front().kinds.at("tRNA"), trna);
    EXPECT_EQ(all_features(&store, annotations->front()).size(), annotations->front().features);
  };
  counts("../shared/data/genomes/chlamydia-trachomatis.gbk.gz", 1042519, 895, 37, 1);
  counts("../shared/data/genomes/leptospira-kirschneri.gbk.gz", 4594734, 4162, 37, 75);
}

}  // namespace
}  // namespace strand
