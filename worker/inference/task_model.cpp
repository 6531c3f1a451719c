#include "worker/inference/task_model.h"

#include <charconv>
#include <optional>

#include "shared/base/text.h"
#include "worker/checkpoint/saved_model.h"
#include "worker/model/heads/task_head.h"

namespace strand {
namespace {

// The numbers of a field of the dataset's fingerprint; empty without such a field.
Result<std::vector<double>> numbers_of(const Manifest& manifest, const std::string& name) {
  std::vector<double> numbers;
  for (const FingerprintField& field : manifest.dataset) {
    if (field.name != name) continue;
    for (const std::string& text : split(field.value, ' ')) {
      double& number = numbers.emplace_back();
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error != std::errc() || end != text.data() + text.size()) {
        return corrupt(concat("the checkpoint's dataset: ", name, " is \"", field.value, "\", no numbers"));
      }
    }
  }
  return numbers;
}

}  // namespace

Result<TaskModel> open_task_model(FileSystem& fs, const std::string& run_directory, Step step,
                                  const RunnerOptions& options) {
  if (!fs.exists(run_directory + "/checkpoints")) {
    return bad_input(concat(run_directory, ": no finetuning run; expected the --dir of strand finetune"));
  }
  STRAND_ASSIGN(SavedModel saved, load_saved_model(fs, run_directory, step));
  if (saved.spec.job.kind != "finetune") {
    return bad_input(concat(run_directory, ": is a run of kind \"", saved.spec.job.kind, "\", which has no task; ",
                            "expected one of strand finetune"));
  }
  TaskModel model;
  model.spec = std::move(saved.spec);
  model.head = head_of(model.spec.task, model.spec.model.config.causal);
  STRAND_ASSIGN(model.scale.mean, numbers_of(saved.manifest, "label_mean"));
  STRAND_ASSIGN(model.scale.deviation, numbers_of(saved.manifest, "label_deviation"));
  const size_t scales = model.scale.mean.size();
  if (scales != model.scale.deviation.size() || (scales > 0 && static_cast<int64_t>(scales) != model.head.outputs)) {
    return corrupt(
        concat(run_directory, ": the checkpoint has ", scales, " label means for ", model.head.outputs, " outputs"));
  }
  RunnerModel loaded;
  loaded.origin = concat(run_directory, ", step ", saved.manifest.step);
  loaded.config = model.spec.model.config;
  loaded.table = saved.shard->table();
  loaded.weights.assign(saved.shard->weights().begin(), saved.shard->weights().end());
  if (fs.exists(run_directory + "/store/tokenizer.json")) loaded.tokenizer_directory = run_directory + "/store";
  saved.shard.reset();
  model.runner = std::make_unique<ModelRunner>(std::move(loaded), options);
  return model;
}

Result<std::vector<std::vector<float>>> task_logits(const TaskModel& model, std::span<const TokenRow> rows) {
  ModelRunner& runner = *model.runner;
  std::vector<std::vector<float>> out(rows.size());
  std::optional<TaskHead> head;
  UnitShape shape;
  const bool by_token = model.head.task == TaskKind::kClassifyTokens;
  STRAND_TRY(runner.run(rows, ForwardPass::kFinal, [&](const ModelRunner::Unit& unit) -> Status {
    const UnitShape needed{unit.batch.rows, unit.batch.segment};
    if (!head || needed != shape) {
      shape = needed;
      head.emplace(model.head, runner.config(), runner.model().table,
                   TaskHeadOptions{.dtype = runner.dtype(), .rows = shape.rows, .segment = shape.segment});
    }
    const HeadBatch batch{
        .rows = shape.rows, .segment = shape.segment, .row_numbers = unit.batch.row_numbers, .end = unit.batch.lengths};
    head->forward(runner.context(), runner.weights(), batch, unit.hidden, Mode::kEvaluate);
    const ConstMatrix logits = head->logits();
    for (size_t r = 0; r < unit.rows.size(); ++r) {
      const int64_t first = static_cast<int64_t>(r) * (by_token ? shape.segment : 1);
      const auto count = by_token ? static_cast<int64_t>(rows[unit.rows[r]].ids.size()) : 1;
      const float* from = logits.f32() + first * logits.stride;
      out[unit.rows[r]].assign(from, from + count * logits.cols);
    }
    return {};
  }));
  return out;
}

double unscaled(const LabelScale& scale, size_t output, float value) {
  if (scale.mean.empty()) return value;
  return static_cast<double>(value) * scale.deviation[output] + scale.mean[output];
}

}  // namespace strand
