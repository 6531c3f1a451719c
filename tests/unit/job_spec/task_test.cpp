// [objective] and [[task]]: what a job may learn, and what follows from it.
#include <gtest/gtest.h>

#include <set>

#include "shared/base/rng.h"
#include "shared/base/text.h"
#include "shared/job_spec/objective.h"
#include "shared/metrics/prediction_metrics.h"

namespace strand {
namespace {

const std::string kPretrain = "[job]\nname = \"a\"\n[data]\nfiles = [\"g.fna\"]\n";
const std::string kFinetune = "[job]\nname = \"a\"\nkind = \"finetune\"\n";
const std::string kTask = "[[task]]\nname = \"H3\"\ntrain = \"train.csv\"\nclasses = 2\n";

ParsedJob parse(const std::string& text, const std::vector<std::string>& sets = {}) {
  return parse_job(text, "job.toml", "/base", sets);
}

std::string errors_of(const std::string& text, const std::vector<std::string>& sets = {}) {
  const ParsedJob parsed = parse(text, sets);
  return parsed.errors.empty() ? "" : job_errors("job.toml", parsed.errors).message();
}

void expect_refused(const std::string& text, const std::string& key, const std::string& says) {
  const ParsedJob parsed = parse(text);
  for (const SpecError& error : parsed.errors) {
    if (error.key == key && error.message.find(says) != std::string::npos) return;
  }
  ADD_FAILURE() << text << "lacks " << key << ": " << says << ", but has\n" << errors_of(text);
}

TEST(Objective, FollowsTheModelUnlessItContradicts) {
  JobSpec spec;
  EXPECT_FALSE(masked_objective(spec));
  spec.model.config.causal = false;
  EXPECT_TRUE(masked_objective(spec));
  spec.job.kind = "finetune";
  EXPECT_FALSE(masked_objective(spec));
  expect_refused(kPretrain + "[objective]\nkind = \"masked\"\n", "objective.kind", "model.causal = true");
  expect_refused(kPretrain + "[objective]\nkind = \"next-token\"\n[model]\ncausal = false\n", "objective.kind",
                 "contradicts model.causal = false");
  EXPECT_EQ(errors_of(kPretrain + "[objective]\nkind = \"next-token\"\n"), "");
}

TEST(Objective, SharesAreShares) {
  for (const char* ratio : {"0", "-0.1", "1.01"}) {
    expect_refused(kPretrain + "[objective]\nratio = " + ratio + "\n", "objective.ratio", "above 0 and at most 1");
  }
  expect_refused(kPretrain + "[objective]\nmask = 1.5\n", "objective.mask", "must be in [0, 1]");
  expect_refused(kPretrain + "[objective]\nmask = 0.9\nrandom = 0.2\n", "objective.random", "must be at most 1");
  expect_refused(kPretrain + "[objective]\nmax_ngram = 0\n", "objective.max_ngram", "at least 1");
  expect_refused(kPretrain + "[objective]\nrounding = \"up\"\n", "objective.rounding", "nearest | down");
  expect_refused(kPretrain + "[objective]\ncount_special = 1\n", "objective.count_special", "true or false");
  EXPECT_EQ(errors_of(kPretrain + "[objective]\nmask = 1\nrandom = 0\nratio = 1\n"), "");
  EXPECT_EQ(errors_of(kPretrain + "[objective]\nmask = 0.7\nrandom = 0.3\n"), "");
  expect_refused(kFinetune + kTask + "[objective]\nratio = 0.3\n", "objective", "belongs to pretraining");
}

TEST(Task, OneTaskReadsAsATableOrAnArrayOfTables) {
  const ParsedJob one = parse(kFinetune + kTask + "dev = \"/d/dev.csv.gz\"\n");
  ASSERT_TRUE(one.errors.empty()) << errors_of(kFinetune + kTask);
  EXPECT_EQ(one.spec.task.train, "/base/train.csv");
  EXPECT_EQ(one.spec.task.dev, "/d/dev.csv.gz");
  const ParsedJob table =
      parse(kFinetune + "[task]\nname = \"H3\"\ntrain = \"train.csv\"\nclasses = 2\n" + "dev = \"/d/dev.csv.gz\"\n");
  EXPECT_EQ(table.spec, one.spec);
  const std::string several = errors_of(kFinetune + kTask + "[[task]]\nname = \"H4\"\n[[task]]\nname = \"x\"\n");
  EXPECT_EQ(several.find("job.toml:8:1: task[1]: a job has one [[task]]"), 0u) << several;
  EXPECT_NE(several.find("vocabulary expanded"), std::string::npos) << several;
  expect_refused(kFinetune, "task", "say what to learn");
  expect_refused(kPretrain + kTask, "task", "set job.kind = \"finetune\"");
  expect_refused(kFinetune + kTask + "[data]\nfiles = [\"g.fna\"]\n", "data.files", "belongs to pretraining");
  expect_refused(kFinetune + kTask + "[tokenizer]\nkind = \"bpe\"\n", "tokenizer.kind", "trained on a genome");
  expect_refused(kFinetune + kTask + "lable = \"y\"\n", "task.lable", "did you mean task.label?");
}

TEST(Task, RowsMayBeAsLongAsTheModelTakes) {
  EXPECT_EQ(parse(kFinetune + kTask + "[model]\nmax_sequence = 512\n").spec.data.segment, 512);
  EXPECT_EQ(parse(kFinetune + kTask + "[model]\nmax_sequence = 1000000\n").spec.data.segment, 65535);
  EXPECT_EQ(parse(kFinetune + kTask + "[data]\nsegment = 99\n").spec.data.segment, 99);
  EXPECT_EQ(parse(kFinetune + kTask, {"data.segment=98"}).spec.data.segment, 98);
  EXPECT_EQ(parse(kPretrain + "[model]\nmax_sequence = 512\n").spec.data.segment, 250);
}

TEST(Task, OutputsAreClassesNamesOrColumns) {
  const auto task = [](const std::string& lines) {
    const std::string text = kFinetune + "[[task]]\nname = \"t\"\ntrain = \"t.csv\"\n" + lines;
    EXPECT_EQ(errors_of(text), "") << text;
    return parse(text).spec.task;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(task_output_names(task("classes = 3\n")), (Names{"0", "1", "2"}));
  EXPECT_EQ(task_output_names(task("classes = [\"EI\", \"IE\", \"N\"]\n")), (Names{"EI", "IE", "N"}));
  EXPECT_EQ(task_output_names(task("kind = \"multi-label\"\nlabels = [\"a\", \"b\"]\n")), (Names{"a", "b"}));
  EXPECT_EQ(task_output_names(task("kind = \"multi-label\"\nclasses = 2\n")), (Names{"0", "1"}));
  EXPECT_EQ(task_output_names(task("kind = \"regress\"\nlabel = \"y\"\n")), (Names{"y"}));
  EXPECT_EQ(task_output_names(task("kind = \"regress\"\nlabels = [\"y\", \"z\"]\n")), (Names{"y", "z"}));
  EXPECT_EQ(task_outputs(task("kind = \"classify-tokens\"\nclasses = 5\n")), 5);
}

TEST(Task, WhatDoesNotFitIsRefusedWithItsKey) {
  const std::string start = kFinetune + "[[task]]\nname = \"t\"\ntrain = \"t.csv\"\n";
  expect_refused(start, "task.classes", "two or more");
  expect_refused(start + "classes = 1\n", "task.classes", "two or more");
  expect_refused(start + "classes = 70000\n", "task.classes", "at most 65535");
  expect_refused(start + "classes = 2.5\n", "task.classes", "expected how many classes");
  expect_refused(start + "classes = [\"a\", \"a\"]\n", "task.classes", "twice");
  expect_refused(start + "kind = \"regress\"\nclasses = 2\n", "task.classes", "numbers have no classes");
  expect_refused(start + "kind = \"multi-label\"\n", "task.classes", "say which labels");
  expect_refused(start + "kind = \"multi-label\"\nlabels = [\"a\"]\nclasses = 1\n", "task.classes",
                 "labels or classes");
  expect_refused(start + "classes = 2\nlabels = [\"a\", \"b\"]\n", "task.labels", "use label");
  expect_refused(start + "classes = 2\ndev = \"d.csv\"\ndev_fraction = 0.1\n", "task.dev_fraction", "one of the two");
  expect_refused(start + "classes = 2\nfold = 1\n", "task.fold", "needs task.folds");
  expect_refused(start + "classes = 2\nfolds = 10\nfold = 10\n", "task.fold", "from 0 to 9");
  expect_refused(start + "classes = 2\nfolds = 2\n", "task.folds", "from 3 to 1000");
  expect_refused(start + "classes = 2\nfolds = 5\ntest = \"t.csv\"\n", "task.folds", "leave dev and test out");
  expect_refused(start + "classes = 2\nhead = [0]\n", "task.head", "at least 1");
  expect_refused(start + "classes = 2\nhead = \"mlp\"\n", "task.head", "expected \"linear\"");
  expect_refused(start + "kind = \"classify-tokens\"\nclasses = 2\npooling = \"mean\"\n", "task.pooling", "nothing to");
  expect_refused(start + "kind = \"classify-tokens\"\nclasses = 2\nsuffix = \"x\"\n", "task.suffix", "leave the text");
  EXPECT_EQ(errors_of(start + "classes = 2\nfolds = 2\ndev_fraction = 0.1\n"), "");
}

TEST(Task, TheChoosingMetricSuitsTheKind) {
  const char* const kinds[] = {"classes = 2\n", "classes = 2\nkind = \"multi-label\"\n", "kind = \"regress\"\n",
                               "classes = 2\nkind = \"classify-tokens\"\n"};
  const char* const automatic[] = {"mcc", "roc_auc", "pearson", "mcc"};
  const PredictionKind of[] = {PredictionKind::kClassification, PredictionKind::kMultiLabel,
                               PredictionKind::kRegression, PredictionKind::kClassification};
  for (size_t i = 0; i < std::size(kinds); ++i) {
    const std::string text = kFinetune + "[[task]]\nname = \"t\"\ntrain = \"t.csv\"\n" + kinds[i];
    const JobSpec spec = parse(text).spec;
    EXPECT_EQ(choosing_metric(spec), automatic[i]);
    const auto known = known_metrics(spec);
    const auto names = metric_names(of[i]);
    EXPECT_EQ(std::vector<std::string>(known.begin() + 2, known.end()), names) << "shared/metrics has these names";
    for (const std::string& name : known) EXPECT_EQ(errors_of(text + "[evaluate]\nmetric = \"" + name + "\"\n"), "");
    expect_refused(text + "[evaluate]\nmetric = \"AUC\"\n", "evaluate.metric", "expected one of auto | loss | ");
  }
  EXPECT_EQ(choosing_metric(parse(kPretrain).spec), "loss");
  expect_refused(kPretrain + "[evaluate]\nmetric = \"mcc\"\n", "evaluate.metric", "expected one of auto | loss");
  expect_refused(kPretrain + "[evaluate]\npatience = 3\n", "evaluate.patience", "stops finetuning early");
  EXPECT_EQ(errors_of(kFinetune + kTask + "[evaluate]\npatience = 3\nevery = 0\n"), "") << "counts passes";
}

// Random tasks that a job may have read back from the effective job to the same value.
TEST(Task, TheEffectiveJobReadsBack) {
  const PhiloxKey key = philox_key(20240701, Purpose::kTest);
  uint64_t draws = 0;
  const auto whole = [&](uint32_t below) { return static_cast<int64_t>(random_word(key, draws++, 0, 0) % below); };
  std::set<std::string> texts;
  for (int i = 0; i < 500; ++i) {
    JobSpec spec = parse(kFinetune + kTask).spec;
    TaskSpec& t = spec.task;
    t.kind = static_cast<TaskKind>(whole(4));
    const bool columns = t.kind == TaskKind::kMultiLabel || t.kind == TaskKind::kRegress;
    t.classes = 0;
    if (columns && whole(2) == 0) {
      t.labels = {"a b", "c\"d"};
    } else if (t.kind != TaskKind::kRegress) {
      if (whole(2) == 0)
        t.class_names = {"no", "yes, \n", "ä"};
      else
        t.classes = 2 + whole(9);
    }
    t.sequence = concat("s", whole(3));
    t.label = concat("l", whole(3));
    if (whole(2) == 0) {
      t.folds = 3 + whole(9);
      t.fold = whole(3);
    } else {
      t.dev = "/d/dev.tsv";
      t.test = whole(2) == 0 ? "/d/test.jsonl" : "";
    }
    t.split_seed = static_cast<uint64_t>(whole(100));
    t.standardize = whole(2) == 0;
    if (t.kind != TaskKind::kClassifyTokens) {
      t.prefix = "Domain: DNA Promoter\nSequence: ";
      t.suffix = "\nAnnotation:";
      t.pooling = static_cast<PoolingChoice>(whole(5));
    }
    t.special_tokens = whole(2) == 0;
    t.reverse_complement = whole(2) == 0;
    t.too_long = static_cast<TooLong>(whole(2));
    for (int64_t layers = whole(3); layers > 0; --layers) t.head.push_back(1 + whole(500));
    t.head_activation = static_cast<HeadActivation>(whole(3));
    t.head_bias = whole(2) == 0;
    t.head_dropout = 0.125 * static_cast<double>(whole(7));
    spec.evaluate.metric = whole(2) == 0 ? "auto" : "loss";
    spec.evaluate.patience = whole(5);
    const std::string text = effective_job_toml(spec);
    ASSERT_EQ(errors_of(text), "") << text;
    ASSERT_EQ(parse(text).spec, spec) << text;
    texts.insert(text);
  }
  EXPECT_GT(texts.size(), 490u);
  EXPECT_EQ(effective_job_toml(parse(kPretrain).spec).find("task"), std::string::npos);
}

}  // namespace
}  // namespace strand
