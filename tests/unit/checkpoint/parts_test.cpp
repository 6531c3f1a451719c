// Written by many workers, loaded by any others: the same bits and digests, whatever the shape.
#include <gtest/gtest.h>

#include "coordinator/part_cover.h"
#include "tests/unit/checkpoint/written_checkpoint.h"
#include "worker/checkpoint/checkpoint_reader.h"

namespace strand {
namespace {

using testing::GroupShape;
using testing::WrittenCheckpoint;

std::vector<GroupShape> shapes() {
  std::vector<GroupShape> all;
  for (int stages = 1; stages <= 4; ++stages) {
    for (int replicas = 1; replicas <= 3; ++replicas) {
      all.push_back({stages, replicas, stages <= 2 ? 2 : 1, false});
      all.push_back({stages, replicas, 1, true});
    }
  }
  return all;
}

TEST(CheckpointParts, AnyShapeWritesWhatALoneWorkerWritesAndAnyShapeLoadsIt) {
  WrittenCheckpoint job(1500, 48, 1);  // an embedding of two blocks, the second one short
  const PartSaved alone = job.write_alone(Generation{1});
  EXPECT_TRUE(alone.block_digests.empty());
  EXPECT_EQ(alone.digest, job.state().digest());
  EXPECT_EQ(alone.state_digest, job.state().state_digest(WrittenCheckpoint::kNextRow));
  const Manifest of_one = job.commit({alone});
  uint64_t generation = 1;
  size_t next = 5;
  for (const GroupShape& shape : shapes()) {
    SCOPED_TRACE(
        concat(shape.stages, " x ", shape.replicas, " x ", shape.chunks, shape.random_primaries ? " random" : ""));
    const std::vector<PartSaved> parts = job.write(shape, Generation{++generation});
    ASSERT_EQ(parts.size(), static_cast<size_t>(shape.stages * shape.replicas));
    for (const PartSaved& part : parts) {
      const bool all = part.ranges == std::vector<KeyRange>{{0, job.state().elements()}};
      EXPECT_EQ(part.digest == Digest128{}, !all) << part.file;
    }
    const Manifest manifest = job.commit(parts);
    EXPECT_EQ(manifest.digest, alone.digest);
    EXPECT_EQ(manifest.state_digest, alone.state_digest);
    const auto loaded_alone = job.loads_alone(manifest);
    ASSERT_TRUE(loaded_alone.ok()) << loaded_alone.error().message();
    EXPECT_TRUE(*loaded_alone);
    const GroupShape other = shapes()[next++ * 7 % shapes().size()];
    for (const Manifest* from : {&manifest, &of_one}) {
      const auto loaded = job.loads_at(other, *from);
      ASSERT_TRUE(loaded.ok()) << loaded.error().message();
      EXPECT_TRUE(*loaded) << other.stages << " x " << other.replicas;
    }
  }
}

TEST(CheckpointParts, WhatWasReportedSurvivesThePowerFailure) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    WrittenCheckpoint job(40, 8, seed);
    const std::vector<PartSaved> parts = job.write({2, 2, 1, seed % 2 == 0}, Generation{3});
    job.disk().restart(seed);
    const Manifest manifest = job.commit(parts);
    const auto loaded = job.loads_alone(manifest);
    ASSERT_TRUE(loaded.ok()) << loaded.error().message();
    EXPECT_TRUE(*loaded);
  }
}

TEST(CheckpointParts, RangesThatAreNotWholeBlocksAndOtherModelsAreRefused) {
  WrittenCheckpoint job(1500, 48, 2);
  const Manifest manifest = job.commit(job.write({2, 2, 1, false}, Generation{1}));
  int given = 0;
  const auto count = [&](size_t, const float*) {
    ++given;
    return Status();
  };
  const auto load = [&](const std::vector<ParameterInfo>& table, KeyRange range) {
    return load_ranges(job.disk(), WrittenCheckpoint::kFolder, manifest, table, {range}, count);
  };
  const int64_t all = job.state().elements();
  for (const KeyRange range : {KeyRange{1, 65535}, {0, 65535}, {-65536, 65536}, {0, all + 1}, {all, 65536}}) {
    const Status loaded = load(job.table(), range);
    ASSERT_FALSE(loaded.ok()) << range.first_element << " + " << range.elements;
    EXPECT_EQ(loaded.error().code(), ErrorCode::kBadInput);
  }
  auto other = job.table();
  other.back().name += ".other";
  EXPECT_EQ(load(other, {0, 65536}).error().code(), ErrorCode::kBadInput);
  EXPECT_EQ(given, 0);
  EXPECT_TRUE(load(job.table(), {0, 65536}).ok());
  EXPECT_TRUE(load(job.table(), {all, 0}).ok());
  EXPECT_EQ(given, 2);
  const Status refused = load_ranges(job.disk(), WrittenCheckpoint::kFolder, manifest, job.table(), {{0, 65536}},
                                     [](size_t, const float*) { return Status(bad_input("the sink's")); });
  EXPECT_EQ(refused.error().message(), "the sink's");
}

TEST(CheckpointParts, AMissingAndADoubledPartAreFoundOnLoading) {
  WrittenCheckpoint job(1500, 48, 3);
  const std::vector<PartSaved> parts = job.write({2, 2, 1, false}, Generation{1});
  const std::vector<PartSaved> again = job.write({2, 2, 1, false}, Generation{2});
  const Manifest good = job.commit(parts);
  for (size_t p = 0; p < parts.size(); ++p) {
    Manifest bad = good;
    bad.parts.erase(bad.parts.begin() + static_cast<std::ptrdiff_t>(p));
    EXPECT_EQ(job.loads_alone(bad).error().code(), ErrorCode::kCorrupt);
    EXPECT_EQ(job.loads_at({1, 1}, bad).error().code(), ErrorCode::kCorrupt);
    bad = good;
    bad.parts.push_back({again[p].file, again[p].bytes, again[p].checksum});
    EXPECT_EQ(job.loads_alone(bad).error().code(), ErrorCode::kCorrupt);
    EXPECT_EQ(job.loads_at({1, 1}, bad).error().code(), ErrorCode::kCorrupt);
  }
}

}  // namespace
}  // namespace strand
