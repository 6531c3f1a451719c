#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>

#include "cli/commands.h"
#include "cli/labelled_input.h"
#include "cli/loaded_model.h"
#include "cli/progress.h"
#include "dataserver/tokenizer/open_tokenizer.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "shared/base/clock.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "shared/metrics/prediction_json.h"
#include "worker/inference/task_model.h"

namespace strand {
namespace {

struct PredictCommand {
  std::string directory, input, names, tokenizer, dtype = "f32", out;
  Step step = -1;
  int threads = 0;
  bool json = false;
};

class Predict {
 public:
  Predict(const PredictCommand& command, TaskModel model, std::unique_ptr<Tokenizer> tokenizer)
      : command_(command),
        model_(std::move(model)),
        tokenizer_(std::move(tokenizer)),
        fs_(make_posix_file_system()),
        bar_(clock_, command.json),
        names_(task_output_names(model_.spec.task)) {
    predictions_.outputs = model_.head.outputs;
  }

  Result<int> run() {
    STRAND_ASSIGN(LabelledInput input, LabelledInput::open(command_.input, command_.names, model_.spec, *tokenizer_));
    input_ = &input;
    // Everything is checked before anything is computed or written.
    STRAND_TRY(input.read([&](const LabelledRows& rows) -> Status {
      total_ += static_cast<int64_t>(rows.rows.size());
      for (size_t r = 0; r < rows.rows.size(); ++r) {
        if (const Status fits = model_.runner->check_row(rows.rows[r]); !fits.ok()) {
          return fits.error().with_context(concat(command_.input, ": ", rows.names[r]));
        }
      }
      return {};
    }));
    cut_ = input.cut().count();
    note_ = input.cut().note(concat("data.segment = ", model_.spec.data.segment));
    STRAND_ASSIGN(AtomicFile file, AtomicFile::create(*fs_, command_.out));
    STRAND_TRY(append(file, header()));
    const Time begun = clock_.now();
    follow_progress(begun);
    STRAND_TRY(input.read([&](const LabelledRows& rows) -> Status {
      STRAND_ASSIGN(const auto logits, task_logits(model_, rows.rows));
      std::string lines;
      for (size_t r = 0; r < rows.rows.size(); ++r) {
        lines += line(rows, r, logits[r]);
        if (input_->labelled()) keep(rows, r, logits[r]);
      }
      return append(file, lines);
    }));
    const double seconds = static_cast<double>((clock_.now() - begun).count()) * 1e-9;
    bar_.finish();
    STRAND_TRY(file.commit());
    return report(seconds);
  }

 private:
  static Status append(AtomicFile& file, const std::string& text) { return file.append(text.data(), text.size()); }
  TaskKind kind() const { return model_.head.task; }

  void follow_progress(Time begun) {
    model_.runner->on_progress([this, begun](size_t rows) {
      done_ += static_cast<int64_t>(rows);
      const double passed = static_cast<double>((clock_.now() - begun).count()) * 1e-9;
      bar_.update(rate_progress(done_, total_, "rows", passed));
      return !stop_on_signals().load();
    });
  }

  std::string header() const {
    std::vector<std::string> columns = {"name"};
    for (const std::string& label : input_->label_columns()) columns.push_back(label);
    if (kind() == TaskKind::kClassify || kind() == TaskKind::kClassifyTokens) columns.emplace_back("predicted");
    const std::string what = kind() == TaskKind::kRegress ? "predicted:" : "p:";
    for (const std::string& name : names_) {
      if (kind() != TaskKind::kClassifyTokens) columns.push_back(what + name);
    }
    for (std::string& column : columns) column = tsv_field(std::move(column));
    return join(columns, "\t") + "\n";
  }

  size_t likeliest(const float* logits) const {
    return static_cast<size_t>(std::max_element(logits, logits + names_.size()) - logits);
  }

  std::string line(const LabelledRows& rows, size_t r, const std::vector<float>& logits) const {
    std::vector<std::string> fields = {rows.names[r]};
    for (const std::string& label : rows.labels[r]) fields.push_back(label);
    switch (kind()) {
      case TaskKind::kClassify:
        fields.push_back(names_[likeliest(logits.data())]);
        for (const double p : softmax_rows(logits, predictions_.outputs)) fields.push_back(format_number(p, 6));
        break;
      case TaskKind::kMultiLabel:
        for (const float logit : logits)
          fields.push_back(format_number(1 / (1 + std::exp(-static_cast<double>(logit))), 6));
        break;
      case TaskKind::kRegress:
        for (size_t o = 0; o < logits.size(); ++o) {
          fields.push_back(format_number(unscaled(model_.scale, o, logits[o]), 6));
        }
        break;
      case TaskKind::kClassifyTokens: fields.push_back(token_classes(rows.rows[r], logits)); break;
    }
    for (std::string& field : fields) field = tsv_field(std::move(field));
    return join(fields, "\t") + "\n";
  }

  // Of the sequence's own tokens.
  std::string token_classes(const TokenRow& row, const std::vector<float>& logits) const {
    std::vector<std::string> classes;
    for (int64_t t = row.begin; t < row.end; ++t) {
      classes.push_back(names_[likeliest(logits.data() + t * predictions_.outputs)]);
    }
    return join(classes, " ");
  }

  // Keeps a labelled row for the metrics.
  void keep(const LabelledRows& rows, size_t r, const std::vector<float>& logits) {
    const std::vector<double>& values = rows.values[r];
    if (kind() == TaskKind::kClassifyTokens) {
      for (int64_t t = rows.rows[r].begin; t < rows.rows[r].end; ++t) {
        const double value = values[static_cast<size_t>(t - rows.rows[r].begin)];
        if (std::isnan(value)) continue;
        const auto first = logits.begin() + t * predictions_.outputs;
        predictions_.logits.insert(predictions_.logits.end(), first, first + predictions_.outputs);
        predictions_.classes.push_back(static_cast<int32_t>(value));
      }
      return;
    }
    predictions_.logits.insert(predictions_.logits.end(), logits.begin(), logits.end());
    if (kind() == TaskKind::kClassify) {
      predictions_.classes.push_back(std::isnan(values[0]) ? kIgnoredTarget : static_cast<int32_t>(values[0]));
      return;
    }
    for (size_t i = 0; i < values.size(); ++i) {
      const bool scaled = !model_.scale.mean.empty();
      const double value = scaled ? (values[i] - model_.scale.mean[i]) / model_.scale.deviation[i] : values[i];
      predictions_.values.push_back(static_cast<float>(value));
    }
  }

  Result<int> report(double seconds) const {
    Json metrics;  // null without labels
    if (input_->labelled()) {
      STRAND_ASSIGN(const PredictionMetrics found, task_metrics(kind(), predictions_, model_.scale));
      metrics = prediction_metrics_json(found);
    }
    const double speed = static_cast<double>(total_) / std::max(seconds, 1e-9);
    const std::string origin = model_.runner->model().origin;
    if (command_.json) {
      const Json document = {{"model", origin},
                             {"task", task_kind_name(kind())},
                             {"sequences", total_},
                             {"cut", cut_},
                             {"note", note_},
                             {"out", command_.out},
                             {"metrics", metrics},
                             {"seconds", seconds},
                             {"sequences_per_second", speed}};
      std::printf("%s\n", dump_json(document).c_str());
      return 0;
    }
    std::printf("model       %s\nsequences   %s, %s sequences/s\n", origin.c_str(), with_thousands(total_).c_str(),
                format_number(speed, 2).c_str());
    if (!note_.empty()) std::printf("note        %s\n", note_.c_str());
    for (const auto& [name, value] : metrics.items()) {
      if (value.is_number_float())
        std::printf("%-15s %s\n", name.c_str(), format_number(value.get<double>(), 4).c_str());
    }
    std::printf("written     %s\n", command_.out.c_str());
    return 0;
  }

  const PredictCommand& command_;
  TaskModel model_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<FileSystem> fs_;
  SystemClock clock_;
  ProgressBar bar_;
  std::vector<std::string> names_;  // of the outputs
  const LabelledInput* input_ = nullptr;
  Predictions predictions_;  // of labelled rows
  int64_t total_ = 0, done_ = 0, cut_ = 0;
  std::string note_;  // of cut sequences
};

Result<int> run_predict(const PredictCommand& command) {
  (void)stop_on_signals();
  const auto fs = make_posix_file_system();
  const RunnerOptions options{command.dtype == "bf16" ? DType::kBF16 : DType::kF32, command.threads};
  STRAND_ASSIGN(TaskModel model, open_task_model(*fs, command.directory, command.step, options));
  const std::string beside = model.runner->model().tokenizer_directory;
  if (beside.empty() && command.tokenizer.empty()) {
    return bad_input(concat(command.directory, ": no store/tokenizer.json; name the tokenizer (--tokenizer)"));
  }
  STRAND_ASSIGN(auto tokenizer, open_tokenizer(*fs, command.tokenizer.empty() ? beside : command.tokenizer));
  return Predict(command, std::move(model), std::move(tokenizer)).run();
}

}  // namespace

void add_predict_command(CLI::App& app, Chosen* chosen) {
  auto command = std::make_shared<PredictCommand>();
  CLI::App* predict = add_command(app, "predict", "What a finetuned model says of sequences",
                                  "strand predict runs/splice --input new.csv --out predictions.tsv");
  predict->add_option("run", command->directory, "a run directory of strand finetune")->required();
  predict->add_option("--input", command->input, "sequences, with or without the task's label columns")->required();
  predict->add_option("--out", command->out, "a TSV: a line for each sequence")->required();
  predict->add_option("--names", command->names, "the column of the names; default: rows are numbered");
  predict->add_option("--step", command->step, "which checkpoint; default: the best one");
  predict->add_option("--tokenizer", command->tokenizer, "its file or folder; default: the run's");
  predict->add_option("--dtype", command->dtype, "f32, or bf16: of matrix products and activations")
      ->check(CLI::IsMember({"f32", "bf16"}));
  predict->add_option("--threads", command->threads, "compute threads; default: all cores")
      ->check(CLI::NonNegativeNumber);
  add_json_flag(predict, chosen);
  predict->callback([command, chosen] {
    command->json = chosen->json;
    chosen->run = [command] { return run_predict(*command); };
  });
}

}  // namespace strand
