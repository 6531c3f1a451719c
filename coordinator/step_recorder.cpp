#include "coordinator/step_recorder.h"

#include <cmath>
#include <utility>

#include "coordinator/run_directory.h"

namespace strand {
namespace {
constexpr uint64_t kLimitBytes = uint64_t{200} << 20;
}

Result<StepRecorder::Files*> StepRecorder::files_of(const RecordStep& record) {
  const auto found = files_.find(record.job);
  if (found != files_.end()) return &found->second;
  Files files;
  STRAND_ASSIGN(files.lines, MetricsFile::open(fs_, record.run_directory + "/metrics.jsonl", kLimitBytes));
  const std::string board = record.run_directory + "/tensorboard";
  STRAND_TRY(fs_.make_directories(board));
  STRAND_ASSIGN(files.board, TensorBoardFile::create(fs_, board, record.wall_nanoseconds));
  return &files_.insert_or_assign(record.job, std::move(files)).first->second;
}

Status StepRecorder::record(const RecordStep& record) {
  STRAND_ASSIGN(Files* const files, files_of(record));
  STRAND_TRY(files->lines->append_line(metrics_line(record)));
  const StepReport& r = record.report;
  std::vector<std::pair<const char*, double>> scalars = {
      {"train/loss", r.loss}, {"train/gradient_norm", r.gradient_norm}, {"train/learning_rate", r.learning_rate}};
  if (r.step_nanoseconds > 0) {
    const double seconds = static_cast<double>(r.step_nanoseconds) * 1e-9;
    scalars.emplace_back("speed/tokens_per_second", static_cast<double>(r.tokens) / seconds);
    scalars.emplace_back("speed/data_wait_share", static_cast<double>(r.data_wait_nanoseconds) * 1e-9 / seconds);
  }
  if (r.evaluated) {
    scalars.emplace_back("eval/loss", r.eval_loss);
    if (!std::isnan(r.eval_bits_per_base)) scalars.emplace_back("eval/bits_per_base", r.eval_bits_per_base);
  }
  for (const auto& [tag, value] : scalars) {
    STRAND_TRY(files->board->add_scalar(tag, record.step, value, record.wall_nanoseconds));
  }
  for (const NamedMetric& metric : r.metrics) {
    if (std::isnan(metric.value)) continue;
    STRAND_TRY(files->board->add_scalar("dev/" + metric.name, record.step, metric.value, record.wall_nanoseconds));
  }
  return {};
}

}  // namespace strand
