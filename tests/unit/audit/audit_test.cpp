// A run's record against its store: rows taken once each agree, and a row that is repeated, skipped or swapped on its
// way to the model is found at the step where it happened. Real store, real training, the files of a real run.
#include "dataserver/audit.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "coordinator/run_directory.h"
#include "dataserver/commands.h"
#include "shared/base/row_audit.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "tests/unit/dataserver/genomes.h"
#include "worker/trainer.h"

namespace strand {
namespace {

using testing::TemporaryFolder;

constexpr uint64_t kRowsPerStep = 12;
constexpr const char* kTrain = R"(
[train]
steps = 4
warmup = 0
lanes = 2
micro_batch = 3
micro_batches_per_lane = 2
precision = "fp32"
seed = 5
)";
constexpr const char* kModel = R"(
[model]
preset = "omni-dna-20m"
vocabulary = 16
layers = 1
hidden = 16
heads = 2
mlp_hidden = 16
)";

// Row n is made from row source(n): the identity is right, anything else is a fault.
class DatasetSource final : public BatchSource {
 public:
  using Source = std::function<uint64_t(uint64_t)>;
  DatasetSource(const Dataset& dataset, uint64_t seed, Source source)
      : dataset_(dataset), seed_(seed), source_(std::move(source)) {}

  Result<Batch> training_rows(uint64_t first_row, int64_t rows) override {
    all_ = RowBlock();
    for (uint64_t row = first_row; row < first_row + static_cast<uint64_t>(rows); ++row) {
      STRAND_ASSIGN(const RowBlock one, dataset_.rows(seed_, RowSet::kTraining, source_(row), 1));
      const auto append = [](auto* to, const auto& from) { to->insert(to->end(), from.begin(), from.end()); };
      append(&all_.tokens, one.tokens);
      append(&all_.lengths, one.lengths);
      append(&all_.targets, one.targets);
      append(&all_.labels, one.labels);
      append(&all_.samples, one.samples);
    }
    Batch batch{first_row, rows, dataset_.summary().segment, all_.tokens.data(), all_.lengths.data()};
    if (!all_.targets.empty()) batch.targets = all_.targets.data();
    if (!all_.labels.empty()) batch.labels = all_.labels.data();
    batch.labels_per_row = dataset_.summary().labels_per_row;
    batch.samples = all_.samples.data();
    return batch;
  }
  Result<Batch> held_out_rows(uint64_t, int64_t) override { return bad_input("not in this test"); }

 private:
  const Dataset& dataset_;
  uint64_t seed_;
  Source source_;
  RowBlock all_;
};

class DataAudit : public ::testing::Test {
 protected:
  void SetUp() override {
    std::mt19937_64 random(60);
    genome_ = folder_.file("g.fa", testing::fasta({{"a", testing::random_sequence(&random, 4000)}}, 70));
    std::string csv = "sequence,label\n";
    for (int i = 0; i < 40; ++i) {
      csv += testing::random_letters(&random, 8 + static_cast<size_t>(i % 9), "ACGT") + (i % 3 == 0 ? ",a\n" : ",b\n");
    }
    table_ = folder_.file("t.csv", csv);
  }

  std::string genome_data() const { return concat("[data]\nfiles = [\"", genome_, "\"]\nsegment = 24\n"); }
  std::string pretrain() const {
    return concat("[job]\nname = \"t\"\n", kModel, "[tokenizer]\nkind = \"nucleotide\"\n", genome_data(),
                  "reverse_complement = true\n", kTrain);
  }
  std::string masked() const {
    return concat("[job]\nname = \"t\"\n", kModel, "causal = false\n[objective]\nkind = \"masked\"\n",
                  "[tokenizer]\nkind = \"nucleotide\"\n", genome_data(), kTrain);
  }
  std::string task() const {
    return concat("[job]\nname = \"t\"\nkind = \"finetune\"\n", kModel, "causal = false\n",
                  "[tokenizer]\nkind = \"nucleotide\"\n[[task]]\nname = \"t\"\ntrain = \"", table_,
                  "\"\nclasses = [\"a\", \"b\"]\n", kTrain);
  }

  // Trains four steps into `run`, the record written as the coordinator writes it.
  void train(const std::string& job_toml, const DatasetSource::Source& source) {
    run_ = folder_.path() + "/run-" + std::to_string(++runs_);
    ASSERT_TRUE(fs_->make_directories(run_).ok());
    std::ofstream(run_ + "/job.toml") << job_toml;
    auto job = load_job(run_ + "/job.toml", {});
    ASSERT_TRUE(job.ok()) << job.error().message();
    auto home = open_data_home(fs_.get(), run_ + "/store", false);
    ASSERT_TRUE(home.ok());
    const auto dataset = Dataset::open(*home, dataset_spec(*job), testing::keep_going);
    ASSERT_TRUE(dataset.ok()) << dataset.error().message();
    job->data.segment = (*dataset)->summary().segment;
    auto trainer = Trainer::create(*job, (*dataset)->summary().token_bases, {});
    ASSERT_TRUE(trainer.ok()) << trainer.error().message();
    (*trainer)->initialise();
    DatasetSource rows(**dataset, job->train.seed, source);
    for (int i = 0; i < 4; ++i) {
      const auto step = (*trainer)->step(rows);
      ASSERT_TRUE(step.ok()) << step.error().message();
      record(step->step, step->audit);
    }
  }
  void record(Step step, uint64_t audit) {
    RecordStep record;
    record.step = step;
    record.report.audit = audit;
    std::ofstream(run_ + "/metrics.jsonl", std::ios::app) << metrics_line(record) << "\n";
  }

  Json audited(int threads = 0) {
    DataAuditOptions options;
    options.run_directory = run_;
    options.threads = threads;
    const auto report = data_audit(options);
    EXPECT_TRUE(report.ok()) << report.error().message();
    const auto json = report.ok() ? parse_json(report->report.json, "report") : Json();
    if (!json.ok() || !json->is_object()) return {};
    EXPECT_EQ((*json)["agrees"], report->agrees);
    EXPECT_EQ(report->report.text.find("differs") == std::string::npos, report->agrees) << report->report.text;
    return *json;
  }

  TemporaryFolder folder_;
  std::unique_ptr<FileSystem> fs_ = make_posix_file_system();
  std::string genome_, table_, run_;
  int runs_ = 0;
};

uint64_t right(uint64_t row) {
  return row;
}

TEST_F(DataAudit, RightRowsAgreeForEveryKindOfJobAndWithReplays) {
  for (const std::string& job : {pretrain(), masked(), task()}) {
    ASSERT_NO_FATAL_FAILURE(train(job, right));
    Json json = audited();
    ASSERT_EQ(json["agrees"], true) << job;
    EXPECT_EQ(json["steps"], 4);
    EXPECT_EQ(json["missing_steps"], 0);
    EXPECT_EQ(json["rows_per_step"], kRowsPerStep);
    // A worker that went back to a checkpoint reports these steps once more.
    const std::string once = testing::read_file(run_ + "/metrics.jsonl");
    const std::vector<std::string> lines = split(once, '\n');
    std::ofstream(run_ + "/metrics.jsonl", std::ios::app) << lines[1] << "\n" << lines[2] << "\n";
    json = audited(3);
    EXPECT_EQ(json["agrees"], true);
    EXPECT_EQ(json["records"], 6);
    EXPECT_EQ(json["steps"], 4);
    // A replay with other rows would not go unseen.
    record(3, 12345);
    json = audited();
    EXPECT_EQ(json["agrees"], false);
    EXPECT_EQ(json["first_difference"]["step"], 3);
    EXPECT_EQ(json["first_difference"]["line"], 7);
  }
}

TEST_F(DataAudit, ARepeatedASkippedAndASwappedRowAreFoundAtTheirStep) {
  constexpr uint64_t kRow = 2 * kRowsPerStep + 4;  // of step 3
  const struct {
    const char* name;
    DatasetSource::Source source;
    Step step;
  } faults[] = {
      {"repeated", [](uint64_t row) { return row == kRow ? row - 1 : row; }, 3},
      {"skipped", [](uint64_t row) { return row >= kRow ? row + 1 : row; }, 3},
      {"swapped within a step", [](uint64_t row) { return row == kRow       ? kRow + 5
                                                          : row == kRow + 5 ? kRow
                                                                            : row; }, 3},
      {"swapped between steps", [](uint64_t row) { return row == kRow       ? kRow - 7
                                                          : row == kRow - 7 ? kRow
                                                                            : row; }, 2},
      {"a step done twice", [](uint64_t row) { return row / kRowsPerStep == 3 ? row - kRowsPerStep : row; }, 4},
  };
  for (const std::string& job : {pretrain(), masked(), task()}) {
    for (const auto& fault : faults) {
      ASSERT_NO_FATAL_FAILURE(train(job, fault.source));
      for (const int threads : {1, 3}) {
        const Json json = audited(threads);
        EXPECT_EQ(json["agrees"], false) << fault.name;
        EXPECT_EQ(json["first_difference"]["step"], fault.step) << fault.name;
        EXPECT_EQ(json["first_difference"]["first_row"], (static_cast<uint64_t>(fault.step) - 1) * kRowsPerStep);
        EXPECT_NE(json["first_difference"]["recorded"], json["first_difference"]["expected"]);
      }
    }
  }
}

TEST_F(DataAudit, WhatIsNotRecordedIsSaid) {
  ASSERT_NO_FATAL_FAILURE(train(pretrain(), right));
  const std::vector<std::string> lines = split(testing::read_file(run_ + "/metrics.jsonl"), '\n');
  std::ofstream(run_ + "/metrics.jsonl") << lines[0] << "\n" << lines[3] << "\n" << lines[2].substr(0, 40);
  const Json json = audited();
  EXPECT_EQ(json["agrees"], true);
  EXPECT_EQ(json["steps"], 2);
  EXPECT_EQ(json["missing_steps"], 2);
  std::ofstream(run_ + "/metrics.jsonl") << R"({"step":1,"loss":2.5})"
                                         << "\n";
  DataAuditOptions options;
  options.run_directory = run_;
  EXPECT_EQ(data_audit(options).error().code(), ErrorCode::kBadInput);
  ASSERT_TRUE(fs_->remove(run_ + "/metrics.jsonl").ok());
  EXPECT_EQ(data_audit(options).error().code(), ErrorCode::kNotFound);
}

// The number is defined in docs/data_flow.md: anybody can compute it.
TEST(RowAuditTest, IsTheSumOfHashesWhateverTheOrder) {
  const std::vector<int32_t> tokens = {1, 258, 65535};
  const std::string bytes("\x07\0\0\0\0\0\0\0\x09\x01\0\0\0\0\0\0\x01\0\x02\x01\xff\xff", 22);
  RowAudit one;
  one.add(7, 265, tokens.data(), tokens.size());
  EXPECT_EQ(one.sum(), hash64(bytes));
  RowAudit forward, backward;
  for (uint64_t row = 0; row < 100; ++row) {
    forward.add(row, row * row, tokens.data(), row % 4);
    backward.add(99 - row, (99 - row) * (99 - row), tokens.data(), (99 - row) % 4);
  }
  EXPECT_EQ(forward.sum(), backward.sum());
  EXPECT_EQ(hex64(0x0123456789abcdef), "0123456789abcdef");
}

// 64 rows of 250 tokens, a step of the quickstart: microseconds beside its tenths of a second. The bound is loose, for
// machines that do much else; the figure is printed.
TEST(RowAuditTest, CostsMicrosecondsAStep) {
  const std::vector<int32_t> tokens(250, 1234);
  double best = 1;
  for (int repeat = 0; repeat < 50; ++repeat) {
    const auto begin = std::chrono::steady_clock::now();
    RowAudit audit;
    for (uint64_t row = 0; row < 64; ++row) audit.add(row, row, tokens.data(), tokens.size());
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    best = std::min(best, passed.count());
    ASSERT_NE(audit.sum(), 0u);
  }
  std::printf("audit of 64 rows of 250 tokens: %.1f microseconds\n", best * 1e6);
  EXPECT_LT(best, 1e-3);
}

}  // namespace
}  // namespace strand
