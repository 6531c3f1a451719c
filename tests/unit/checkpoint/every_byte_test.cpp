// Every single byte of a small checkpoint of four parts, flipped: each is found, by a group and by a lone worker.
#include <gtest/gtest.h>

#include "tests/unit/checkpoint/written_checkpoint.h"
#include "worker/checkpoint/checkpoint_reader.h"

namespace strand {
namespace {

using testing::WrittenCheckpoint;

TEST(CheckpointEveryByte, IsCheckedInEveryFile) {
  WrittenCheckpoint job(12, 8, 5);
  const std::vector<PartSaved> parts = job.write({2, 2, 1, false}, Generation{1});
  job.commit(parts);
  std::vector<std::string> files{"step-40/manifest"};
  for (const PartSaved& part : parts) files.push_back(part.file);
  const auto loads = [&](bool group) {
    const auto manifest = read_manifest(job.disk(), WrittenCheckpoint::kFolder, WrittenCheckpoint::kStep);
    if (!manifest.ok()) return false;
    return group ? job.loads_at({1, 1, 1, false}, *manifest).ok() : job.loads_alone(*manifest).ok();
  };
  for (const std::string& file : files) {
    const std::string path = WrittenCheckpoint::kFolder + "/" + file;
    const std::string good = *job.disk().read_file(path);
    for (size_t at = 0; at < good.size(); ++at) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << at % 8));
      ASSERT_TRUE(write_file_atomically(job.disk(), path, bad).ok());
      for (const bool group : {false, true}) ASSERT_FALSE(loads(group)) << file << ": byte " << at;
    }
    ASSERT_TRUE(write_file_atomically(job.disk(), path, good).ok());
    ASSERT_TRUE(loads(true) && loads(false));
  }
}

}  // namespace
}  // namespace strand
