#include "dataserver/corpus/known_files.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/unit/dataserver/genomes.h"

namespace strand {
namespace {

using testing::MemoryStore;
using testing::TemporaryFolder;

class KnownFilesTest : public ::testing::Test {
 protected:
  // As if the file had been remembered with other bytes: what comes back tells whether it was read.
  void forge(const FileIdentity& identity) {
    ASSERT_EQ(store_.values.size(), 1u);
    std::string& kept = store_.values.begin()->second;
    const std::string hash = big_endian_key("", identity.hash.high) + big_endian_key("", identity.hash.low);
    kept.replace(kept.size() - hash.size(), hash.size(), hash);
  }
  FileIdentity identify(const std::string& path, bool remember = true) {
    const auto found = identify_known_file(&store_, path, remember);
    EXPECT_TRUE(found.ok());
    return found.ok() ? *found : FileIdentity();
  }

  TemporaryFolder folder_;
  MemoryStore store_;
};

TEST_F(KnownFilesTest, AFreshFileIsReadEveryTime) {
  const std::string path = folder_.file("a", "bytes");
  EXPECT_EQ(identify(path), *identify_file(path));
  EXPECT_TRUE(store_.values.empty()) << "it may still be changed in the same moment";
}

// A file of the repository, which nobody has just written.
TEST_F(KnownFilesTest, ASettledFileIsReadOnceUntilItChanges) {
  const std::string path = testing::kEcoli;
  const FileIdentity real = *identify_file(path);
  EXPECT_EQ(identify(path, false), real);
  EXPECT_TRUE(store_.values.empty()) << "not to be remembered";
  EXPECT_EQ(identify(path), real);
  const FileIdentity forged{real.bytes, {1, 2}};
  forge(forged);
  EXPECT_EQ(identify(path), forged) << "not read again";
  EXPECT_EQ(identify(std::filesystem::absolute(path).string()), forged) << "the same file by its whole name";
  EXPECT_EQ(identify(path, false), forged);
  // Any mark that differs: it is read again.
  for (const size_t byte : {7, 15, 23, 31, 39}) {
    store_.values.begin()->second[byte] ^= 1;
    EXPECT_EQ(identify(path, false), real) << byte;
    store_.values.begin()->second[byte] ^= 1;
  }
  store_.values.begin()->second.pop_back();
  EXPECT_EQ(identify(path, false), real) << "damaged";
}

TEST_F(KnownFilesTest, WhatCannotBeReadIsRefusedAsEver) {
  const auto found = identify_known_file(&store_, folder_.path() + "/none", true);
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code(), ErrorCode::kBadInput);
  EXPECT_FALSE(identify_known_file(&store_, folder_.path(), true).ok());
}

// The store does not have to take it.
TEST_F(KnownFilesTest, AFullDiskIsNoError) {
  store_.operations_left = 0;
  EXPECT_EQ(identify(testing::kEcoli), *identify_file(testing::kEcoli));
}

}  // namespace
}  // namespace strand
