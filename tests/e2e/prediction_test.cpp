// strand predict on small finetuned models: its metrics are those of the run, and it says what it cuts.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <tuple>

#include "tests/e2e/process.h"

namespace strand::e2e {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTask = R"(
[job]
name = "motif"
kind = "finetune"
[model]
preset = "omni-dna-20m"
vocabulary = 16
layers = 1
hidden = 32
heads = 2
mlp_hidden = 64
causal = false
[tokenizer]
kind = "nucleotide"
[[task]]
name = "motif"
train = "train.csv"
dev = "dev.csv"
test = "test.csv"
pooling = "mean"
)";
constexpr const char* kTaskEnd = R"(
[train]
steps = 30
lanes = 1
micro_batch = 8
learning_rate = 4e-3
warmup = 3
precision = "fp32"
[parallel]
threads = 1
[evaluate]
every = 30
)";

// Finetunes on train.csv and compares strand predict on test.csv with the test metrics of the run, and without labels.
class Prediction : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }
  // Rows of 40 bases, labelled by label(number of G, letters).
  void write_tables(const std::string& column, const std::function<std::string(const std::string&)>& label) {
    for (const auto& [name, rows, seed] :
         {std::tuple("train.csv", 80, 7u), std::tuple("dev.csv", 40, 9u), std::tuple("test.csv", 40, 8u)}) {
      const std::string genome = small_fasta(rows * 40, seed);
      std::string letters, csv = "id,sequence," + column + "\n", bare = "id,sequence\n";
      for (const char c : genome.substr(genome.find('\n'))) letters += c == '\n' ? "" : std::string(1, c);
      for (int r = 0; r < rows; ++r) {
        const std::string sequence = letters.substr(static_cast<size_t>(r) * 40, 40);
        csv += "row" + std::to_string(r) + "," + sequence + "," + label(sequence) + "\n";
        bare += "row" + std::to_string(r) + "," + sequence + "\n";
      }
      write_file(path(name), csv);
      write_file(path("bare.csv"), bare);
    }
  }
  // The TSV of test.csv, whose metrics are those of the run.
  std::vector<std::vector<std::string>> predict(const std::string& task, const std::vector<std::string>& metrics) {
    write_file(path("job.toml"), kTask + task + kTaskEnd);
    const Process trained = run(folder_.path(), "train", {"run", "job.toml", "--dir", "tuned", "--json"});
    EXPECT_EQ(trained.exit_code(), 0) << trained.err();
    const Process predicted =
        run(folder_.path(), "predict",
            {"predict", "tuned", "--input", "test.csv", "--names", "id", "--out", "p.tsv", "--json", "--threads", "2"});
    EXPECT_EQ(predicted.exit_code(), 0) << predicted.err();
    if (!trained.json().is_object() || !predicted.json().is_object()) return {};
    for (const std::string& name : metrics) {
      const Json theirs = trained.json()["test"][name], ours = predicted.json()["metrics"][name];
      EXPECT_TRUE(theirs.is_number() && ours.is_number()) << name << " " << theirs << " " << ours;
      if (!theirs.is_number() || !ours.is_number()) continue;
      EXPECT_NEAR(ours.get<double>(), theirs.get<double>(), 1e-3) << name;
    }
    const Process without =
        run(folder_.path(), "without",
            {"predict", "tuned", "--input", "bare.csv", "--names", "id", "--out", "b.tsv", "--json", "--threads", "1"});
    EXPECT_EQ(without.exit_code(), 0) << without.err();
    EXPECT_TRUE(without.json()["metrics"].is_null());
    auto rows = tsv(read_file(path("p.tsv"))), bare = tsv(read_file(path("b.tsv")));
    EXPECT_EQ(rows.size(), bare.size());
    for (size_t r = 0; r < std::min(rows.size(), bare.size()); ++r) {
      std::vector<std::string> unlabelled = rows[r];
      unlabelled.erase(unlabelled.begin() + 1);
      EXPECT_EQ(unlabelled, bare[r]) << "labels and threads change no prediction";
    }
    return rows;
  }

  TemporaryFolder folder_;
};

TEST_F(Prediction, OfClassesHasTheirProbabilities) {
  write_tables("label", [](const std::string& s) { return std::count(s.begin(), s.end(), 'G') > 9 ? "many" : "few"; });
  const auto rows = predict("classes = [\"few\", \"many\"]\n", {"accuracy", "mcc", "roc_auc"});
  ASSERT_EQ(rows.size(), 41u);
  EXPECT_EQ(rows[0], (std::vector<std::string>{"name", "label", "predicted", "p:few", "p:many"}));
  for (size_t r = 1; r < rows.size(); ++r) {
    EXPECT_EQ(rows[r][0], "row" + std::to_string(r - 1));
    EXPECT_NEAR(std::stod(rows[r][3]) + std::stod(rows[r][4]), 1, 2e-6);
    EXPECT_EQ(rows[r][2], std::stod(rows[r][3]) >= std::stod(rows[r][4]) ? "few" : "many");
  }
  const Process refused = run(folder_.path(), "score", {"score", "tuned", "--input", "bare.csv"});
  EXPECT_EQ(refused.exit_code(), 2);
  EXPECT_NE(refused.err().find("is finetuned"), std::string::npos) << refused.err();
  EXPECT_EQ(run(folder_.path(), "embed", {"embed", "tuned", "--input", "bare.csv", "--out", "e.npy"}).exit_code(), 0);
  write_file(path("l.fa"), ">first|many\nGGGGACGT\n>second label=few\nACGTACGT\n");
  EXPECT_EQ(run(folder_.path(), "fasta", {"predict", "tuned", "--input", "l.fa", "--out", "l.tsv"}).exit_code(), 0);
  const auto labelled = tsv(read_file(path("l.tsv")));
  ASSERT_EQ(labelled.size(), 3u);
  EXPECT_EQ(labelled[1][0] + " " + labelled[1][1], "first many");
  EXPECT_EQ(labelled[2][0] + " " + labelled[2][1], "second few");
  write_file(path("bad.csv"), "sequence,label\nACGT,some\n");
  const Process bad = run(folder_.path(), "bad", {"predict", "tuned", "--input", "bad.csv", "--out", "bad.tsv"});
  EXPECT_EQ(bad.exit_code(), 2);
  EXPECT_NE(bad.err().find("bad.csv: line 2"), std::string::npos) << bad.err();
  EXPECT_FALSE(fs::exists(path("bad.tsv")));
}

// As strand embed says it: which one, and how much of it is lost.
TEST_F(Prediction, SaysWhatItCuts) {
  write_tables("label", [](const std::string& s) { return std::count(s.begin(), s.end(), 'G') > 9 ? "many" : "few"; });
  write_file(path("job.toml"),
             kTask + std::string("classes = [\"few\", \"many\"]\n") + kTaskEnd + "[data]\nsegment = 42\n");
  ASSERT_EQ(run(folder_.path(), "train", {"run", "job.toml", "--dir", "tuned", "--json"}).exit_code(), 0);
  const std::vector<std::string> predict = {"predict", "tuned", "--input", "long.fa", "--out", "long.tsv"};
  const auto said = [&](const std::string& fasta) {
    write_file(path("long.fa"), fasta);
    std::vector<std::string> json = predict;
    json.push_back("--json");
    const Process done = run(folder_.path(), "json", json);
    EXPECT_EQ(done.exit_code(), 0) << done.err();
    return done.json().is_object() ? done.json() : Json::object();
  };
  const std::string row(40, 'A');
  EXPECT_EQ(said(">fits\n" + row + "\n").value("note", "none"), "");
  const std::string one = ">fits\n" + row + "\n>long\n" + row + row + row + "\n";
  EXPECT_EQ(said(one).value("note", ""),
            "1 sequence was cut at data.segment = 42, 80 tokens left out (long keeps 40 of 120 tokens)");
  const std::string note =
      "2 sequences were cut at data.segment = 42, 81 tokens left out (long keeps 40 of 120 tokens, and so on)";
  const Json two = said(one + ">longer\n" + row + "C\n");
  EXPECT_EQ(two.value("note", ""), note);
  EXPECT_EQ(two.value("cut", 0), 2);
  const Process text = run(folder_.path(), "text", predict);
  EXPECT_NE(text.out().find("note        " + note + "\n"), std::string::npos) << text.out();
}

TEST_F(Prediction, OfNumbersIsInTheirOwnUnit) {
  write_tables("label",
               [](const std::string& s) { return std::to_string(1000 + 50 * std::count(s.begin(), s.end(), 'G')); });
  const auto rows = predict("kind = \"regress\"\n", {"mae", "pearson", "r2"});
  ASSERT_EQ(rows.size(), 41u);
  EXPECT_EQ(rows[0], (std::vector<std::string>{"name", "label", "predicted:label"}));
  for (size_t r = 1; r < rows.size(); ++r) {
    EXPECT_GT(std::stod(rows[r][2]), 800) << "z-scores are near 0";
  }
}

}  // namespace
}  // namespace strand::e2e
