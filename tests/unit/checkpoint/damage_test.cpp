// A checkpoint of many parts, damaged anywhere: it is found, and the newest valid one is taken.
#include <gtest/gtest.h>

#include <random>

#include "tests/unit/checkpoint/written_checkpoint.h"
#include "worker/checkpoint/checkpoint_reader.h"

namespace strand {
namespace {

using testing::WrittenCheckpoint;

class CheckpointDamage : public ::testing::Test {
 protected:
  static constexpr Step kOlder = 20;

  void SetUp() override {
    job_.commit(job_.write({2, 1, 1, false}, Generation{1}, kOlder), kOlder);
    const std::vector<PartSaved> parts = job_.write({2, 2, 1, false}, Generation{2});
    job_.commit(parts);
    for (const PartSaved& part : parts) files_.push_back(WrittenCheckpoint::kFolder + "/" + part.file);
    files_.push_back(WrittenCheckpoint::kFolder + "/step-40/manifest");
    for (const std::string& file : files_) good_.push_back(*job_.disk().read_file(file));
  }

  void put(size_t file, const std::string& bytes) {
    ASSERT_TRUE(write_file_atomically(job_.disk(), files_[file], bytes).ok());
  }
  // The newest one that loads, looked for as a group does it, or as a lone worker.
  Step newest_valid(bool group) {
    std::vector<Step> steps{WrittenCheckpoint::kStep, kOlder};
    for (; !steps.empty(); steps.erase(steps.begin())) {
      if (group) {
        const Step chosen = choose_checkpoint(job_.disk(), WrittenCheckpoint::kFolder, steps);
        while (!steps.empty() && steps.front() != chosen) steps.erase(steps.begin());
        if (steps.empty()) return 0;
      }
      const auto manifest = read_manifest(job_.disk(), WrittenCheckpoint::kFolder, steps.front());
      if (!manifest.ok()) continue;
      const auto same = group ? job_.loads_at({1, 2, 1, false}, *manifest) : job_.loads_alone(*manifest);
      if (!same.ok()) continue;
      EXPECT_TRUE(*same) << "damage was loaded";
      return steps.front();
    }
    return 0;
  }

  std::mt19937_64 random_{11};
  WrittenCheckpoint job_{24, 8, 4};
  std::vector<std::string> files_, good_;
};

TEST_F(CheckpointDamage, UndamagedTheNewestIsTaken) {
  EXPECT_EQ(newest_valid(true), WrittenCheckpoint::kStep);
  EXPECT_EQ(newest_valid(false), WrittenCheckpoint::kStep);
}

TEST_F(CheckpointDamage, TwoThousandFlippedBytesAreFound) {
  for (int i = 0; i < 2000; ++i) {
    const size_t file = random_() % files_.size();
    std::string bad = good_[file];
    const size_t at = random_() % (i % 4 < 2 ? std::min<size_t>(bad.size(), 2048) : bad.size());
    bad[at] = static_cast<char>(bad[at] ^ (1 << random_() % 8));
    put(file, bad);
    ASSERT_EQ(newest_valid(i % 2 == 0), kOlder) << files_[file] << " byte " << at << " of " << bad.size();
    put(file, good_[file]);
  }
  EXPECT_EQ(newest_valid(true), WrittenCheckpoint::kStep);
}

TEST_F(CheckpointDamage, FiveHundredCutsAreFound) {
  for (int i = 0; i < 500; ++i) {
    const size_t file = random_() % files_.size();
    const size_t size = random_() % good_[file].size();
    put(file, good_[file].substr(0, size));
    ASSERT_EQ(newest_valid(i % 2 == 0), kOlder) << files_[file] << " cut to " << size << " of " << good_[file].size();
    put(file, good_[file]);
  }
}

TEST_F(CheckpointDamage, ALongerAMissingAndAnotherStepsPartAreFoundWithoutReadingAll) {
  const std::vector<Step> steps{WrittenCheckpoint::kStep, kOlder};
  const auto chosen = [&] { return choose_checkpoint(job_.disk(), WrittenCheckpoint::kFolder, steps); };
  const std::vector<PartSaved> other = job_.write({2, 2, 1, false}, Generation{2}, 30);
  for (size_t file = 0; file < files_.size(); ++file) {
    put(file, good_[file] + "x");
    EXPECT_EQ(chosen(), kOlder);
    ASSERT_TRUE(job_.disk().remove(files_[file]).ok());
    EXPECT_EQ(chosen(), kOlder);
    for (const PartSaved& part : other) {
      if (!files_[file].ends_with(part.file.substr(part.file.find('/')))) continue;
      put(file, *job_.disk().read_file(WrittenCheckpoint::kFolder + "/" + part.file));
      EXPECT_EQ(chosen(), kOlder) << "as long as the right one, but of step 30";
    }
    put(file, good_[file]);
    EXPECT_EQ(chosen(), WrittenCheckpoint::kStep);
  }
  EXPECT_EQ(choose_checkpoint(job_.disk(), WrittenCheckpoint::kFolder, {}), 0);
  EXPECT_EQ(choose_checkpoint(job_.disk(), WrittenCheckpoint::kFolder, {7}), 0);
}

TEST_F(CheckpointDamage, ACheckpointWhoseBestIsGoneIsPassedOver) {
  const auto name_best = [&](Step best) {
    auto manifest = read_manifest(job_.disk(), WrittenCheckpoint::kFolder, WrittenCheckpoint::kStep);
    ASSERT_TRUE(manifest.ok());
    manifest->best = {"mcc", best, 0.5, 1, WrittenCheckpoint::kStep};
    put(files_.size() - 1, encode_manifest(*manifest));
  };
  const std::vector<Step> steps{WrittenCheckpoint::kStep, kOlder};
  name_best(30);
  EXPECT_EQ(choose_checkpoint(job_.disk(), WrittenCheckpoint::kFolder, steps), kOlder);
  name_best(kOlder);
  EXPECT_EQ(choose_checkpoint(job_.disk(), WrittenCheckpoint::kFolder, steps), WrittenCheckpoint::kStep);
}

}  // namespace
}  // namespace strand
