#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "shared/base/rng.h"
#include "shared/base/text.h"
#include "shared/job_spec/job_spec.h"

namespace strand {
namespace {

const std::string kMinimal = "[job]\nname = \"a\"\n[data]\nfiles = [\"g.fna\"]\n";

std::string all_of(const ParsedJob& parsed) {
  return job_errors("job.toml", parsed.errors).message();
}

ParsedJob parse(const std::string& text, const std::vector<std::string>& sets = {}) {
  return parse_job(text, "job.toml", "/base", sets);
}

// The one error of the minimal job with `more` lines or settings.
std::string only_error(const std::string& more, const std::vector<std::string>& sets = {}) {
  const ParsedJob parsed = parse(kMinimal + more, sets);
  EXPECT_EQ(parsed.errors.size(), 1u) << more << "\n" << all_of(parsed);
  return all_of(parsed);
}

TEST(JobFile, TheMinimalJobIsTheDefaults) {
  const ParsedJob parsed = parse(kMinimal);
  ASSERT_TRUE(parsed.errors.empty()) << all_of(parsed);
  JobSpec expected;
  expected.job.name = "a";
  expected.data.files = {"/base/g.fna"};
  EXPECT_EQ(parsed.spec, expected);
}

TEST(JobFile, TablesDottedKeysAndInlineTablesAreTheSame) {
  const std::string rest = "[data]\nfiles = [\"/x/../g.fna\"]\n";
  const char* ways[] = {"[job]\nname = \"a\"\n[data.holdout]\nfraction = 0.1\n[train]\nsteps = 5\nwarmup = 1\n",
                        "job.name = \"a\"\ndata.holdout.fraction = 0.1\ntrain.steps = 5\ntrain.warmup = 1\n",
                        "job = {name = \"a\"}\ntrain = {steps = 5, warmup = 1}\n"};
  JobSpec first;
  for (size_t i = 0; i < std::size(ways); ++i) {
    std::string text = ways[i];
    if (i == 0) text += "[data]\nfiles = [\"/x/../g.fna\"]\n";
    if (i == 1) text += "data.files = [\"/x/../g.fna\"]\n";
    if (i == 2) text += "data = {files = [\"/x/../g.fna\"], holdout = {fraction = 0.1}}\n";
    const ParsedJob parsed = parse(text);
    ASSERT_TRUE(parsed.errors.empty()) << all_of(parsed);
    if (i == 0) first = parsed.spec;
    EXPECT_EQ(parsed.spec, first) << text;
  }
  EXPECT_EQ(first.data.files, std::vector<std::string>{"/g.fna"});
  EXPECT_EQ(first.data.holdout.fraction, 0.1);
}

TEST(JobFile, WhatIsExcludedIsReadAndWritten) {
  const ParsedJob parsed = parse(kMinimal + "exclude = [\"chr1:5-9\", \"x.bed.gz\", \"a:b:0-1\"]\n");
  ASSERT_TRUE(parsed.errors.empty()) << all_of(parsed);
  const DataSpec& data = parsed.spec.data;
  EXPECT_EQ(data.exclude.files, std::vector<std::string>{"/base/x.bed.gz"});
  EXPECT_EQ(data.exclude.intervals, (std::vector<HoldoutInterval>{{"chr1", 5, 9}, {"a:b", 0, 1}}));
  const ParsedJob again = parse(effective_job_toml(parsed.spec));
  ASSERT_TRUE(again.errors.empty()) << all_of(again);
  EXPECT_EQ(again.spec, parsed.spec);
}

TEST(JobFile, ThePresetComesFirstWhereverItStands) {
  const ParsedJob parsed = parse(kMinimal + "[model]\nheads = 4\npreset = \"omni-dna-1b\"\nnorm = \"rms\"\n");
  ASSERT_TRUE(parsed.errors.empty()) << all_of(parsed);
  TransformerConfig expected = preset_config("omni-dna-1b").value();
  expected.heads = 4;
  expected.norm = NormKind::kRms;
  EXPECT_EQ(parsed.spec.model.config, expected);
}

// The key of the attention's biases stands for all of them, unless the others have keys of their own.
TEST(JobFile, BiasAloneMeansEveryLinearLayer) {
  const auto biases = [](const std::string& lines, const std::vector<std::string>& sets = {}) {
    const ParsedJob parsed = parse(kMinimal + "[model]\n" + lines, sets);
    EXPECT_TRUE(parsed.errors.empty()) << lines << all_of(parsed);
    const TransformerConfig& c = parsed.spec.model.config;
    return concat(c.bias, c.mlp_up_bias, c.mlp_down_bias);
  };
  EXPECT_EQ(biases(""), "000");
  EXPECT_EQ(biases("bias = true\n"), "111");
  EXPECT_EQ(biases("mlp_up_bias = false\nbias = true\n"), "101");
  EXPECT_EQ(biases("mlp_down_bias = true\n"), "001");
  EXPECT_EQ(biases("mlp_up_bias = false\n", {"model.bias=true"}), "101");
  const std::string opt = "preset = \"opt-125m\"\n";
  EXPECT_EQ(biases(opt), "111");
  EXPECT_EQ(biases(opt + "bias = false\nmlp_up_bias = true\n"), "010");
}

TEST(JobFile, EveryErrorAtOnceWithItsPlace) {
  const ParsedJob parsed = parse(
      "[job]\n"
      "name = \"a b\"\n"                // 2
      "[model]\n"                       //
      "preset = \"omni-dna-20\"\n"      // 4
      "[data]\n"                        //
      "files = []\n"                    // 6
      "  segement = 3\n"                // 7
      "[train]\n"                       //
      "steps = \"many\"\n"              // 9
      "lanes = 3\n"                     // 10
      "beta1 = 1.0\n"                   // 11
      "schedule = \"cosin\"\n"          // 12
      "[parallel]\nreplicas = 4\n"      // 14
      "[[task]]\nname = \"H3\"\n"       // 15
      "[adapter]\nkind = \"lora\"\n");  // 18
  EXPECT_EQ(
      all_of(parsed),
      "job.toml:2:1: job.name: may hold letters, digits, '-', '_' and '.', and not begin with '.': it names the "
      "run directory\n"
      "job.toml:4:1: model.preset: no preset \"omni-dna-20\"; did you mean \"omni-dna-20m\"? Known: " +
          join(preset_names(), ", ") +
          "\n"
          "job.toml:6:1: data.files: name at least one FASTA file: files = [\"genome.fna.gz\"]\n"
          "job.toml:7:3: data.segement: unknown key; did you mean data.segment?\n"
          "job.toml:9:1: train.steps: expected an integer, found string\n"
          "job.toml:10:1: train.lanes: must be a power of two (lanes are the leaves of a binary tree), found 3\n"
          "job.toml:11:1: train.beta1: must be in [0, 1), found 1\n"
          "job.toml:12:1: train.schedule: expected one of constant | linear | cosine | inverse-sqrt, found \"cosin\"; "
          "did you mean \"cosine\"?\n"
          "job.toml:14:1: parallel.replicas: must be at most train.lanes: 4 replicas over 3 lanes\n"
          "job.toml:16:1: task: [[task]] is what a finetuning job learns: set job.kind = \"finetune\", or remove it\n"
          "job.toml:18:1: adapter.kind: [adapter] is not part of this version: remove it");
}

TEST(JobFile, ASyntaxErrorStandsAlone) {
  for (const std::string text : {"[job\n", "a = \n", "a = 1\na = 2\n", "\xff = 1", "[a]\n[a]\n"}) {
    const ParsedJob parsed = parse(text);
    ASSERT_EQ(parsed.errors.size(), 1u) << text;
    EXPECT_GT(parsed.errors[0].line, 0);
    EXPECT_NE(parsed.errors[0].message.find("not valid TOML"), std::string::npos);
  }
  std::string deep = "a";
  for (int i = 0; i < 100000; ++i) deep += ".a";
  EXPECT_NE(all_of(parse(deep + " = 1\n")).find("this is no job file"), std::string::npos);
  EXPECT_NE(all_of(parse("[" + deep + "]\n")).find("this is no job file"), std::string::npos);
}

TEST(JobFile, ImpossibleSizesAreRefusedWithTheMend) {
  struct Case {
    const char *lines, *message;
  };
  const Case cases[] = {
      {"[model]\nheads = 7\n", ":6:1: model.heads: must divide hidden: 7 heads do not divide 256"},
      {"[model]\nhidden = 24\nheads = 8\n", "rotary positions need an even head size, found 24 / 8 = 3"},
      {"[model]\nlayers = 0\n", "must be at least 1, found 0"},
      {"[model]\nlayers = -4\n", "must be at least 1, found -4"},
      {"[model]\ndropout = 1\n", "must be in [0, 1), found 1"},
      {"[model]\ndropout = -0.5\n", "must be in [0, 1), found -0.5"},
      {"[model]\nvocabulary = 15\n", "the tokenizer has 16 ids, the model only 15"},
      {"[model]\nvocabulary = 100000\n", "at most 65536"},
      {"[model]\nmax_sequence = 100\n", "data.segment: rows of 250 tokens do not fit model.max_sequence = 100"},
      {"[model]\nnorm_eps = 0\n", "must be above 0"},
      {"[model]\nembedding_dropout = 1\n", "must be in [0, 1), found 1"},
      {"[model]\nembedding_width = -1\n", "must be at least 0, found -1"},
      {"[model]\ntoken_types = -1\n", "must be at least 0, found -1"},
      {"[model]\nposition_offset = 2\n", ":6:1: model.position_offset: shifts the rows of learned positions only"},
      {"[model]\ntoken_dropout = true\nmask_id = 4096\n", "model.mask_id: is no id of the model: found 4096"},
      {"[model]\nnorm_eps = nan\n", "must be finite"},
      {"[tokenizer]\nkind = \"bpe\"\nvocabulary = 5000\n", "the tokenizer has 5000 ids, the model only 4096"},
      {"[tokenizer]\nkind = \"kmer\"\nk = 6\n", "the tokenizer has 4105 ids, the model only 4096"},
      {"[tokenizer]\nkind = \"kmer\"\nk = 9\n", "must be from 1 to 7, found 9"},
      {"[tokenizer]\nkind = \"file\"\n", "tokenizer.file: name the tokenizer.json"},
      {"segment = 251\n", ":5:1: data.segment: rows of 251 tokens do not fit model.max_sequence = 250"},
      {"segment = 0\n", "must be at least 2, found 0"},
      {"stride = -1\n", "must be at least 0, found -1"},
      {"[data.holdout]\nfraction = 1.0\n", "must be in [0, 1), found 1"},
      {"[data.holdout]\nfraction = -0.1\n", "must be in [0, 1)"},
      {"[data.holdout]\nfraction = 0.1\nrecords = [\"chr1\"]\n", ":6:1: data.holdout: give exactly one of"},
      {"exclude = [\"chr1\"]\n", "data.exclude: expected \"record:begin-end\""},
      {"exclude = [\"a.bed\", \"chr1:9-3\"]\n", "is an empty interval; a file of intervals is called .bed"},
      {"[data.holdout]\nintervals = [\"chr1\"]\n", "expected \"record:begin-end\""},
      {"[data.holdout]\nintervals = [\"chr1:5-5\"]\n", "is an empty interval"},
      {"[data.holdout]\nintervals = [\"chr1:1-99999999999999999999\"]\n", "expected \"record:begin-end\""},
      {"[train]\nsteps = 0\nwarmup = 0\n", "must be at least 1, found 0"},
      {"[train]\nsteps = 1000000000000000000\n", "must be at most"},
      {"[train]\nlanes = 0\n", "must be at least 1, found 0"},
      {"[train]\nlanes = 6\n", "must be a power of two"},
      {"[train]\nmicro_batch = 100000000\n", "must be at most"},
      {"[train]\nwarmup = 1001\n", "is longer than the training: 1001 of 1000 steps; set warmup to at most 1000"},
      {"[train]\nclip = -1\n", "must not be negative"},
      {"[train]\nbeta2 = 1.5\n", "must be in [0, 1), found 1.5"},
      {"[train]\nlearning_rate = 0\n", "must be above 0"},
      {"[train]\nfinal_fraction = 2\n", "must be in [0, 1]"},
      {"[train]\nseed = -1\n", "must not be negative"},
      {"[train]\nsteps = 1.5\n", "expected an integer, found number"},
      {"[train]\nsteps = 1979-05-27\n", "expected an integer, found date or time"},
      {"[train]\nsteps = [1]\n", "expected an integer, found array of integers"},
      {"[train]\nsteps = {}\n", "expected an integer, found table"},
      {"[train]\nprecision = \"fp16\"\n", "expected one of auto | fp32 | bf16, found \"fp16\""},
      {"[train]\ngradient_dtype = \"fp16\"\n", "expected one of fp32 | bf16, found \"fp16\""},
      {"[parallel]\nconsistency = \"asp\"\n", "expected \"bsp\" or \"ssp\", found \"asp\""},
      {"[parallel]\nssp = 2\n", "\"bsp\" waits for every step"},
      {"[parallel]\nssp = -1\n", "must be at least 0, found -1"},
      {"[train]\ndeterministic = 1\n", "expected true or false, found integer"},
      {"[parallel]\nreplicas = 8\n", "must be at most train.lanes: 8 replicas over 4 lanes"},
      {"[parallel]\nmin_replicas = 2\n", "is above replicas: 2 of 1"},
      {"[parallel]\nthreads = -1\n", "must be from 0"},
      {"[checkpoint]\nkeep = 0\n", "must be at least 1"},
      {"[evaluate]\nbatches = 0\n", "must be at least 1"},
  };
  for (const Case& c : cases) {
    EXPECT_NE(only_error(c.lines).find(c.message), std::string::npos) << c.lines << only_error(c.lines);
  }
}

TEST(JobFile, WhatIsUnusualButPossibleIsTaken) {
  EXPECT_TRUE(parse(kMinimal + "[train]\ndeterministic = false\nclip = 0\n[model]\nhidden = 24\nheads = 8\n"
                               "positions = \"learned\"\n")
                  .errors.empty());
  EXPECT_TRUE(parse(kMinimal + "[parallel]\nreplicas = 2\nconsistency = \"ssp\"\nssp = 2\n").errors.empty());
}

TEST(JobFile, WhatThisVersionDoesNotDoIsRefusedPlainly) {
  const char* const lines[] = {
      "[parallel]\ndevice = \"cuda\"\n",
      "[adapter]\nrank = 8\n",
  };
  for (const std::string line : lines) {
    EXPECT_NE(only_error(line).find("this version"), std::string::npos) << only_error(line);
  }
  const ParsedJob kind = parse("[job]\nname = \"a\"\nkind = \"tune\"\n[data]\nfiles = [\"g\"]\n");
  EXPECT_EQ(all_of(kind), "job.toml:3:1: job.kind: expected \"pretrain\" or \"finetune\", found \"tune\"");
}

TEST(JobFile, UnknownKeysNameTheNearest) {
  EXPECT_NE(only_error("[train]\nmicrobatch = 1\n").find("did you mean train.micro_batch?"), std::string::npos);
  EXPECT_NE(only_error("[trian]\nsteps = 1\n").find("did you mean train.steps?"), std::string::npos);
  EXPECT_NE(only_error("[train]\nevery = 1\n").find("did you mean checkpoint.every?"), std::string::npos);
  EXPECT_NE(only_error("[chekpoint]\n").find("did you mean checkpoint?"), std::string::npos);
  EXPECT_NE(only_error("[something]\nquite = 1\n").find("docs/job_file.md lists all keys"), std::string::npos);
  const ParsedJob parsed = parse("train = 5\n" + kMinimal);
  EXPECT_EQ(all_of(parsed), "job.toml:1:1: train: expected a table, found integer");
}

TEST(JobSettings, WinOverTheFileAndAreCheckedAlike) {
  const ParsedJob parsed = parse(kMinimal + "[train]\nsteps = 100\n",
                                 {"train.steps=500", "job.name=2024", "train.schedule=linear", "model.tied=false",
                                  "data.holdout={fraction = 0.25}", "data.files=[\"x\", \"/y\"]", " train.clip = 0.5",
                                  "train.steps=600", "train.learning_rate=1e-4"});
  ASSERT_TRUE(parsed.errors.empty()) << all_of(parsed);
  EXPECT_EQ(parsed.spec.train.steps, 600);
  EXPECT_EQ(parsed.spec.job.name, "2024");
  EXPECT_EQ(parsed.spec.train.schedule, ScheduleKind::kLinear);
  EXPECT_FALSE(parsed.spec.model.config.tied);
  EXPECT_EQ(parsed.spec.data.holdout.fraction, 0.25);
  EXPECT_EQ(parsed.spec.data.files, (std::vector<std::string>{"/base/x", "/y"}));
  EXPECT_EQ(parsed.spec.train.clip, 0.5);
  EXPECT_EQ(parsed.spec.train.learning_rate, 1e-4);
  EXPECT_EQ(only_error("", {"train.lanes=3"}),
            "job.toml: train.lanes: --set: must be a power of two (lanes are the leaves of a binary tree), found 3");
  EXPECT_EQ(only_error("", {"train.step=3"}), "job.toml: train.step: --set: unknown key; did you mean train.steps?");
  EXPECT_EQ(only_error("", {"train.steps=x\ny"}), "job.toml: train.steps: --set: expected an integer, found string");
  EXPECT_NE(only_error("", {"train.steps"}).find("expected key=value"), std::string::npos);
  EXPECT_NE(only_error("", {"=5"}).find("expected key=value"), std::string::npos);
}

// Random values drawn from a seed.
class Dice {
 public:
  explicit Dice(uint64_t seed) : key_(philox_key(seed, Purpose::kTest)) {}
  int64_t whole(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(word() % static_cast<uint64_t>(high - low + 1));
  }
  double real(double low, double high) { return low + (high - low) * open_unit_double(word()); }
  bool coin() { return word() % 2 == 1; }
  std::string text() {
    static constexpr const char* kLetters[] = {"a", "b", " ", "\"", "\\", "#", "=", "\t", "\x7f", "é", "'", "."};
    std::string out;
    for (int64_t n = whole(1, 12); n > 0; --n) out += kLetters[whole(0, std::size(kLetters) - 1)];
    return out;
  }

 private:
  uint32_t word() { return random_word(key_, draws_++, 0, 0); }
  PhiloxKey key_;
  uint64_t draws_ = 0;
};

ModelSpec random_model(Dice& dice) {
  ModelSpec model;
  const std::vector<std::string> presets = preset_names();
  model.preset = presets[static_cast<size_t>(dice.whole(0, static_cast<int64_t>(presets.size()) - 1))];
  TransformerConfig& c = model.config;
  c = preset_config(model.preset).value();
  c.layers = dice.whole(1, 40);
  c.heads = dice.whole(1, 16);
  c.hidden = c.heads * 2 * dice.whole(1, 64);
  c.mlp_hidden = dice.whole(1, 4096);
  c.vocabulary = dice.whole(5000, 65536);
  c.max_sequence = dice.whole(2, 4000);
  c.embedding_width = dice.coin() ? 0 : dice.whole(1, 2000);
  c.norm = static_cast<NormKind>(dice.whole(0, 2));
  c.norm_eps = static_cast<float>(dice.real(1e-7, 1e-2));
  c.norm_placement = static_cast<NormPlacement>(dice.whole(0, 1));
  c.embedding_norm = dice.coin();
  c.final_norm = dice.coin();
  c.positions = static_cast<PositionKind>(dice.whole(0, 3));
  c.position_offset = c.positions == PositionKind::kLearned ? dice.whole(0, 9) : 0;
  c.rope_theta = static_cast<float>(dice.real(1, 1e6));
  c.token_types = dice.whole(0, 3);
  c.mlp = static_cast<MlpKind>(dice.whole(0, 3));
  c.causal = dice.coin();
  c.attention = dice.coin();
  c.bias = dice.coin();
  c.mlp_up_bias = dice.coin();
  c.mlp_down_bias = dice.coin();
  c.tied = dice.coin();
  c.head = static_cast<HeadKind>(dice.whole(0, 1));
  c.head_bias = dice.coin();
  c.embedding_scale = static_cast<float>(dice.real(0.1, 100));
  c.token_dropout = dice.coin();
  c.mask_id = dice.whole(0, 4999);
  c.dropout = dice.real(0, 0.9);
  c.dropout_in_mlp = dice.coin();
  c.embedding_dropout = dice.real(0, 0.9);
  c.init_kind = static_cast<InitKind>(dice.whole(0, 2));
  c.init_std = dice.real(1e-4, 1);
  return model;
}

DataSpec random_data(Dice& dice, int64_t max_sequence) {
  DataSpec data;
  for (int64_t n = dice.whole(1, 3); n > 0; --n) data.files.push_back(concat("/d/", n, dice.text(), "x"));
  data.segment = dice.whole(2, max_sequence);
  data.segment_bases = dice.whole(0, 99999);
  data.stride = dice.whole(0, 99999);
  data.reverse_complement = dice.coin();
  HoldoutSpec& h = data.holdout;
  const int64_t way = dice.whole(0, 4);
  if (way == 1) h.fraction = dice.real(0, 1);
  if (way == 2) h.records = {dice.text(), dice.text()};
  if (way == 3) h.files = {"/h/" + dice.text() + "x"};
  if (way == 4)
    h.intervals = {{dice.text() + ":" + dice.text(), dice.whole(0, 9), dice.whole(10, 1 << 30)}, {"c-1", 0, 1}};
  return data;
}

TrainSpec random_train(Dice& dice) {
  TrainSpec t;
  t.steps = dice.whole(100, 1'000'000);
  t.lanes = int64_t{1} << dice.whole(0, 8);
  t.micro_batch = dice.whole(1, 512);
  t.micro_batches_per_lane = dice.whole(1, 64);
  t.precision = static_cast<Precision>(dice.whole(0, 2));
  t.gradient_dtype = static_cast<GradientDtype>(dice.whole(0, 1));
  t.seed = static_cast<uint64_t>(dice.whole(0, INT32_MAX)) << 31;
  t.deterministic = dice.coin();
  t.learning_rate = dice.real(1e-9, 1);
  t.schedule = static_cast<ScheduleKind>(dice.whole(0, 3));
  t.warmup = dice.whole(0, 100);
  t.final_fraction = dice.real(0, 1);
  t.weight_decay = dice.real(0, 1);
  t.decay_norm_and_bias = dice.coin();
  t.decay_embeddings = dice.coin();
  t.beta1 = dice.real(0, 1);
  t.beta2 = dice.real(0, 1);
  t.epsilon = dice.real(1e-12, 1e-3);
  t.clip = dice.coin() ? 0 : dice.real(0, 10);
  return t;
}

// A random valid job that differs from the defaults in every key a valid job may.
JobSpec random_spec(uint64_t seed) {
  Dice dice(seed);
  JobSpec s;
  s.job.name = concat("job-", dice.whole(0, 99), "_x.y");
  s.job.priority = dice.whole(-9, 9);
  s.job.retries = dice.whole(0, 9);
  s.model = random_model(dice);
  s.tokenizer.kind = static_cast<TokenizerKind>(dice.whole(0, 3));
  s.tokenizer.vocabulary = dice.whole(10, 5000);
  s.tokenizer.k = dice.whole(1, 6);
  if (s.tokenizer.kind == TokenizerKind::kFile) s.tokenizer.file = "/t/" + dice.text() + "x";
  s.data = random_data(dice, s.model.config.max_sequence);
  s.train = random_train(dice);
  s.parallel.schedule = dice.coin() ? "gpipe" : dice.coin() ? "zb-h1" : "1f1b";
  s.parallel.threads = dice.whole(0, 64);
  s.parallel.device = dice.coin() ? "cpu" : "auto";
  s.parallel.backup = dice.coin();
  s.parallel.recompute = dice.coin();
  s.checkpoint.every = dice.whole(0, 1000);
  s.checkpoint.keep = dice.whole(1, 9);
  s.evaluate.every = dice.whole(0, 1000);
  s.evaluate.batches = dice.whole(1, 1000);
  return s;
}

TEST(EffectiveJob, ReadsBackToTheSameValue) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    const JobSpec spec = random_spec(seed);
    const std::string text = effective_job_toml(spec);
    const ParsedJob parsed = parse(text);
    ASSERT_TRUE(parsed.errors.empty()) << "seed " << seed << "\n" << all_of(parsed) << "\n" << text;
    ASSERT_EQ(parsed.spec, spec) << "seed " << seed << "\n" << text;
    ASSERT_EQ(effective_job_toml(parsed.spec), text);
    ASSERT_TRUE(resume_differences(spec, parsed.spec).empty());
  }
}

TEST(Resume, NamesWhatMayNotChange) {
  JobSpec run = parse(kMinimal).spec, wanted = run;
  wanted.job.priority = 5;
  wanted.job.retries = 9;
  wanted.parallel.threads = 7;
  wanted.checkpoint.every = 1;
  wanted.evaluate.batches = 1;
  EXPECT_TRUE(resume_differences(run, wanted).empty());
  wanted.train.learning_rate = 0.002;
  wanted.data.holdout.records = {"chr1"};
  wanted.model.config.norm = NormKind::kLayer;
  EXPECT_EQ(resume_differences(run, wanted),
            (std::vector<std::string>{"model.norm: \"rms\" -> \"layer\"", "data.holdout.records: (none) -> [\"chr1\"]",
                                      "train.learning_rate: 6e-4 -> 0.002"}));
}

// Shapes of many workers are jobs, and are read back as such; but a task has one worker so far.
TEST(LoadJob, ShapesOfManyWorkersAreForPretraining) {
  std::string folder = "/tmp/strand_job_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  std::ofstream(folder + "/g.fna") << ">a\nACGT\n";
  for (const std::string line :
       {"replicas = 2", "stages = 2", "chunks = 2\nschedule = \"interleaved\"", "replicas = 2\nlane_shares = [3, 1]"}) {
    const std::string text = "[job]\nname = \"a\"\n[data]\nfiles = [\"g.fna\"]\n[parallel]\n" + line + "\n";
    std::ofstream(folder + "/job.toml") << text;
    EXPECT_TRUE(load_job(folder + "/job.toml", {}).ok()) << line;
    const auto refused = load_job(folder + "/job.toml", {"job.kind=finetune"});
    ASSERT_FALSE(refused.ok()) << line;
    EXPECT_NE(refused.error().message().find("this version finetunes on one worker"), std::string::npos) << line;
    const ParsedJob parsed = parse_job(text, "job", folder, {});
    ASSERT_TRUE(parsed.errors.empty()) << all_of(parsed);
    EXPECT_EQ(parse_job(effective_job_toml(parsed.spec), "job", folder, {}).spec, parsed.spec) << line;
  }
  std::filesystem::remove_all(folder);
}

TEST(LoadJob, FilesMustExistAndStartAtTheJobFile) {
  std::string folder = "/tmp/strand_job_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder + "/" + name) << text;
  };
  write("job.toml", kMinimal + "[data.holdout]\nfiles = [\"h.fna\"]\n");
  const auto missing = load_job(folder + "/job.toml", {"data.files=[\"g.fna\", \"/tmp\"]"});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code(), ErrorCode::kBadInput);
  EXPECT_EQ(missing.error().message(),
            folder + "/job.toml: data.files: --set: looking at " + folder +
                "/g.fna: No such file or directory; check the spelling of the path; relative paths start at the job "
                "file's folder, " +
                folder + "\n" + folder + "/job.toml:6:1: data.holdout.files: looking at " + folder +
                "/h.fna: No such file or directory; check the spelling of the path; relative paths start at the job "
                "file's folder, " +
                folder);
  write("g.fna", ">a\nACGT\n");
  write("h.fna", ">b\nACGT\n");
  const auto loaded = load_job(folder + "/job.toml", {});
  ASSERT_TRUE(loaded.ok()) << loaded.error().message();
  EXPECT_EQ(loaded->data.files, std::vector<std::string>{folder + "/g.fna"});
  const auto none = load_job(folder + "/none.toml", {});
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code(), ErrorCode::kNotFound);
  std::filesystem::remove_all(folder);
}

TEST(Examples, AreValidJobs) {
  int jobs = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator("examples")) {
    if (entry.path().extension() != ".toml") continue;
    const auto job = load_job(entry.path().string(), {});
    EXPECT_TRUE(job.ok()) << job.error().message();
    ++jobs;
  }
  EXPECT_GE(jobs, 5);
}

}  // namespace
}  // namespace strand
