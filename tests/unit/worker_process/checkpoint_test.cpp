// Checkpoints: what is read is what was written, any flipped byte and any cut is found, whatever the layout in parts.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "ops/core/thread_pool.h"
#include "shared/base/text.h"
#include "worker/checkpoint/checkpoint_reader.h"
#include "worker/checkpoint/checkpoint_writer.h"
#include "worker/params/digest.h"

namespace strand {
namespace {

namespace stdfs = std::filesystem;

TransformerConfig tiny() {
  TransformerConfig config;
  config.layers = 1;
  config.hidden = 8;
  config.heads = 2;
  config.mlp_hidden = 8;
  config.vocabulary = 16;
  return config;
}

class CheckpointTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = stdfs::temp_directory_path() / concat("strand-checkpoint-", getpid());
    stdfs::create_directories(folder_);
    shard_.init(context_, 5);
    for (size_t i = 0; i < shard_.weights().size(); ++i) {
      shard_.first_moment()[i] = static_cast<float>(i) * 0.5f;
      shard_.second_moment()[i] = static_cast<float>(i) * 0.25f;
    }
    shard_.restored(context_, 40);
    save();
  }
  void TearDown() override { stdfs::remove_all(folder_); }

  void save() {
    Result<PartSaved> saved = internal_error("not written");
    {
      CheckpointWriter writer(*fs_, folder_, shard_, [&](Step, Result<PartSaved> part) { saved = std::move(part); });
      writer.save(context_, shard_, Generation{3}, 640);
    }
    ASSERT_TRUE(saved.ok()) << saved.error().message();
    part_ = *saved;
    manifest_.step = 40;
    manifest_.next_row = part_.next_row;
    manifest_.digest = part_.digest;
    manifest_.state_digest = part_.state_digest;
    manifest_.parts = {{part_.file, part_.bytes, part_.checksum}};
    ASSERT_TRUE(write_file_atomically(*fs_, folder_ + "/step-40/manifest", encode_manifest(manifest_)).ok());
  }

  // As a resuming worker does it.
  Status load(ParamShard& into) {
    STRAND_ASSIGN(const Manifest manifest, read_manifest(*fs_, folder_, 40));
    return load_parts(*fs_, folder_, manifest, into);
  }

  static std::string read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }

  ThreadPool pool_{2};
  Workspace workspace_{2};
  OpContext context_{&pool_, &workspace_, Backend::kCpu};
  std::unique_ptr<FileSystem> fs_ = make_posix_file_system();
  std::string folder_;
  ParamShard shard_{parameter_table(tiny()), TrainSpec{}, false};
  PartSaved part_;
  Manifest manifest_;
};

TEST_F(CheckpointTest, WhatIsReadIsWhatWasWritten) {
  ParamShard other(parameter_table(tiny()), TrainSpec{}, false);
  const Status loaded = load(other);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message();
  other.restored(context_, 40);
  EXPECT_EQ(other.digest(), shard_.digest());
  EXPECT_EQ(other.state_digest(640), shard_.state_digest(640));
  EXPECT_EQ(part_.state_digest, shard_.state_digest(640));
  EXPECT_NE(other.state_digest(641), shard_.state_digest(640));
}

TEST_F(CheckpointTest, AFlippedByteIsFound) {
  ParamShard other(parameter_table(tiny()), TrainSpec{}, false);
  for (const std::string& file : {part_.file, std::string("step-40/manifest")}) {
    const std::string path = folder_ + "/" + file;
    const std::string good = read(path);
    // Every byte of the headers and the ends, every eleventh of the data between.
    for (size_t i = 0; i < good.size(); i += i < 1000 || i + 64 > good.size() ? 1 : 11) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ (1 << (i % 8)));
      write(path, bad);
      ASSERT_FALSE(load(other).ok()) << file << ": byte " << i << " of " << good.size() << " flipped, not found";
    }
    write(path, good);
    ASSERT_TRUE(load(other).ok());
  }
}

TEST_F(CheckpointTest, AnyCutIsFound) {
  ParamShard other(parameter_table(tiny()), TrainSpec{}, false);
  for (const std::string& file : {part_.file, std::string("step-40/manifest")}) {
    const std::string path = folder_ + "/" + file;
    const std::string good = read(path);
    for (size_t size = 0; size < good.size(); size += 97) {
      write(path, good.substr(0, size));
      ASSERT_FALSE(load(other).ok()) << file << " cut to " << size << " bytes";
    }
    write(path, good + "x");
    ASSERT_FALSE(load(other).ok()) << "a byte too many";
    write(path, good);
  }
  stdfs::remove(folder_ + "/" + part_.file);
  EXPECT_FALSE(load(other).ok()) << "a missing part";
}

TEST_F(CheckpointTest, AnotherModelsCheckpointIsRefused) {
  TransformerConfig bigger = tiny();
  bigger.tied = false;
  ParamShard other(parameter_table(bigger), TrainSpec{}, false);
  const Status loaded = load(other);
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code(), ErrorCode::kBadInput);
  EXPECT_NE(loaded.error().message().find("another model"), std::string::npos) << loaded.error().message();
}

TEST_F(CheckpointTest, TheSameStepIsNeverWrittenOver) {
  Status again;
  {
    CheckpointWriter writer(*fs_, folder_, shard_, [&](Step, Result<PartSaved> part) {
      if (!part.ok()) again = part.error();
    });
    writer.save(context_, shard_, Generation{3}, 640);
  }
  ASSERT_FALSE(again.ok()) << "a part file is created exclusively";
  EXPECT_EQ(again.error().code(), ErrorCode::kConflict);
}

}  // namespace
}  // namespace strand
