// Bad input at the command line: exit code 2, one clear sentence with the place and the mend, nothing lost.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "shared/base/text.h"
#include "tests/e2e/process.h"

namespace strand::e2e {
namespace {

namespace fs = std::filesystem;

constexpr const char* kJob = R"([job]
name = "small"
[model]
preset = "omni-dna-20m"
vocabulary = 16
layers = 1
hidden = 32
heads = 2
mlp_hidden = 64
[tokenizer]
kind = "nucleotide"
[data]
files = ["small.fa"]
segment = 50
[data.holdout]
fraction = 0.1
[train]
steps = 4
lanes = 1
micro_batch = 4
warmup = 1
[parallel]
threads = 1
)";

class BadInput : public testing::Test {
 protected:
  void SetUp() override {
    write_file(path("small.fa"), small_fasta(20000, 1));
    write_file(path("job.toml"), kJob);
  }
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }
  int helped(const std::vector<std::string>& words) const;

  // Runs the job and expects a refusal that names all of `words`.
  void refused(const std::string& tag, const std::vector<std::string>& words, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"run", "job.toml", "--dir", tag};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Process process = run(folder_.path(), tag, arguments);
    EXPECT_EQ(process.exit_code(), 2) << process.err();
    for (const std::string& word : words) {
      EXPECT_NE(process.err().find(word), std::string::npos) << "no \"" << word << "\" in: " << process.err();
    }
  }

  TemporaryFolder folder_;
};

TEST_F(BadInput, JobFilesAreRefusedWithTheirPlaceBeforeAnythingIsWritten) {
  const auto with = [&](const std::string& tag, const std::string& from, const std::string& to,
                        const std::vector<std::string>& words) {
    std::string text = kJob;
    text.replace(text.find(from), from.size(), to);
    write_file(path("job.toml"), text);
    refused(tag, words);
    EXPECT_FALSE(fs::exists(path(tag))) << "a refused job must write nothing";
  };
  with("unknown", "steps = 4", "stpes = 4", {"job.toml:18", "stpes", "steps"});
  with("type", "steps = 4", "steps = \"four\"", {"job.toml:18", "steps"});
  with("heads", "heads = 2", "heads = 3", {"heads", "32"});
  with("lanes", "lanes = 1", "lanes = 3", {"lanes", "power of two"});
  with("file", "small.fa", "absent.fa", {"absent.fa"});
  with("syntax", "steps = 4", "steps = = 4", {"job.toml:18"});
  with("ids", "vocabulary = 16", "vocabulary = 8", {"vocabulary"});
}

TEST_F(BadInput, MoreRowsAStepThanSegments) {
  refused("many", {"segments"}, {"--set", "train.micro_batch=60000"});
}

TEST_F(BadInput, GenomesAreRefusedWithTheirLine) {
  const auto with = [&](const std::string& tag, const std::string& fasta, const std::vector<std::string>& words) {
    write_file(path("small.fa"), fasta);
    refused(tag, words);
  };
  const std::string good = small_fasta(20000, 1);
  with("headless", "ACGT\n" + good, {"small.fa", "1", "header"});
  with("empty", ">nothing\n" + good, {"small.fa", "line 1", "without bases"});
  with("letters", good + "ACGTJACGT\n", {"small.fa", "J"});
  with("twice", good + good, {"small.fa", "small"});
  with("no-records", "", {"small.fa"});
}

TEST_F(BadInput, ARefusedRunTakesNothingOfTheUsersWithIt) {
  write_file(path("mine/notes.txt"), "years of work");
  write_file(path("mine/logs/old.log"), "old");
  write_file(path("small.fa"), "ACGT\n");
  refused("mine", {"small.fa", "line 1"});
  EXPECT_EQ(read_file(path("mine/notes.txt")), "years of work");
  EXPECT_EQ(read_file(path("mine/logs/old.log")), "old");
  EXPECT_FALSE(fs::exists(path("mine/job.toml")));
  EXPECT_FALSE(fs::exists(path("mine/journal")));
  refused("new", {"small.fa", "line 1"});
  EXPECT_FALSE(fs::exists(path("new"))) << "what the run made goes again";
  write_file(path("small.fa"), small_fasta(20000, 1));
  EXPECT_EQ(run(folder_.path(), "mended", {"run", "job.toml", "--dir", "mine"}).exit_code(), 0)
      << "the mended job runs in the same folder";
  EXPECT_EQ(read_file(path("mine/notes.txt")), "years of work");
}

TEST_F(BadInput, ATruncatedGzipIsRefused) {
  ASSERT_EQ(std::system(("gzip -kf " + path("small.fa")).c_str()), 0);
  fs::resize_file(path("small.fa.gz"), fs::file_size(path("small.fa.gz")) / 2);
  std::string text = kJob;
  text.replace(text.find("small.fa"), 8, "small.fa.gz");
  write_file(path("job.toml"), text);
  refused("truncated", {"small.fa.gz", "truncated"});
}

TEST_F(BadInput, ASecondCoordinatorOnTheSameJournal) {
  const std::string endpoint = "ipc://" + path("c.sock");
  Process first(folder_.path(), "first", {"coordinator", "--bind", endpoint, "--dir", path("cluster")});
  ASSERT_FALSE(first.wait(std::chrono::milliseconds(1500))) << first.err();
  const Process second =
      run(folder_.path(), "second", {"coordinator", "--bind", "ipc://" + path("d.sock"), "--dir", path("cluster")});
  EXPECT_EQ(second.exit_code(), 2) << second.err();
  EXPECT_NE(second.err().find("journal"), std::string::npos) << second.err();
  const Process third = run(folder_.path(), "third", {"coordinator", "--bind", endpoint, "--dir", path("other")});
  EXPECT_EQ(third.exit_code(), 2) << "an endpoint in use: " << third.err();
  first.signal(SIGTERM);
  EXPECT_TRUE(first.wait(std::chrono::seconds(5)));
}

TEST_F(BadInput, AFullDiskLosesNothing) {
  // Room for some checkpoints, not for all; a file system of limited size needs root.
  fs::create_directories(path("disk"));
  if (std::system(("mount -t tmpfs -o size=24m tmpfs " + path("disk") + " 2>/dev/null").c_str()) != 0) {
    GTEST_SKIP() << "cannot mount a small file system here (needs root)";
  }
  const Process full = run(folder_.path(), "full",
                           {"run", "job.toml", "--dir", path("disk/run"), "--set", "model.hidden=256", "--set",
                            "model.mlp_hidden=1024", "--set", "model.layers=4", "--set", "checkpoint.every=1"});
  const std::string words = full.err();
  EXPECT_EQ(full.exit_code(), 2) << words;
  EXPECT_NE(words.find("space"), std::string::npos) << words;
  ASSERT_EQ(std::system(("mount -o remount,size=400m " + path("disk")).c_str()), 0);
  const Process resumed =
      run(folder_.path(), "resumed",
          {"run", "job.toml", "--dir", path("disk/run"), "--resume", "--set", "model.hidden=256", "--set",
           "model.mlp_hidden=1024", "--set", "model.layers=4", "--set", "checkpoint.every=1"});
  EXPECT_EQ(resumed.exit_code(), 0) << resumed.err();
  EXPECT_EQ(std::system(("umount " + path("disk")).c_str()), 0);
}

// Each command that the help of `words` names has help with an example, and so has each of its own. How many there are.
int BadInput::helped(const std::vector<std::string>& words) const {
  std::vector<std::string> ask = words;
  ask.emplace_back("--help");
  const Process help = run(folder_.path(), "help-" + join(words, "-"), ask);
  EXPECT_EQ(help.exit_code(), 0) << join(words, " ") << ": " << help.err();
  EXPECT_NE(help.out().find("example"), std::string::npos) << join(words, " ") << " --help has no example";
  int count = 0;
  bool listed = false;
  for (const std::string& line : split(help.out(), '\n')) {
    if (line == "Subcommands:") {
      listed = true;
    } else if (listed && line.starts_with("  ") && line[2] != ' ') {
      std::vector<std::string> longer = words;
      longer.push_back(line.substr(2, line.find(' ', 2) - 2));
      count += 1 + helped(longer);
    }
  }
  return count;
}

TEST_F(BadInput, CommandLines) {
  EXPECT_EQ(run(folder_.path(), "none", {}).exit_code(), 2);
  EXPECT_EQ(run(folder_.path(), "strange", {"trian"}).exit_code(), 2);
  EXPECT_EQ(run(folder_.path(), "help", {"--help"}).exit_code(), 0);
  EXPECT_GT(helped({}), 40) << "every command and each of its own";
}

}  // namespace
}  // namespace strand::e2e
