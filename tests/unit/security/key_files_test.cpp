// Key files: what is made can be loaded, only by its owner, and is never overwritten.
#include "shared/security/key_files.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace strand {
namespace {

class KeyFilesTest : public testing::Test {
 protected:
  KeyFilesTest() {
    char name[] = "/tmp/strand-keys-XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~KeyFilesTest() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string folder_;
};

TEST_F(KeyFilesTest, ANewPairLoadsAgainAndOnlyItsOwnerMayReadTheSecret) {
  auto made = new_key_files(path("node"));
  ASSERT_TRUE(made.ok()) << made.error().message();
  struct stat status {};
  ASSERT_EQ(::stat(path("node").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  auto loaded = load_curve_keys(path("node"), path("node.pub"), path("node.pub"));
  ASSERT_TRUE(loaded.ok()) << loaded.error().message();
  EXPECT_EQ(loaded->secret_key, made->secret_key);
  EXPECT_EQ(loaded->public_key, made->public_key);
  EXPECT_EQ(loaded->server_public_key, made->public_key);
  EXPECT_EQ(loaded->allowed_clients, std::vector<std::string>{made->public_key});
}

TEST_F(KeyFilesTest, TwoPairsDiffer) {
  auto a = new_key_files(path("a")), b = new_key_files(path("b"));
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_NE(a->secret_key, b->secret_key);
  EXPECT_NE(a->public_key, b->public_key);
}

TEST_F(KeyFilesTest, NothingIsOverwritten) {
  auto made = new_key_files(path("node"));
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(new_key_files(path("node")).error().code(), ErrorCode::kConflict);
  EXPECT_EQ(load_secret_key(path("node"))->secret_key, made->secret_key);
  std::filesystem::remove(path("node"));
  EXPECT_EQ(new_key_files(path("node")).error().code(), ErrorCode::kConflict) << "the public half exists";
  EXPECT_FALSE(std::filesystem::exists(path("node"))) << "no half pair stays behind";
}

TEST_F(KeyFilesTest, ASecretThatOthersCanReadIsRefused) {
  ASSERT_TRUE(new_key_files(path("node")).ok());
  for (mode_t mode : {0640, 0604, 0620, 0666}) {
    ASSERT_EQ(::chmod(path("node").c_str(), mode), 0);
    auto loaded = load_secret_key(path("node"));
    ASSERT_FALSE(loaded.ok());
    EXPECT_EQ(loaded.error().code(), ErrorCode::kBadInput);
    EXPECT_NE(loaded.error().message().find("chmod 600"), std::string::npos);
  }
}

TEST_F(KeyFilesTest, DamagedAndMissingFilesAreNamed) {
  auto pair = generate_curve_pair();
  ASSERT_TRUE(pair.ok());
  std::ofstream(path("list")) << "# nodes\n\n" << pair->public_key << "\n" << pair->public_key.substr(1) << "\n";
  auto list = load_public_keys(path("list"));
  ASSERT_FALSE(list.ok());
  EXPECT_NE(list.error().message().find("line 4"), std::string::npos) << list.error().message();
  EXPECT_EQ(load_public_keys(path("absent")).error().code(), ErrorCode::kNotFound);
  std::ofstream(path("empty")) << "# nothing\n";
  ASSERT_EQ(::chmod(path("empty").c_str(), 0600), 0);
  EXPECT_FALSE(load_secret_key(path("empty")).ok());
}

TEST_F(KeyFilesTest, OnlyKeysAreKeys) {
  auto pair = generate_curve_pair();
  ASSERT_TRUE(pair.ok());
  EXPECT_TRUE(is_curve_key(pair->public_key));
  EXPECT_EQ(*curve_public_key(pair->secret_key), pair->public_key);
  EXPECT_FALSE(is_curve_key(""));
  EXPECT_FALSE(is_curve_key(pair->public_key + "0"));
  EXPECT_FALSE(is_curve_key(std::string(40, ' ')));
  EXPECT_FALSE(is_curve_key(std::string(40, '\0')));
  EXPECT_FALSE(is_curve_key(std::string(40, '~')));
}

}  // namespace
}  // namespace strand
