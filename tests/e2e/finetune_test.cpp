// Finetuning as a user meets it: a table in, a chosen checkpoint and its test metrics out; the same after a SIGKILL of
// the worker and after one of everything.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <random>
#include <thread>

#include "tests/e2e/process.h"

namespace strand::e2e {
namespace {

using std::chrono::milliseconds;

// Sequences of 40 bases A, C and G; every second holds GATTACA somewhere.
std::string motif_table(int rows, unsigned seed) {
  std::mt19937 random(seed);
  std::string csv = "sequence,label\n";
  for (int i = 0; i < rows; ++i) {
    std::string sequence;
    for (int b = 0; b < 40; ++b) sequence += "ACG"[random() % 3];
    if (i % 2 == 1) sequence.replace(random() % 33, 7, "GATTACA");
    csv += sequence + (i % 2 == 1 ? ",yes\n" : ",no\n");
  }
  return csv;
}

constexpr const char* kJob = R"(
[job]
name = "motif"
kind = "finetune"
[model]
preset = "omni-dna-20m"
vocabulary = 16
layers = 2
hidden = 32
heads = 4
mlp_hidden = 64
causal = false
[tokenizer]
kind = "nucleotide"
[[task]]
name = "motif"
train = "train.csv"
dev = "dev.csv"
test = "test.csv"
classes = ["no", "yes"]
pooling = "mean"
[train]
steps = 240
lanes = 2
micro_batch = 8
learning_rate = 4e-3
warmup = 10
precision = "fp32"
[parallel]
threads = 1
[checkpoint]
every = 7
keep = 1
[evaluate]
every = 20
patience = 100
)";

class FinetuneTest : public testing::Test {
 protected:
  void SetUp() override {
    write_file(folder_.path() + "/train.csv", motif_table(400, 1));
    write_file(folder_.path() + "/dev.csv", motif_table(60, 2));
    write_file(folder_.path() + "/test.csv", motif_table(100, 3));
    write_file(folder_.path() + "/job.toml", kJob);
  }

  std::vector<std::string> command(const std::string& run, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"run", "job.toml", "--json", "--dir", run};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  // What a disturbed run must agree in with an undisturbed one.
  static Json outcome(const Process& process) {
    const Json json = process.json();
    Json kept;
    for (const char* key : {"state", "step", "metric", "best_step", "best_value", "dev", "test", "digest",
                            "state_digest", "bits_per_base", "markov_bits_per_base"}) {
      kept[key] = json.is_object() && json.contains(key) ? json[key] : Json("absent");
    }
    return kept;
  }

  std::string checkpoint(const std::string& run, int64_t step) const {
    return folder_.path() + "/" + run + "/checkpoints/step-" + std::to_string(step) + "/manifest";
  }

  TemporaryFolder folder_;
};

TEST_F(FinetuneTest, LearnsChoosesReportsOnceAndSurvivesKills) {
  const auto begin = std::chrono::steady_clock::now();
  Process undisturbed = run(folder_.path(), "undisturbed", command("undisturbed"));
  const auto duration = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
  ASSERT_EQ(undisturbed.exit_code(), 0) << undisturbed.err();
  const Json expected = outcome(undisturbed);
  EXPECT_EQ(expected["state"], "done");
  EXPECT_EQ(expected["metric"], "mcc");
  EXPECT_EQ(expected["best_value"], expected["dev"]["mcc"]) << "dev metrics are those of the chosen weights";
  EXPECT_EQ(expected["test"]["rows"], 100);
  EXPECT_GT(expected["test"]["accuracy"].get<double>(), 0.9);
  EXPECT_TRUE(expected["bits_per_base"].is_null());
  EXPECT_TRUE(expected["markov_bits_per_base"].is_null());
  EXPECT_TRUE(std::filesystem::exists(checkpoint("undisturbed", expected["best_step"]))) << "keep = 1, and yet";

  Process evaluated = run(folder_.path(), "evaluated", {"evaluate", "undisturbed", "--json"});
  ASSERT_EQ(evaluated.exit_code(), 0) << evaluated.err();
  EXPECT_EQ(evaluated.json()["step"], expected["best_step"]);
  EXPECT_EQ(evaluated.json()["digest"], expected["digest"]);
  EXPECT_EQ(evaluated.json()["dev"], expected["dev"]);
  EXPECT_EQ(evaluated.json()["test"], expected["test"]);

  Process worker_killed(folder_.path(), "worker", command("worker"));
  worker_killed.wait(duration * 6 / 10);
  const pid_t victim = worker_killed.child("worker");
  EXPECT_NE(victim, 0);
  if (victim != 0) kill(victim, SIGKILL);
  ASSERT_TRUE(worker_killed.wait(std::chrono::seconds(60)));
  EXPECT_EQ(outcome(worker_killed), expected) << worker_killed.err();

  Process killed(folder_.path(), "killed", command("killed", {"--set", "parallel.threads=2"}));
  killed.wait(duration * 7 / 10);
  killed.signal_group(SIGKILL);
  killed.wait(std::chrono::seconds(10));
  ASSERT_FALSE(std::filesystem::exists(folder_.path() + "/killed/result.json")) << "it ended before the kill";
  Process resumed = run(folder_.path(), "resumed", command("killed", {"--resume"}));
  EXPECT_EQ(outcome(resumed), expected) << resumed.err();
}

// A learning rate of next to nothing: the first evaluation stays the best.
TEST_F(FinetuneTest, PatienceEndsEarlyAndTheBestIsReported) {
  Process process = run(folder_.path(), "early",
                        command("early", {"--set", "train.learning_rate=1e-12", "--set", "evaluate.patience=2"}));
  ASSERT_EQ(process.exit_code(), 0) << process.err();
  EXPECT_EQ(process.json()["step"], 60);
  EXPECT_EQ(process.json()["best_step"], 20);
  EXPECT_TRUE(std::filesystem::exists(checkpoint("early", 20)));
}

TEST_F(FinetuneTest, OneLineFinetunesARunOfOurs) {
  Process pretrained = run(folder_.path(), "first", command("first", {"--set", "train.steps=20"}));
  ASSERT_EQ(pretrained.exit_code(), 0) << pretrained.err();
  Process process =
      run(folder_.path(), "second",
          {"finetune", "--model", "first", "--train", "train.csv", "--test", "test.csv", "--dir", "second", "--json",
           "--passes", "1", "--set", "train.precision=fp32", "--set", "task.pooling=mean"});
  ASSERT_EQ(process.exit_code(), 0) << process.err();
  EXPECT_EQ(process.json()["step"], 12) << "360 of 400 rows, 32 a step";
  EXPECT_EQ(process.json()["dev"]["rows"], 40) << "a tenth of the training rows";
  EXPECT_EQ(process.json()["test"]["rows"], 100);
  const std::string job = read_file(folder_.path() + "/second/job.toml");
  EXPECT_NE(job.find("classes = [\"no\", \"yes\"]"), std::string::npos) << job;
  EXPECT_NE(job.find("init = \"" + folder_.path() + "/first\""), std::string::npos) << job;
}

// An empty set and a class nobody declared are refused, whichever set it is; rows that are too long are cut and
// counted, or refused.
TEST_F(FinetuneTest, EverySetIsCheckedBeforeAnythingIsTrained) {
  const std::string folder = folder_.path() + "/";
  write_file(folder + "empty.csv", "sequence,label\n");
  write_file(folder + "other.csv", motif_table(40, 4) + "ACGTACGTAC,maybe\n");
  write_file(folder + "long.csv", motif_table(40, 4) + std::string(500, 'A') + ",no\n");
  const auto tried = [&](const std::string& tag, const std::string& set, const std::string& file,
                         const std::string& too_long) {
    return run(folder_.path(), tag,
               command(tag, {"--set", "task." + set + "=" + file, "--set", "train.steps=1", "--set", "train.warmup=0",
                             "--set", "task.too_long=" + too_long}));
  };
  for (const std::string set : {"train", "dev", "test"}) {
    for (const auto& [file, words] :
         {std::pair("empty.csv", "empty.csv: no rows; expected at least one sequence"),
          {"other.csv", "other.csv: line 42, column \"label\": expected one of no, yes; found \"maybe\""},
          {"long.csv", "long.csv: line 42: a row of more than data.segment = 250 tokens"}}) {
      const Process process = tried(set + file, set, file, "refuse");
      EXPECT_EQ(process.exit_code(), 2) << process.err();
      EXPECT_NE(process.err().find(words), std::string::npos) << set << ": " << process.err();
      EXPECT_FALSE(std::filesystem::exists(folder + set + file)) << "nothing is left behind";
    }
  }
  const Process cut = tried("cut", "test", "long.csv", "cut");
  ASSERT_EQ(cut.exit_code(), 0) << cut.err();
  EXPECT_EQ(cut.json()["test"]["cut_rows"], 1);
  EXPECT_FALSE(cut.json()["dev"].contains("cut_rows"));
  EXPECT_NE(cut.err().find("cut_rows             -         1"), std::string::npos) << cut.err();
}

TEST_F(FinetuneTest, BadInputIsNamed) {
  const auto refused = [&](const std::string& tag, std::vector<std::string> arguments, const std::string& word) {
    Process process = run(folder_.path(), tag, std::move(arguments));
    EXPECT_EQ(process.exit_code(), 2) << tag;
    EXPECT_NE(process.err().find(word), std::string::npos) << process.err();
    EXPECT_FALSE(std::filesystem::exists(folder_.path() + "/" + tag + "/job.toml")) << "nothing is left behind";
  };
  refused("model", {"finetune", "--model", "omni-dna-21m", "--train", "train.csv", "--dir", "model"}, "omni-dna-20m");
  refused("table", {"finetune", "--model", "omni-dna-20m", "--train", "none.csv", "--dir", "table"}, "none.csv");
  refused("column",
          {"finetune", "--model", "omni-dna-20m", "--train", "train.csv", "--label", "lable", "--dir", "column"},
          "\"label\"");
  refused("class", {"run", "job.toml", "--dir", "class", "--set", "task.classes=2"}, "line 2");
}

}  // namespace
}  // namespace strand::e2e
