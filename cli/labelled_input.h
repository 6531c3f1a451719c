// Sequences for a finetuned model, with their labels where the file has them, as rows of tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/cut_sequences.h"
#include "dataserver/tokenizer/tokenizer.h"
#include "shared/base/result.h"
#include "shared/job_spec/job_spec.h"
#include "worker/inference/model_runner.h"

namespace strand {

struct LabelledRows {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> labels;  // as written; empty without labels
  std::vector<TokenRow> rows;
  // Of each row, with labels: what LabelReader::read gives; with kClassifyTokens the class of each of its own tokens,
  // NaN where it has none.
  std::vector<std::vector<double>> values;
};

// Rows are made as in training: prefix and suffix, special tokens, data.segment and task.too_long of the job.
class LabelledInput {
 public:
  ~LabelledInput();
  LabelledInput(LabelledInput&&) noexcept;
  // Labels are read when the file has the task's label columns. `tokenizer` outlives this.
  static Result<LabelledInput> open(const std::string& path, const std::string& name_column, const JobSpec& spec,
                                    const Tokenizer& tokenizer);

  // The whole file, some thousand rows at a time. kBadInput with file and line, as in training.
  Status read(const std::function<Status(const LabelledRows&)>& visit);
  bool labelled() const { return !label_columns().empty(); }
  const std::vector<std::string>& label_columns() const;
  const CutSequences& cut() const;  // by the last read()

 private:
  struct Impl;
  explicit LabelledInput(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace strand
