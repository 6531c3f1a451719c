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
  auto loaded = load_curve_keys(path("node"), path("node.pub"));
  ASSERT_TRUE(loaded.ok()) << loaded.error().message();
  EXPECT_EQ(loaded->secret_key, made->secret_key);
  EXPECT_EQ(loaded->public_key, made->public_key);
  EXPECT_EQ(loaded->allowed_clients, std::vector<std::string>{made->public_key});
  EXPECT_TRUE(loaded->servers.empty());
}

// What `cat */*.pub > cluster.keys` gives: who may come in, and whose key answers at which host.
TEST_F(KeyFilesTest, AListSaysWhoComesInAndWhoAnswersWhere) {
  auto a = new_key_files(path("a"), {"10.0.0.1", "node-a"}), b = new_key_files(path("b"), {"localhost:7000"});
  ASSERT_TRUE(a.ok() && b.ok());
  std::ofstream(path("list")) << std::ifstream(path("a.pub")).rdbuf() << std::ifstream(path("b.pub")).rdbuf();
  auto loaded = load_curve_keys(path("a"), path("list"));
  ASSERT_TRUE(loaded.ok()) << loaded.error().message();
  EXPECT_EQ(loaded->allowed_clients, (std::vector<std::string>{a->public_key, b->public_key}));
  const std::map<std::string, std::string> servers = {
      {"10.0.0.1", a->public_key}, {"node-a", a->public_key}, {"127.0.0.1:7000", b->public_key}};
  EXPECT_EQ(loaded->servers, servers);
}

TEST_F(KeyFilesTest, AHostBehindTwoKeysAndASecretInTheListAreRefused) {
  auto a = new_key_files(path("a"), {"10.0.0.1"}), b = new_key_files(path("b"), {"10.0.0.1"});
  ASSERT_TRUE(a.ok() && b.ok());
  std::ofstream(path("list")) << std::ifstream(path("a.pub")).rdbuf() << std::ifstream(path("b.pub")).rdbuf();
  const auto twice = load_curve_keys(path("a"), path("list"));
  ASSERT_FALSE(twice.ok());
  EXPECT_NE(twice.error().message().find("10.0.0.1"), std::string::npos);
  std::ofstream(path("leak")) << a->secret_key << "\n";
  const auto leaked = load_curve_keys(path("a"), path("leak"));
  ASSERT_FALSE(leaked.ok());
  EXPECT_EQ(leaked.error().message().find(a->secret_key), std::string::npos);
}

TEST_F(KeyFilesTest, AFolderStandsForTheKeyInIt) {
  auto made = new_key_files(folder_ + "/" + kKeyFile);
  ASSERT_TRUE(made.ok());
  auto loaded = load_curve_keys(folder_, path("strand.key.pub"));
  ASSERT_TRUE(loaded.ok()) << loaded.error().message();
  EXPECT_EQ(loaded->secret_key, made->secret_key);
}

// Whatever is wrong with a secret key, the error does not say what the file holds.
TEST_F(KeyFilesTest, ErrorsNeverQuoteASecret) {
  auto pair = generate_curve_pair();
  ASSERT_TRUE(pair.ok());
  const std::string secret = pair->secret_key;
  for (const std::string& content : {secret + secret, secret.substr(1), secret + "\n" + secret, "x " + secret}) {
    std::ofstream(path("bad")) << content << "\n";
    ASSERT_EQ(::chmod(path("bad").c_str(), 0600), 0);
    const auto loaded = load_secret_key(path("bad"));
    ASSERT_FALSE(loaded.ok());
    EXPECT_EQ(loaded.error().message().find(secret.substr(1, 20)), std::string::npos) << loaded.error().message();
  }
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
  auto list = load_key_list(path("list"));
  ASSERT_FALSE(list.ok());
  EXPECT_NE(list.error().message().find("line 4"), std::string::npos) << list.error().message();
  EXPECT_EQ(load_key_list(path("absent")).error().code(), ErrorCode::kNotFound);
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
