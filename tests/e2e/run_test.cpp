// `strand run` as a user meets it: the same bits twice, with any number of threads, after SIGKILL of everything or of
// one process, after Ctrl-C, after damage to a checkpoint.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "tests/e2e/process.h"

namespace strand::e2e {
namespace {

using std::chrono::milliseconds;

constexpr const char* kJob = R"(
[job]
name = "small"
[model]
preset = "omni-dna-20m"
vocabulary = 16
layers = 2
hidden = 64
heads = 4
mlp_hidden = 128
[tokenizer]
kind = "nucleotide"
[data]
files = ["small.fa"]
segment = 100
[data.holdout]
fraction = 0.1
[train]
steps = 300
lanes = 2
micro_batch = 8
learning_rate = 1e-3
warmup = 5
precision = "fp32"
[parallel]
threads = 1
[checkpoint]
every = 4
keep = 3
[evaluate]
every = 50
batches = 4
)";

struct Digests {
  std::string digest, state;
  bool operator==(const Digests&) const = default;
};

void PrintTo(const Digests& d, std::ostream* out) {
  *out << d.digest << " / " << d.state;
}

class RunTest : public testing::Test {
 protected:
  void SetUp() override {
    write_file(folder_.path() + "/small.fa", small_fasta(60000, 1));
    write_file(folder_.path() + "/job.toml", kJob);
  }

  std::vector<std::string> command(const std::string& run, bool resume = false,
                                   std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"run", "job.toml", "--json", "--dir", run};
    if (resume) arguments.push_back("--resume");
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  static Digests digests(const Process& process) {
    const Json json = process.json();
    if (!json.is_object() || !json.contains("digest") || !json["digest"].is_string()) return {};
    return {json["digest"].get<std::string>(), json["state_digest"].get<std::string>()};
  }

  // An undisturbed run; its duration is what "a random moment" is drawn from.
  Digests undisturbed() {
    const auto begin = std::chrono::steady_clock::now();
    Process process = run(folder_.path(), "undisturbed", command("undisturbed"));
    duration_ = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
    EXPECT_EQ(process.exit_code(), 0) << process.err();
    EXPECT_EQ(process.json()["state"], "done");
    EXPECT_EQ(process.json()["step"], 300);
    return digests(process);
  }

  Digests resumed(const std::string& directory) {
    Process process = run(folder_.path(), directory + "-resumed", command(directory, true));
    EXPECT_EQ(process.exit_code(), 0) << process.err();
    return digests(process);
  }

  // Waits until so many steps are recorded; false when the run has ended before.
  bool trains_to(Process& process, const std::string& directory, int steps) const {
    const std::string path = folder_.path() + "/" + directory + "/metrics.jsonl";
    while (true) {
      std::ifstream file(path);
      int recorded = 0;
      for (std::string line; std::getline(file, line);) ++recorded;
      if (recorded >= steps) return process.running();
      if (process.wait(milliseconds(10))) return false;
    }
  }

  TemporaryFolder folder_;
  milliseconds duration_{0};
};

TEST_F(RunTest, TheSameBitsTwiceAndWithOneToFourThreads) {
  const Digests expected = undisturbed();
  ASSERT_EQ(expected.digest.size(), 32u);
  EXPECT_NE(expected.digest, expected.state);
  for (const char* threads : {"1", "2", "3", "4"}) {
    Process process =
        run(folder_.path(), threads,
            command(std::string("threads-") + threads, false, {"--set", std::string("parallel.threads=") + threads}));
    EXPECT_EQ(process.exit_code(), 0) << process.err();
    EXPECT_EQ(digests(process), expected) << threads << " threads";
  }
  Process other = run(folder_.path(), "other", command("other", false, {"--set", "train.seed=2"}));
  EXPECT_NE(digests(other), expected) << "another seed must give other bits, or this test proves nothing";
}

TEST_F(RunTest, EverythingKilledAtRandomMomentsResumesToTheSameBits) {
  const Digests expected = undisturbed();
  std::mt19937 random(20240601);
  for (int i = 0; i < 10; ++i) {
    const std::string directory = "killed-" + std::to_string(i);
    // One moment in each tenth of the run: some before the first checkpoint, some while one is written.
    const auto moment = duration_ * i / 10 + milliseconds(random() % static_cast<unsigned>(duration_.count() / 10 + 1));
    Process process(folder_.path(), directory, command(directory));
    const bool ended = process.wait(moment);
    process.signal_group(SIGKILL);
    process.wait(std::chrono::seconds(10));
    if (ended) continue;
    // Before job.toml is there nothing has begun, and the same command simply starts.
    const bool begun = std::filesystem::exists(folder_.path() + "/" + directory + "/job.toml");
    if (begun) {
      EXPECT_EQ(resumed(directory), expected) << "killed after " << moment.count() << " ms";
    } else {
      Process again = run(folder_.path(), directory + "-again", command(directory));
      EXPECT_EQ(digests(again), expected) << "killed after " << moment.count() << " ms";
    }
  }
}

TEST_F(RunTest, OneProcessKilledNeedsNoResume) {
  const Digests expected = undisturbed();
  for (const char* role : {"coordinator", "dataserver", "worker"}) {
    for (const int tenths : {3, 6}) {
      const std::string directory = std::string(role) + "-" + std::to_string(tenths);
      Process process(folder_.path(), directory, command(directory));
      ASSERT_TRUE(trains_to(process, directory, 30 * tenths)) << process.err();
      const pid_t victim = process.child(role);
      ASSERT_NE(victim, 0) << role << " is not among the children";
      kill(victim, SIGKILL);
      ASSERT_TRUE(process.wait(std::chrono::minutes(5))) << role << " was not survived";
      EXPECT_EQ(process.exit_code(), 0) << process.err();
      EXPECT_EQ(digests(process), expected) << role << " killed";
    }
  }
}

TEST_F(RunTest, CtrlCStopsWithACheckpointAndResumes) {
  const Digests expected = undisturbed();
  Process process(folder_.path(), "interrupted", command("interrupted"));
  ASSERT_TRUE(trains_to(process, "interrupted", 30)) << process.err();
  process.signal_group(SIGINT);  // a terminal sends it to the whole group
  ASSERT_TRUE(process.wait(std::chrono::minutes(2)));
  EXPECT_EQ(process.exit_code(), 3) << process.err();
  EXPECT_NE(process.err().find("--resume"), std::string::npos) << process.err();
  EXPECT_EQ(resumed("interrupted"), expected);
}

TEST_F(RunTest, ADamagedNewestCheckpointIsPassedOver) {
  const Digests expected = undisturbed();
  Process process(folder_.path(), "damaged", command("damaged"));
  ASSERT_TRUE(trains_to(process, "damaged", 200)) << process.err();
  process.signal_group(SIGKILL);
  process.wait(std::chrono::seconds(10));
  namespace fs = std::filesystem;
  const std::string checkpoints = folder_.path() + "/damaged/checkpoints";
  long newest = -1;
  for (const auto& entry : fs::directory_iterator(checkpoints)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step-") && fs::exists(entry.path() / "manifest"))
      newest = std::max(newest, std::stol(name.substr(5)));
  }
  ASSERT_GE(newest, 8) << "too few checkpoints to test with";
  for (const auto& entry : fs::directory_iterator(checkpoints + "/step-" + std::to_string(newest))) {
    if (entry.path().filename() == "manifest") continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(fs::file_size(entry.path()) / 2));
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(fs::file_size(entry.path()) / 2));
    file.put(byte);
  }
  EXPECT_EQ(resumed("damaged"), expected);
}

TEST_F(RunTest, AnUnfinishedRunIsNeverOverwritten) {
  Process process(folder_.path(), "first", command("first"));
  ASSERT_TRUE(trains_to(process, "first", 1)) << process.err();
  process.signal_group(SIGKILL);
  process.wait(std::chrono::seconds(10));
  Process second = run(folder_.path(), "second", command("first"));
  EXPECT_EQ(second.exit_code(), 2);
  EXPECT_NE(second.err().find("--resume"), std::string::npos) << second.err();
  Process changed = run(folder_.path(), "changed", command("first", true, {"--set", "train.learning_rate=0.5"}));
  EXPECT_EQ(changed.exit_code(), 2);
  EXPECT_NE(changed.err().find("learning_rate"), std::string::npos) << changed.err();
}

}  // namespace
}  // namespace strand::e2e
