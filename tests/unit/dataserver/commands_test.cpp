#include "dataserver/commands.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "tests/unit/dataserver/genomes.h"

namespace strand {
namespace {

using testing::TemporaryFolder;

Json json_of(const Result<CommandReport>& report) {
  EXPECT_TRUE(report.ok()) << report.error().message();
  if (!report.ok()) return Json::object();
  EXPECT_EQ(report->text.back(), '\n');
  auto json = parse_json(report->json, "report");
  EXPECT_TRUE(json.ok());
  return *json;
}

TEST(DataCommands, BuildInspectVerify) {
  const TemporaryFolder folder;
  std::mt19937_64 random(50);
  const std::string file = folder.file(
      "g.fa", testing::fasta({{"chr1", testing::random_sequence(&random, 40000)}, {"chr2", "ACGTNNacgtRYAC"}}, 70));
  DataBuildOptions build;
  build.files = {file};
  build.store = folder.path() + "/store";
  const Json built = json_of(data_build(build));
  EXPECT_EQ(built["bases"], 40014);
  EXPECT_EQ(json_of(data_build(build)), built);

  const std::string job = folder.file(
      "job.toml", concat("[job]\nname = \"t\"\n[model]\npreset = \"omni-dna-20m\"\nvocabulary = 16\n[tokenizer]\n",
                         "kind = \"nucleotide\"\n[data]\nfiles = [\"", file, "\"]\nsegment = 60\n",
                         "holdout = { fraction = 0.1 }\n"));
  DataInspectOptions inspect;
  inspect.store = build.store;
  inspect.job = job;
  inspect.examples = 2;
  const Json seen = json_of(data_inspect(inspect));
  ASSERT_EQ(seen["genomes"].size(), 1u);
  EXPECT_EQ(seen["genomes"][0], built);
  EXPECT_EQ(seen["genomes"][0]["records"][1]["other"], 4);
  EXPECT_EQ(seen["genomes"][0]["records"][1]["lower_case"], 4);
  EXPECT_EQ(seen["examples"].size(), 2u);
  EXPECT_EQ(seen["examples"][0]["text"].get<std::string>().find_first_not_of("ACGT"), std::string::npos);
  EXPECT_GT(seen["dataset"]["eval_rows"], 0);

  EXPECT_EQ(json_of(data_verify({build.store}))["valid"], true);
  const auto absent = data_verify({folder.path() + "/nothing"});
  ASSERT_FALSE(absent.ok());
  EXPECT_FALSE(std::filesystem::exists(folder.path() + "/nothing"));
}

TEST(DataCommands, AnnotationsAreBuiltOnceAndCountedByKind) {
  const TemporaryFolder folder;
  DataBuildOptions build;
  build.files = {folder.file("g.gb",
                             "LOCUS       chr1 20 bp DNA\nFEATURES             Location/Qualifiers\n"
                             "     gene            2..9\nORIGIN\n        1 acgtacgtac gtacgtacgt\n//\n")};
  build.annotations = {folder.file("a.bed", "chr1\t0\t5\nchr1\t7\t20\n")};
  build.store = folder.path() + "/store";
  const Json built = json_of(data_build(build));
  ASSERT_EQ(built["annotations"].size(), 2u) << built.dump();
  std::map<std::string, int> kinds;
  for (const Json& annotation : built["annotations"]) {
    for (const auto& [kind, count] : annotation["kinds"].items()) kinds[kind] += count.get<int>();
  }
  EXPECT_EQ(kinds, (std::map<std::string, int>{{"gene", 1}, {"region", 2}}));
  EXPECT_EQ(json_of(data_build(build)), built);
  DataInspectOptions inspect;
  inspect.store = build.store;
  EXPECT_EQ(json_of(data_inspect(inspect))["genomes"][0], built);
  const auto text = data_inspect(inspect);
  EXPECT_NE(text->text.find("a.bed: region 2"), std::string::npos) << text->text;

  build.annotations = {folder.file("other.bed", "chr1\t0\t21\n")};
  const auto other = data_build(build);
  ASSERT_FALSE(other.ok());
  EXPECT_NE(other.error().message().find("other.bed: line 1: base 21 of record 'chr1', which has 20"),
            std::string::npos)
      << other.error().message();
}

TEST(DataCommands, VerifyFindsAFlippedByteInTheStore) {
  const TemporaryFolder folder;
  std::mt19937_64 random(51);
  DataBuildOptions build;
  build.files = {folder.file("g.fa", testing::fasta({{"chr1", testing::random_letters(&random, 200000, "ACGT")}}, 70))};
  build.store = folder.path() + "/store";
  ASSERT_TRUE(data_build(build).ok());
  int tables = 0;
  for (const auto& entry : std::filesystem::directory_iterator(build.store + "/rocks")) {
    if (entry.path().extension() != ".sst") continue;
    std::string bytes = testing::read_file(entry.path());
    if (bytes.size() < 20000) continue;
    ++tables;
    for (const size_t at : {bytes.size() / 3, bytes.size() / 2}) {
      bytes[at] = static_cast<char>(bytes[at] ^ 0x20);
      folder.file("store/rocks/" + entry.path().filename().string(), bytes);
      const auto verified = data_verify({build.store});
      ASSERT_FALSE(verified.ok());
      EXPECT_EQ(verified.error().code(), ErrorCode::kCorrupt) << verified.error().message();
      bytes[at] = static_cast<char>(bytes[at] ^ 0x20);
      folder.file("store/rocks/" + entry.path().filename().string(), bytes);
    }
  }
  EXPECT_GT(tables, 0);
  EXPECT_TRUE(data_verify({build.store}).ok());
}

TEST(TokenizerCommands, TrainEncodeDecode) {
  const TemporaryFolder folder;
  std::mt19937_64 random(52);
  TokenizerTrainOptions train;
  train.files = {folder.file("g.fa", testing::fasta({{"chr1", testing::random_letters(&random, 20000, "ACGT")}}, 70))};
  train.vocabulary = 100;
  train.output = folder.path() + "/tokenizer.json";
  train.holdout.fraction = 0.25;
  const Json trained = json_of(tokenizer_train(train));
  EXPECT_EQ(trained["vocabulary"], 100);
  EXPECT_EQ(trained["training_bases"], 15000);
  EXPECT_FALSE(std::filesystem::exists(train.output + ".building"));
  const std::string text = testing::random_letters(&random, 300, "ACGT");
  for (const std::string& name : {train.output, std::string("nucleotide"), std::string("kmer:3")}) {
    const Json encoded = json_of(tokenizer_encode({name, text}));
    const auto ids = encoded["ids"].get<std::vector<int32_t>>();
    const Json decoded = json_of(tokenizer_decode({name, ids}));
    std::string letters = decoded["text"].get<std::string>();
    letters.erase(std::remove(letters.begin(), letters.end(), ' '), letters.end());
    EXPECT_EQ(letters, text) << name;
  }
  EXPECT_FALSE(tokenizer_decode({"nucleotide", {99}}).ok());
  EXPECT_FALSE(tokenizer_encode({folder.path() + "/absent.json", "ACGT"}).ok());
  EXPECT_FALSE(tokenizer_encode({"kmer:x", "ACGT"}).ok());
}

}  // namespace
}  // namespace strand
