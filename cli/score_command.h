// strand score: its options, where its lines go, and its two kinds of work.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/loaded_model.h"
#include "cli/progress.h"
#include "shared/formats/json.h"
#include "shared/fs/file_system.h"

namespace strand {

struct ScoreCommand {
  ModelOptions model;
  InputOptions input;
  std::string genome, variants;
  int64_t context = 0;  // bases; 0: 512, or as many as a row of the model has room for
  bool both_strands = false;
  std::string out;  // empty: stdout
  bool json = false;
};

// A TSV in a file, which is there when all is done; on stdout; or rows of a JSON document.
class ScoreOutput {
 public:
  ScoreOutput(const ScoreCommand& command, const LoadedModel& model);

  Status begin(const std::string& header);
  // Texts, whole numbers, and numbers with a fraction, which are written with six decimals; NaN as ".".
  Status line(const std::vector<Json>& fields);
  // Of the lines so far, for the summary.
  void count(int64_t lines, double nats, int64_t bases);
  void note(const std::string& note) { note_ = note; }
  void progress(size_t rows, int64_t total);
  // The summary; its Result is the exit code.
  Result<int> finish(const char* what);

 private:
  Status text(const std::string& text);

  const ScoreCommand& command_;
  const LoadedModel& model_;
  std::unique_ptr<FileSystem> fs_;
  SystemClock clock_;
  ProgressBar bar_;
  Time begun_;
  std::unique_ptr<AtomicFile> file_;
  std::vector<std::string> columns_;
  Json rows_ = Json::array();
  std::string note_;
  int64_t lines_ = 0, bases_ = 0, done_ = 0;
  double nats_ = 0;
};

// total: set to the rows that will be computed, once everything is checked and before the first is.
Status score_sequences(const ScoreCommand& command, LoadedModel& model, ScoreOutput& output, int64_t* total);
Status score_variants(const ScoreCommand& command, LoadedModel& model, ScoreOutput& output, int64_t* total);

}  // namespace strand
