// Weights in and out of real runs: what a run trained is exported, imported, and trained on from, with the same
// digests.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "shared/base/text.h"
#include "tests/e2e/process.h"

namespace strand::e2e {
namespace {

class Weights : public testing::Test {
 protected:
  void SetUp() override {
    write_file(at("genome.fna"), small_fasta(20000, 3));
    write_file(at("job.toml"), R"(
[job]
name = "small"
[model]
layers = 2
hidden = 32
heads = 4
mlp_hidden = 48
vocabulary = 16
max_sequence = 64
[data]
files = ["genome.fna"]
segment = 64
holdout = { fraction = 0.1 }
[train]
steps = 3
lanes = 1
micro_batch = 4
warmup = 1
[evaluate]
every = 0
)");
  }
  std::string at(const std::string& name) const { return folder_.path() + "/" + name; }
  Json strand(const std::string& tag, const std::vector<std::string>& arguments, int exit_code = 0) {
    std::vector<std::string> all = arguments;
    all.emplace_back("--json");
    const Process process = run(folder_.path(), tag, all);
    EXPECT_EQ(process.exit_code(), exit_code) << tag << ": " << process.err();
    return process.json();
  }
  TemporaryFolder folder_;
};

TEST_F(Weights, OutInAndOn) {
  const Json trained = strand("run", {"run", at("job.toml"), "--dir", at("a")});
  const Json exported = strand("export", {"export", at("a"), at("out")});
  EXPECT_EQ(exported["digest"], trained["digest"]);
  EXPECT_EQ(exported["step"], 3);
  for (const char* file : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}) {
    EXPECT_TRUE(std::filesystem::exists(at("out/") + file)) << file << ": without it Python guesses";
  }
  const Json by_path = strand("export-path", {"export", at("a/checkpoints/step-3"), at("out-path")});
  EXPECT_EQ(by_path["digest"], trained["digest"]);
  EXPECT_EQ(by_path["step"], 3);
  const Json imported = strand("import", {"import", at("out"), "--dir", at("b")});
  EXPECT_EQ(imported["digest"], trained["digest"]);
  EXPECT_EQ(strand("digest", {"digest", at("b")})["digest"], trained["digest"]);
  // One step from a run, from an import and from published weights: the same weights; from random ones, others.
  const auto one_step = [&](const std::string& tag, const std::string& init) {
    return strand(tag, {"run", at("job.toml"), "--dir", at(tag), "--set", "train.steps=1", "--set",
                        "model.init=\"" + init + "\""});
  };
  const Json from_run = one_step("from-run", at("a")), from_import = one_step("from-import", at("b"));
  const Json from_files = one_step("from-files", at("out")), from_random = one_step("from-random", "random");
  EXPECT_EQ(from_run["digest"], from_import["digest"]);
  EXPECT_EQ(from_run["digest"], from_files["digest"]);
  EXPECT_NE(from_run["digest"], from_random["digest"]);
  EXPECT_LT(from_run["train_loss"].get<double>(), from_random["train_loss"].get<double>())
      << "three steps of training are worth something";
}

TEST_F(Weights, ATasksHeadLeavesBesideTheModel) {
  std::string table = "sequence,label\n";
  for (int i = 0; i < 80; ++i) table += concat(i % 2 == 0 ? "ACGTACGTAC,no" : "GGTTGGTTGG,yes", "\n");
  write_file(at("train.csv"), table);
  strand("run", {"run", at("job.toml"), "--dir", at("a"), "--set", "train.steps=1"});
  strand("finetune", {"finetune", "--model", at("a"), "--train", at("train.csv"), "--dir", at("b"), "--passes", "1"});
  strand("export", {"export", at("b"), at("out")});
  const std::string head = read_file(at("out/task_head.safetensors"));
  EXPECT_NE(head.find("\"task.head.0.weight\":{\"dtype\":\"F32\",\"shape\":["), std::string::npos)
      << head.substr(0, 300);
  EXPECT_EQ(read_file(at("out/job.toml")), read_file(at("b/job.toml"))) << "it says pooling and classes";
  EXPECT_EQ(read_file(at("out/model.safetensors")).find("task."), std::string::npos);
}

// Published weights of every family in, a task learned in full, its predictions and the weights out again.
TEST_F(Weights, EveryFamilyIsFinetunedFromItsPublishedForm) {
  std::string table = "sequence,label\n";
  for (int i = 0; i < 40; ++i) table += concat(i % 2 == 0 ? "ACGTACGTAC,no" : "GGTTGGTTGG,yes", "\n");
  write_file(at("train.csv"), table);
  for (const std::string preset : {"opt-125m", "opt-350m", "dnabert-2-117m", "nt-v1-500m", "nt-v2-50m", "dna-fm-300m",
                                   "omni-dna-20m", "omni-dna-300m"}) {
    SCOPED_TRACE(preset);
    std::vector<std::string> pretrain = {"run",   at("job.toml"),  "--dir", at(preset),
                                         "--set", "train.steps=1", "--set", "model.preset=\"" + preset + "\""};
    if (preset == "opt-350m") pretrain.insert(pretrain.end(), {"--set", "model.embedding_width=20"});
    const Json trained = strand(preset + "-run", pretrain);
    const std::string published = at(preset + "-published"), tuned = at(preset + "-tuned");
    EXPECT_EQ(strand(preset + "-export", {"export", at(preset), published})["digest"], trained["digest"]);
    const Json result = strand(preset + "-finetune", {"finetune", "--model", published, "--train", at("train.csv"),
                                                      "--dir", tuned, "--passes", "3", "--set", "train.lanes=1"});
    EXPECT_EQ(result["dev"]["rows"], 4);
    strand(preset + "-predict", {"predict", tuned, "--input", at("train.csv"), "--out", at(preset + ".tsv")});
    const std::string predicted = read_file(at(preset + ".tsv"));
    EXPECT_EQ(std::ranges::count(predicted, '\n'), 41) << predicted.substr(0, 200);
    strand(preset + "-out", {"export", tuned, at(preset + "-out")});
    EXPECT_EQ(read_file(at(preset + "-out/config.json")), read_file(published + "/config.json"));
    EXPECT_NE(read_file(at(preset + "-out/model.safetensors")), read_file(published + "/model.safetensors"));
  }
}

TEST_F(Weights, WhatDoesNotFitIsListedAtOnceAndNothingIsWritten) {
  strand("run", {"run", at("job.toml"), "--dir", at("a"), "--set", "train.steps=1"});
  strand("export", {"export", at("a"), at("out")});
  const auto replace = [&](const std::string& file, const std::string& from, const std::string& to) {
    std::string text = read_file(at(file));
    ASSERT_NE(text.find(from), std::string::npos) << file << ": " << from;
    write_file(at(file), text.replace(text.find(from), from.size(), to));
  };
  replace("out/model.safetensors", "model.layers.1.input_layernorm", "model.layers.9.input_layernorm");
  replace("out/config.json", "\"vocab_size\": 16", "\"vocab_size\": 17");
  const Process import = run(folder_.path(), "import", {"import", at("out"), "--dir", at("b")});
  EXPECT_EQ(import.exit_code(), 2);
  for (const char* line :
       {"out/model.safetensors: 3 tensors do not fit", "missing   model.layers.1.input_layernorm.weight, expected [32]",
        "surplus   model.layers.9.input_layernorm.weight [32]",
        "misshapen model.embed_tokens.weight, expected [17, 32], found [16, 32]"}) {
    EXPECT_NE(import.err().find(line), std::string::npos) << "no \"" << line << "\" in: " << import.err();
  }
  EXPECT_FALSE(std::filesystem::exists(at("b")));
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"run", at("job.toml"), "--dir", at("c"), "--set", "model.init=\"" + at("out") + "\""},
        {"export", at("out"), at("c")},
        {"embed", at("out"), "--input", at("genome.fna"), "--too-long", "split", "--out", at("c")}}) {
    EXPECT_EQ(run(folder_.path(), command[0], command).exit_code(), 2) << command[0];
    EXPECT_FALSE(std::filesystem::exists(at("c"))) << command[0];
  }
}

TEST_F(Weights, AConfigurationFarBeyondItsWeightsIsBadInputAndNotesAreShown) {
  strand("run", {"run", at("job.toml"), "--dir", at("a"), "--set", "train.steps=1"});
  strand("export", {"export", at("a"), at("out")});
  Json config = parse_json(read_file(at("out/config.json")), "config.json").value();
  config["attention_dropout"] = 0.5;
  write_file(at("out/config.json"), dump_json(config));
  const std::string note = "attention_dropout 0.5 of config.json is left out: Strand trains without it";
  const Process shown = run(folder_.path(), "shown", {"import", at("out"), "--dir", at("shown")});
  EXPECT_NE(shown.out().find("note        " + note), std::string::npos) << shown.out();
  EXPECT_EQ(strand("listed", {"import", at("out"), "--dir", at("listed")})["notes"], Json({note}));
  config["num_hidden_layers"] = 1024;
  config["hidden_size"] = 1 << 16;
  config["intermediate_size"] = 1 << 18;
  config["head_dim"] = nullptr;
  write_file(at("out/config.json"), dump_json(config));
  write_file(at("train.csv"), "sequence,label\nACGT,0\nGGTT,1\n");
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"run", at("job.toml"), "--dir", at("c"), "--set", "model.init=\"" + at("out") + "\""},
        {"import", at("out"), "--dir", at("c")},
        {"export", at("out"), at("c")},
        {"digest", at("out")},
        {"finetune", "--model", at("out"), "--train", at("train.csv"), "--dir", at("c")},
        {"embed", at("out"), "--input", at("genome.fna"), "--too-long", "split", "--out", at("c")}}) {
    const Process refused = run(folder_.path(), command[0], command);
    EXPECT_EQ(refused.exit_code(), 2) << command[0] << ": " << refused.err();
    EXPECT_NE(refused.err().find("tensors do not fit the configuration"), std::string::npos)
        << command[0] << ": " << refused.err();
  }
}

TEST_F(Weights, AnotherModelThanTheJobsIsBadInput) {
  strand("run", {"run", at("job.toml"), "--dir", at("a"), "--set", "train.steps=1"});
  const Process other = run(
      folder_.path(), "other",
      {"run", at("job.toml"), "--dir", at("b"), "--set", "model.init=\"" + at("a") + "\"", "--set", "model.layers=3"});
  EXPECT_EQ(other.exit_code(), 2);
  EXPECT_NE(other.err().find("model.layers: the job has 3, the weights have 2"), std::string::npos) << other.err();
  const Process full = run(folder_.path(), "full", {"export", at("a"), at("a")});
  EXPECT_EQ(full.exit_code(), 2);
  EXPECT_NE(full.err().find("is not empty"), std::string::npos) << full.err();
}

}  // namespace
}  // namespace strand::e2e
