// Several data servers: one of two is killed with SIGKILL in the midst of a run, and neither the bits nor the times of
// the steps show it; afterwards the run is audited.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "shared/base/text.h"
#include "tests/e2e/process.h"

namespace strand::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

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
steps = 400
lanes = 2
micro_batch = 8
learning_rate = 1e-3
warmup = 5
precision = "fp32"
[parallel]
threads = 1
[checkpoint]
every = 50
)";

class DataServersTest : public testing::Test {
 protected:
  void SetUp() override {
    write_file(folder_.path() + "/small.fa", small_fasta(60000, 1));
    write_file(folder_.path() + "/job.toml", kJob);
  }
  std::vector<Json> records(const std::string& directory) const {
    std::vector<Json> found;
    for (const std::string& line : split(read_file(folder_.path() + "/" + directory + "/metrics.jsonl"), '\n')) {
      const auto json = parse_json(line, "metrics");
      if (json.ok() && json->is_object()) found.push_back(*json);
    }
    return found;
  }
  // Waits until that many steps are recorded.
  bool reaches(const std::string& directory, size_t steps) const {
    const auto end = std::chrono::steady_clock::now() + seconds(60);
    while (records(directory).size() < steps) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(milliseconds(10));
    }
    return true;
  }
  TemporaryFolder folder_;
};

TEST_F(DataServersTest, OneOfTwoKilledAndStoppedCostsNoBitsAndHardlyTime) {
  const Process one = run(folder_.path(), "one", {"run", "job.toml", "--json", "--dir", "one"});
  ASSERT_EQ(one.exit_code(), 0) << one.err();
  Process two(folder_.path(), "two", {"run", "job.toml", "--json", "--dir", "two", "--data-servers", "2"});
  ASSERT_TRUE(reaches("two", 60));
  // First silent without a word, then dead: each time the other one serves on.
  const pid_t first = two.child_named("dataserver"), second = two.child_named("dataserver-2");
  ASSERT_NE(first, 0);
  ASSERT_NE(second, 0);
  ::kill(second, SIGSTOP);
  const size_t before = records("two").size();
  ASSERT_TRUE(reaches("two", before + 60)) << "the run goes on with one server";
  ::kill(second, SIGKILL);
  ASSERT_TRUE(reaches("two", records("two").size() + 40));
  ::kill(first, SIGKILL);
  ASSERT_TRUE(two.wait(seconds(60)));
  ASSERT_EQ(two.exit_code(), 0) << two.err();
  EXPECT_EQ(two.json()["digest"], one.json()["digest"]);
  EXPECT_EQ(two.json()["state_digest"], one.json()["state_digest"]);

  std::vector<double> times;
  const std::vector<Json> steps = records("two");
  EXPECT_EQ(steps.size(), 400u);
  for (const Json& step : steps) times.push_back(step["step_seconds"].get<double>());
  std::ranges::sort(times);
  const double median = times[times.size() / 2], longest = times.back();
  std::printf("median step %.4f s, longest %.4f s\n", median, longest);
  RecordProperty("median_step_ms", static_cast<int>(median * 1e3));
  RecordProperty("longest_step_ms", static_cast<int>(longest * 1e3));
  EXPECT_LT(longest, median + 2);

  // Both runs took exactly the same rows, and so the store says.
  const std::vector<Json> plain = records("one");
  ASSERT_EQ(plain.size(), steps.size());
  for (size_t i = 0; i < steps.size(); ++i) EXPECT_EQ(steps[i]["audit"], plain[i]["audit"]) << "step " << i + 1;
  const Process audit = run(folder_.path(), "audit", {"data", "audit", "two", "--json"});
  EXPECT_EQ(audit.exit_code(), 0) << audit.err();
  EXPECT_EQ(audit.json()["agrees"], true);
  EXPECT_EQ(audit.json()["steps"], 400);
}

TEST_F(DataServersTest, AnAuditAfterKillAndResumeAgreesAndAFalseRecordIsFound) {
  Process first(folder_.path(), "killed", {"run", "job.toml", "--json", "--dir", "run"});
  ASSERT_TRUE(reaches("run", 120));
  first.signal_group(SIGKILL);
  first.wait(seconds(10));
  const Process resumed = run(folder_.path(), "resumed", {"run", "job.toml", "--json", "--dir", "run", "--resume"});
  ASSERT_EQ(resumed.exit_code(), 0) << resumed.err();
  const Process audit = run(folder_.path(), "audit", {"data", "audit", "run", "--json"});
  EXPECT_EQ(audit.exit_code(), 0) << audit.out() << audit.err();
  EXPECT_EQ(audit.json()["steps"], 400);
  EXPECT_GT(audit.json()["records"], 400) << "replayed steps are recorded and audited, too";

  // One digit of step 200's sum.
  std::string text = read_file(folder_.path() + "/run/metrics.jsonl");
  const size_t line = text.find("\"step\":200,");
  ASSERT_NE(line, std::string::npos);
  const size_t begin = text.rfind('\n', line) + 1, digit = text.find("\"audit\":\"", begin) + 9;
  text[digit] = text[digit] == '0' ? '1' : '0';
  write_file(folder_.path() + "/run/metrics.jsonl", text);
  const Process differs = run(folder_.path(), "differs", {"data", "audit", "run"});
  EXPECT_EQ(differs.exit_code(), 1);
  EXPECT_NE(differs.out().find("step 200 differs"), std::string::npos) << differs.out();
  const Process absent = run(folder_.path(), "absent", {"data", "audit", "nowhere"});
  EXPECT_EQ(absent.exit_code(), 2);
  EXPECT_NE(absent.err().find("nowhere"), std::string::npos);
}

}  // namespace
}  // namespace strand::e2e
