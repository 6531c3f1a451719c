// strand embed, score and generate on small trained models: files in, files out, and what is refused.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <memory>

#include "tests/e2e/process.h"

namespace strand::e2e {
namespace {

namespace fs = std::filesystem;

constexpr const char* kJob = R"([job]
name = "small"
[model]
preset = "omni-dna-20m"
vocabulary = 16
layers = 2
hidden = 32
heads = 2
mlp_hidden = 64
max_sequence = 130
[tokenizer]
kind = "nucleotide"
[data]
files = ["small.fa"]
segment = 66
[data.holdout]
fraction = 0.1
[train]
steps = 30
lanes = 1
micro_batch = 8
warmup = 3
learning_rate = 0.01
[parallel]
threads = 1
)";

// One causal and one masked model for all tests of this file.
class Inference : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    write_file(path("small.fa"), small_fasta(20000, 1));
    write_file(path("job.toml"), kJob);
    const Process causal = run(folder_->path(), "train", {"run", "job.toml", "--dir", "causal"});
    ASSERT_EQ(causal.exit_code(), 0) << causal.err();
    const Process masked =
        run(folder_->path(), "train", {"run", "job.toml", "--dir", "masked", "--set", "model.causal=false"});
    ASSERT_EQ(masked.exit_code(), 0) << masked.err();
    genome_.clear();
    for (const char c : read_file(path("small.fa")).substr(read_file(path("small.fa")).find('\n'))) {
      if (c != '\n') genome_ += c;
    }
    write_file(path("genome.fa"), ">chr\n" + genome_ + "\n");
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static std::string path(const std::string& name) { return folder_->path() + "/" + name; }
  static Process strand(const std::vector<std::string>& arguments) {
    static int number = 0;
    return run(folder_->path(), "command-" + std::to_string(++number), arguments);
  }
  static Process works(const std::vector<std::string>& arguments) {
    Process process = strand(arguments);
    EXPECT_EQ(process.exit_code(), 0) << process.err();
    return process;
  }
  static void refused(const std::vector<std::string>& arguments, const std::vector<std::string>& words) {
    const Process process = strand(arguments);
    EXPECT_EQ(process.exit_code(), 2) << process.err();
    for (const std::string& word : words) {
      EXPECT_NE(process.err().find(word), std::string::npos) << "no \"" << word << "\" in: " << process.err();
    }
  }
  // The scores of variants in a VCF's rows, last column of each line.
  static std::vector<std::string> scores(const std::string& model, const std::string& genome, const std::string& rows,
                                         const std::vector<std::string>& more = {}) {
    write_file(path("v.vcf"), "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\n" + rows);
    std::vector<std::string> arguments = {"score", model,   "--genome", genome,      "--variants",
                                          "v.vcf", "--out", "v.tsv",    "--context", "64"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    works(arguments);
    std::vector<std::string> found;
    for (const auto& row : tsv(read_file(path("v.tsv")))) found.push_back(row.back());
    EXPECT_EQ(found.at(0), "score");
    found.erase(found.begin());
    return found;
  }
  static char other(char base) { return base == 'A' ? 'C' : 'A'; }

  static std::unique_ptr<TemporaryFolder> folder_;
  static std::string genome_;
};
std::unique_ptr<TemporaryFolder> Inference::folder_;
std::string Inference::genome_;

TEST_F(Inference, VectorsDoNotDependOnFormatThreadsOrNeighbours) {
  write_file(path("a.fa"), ">one\nACGTACGTACGT\n>two\n" + genome_.substr(0, 100) + "\n>three\nNNACGTTT\n");
  write_file(path("a.csv"), "id,dna\none,acgtacgtacgt\ntwo," + genome_.substr(0, 100) + "\nthree,NNACGTTT\n");
  write_file(path("two.txt"), genome_.substr(0, 100) + "\n");
  const Process fasta = works({"embed", "causal", "--input", "a.fa", "--out", "a.npy", "--json", "--threads", "1"});
  works(
      {"embed", "causal", "--input", "a.csv", "--column", "dna", "--names", "id", "--out", "b.npy", "--threads", "2"});
  works({"embed", "causal", "--input", "two.txt", "--out", "c.npy"});
  works({"embed", "causal", "--input", "a.fa", "--out", "a.safetensors"});
  const std::string all = read_file(path("a.npy"));
  EXPECT_EQ(all, read_file(path("b.npy")));
  EXPECT_EQ(all.size(), 128u + 3 * 32 * 4);
  EXPECT_EQ(all.substr(128 + 128, 128), read_file(path("c.npy")).substr(128));
  const std::string tensors = read_file(path("a.safetensors"));
  EXPECT_EQ(tensors.substr(tensors.size() - 384), all.substr(128));
  EXPECT_EQ(fasta.json().value("sequences", 0), 3);
  EXPECT_EQ(fasta.json().value("dimensions", 0), 32);
  EXPECT_GT(fasta.json().value("sequences_per_second", 0.0), 0);
  EXPECT_EQ(read_file(path("a.npy.names.tsv")), "index\tname\ttokens\n0\tone\t12\n1\ttwo\t100\n2\tthree\t8\n");
  EXPECT_EQ(read_file(path("a.npy.names.tsv")), read_file(path("b.npy.names.tsv")));
}

TEST_F(Inference, EveryPoolingAndLayerGivesItsVectors) {
  write_file(path("p.txt"), "ACGTACGTACGT\nTTTTGGGG\n");
  std::vector<std::string> seen;
  for (const std::string pooling : {"mean", "max", "cls", "last"}) {
    for (const std::string layer : {"-1", "0", "2"}) {
      works({"embed", "masked", "--input", "p.txt", "--out", "p.npy", "--pooling", pooling, "--layer", layer});
      seen.push_back(read_file(path("p.npy")).substr(128));
      EXPECT_EQ(seen.back().size(), 2u * 32 * 4);
      // The embedding of [CLS] and of [SEP] are what they are; all else differs.
      for (size_t i = 0; i + 1 < seen.size(); ++i) EXPECT_NE(seen[i], seen.back()) << pooling << " " << layer;
    }
  }
  works({"embed", "masked", "--input", "p.txt", "--out", "p.safetensors", "--pooling", "none"});
  const std::string tokens = read_file(path("p.safetensors"));
  EXPECT_NE(tokens.find("\"tokens.00000001\":{\"dtype\":\"F32\",\"shape\":[8,32]"), std::string::npos);
  refused({"embed", "masked", "--input", "p.txt", "--out", "n.npy", "--pooling", "none"}, {"n.npy", ".safetensors"});
  refused({"embed", "masked", "--input", "p.txt", "--out", "n.npy", "--layer", "3"}, {"--layer 3", "2"});
  refused({"embed", "masked", "--input", "p.txt", "--out", "n.txt"}, {"n.txt", ".npy"});
}

TEST_F(Inference, SequencesThatAreTooLongAreRefusedCutOrSplit) {
  write_file(path("l.fa"), ">short\nACGT\n>long\n" + genome_.substr(0, 300) + "\n");
  const std::vector<std::string> embed = {"embed", "causal", "--input", "l.fa", "--out", "l.npy"};
  refused(embed, {"l.fa: line 3: long: 300 tokens and 2 special ones", "130", "--too-long"});
  for (const std::string option : {"--max-tokens", "--threads"}) {
    std::vector<std::string> negative = embed;
    negative.insert(negative.end(), {option, "-5"});
    refused(negative, {option, "-5"});
  }
  EXPECT_FALSE(fs::exists(path("l.npy"))) << "nothing is written of a refused input";
  EXPECT_FALSE(fs::exists(path("l.npy.names.tsv")));
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), embed.begin(), embed.end());
    more.push_back("--json");
    const Json json = works(more).json();
    return json.is_object() ? json.value("note", "") : std::string("none");
  };
  EXPECT_EQ(with({"--too-long", "cut"}),
            "1 sequence was cut at the model's longest row, 172 tokens left out (long keeps 128 of 300 tokens)");
  const std::string cut = read_file(path("l.npy"));
  EXPECT_EQ(with({"--too-long", "split"}), "1 sequence was split into rows of the model's longest");
  const std::string split = read_file(path("l.npy"));
  EXPECT_EQ(with({"--max-tokens", "102", "--too-long", "cut"}),
            "1 sequence was cut at the model's longest row, 200 tokens left out (long keeps 100 of 300 tokens)");
  EXPECT_EQ(with({"--max-tokens", "400"}), "");
  const std::string whole = read_file(path("l.npy"));
  EXPECT_EQ(cut.substr(0, 256), whole.substr(0, 256));
  EXPECT_NE(cut.substr(256), whole.substr(256));
  EXPECT_NE(split.substr(256), cut.substr(256));
}

TEST_F(Inference, LikelihoodsAreThoseOfTheSequence) {
  write_file(path("s.fa"), ">genome\n" + genome_.substr(1000, 100) + "\n>homopolymer\n" + std::string(100, 'G') + "\n");
  for (const std::string model : {"causal", "masked"}) {
    works({"score", model, "--input", "s.fa", "--out", "s.tsv", "--threads", "1"});
    const auto rows = tsv(read_file(path("s.tsv")));
    ASSERT_EQ(rows.size(), 3u);
    EXPECT_EQ(rows[0], (std::vector<std::string>{"name", "tokens", "bases", "log_likelihood", "bits_per_base"}));
    EXPECT_EQ(rows[1][1], "100");
    const double nats = std::stod(rows[1][3]), bits = std::stod(rows[1][4]);
    EXPECT_NEAR(bits, -nats / std::log(2.0) / 100, 1e-5);
    EXPECT_LT(bits, 3) << model << ": 16 equally likely tokens would be 4";
    EXPECT_GT(std::stod(rows[2][4]), 0);
    const Json json = works({"score", model, "--input", "s.fa", "--json", "--threads", "2"}).json();
    EXPECT_NEAR(json["scores"][0]["log_likelihood"].get<double>(), nats, 1e-6);
  }
}

TEST_F(Inference, AVariantBackIsTheOppositeOfTheVariant) {
  const size_t at = 5000;  // from 0
  const char ref = genome_[at], alt = other(ref);
  std::string changed = genome_;
  changed[at] = alt;
  write_file(path("changed.fa"), ">chr\n" + changed + "\n");
  const auto row = [&](char from, char to) { return "chr\t5001\t.\t" + std::string(1, from) + "\t" + to + "\n"; };
  for (const std::string model : {"causal", "masked"}) {
    for (const std::vector<std::string>& more : {std::vector<std::string>{}, {"--both-strands"}}) {
      const double there = std::stod(scores(model, "genome.fa", row(ref, alt), more).at(0));
      const double back = std::stod(scores(model, "changed.fa", row(alt, ref), more).at(0));
      EXPECT_NEAR(there, -back, 1e-4) << model;
      EXPECT_GT(std::abs(there), 1e-3) << model;
    }
  }
}

TEST_F(Inference, VariantsOfEveryKindKeepTheirRows) {
  const std::string three = genome_.substr(299, 3);
  const std::string ref = genome_.substr(99, 1);
  const std::string rows = "chr\t300\t.\t" + three + "\t" + three.substr(0, 1) + "\n" +                 // a deletion
                           "chr\t100\t.\t" + ref + "\t" + ref + "GG," + other(ref[0]) + ",<DEL>,*\n" +  // and others
                           "chr\t1\t.\t" + genome_.substr(0, 1) + "\t" + other(genome_[0]) + "\n" + "chr\t20000\t.\t" +
                           genome_.substr(19999, 1) + "\t.\n";
  for (const std::string model : {"causal", "masked"}) {
    const auto found = scores(model, "genome.fa", rows);
    ASSERT_EQ(found.size(), 7u);
    for (const size_t i : {0, 1, 2, 5}) EXPECT_TRUE(std::isfinite(std::stod(found[i]))) << model << " " << found[i];
    for (const size_t i : {3, 4, 6}) EXPECT_EQ(found[i], ".");
    const auto lines = tsv(read_file(path("v.tsv")));
    EXPECT_EQ(lines[1][1], "300") << "rows keep their order";
    EXPECT_EQ(lines[3][3], std::string(1, other(ref[0])));
  }
}

// Of tokens that are several bases: the pseudo-likelihood of the record with ALT less that with REF.
TEST_F(Inference, AMaskedModelOfKmersScoresTheWholeWindow) {
  works({"run", "job.toml", "--dir", "kmers", "--set", "model.causal=false", "--set", "model.vocabulary=73", "--set",
         "tokenizer.kind=\"kmer\"", "--set", "tokenizer.k=3", "--set", "train.steps=5"});
  const std::string record = genome_.substr(700, 60), ref = record.substr(40, 1);
  const std::string base(1, other(ref[0])), longer = ref + "GT";
  write_file(path("record.fa"), ">chr\n" + record + "\n");
  const auto with = [&](const std::string& allele) { return record.substr(0, 40) + allele + record.substr(41) + "\n"; };
  write_file(path("alleles.txt"), with(ref) + with(base) + with(longer));
  works({"score", "kmers", "--input", "alleles.txt", "--out", "alleles.tsv"});
  const auto rows = tsv(read_file(path("alleles.tsv")));
  ASSERT_EQ(rows.size(), 4u);
  const auto nats = [&](size_t row) { return std::stod(rows[row][3]); };
  const auto found = scores("kmers", "record.fa", "chr\t41\t.\t" + ref + "\t" + base + "," + longer + "\n");
  ASSERT_EQ(found.size(), 2u);
  for (const size_t i : {0, 1}) {
    EXPECT_NEAR(std::stod(found[i]), nats(i + 2) - nats(1), 1e-3) << "ALT " << i;
    EXPECT_GT(std::abs(std::stod(found[i])), 1e-2) << "ALT " << i;
  }
}

TEST_F(Inference, AVcfOfAnotherGenomeIsRefusedBeforeAnythingIsWritten) {
  const std::string good = "chr\t1\t.\t" + genome_.substr(0, 1) + "\tG\n";
  const std::string wrong(1, other(genome_[499]));
  write_file(path("w.vcf"),
             "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\n" + good + "chr\t500\t.\t" + wrong + "\tG\n");
  const std::vector<std::string> score = {"score",      "causal", "--genome", "genome.fa",
                                          "--variants", "w.vcf",  "--out",    "w.tsv"};
  refused(score,
          {"w.vcf: line 4: chr:500", "expected REF " + wrong, std::string("found ") + genome_[499], "genome.fa"});
  EXPECT_FALSE(fs::exists(path("w.tsv")));
  refused({"score", "causal", "--genome", "genome.fa"}, {"--variants"});
  refused({"score", "causal"}, {"--input"});
  write_file(path("w.vcf"), "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\n" + good);
  std::vector<std::string> wide = score;
  wide.insert(wide.end(), {"--context", "512"});
  refused(wide, {"w.vcf: line 3", "514 tokens", "lower --context from 512"});
  EXPECT_FALSE(fs::exists(path("w.tsv")));
}

// Without --context a window is as wide as a row of the model holds, also for an allele that lengthens it.
TEST_F(Inference, TheDefaultContextFitsTheModel) {
  const std::string ref = genome_.substr(9999, 1);
  write_file(path("d.vcf"), "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\nchr\t10000\t.\t" + ref + "\t" +
                                other(ref[0]) + "," + ref + "ACGTACGT\n");
  const std::vector<std::string> score = {"score",      "causal", "--genome", "genome.fa",
                                          "--variants", "d.vcf",  "--out",    "d.tsv"};
  works(score);
  const auto by_default = tsv(read_file(path("d.tsv")));
  std::vector<std::string> same = score;
  same.insert(same.end(), {"--context", "128"});  // 130 tokens a row, two special ones
  refused(same, {"d.vcf: line 3: chr:10000 " + ref + "ACGTACGT", "lower --context from 128"});
  same.back() = "120";
  works(same);
  const auto narrower = tsv(read_file(path("d.tsv")));
  EXPECT_NE(by_default.at(1).back(), narrower.at(1).back()) << "128 bases around a base for a base";
  EXPECT_EQ(by_default.at(2).back(), narrower.at(2).back()) << "8 bases more leave room for 120";
}

TEST_F(Inference, ABadLineIsRefusedBeforeAnyScoreIsPrinted) {
  write_file(path("last.txt"), "ACGTACGT\nACGTTTTT\nAC-T\n");
  const Process printed = strand({"score", "causal", "--input", "last.txt"});
  EXPECT_EQ(printed.exit_code(), 2);
  EXPECT_NE(printed.err().find("last.txt: line 3"), std::string::npos) << printed.err();
  EXPECT_EQ(printed.out(), "");
  refused({"score", "causal", "--input", "last.txt", "--out", "last.tsv"}, {"last.txt: line 3"});
  EXPECT_FALSE(fs::exists(path("last.tsv")));
}

// However unlikely a placeholder of the vocabulary is, it is no base.
TEST_F(Inference, WhatIsMadeOfBasesReadsAsSequencesAgain) {
  const Json json = works({"generate", "causal", "--prompt", "ACGT", "--tokens", "60", "--temperature", "50", "--count",
                           "20", "--out", "wild.fa", "--json"})
                        .json();
  for (const Json& text : json["texts"]) {
    EXPECT_EQ(text["text"].get<std::string>().find_first_not_of("ACGTN"), std::string::npos) << text["text"];
  }
  works({"embed", "causal", "--input", "wild.fa", "--out", "wild.npy"});
}

TEST_F(Inference, TextsFollowSeedAndPromptAlone) {
  const auto texts = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"generate", "causal", "--tokens", "40", "--json"});
    const Json json = works(more).json();
    std::vector<std::string> found;
    for (const Json& text : json.is_object() ? json["texts"] : Json::array()) found.push_back(text["text"]);
    return found;
  };
  write_file(path("prompts.txt"), "ACGTACGT\nGGGTTT\nTTTTTTTTTTTT\n");
  const auto one = texts({"--prompt", "acgtacgt", "--threads", "1"});
  const auto several = texts({"--input", "prompts.txt", "--threads", "2"});
  ASSERT_EQ(one.size(), 1u);
  ASSERT_EQ(several.size(), 3u);
  EXPECT_EQ(one[0], several[0]);
  EXPECT_LE(one[0].size(), 40u);
  EXPECT_EQ(one[0].find_first_not_of("ACGTN"), std::string::npos) << one[0];
  EXPECT_NE(texts({"--prompt", "ACGTACGT", "--seed", "2"})[0], one[0]);
  EXPECT_EQ(texts({"--prompt", "ACGTACGT", "--top-k", "1"}), texts({"--prompt", "ACGTACGT", "--greedy"}));
  const auto copies = texts({"--prompt", "ACGTACGT", "--count", "3"});
  ASSERT_EQ(copies.size(), 3u);
  EXPECT_EQ(copies[0], one[0]);
  EXPECT_NE(copies[1], copies[0]);
  works({"generate", "causal", "--prompt", "ACGT", "--tokens", "10", "--out", "g.fa"});
  const std::string fasta = read_file(path("g.fa"));
  EXPECT_TRUE(fasta.starts_with(">prompt.1 prompt=4 tokens=")) << fasta;
  EXPECT_NE(fasta.find("\nACGT"), std::string::npos);
}

TEST_F(Inference, WhatCannotBeDoneIsSaid) {
  refused({"generate", "masked", "--prompt", "ACGT"}, {"bidirectional", "causal"});
  refused({"generate", "causal"}, {"--prompt"});
  refused({"generate", "causal", "--prompt", "ACGX"}, {"--prompt", "letter 4 is 'X'"});
  refused({"generate", "causal", "--prompt", std::string(140, 'A')},
          {"--prompt: 141 tokens, the model takes 130", "--max-tokens"});
  refused({"generate", "causal", "--prompt", "A", "--temperature", "0"}, {"--temperature", "--greedy"});
  refused({"embed", "nowhere", "--input", "genome.fa", "--out", "e.npy"}, {"nowhere", "does not exist"});
  refused({"embed", "causal", "--input", "absent.fa", "--out", "e.npy"}, {"absent.fa"});
  write_file(path("bad.txt"), "ACGT\nAC-T\n");
  refused({"embed", "causal", "--input", "bad.txt", "--out", "e.npy"}, {"bad.txt: line 2", "'-'"});
}

}  // namespace
}  // namespace strand::e2e
