// Ingest with real processes: killed at any moment, on a full disk, from standard input, by wildcards. Whatever goes
// wrong, the store is as before, and the same command again brings it to where it should be.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <set>
#include <thread>

#include "shared/base/text.h"
#include "tests/e2e/process.h"

namespace strand::e2e {
namespace {

using std::chrono::milliseconds;

class Ingest : public ::testing::Test {
 protected:
  void SetUp() override {
    write_file(path("old.fa"), small_fasta(50000, 1));
    for (int i = 0; i < 3; ++i) {
      // small_fasta's one record, under a name of its own.
      const std::string text = small_fasta(2000000, static_cast<unsigned>(10 + i));
      write_file(path(concat("new-", i, ".fa")), concat(">new", i, text.substr(text.find('\n'))));
    }
  }
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }
  std::vector<std::string> build_new(const std::string& store) const {
    return {"data", "build", path("new-*.fa"), "--store", path(store)};
  }
  void build_old(const std::string& store) {
    ASSERT_EQ(run(folder_.path(), "old", {"data", "build", path("old.fa"), "--store", path(store)}).exit_code(), 0);
  }
  // The content hashes of the genomes in a store, which is whole.
  std::set<std::string> genomes(const std::string& store) {
    const Process verified = run(folder_.path(), "verify", {"data", "verify", path(store)});
    EXPECT_EQ(verified.exit_code(), 0) << verified.err();
    const Process listed = run(folder_.path(), "list", {"data", "list", path(store), "--json"});
    const Json all = listed.json();
    std::set<std::string> found;
    for (const Json& genome : all["genomes"]) found.insert(genome["content"].get<std::string>());
    return found;
  }

  TemporaryFolder folder_;
};

TEST_F(Ingest, KilledAtAnyMomentTheStoreIsAsBeforeAndTheNextOneIsWhole) {
  build_old("whole");
  const std::set<std::string> before = genomes("whole");
  ASSERT_EQ(before.size(), 1u);
  const auto begun = std::chrono::steady_clock::now();
  ASSERT_EQ(run(folder_.path(), "new", build_new("whole")).exit_code(), 0);
  const auto lasts = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begun);
  const std::set<std::string> after = genomes("whole");
  ASSERT_EQ(after.size(), 2u);

  build_old("killed");
  constexpr int kKills = 12;  // later and later, as far as a build takes when nobody disturbs it
  int cut_short = 0;
  for (int kill = 0; kill < kKills; ++kill) {
    Process process(folder_.path(), "killed", build_new("killed"));
    std::this_thread::sleep_for(lasts * kill / kKills);
    process.signal_group(SIGKILL);
    process.wait(std::chrono::seconds(10));
    const std::set<std::string> now = genomes("killed");
    ASSERT_TRUE(now == before || now == after) << "kill " << kill;
    if (now == after) break;
    ++cut_short;
  }
  EXPECT_GT(cut_short, 0) << "every build ended before it was killed";
  ASSERT_EQ(run(folder_.path(), "again", build_new("killed")).exit_code(), 0);
  EXPECT_EQ(genomes("killed"), after);
  EXPECT_TRUE(!std::filesystem::exists(path("killed/rocks/loading")) ||
              std::filesystem::is_empty(path("killed/rocks/loading")));
}

TEST_F(Ingest, OnAFullDiskTheStoreIsAsBeforeAndRoomMendsIt) {
  std::filesystem::create_directory(path("small"));
  const std::string build = concat(strand_program(), " data build ");
  write_file(
      path("full.sh"),
      concat("mount -t tmpfs -o size=1200k tmpfs small || exit 90\n",  // of two and a bit
             build, "old.fa --store small/store > /dev/null || exit 91\n", build,
             "'new-*.fa' --store small/store 2> full.err\n", "echo $? > full.code\n", strand_program(),
             " data verify small/store > /dev/null || exit 92\n", strand_program(),
             " data list --json small/store > full.json || exit 93\n", "mount -o remount,size=64m small || exit 94\n",
             build, "'new-*.fa' --store small/store > /dev/null || exit 95\n", "exec ", strand_program(),
             " data list --json small/store\n"));
  Process can = Process::of(folder_.path(), "can", {"unshare", "-rm", "true"});
  if (!can.wait(std::chrono::seconds(10)) || can.exit_code() != 0) GTEST_SKIP() << "unshare -rm is not possible here";
  Process both = Process::of(folder_.path(), "both",
                             {"unshare", "-rm", "sh", "-c", concat("cd ", folder_.path(), " && . ./full.sh")});
  ASSERT_TRUE(both.wait(std::chrono::minutes(2)));
  const std::string said = read_file(path("full.err"));
  ASSERT_EQ(both.exit_code(), 0) << said << both.err();
  EXPECT_EQ(read_file(path("full.code")), "2\n") << said;
  EXPECT_NE(said.find("No space left on device"), std::string::npos) << said;
  EXPECT_NE(said.find("make room"), std::string::npos) << said;
  EXPECT_EQ(parse_json(read_file(path("full.json")), "full.json").value()["genomes"].size(), 1u);
  EXPECT_EQ(both.json()["genomes"].size(), 2u);
}

TEST_F(Ingest, StandardInputIsTheSameGenomeAsAFileOfItsBytes) {
  const std::string strand = strand_program();
  Process piped =
      Process::of(folder_.path(), "piped",
                  {"sh", "-c", concat("cat ", path("old.fa"), " | ", strand, " data build - --store ", path("piped"))});
  ASSERT_TRUE(piped.wait(std::chrono::minutes(1)));
  ASSERT_EQ(piped.exit_code(), 0) << piped.err();
  build_old("piped");  // is found: nothing is built
  build_old("file");
  EXPECT_EQ(genomes("piped"), genomes("file"));
  EXPECT_EQ(genomes("piped").size(), 1u);
  Process wrong =
      Process::of(folder_.path(), "wrong",
                  {"sh", "-c", concat("printf '>a\\nAC!GT\\n' | ", strand, " data build - --store ", path("piped"))});
  ASSERT_TRUE(wrong.wait(std::chrono::minutes(1)));
  EXPECT_EQ(wrong.exit_code(), 2);
  EXPECT_NE(wrong.err().find("standard input: line 2, column 3"), std::string::npos) << wrong.err();
  EXPECT_EQ(genomes("piped").size(), 1u);
}

TEST_F(Ingest, AWildcardThatFitsNothingIsRefusedBeforeAStoreIsMade) {
  const Process none = run(folder_.path(), "none", {"data", "build", path("*.gb"), "--store", path("none")});
  EXPECT_EQ(none.exit_code(), 2);
  EXPECT_NE(none.err().find("*.gb: no file fits"), std::string::npos) << none.err();
  EXPECT_FALSE(std::filesystem::exists(path("none")));
}

}  // namespace
}  // namespace strand::e2e
