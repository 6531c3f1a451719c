#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "shared/fs/file_system.h"
#include "shared/fs/glob.h"
#include "tests/support/faulty_file_system.h"

namespace strand {
namespace {

class PosixTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/tmp/strand_fs_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string at(const std::string& name) const { return folder_ + "/" + name; }

  std::string folder_;
  std::unique_ptr<FileSystem> fs_ = make_posix_file_system();
};

TEST_F(PosixTest, WritesReadsAppendsListsAndRemoves) {
  ASSERT_TRUE(fs_->make_directories(at("a/b")).ok());
  const std::string bytes("one\0two", 7);
  auto file = fs_->create(at("a/x"));
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->append(bytes.data(), bytes.size()).ok());
  ASSERT_TRUE((*file)->sync().ok());
  ASSERT_TRUE((*file)->close().ok());
  EXPECT_FALSE((*file)->append("x", 1).ok()) << "a closed file takes nothing";
  auto more = fs_->open_append(at("a/x"));
  ASSERT_TRUE(more.ok());
  ASSERT_TRUE((*more)->append("+", 1).ok());
  EXPECT_EQ(fs_->read_file(at("a/x")).value(), bytes + "+");
  EXPECT_EQ(fs_->file_size(at("a/x")).value(), 8u);
  EXPECT_EQ(fs_->list_directory(at("a")).value(), (std::vector<std::string>{"b", "x"}));
  ASSERT_TRUE(fs_->rename(at("a/x"), at("a/b/y")).ok());
  EXPECT_FALSE(fs_->exists(at("a/x")));
  EXPECT_TRUE(fs_->sync_directory(at("a/b")).ok());
  ASSERT_TRUE(fs_->remove_tree(at("a")).ok());
  EXPECT_FALSE(fs_->exists(at("a")));
  EXPECT_TRUE(fs_->remove_tree(at("a")).ok()) << "absent is fine";
  EXPECT_TRUE(fs_->remove(at("a")).ok()) << "absent is fine";
  EXPECT_GT(fs_->free_bytes(at("not/there/yet")).value(), 0u);
}

TEST_F(PosixTest, WildcardsNameWhatTheShellWouldTake) {
  for (const char* name : {"a/x.fa", "a/y.fa", "a/y.fa.gz", "a/.z.fa", "b/x.fa", "b/[1].fa"}) {
    ASSERT_TRUE(fs_->make_directories(at(std::string(name).substr(0, 1))).ok());
    ASSERT_TRUE(fs_->create(at(name)).ok());
  }
  const auto named = [&](const std::string& pattern) {
    std::string names;
    for (const std::string& path : expand_glob(*fs_, at(pattern))) names += " " + path.substr(folder_.size() + 1);
    return names;
  };
  EXPECT_EQ(named("a/*.fa"), " a/x.fa a/y.fa");
  EXPECT_EQ(named("*/x.fa"), " a/x.fa b/x.fa");
  EXPECT_EQ(named("?/[yz].fa*"), " a/y.fa a/y.fa.gz");
  EXPECT_EQ(named("a/.*.fa"), " a/.z.fa");
  EXPECT_EQ(named("b/[1].fa"), " b/[1].fa") << "a file of just that name";
  EXPECT_EQ(named("c/*"), "");
  EXPECT_EQ(named("nothing.fa"), " nothing.fa") << "whoever opens it says that it is not there";
  const auto none = expand_globs(*fs_, {at("a/*.fa"), at("*.fna")});
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code(), ErrorCode::kBadInput);
  EXPECT_NE(none.error().message().find("*.fna"), std::string::npos);
}

TEST_F(PosixTest, ExclusiveCreationHasOneWinner) {
  ASSERT_TRUE(fs_->create_exclusive(at("part")).ok());
  const auto second = fs_->create_exclusive(at("part"));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), ErrorCode::kConflict);
  EXPECT_NE(second.error().message().find(at("part")), std::string::npos);
}

TEST_F(PosixTest, ErrorsNamePathReasonAndMend) {
  const auto absent = fs_->read_file(at("nothing"));
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(absent.error().message(),
            "reading " + at("nothing") + ": No such file or directory; check the spelling of the path");
  EXPECT_FALSE(fs_->read_file(folder_).ok());
  EXPECT_FALSE(fs_->file_size(folder_).ok());
  ASSERT_TRUE(fs_->create(at("file")).ok());
  EXPECT_FALSE(fs_->make_directories(at("file/under")).ok());
  EXPECT_FALSE(fs_->make_directories(at("file")).ok());
}

TEST_F(PosixTest, AFullDiskSaysHowMuchIsFree) {
  auto file = fs_->create("/dev/full");
  if (!file.ok()) GTEST_SKIP() << "no /dev/full here";
  const Status status = (*file)->append("x", 1);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), ErrorCode::kBadInput);
  EXPECT_NE(status.error().message().find("writing /dev/full: No space left on device; the disk has "),
            std::string::npos)
      << status.error().message();
}

TEST_F(PosixTest, AtomicWriteReplacesAndLeavesNoTemporary) {
  for (const std::string content : {"old", "newer and longer", ""}) {
    ASSERT_TRUE(write_file_atomically(*fs_, at("f"), content).ok());
    EXPECT_EQ(fs_->read_file(at("f")).value(), content);
    EXPECT_EQ(fs_->list_directory(folder_).value(), std::vector<std::string>{"f"});
  }
  EXPECT_FALSE(write_file_atomically(*fs_, at("no/such/f"), "x").ok());
}

TEST_F(PosixTest, LockNamesItsHolderAndEndsWithIt) {
  {
    const auto first = lock_file(at("LOCK"));
    ASSERT_TRUE(first.ok());
    const auto second = lock_file(at("LOCK"));
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code(), ErrorCode::kConflict);
    EXPECT_NE(second.error().message().find("process " + std::to_string(getpid())), std::string::npos);
  }
  EXPECT_TRUE(lock_file(at("LOCK")).ok());
  // A killed holder holds nothing.
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto held = lock_file(at("LOCK"));
    (void)!write(pipe_ends[1], held.ok() ? "y" : "n", 1);
    pause();
    _exit(0);
  }
  char answer = 0;
  ASSERT_EQ(read(pipe_ends[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  EXPECT_FALSE(lock_file(at("LOCK")).ok());
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(lock_file(at("LOCK")).ok());
}

constexpr char kOld[] = "the old content";
constexpr char kNew[] = "the new content, which is longer than the old";

void prepare(FaultyFileSystem& fs) {
  ASSERT_TRUE(fs.make_directories("d").ok());
  ASSERT_TRUE(write_file_atomically(fs, "d/f", kOld).ok());
}

uint64_t steps_of_an_atomic_write() {
  FaultyFileSystem fs;
  prepare(fs);
  const uint64_t before = fs.calls();
  EXPECT_TRUE(write_file_atomically(fs, "d/f", kNew).ok());
  return fs.calls() - before;
}

TEST(AtomicWrite, AnyFailingCallLeavesOldOrNewAndNoTemporary) {
  const uint64_t steps = steps_of_an_atomic_write();
  ASSERT_GE(steps, 6u);
  for (const int number : {ENOSPC, EIO}) {
    for (uint64_t n = 0; n < steps; ++n) {
      FaultyFileSystem fs;
      prepare(fs);
      fs.fail_at(n, number);
      const Status status = write_file_atomically(fs, "d/f", kNew);
      ASSERT_FALSE(status.ok()) << n;
      EXPECT_NE(status.error().message().find(" d"), std::string::npos);
      // Only the last step, syncing the folder, comes after the rename.
      EXPECT_EQ(fs.read_file("d/f").value(), n + 1 == steps ? kNew : kOld) << n;
      EXPECT_EQ(fs.list_directory("d").value(), std::vector<std::string>{"f"}) << n;
    }
  }
}

TEST(AtomicWrite, ACrashAtAnyStepLeavesOldOrNew) {
  const uint64_t steps = steps_of_an_atomic_write();
  int olds = 0, news = 0;
  for (uint64_t n = 0; n <= steps; ++n) {
    for (uint64_t seed = 0; seed < 50; ++seed) {
      FaultyFileSystem fs;
      prepare(fs);
      fs.crash_at(n);
      const bool done = write_file_atomically(fs, "d/f", kNew).ok();
      EXPECT_EQ(done, n == steps);
      fs.restart(seed);
      const std::string left = fs.read_file("d/f").value();
      EXPECT_TRUE(left == kOld || left == kNew) << "step " << n << ", seed " << seed << ": " << left;
      EXPECT_TRUE(!done || left == kNew) << "what was reported done must be durable";
      (left == kOld ? olds : news) += 1;
      EXPECT_TRUE(write_file_atomically(fs, "d/f", "again").ok()) << "a left temporary does not hinder the next write";
    }
  }
  EXPECT_GT(olds, 0);
  EXPECT_GT(news, 0);
}

// The simulated disk must be able to fail a writer that forgets something, or the tests above prove nothing.
TEST(FaultyFileSystem, CatchesAWriterThatDoesNotSync) {
  bool lost_bytes = false, lost_name = false;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    FaultyFileSystem fs;
    prepare(fs);
    auto file = fs.create("d/t");
    ASSERT_TRUE((*file)->append(kNew, sizeof kNew - 1).ok());
    ASSERT_TRUE(fs.rename("d/t", "d/f").ok());
    fs.crash_at(0);
    EXPECT_FALSE(fs.sync_directory("d").ok());
    fs.restart(seed);
    EXPECT_FALSE((*file)->append("x", 1).ok()) << "a file opened before the crash is dead";
    if (!fs.exists("d/f")) {
      lost_name = true;
      continue;
    }
    const std::string left = fs.read_file("d/f").value();
    lost_bytes |= left != kOld && left != kNew;
    lost_name |= left == kOld;
  }
  EXPECT_TRUE(lost_bytes);
  EXPECT_TRUE(lost_name);
}

}  // namespace
}  // namespace strand
