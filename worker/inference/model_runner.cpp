#include "worker/inference/model_runner.h"

#include <algorithm>
#include <map>
#include <thread>

#include "ops/cast/cast.h"
#include "shared/base/text.h"
#include "worker/weights/model_directory.h"

namespace strand {

UnitShape unit_shape(const TransformerConfig& config, int64_t length) {
  constexpr int64_t kMultiple = 16;
  int64_t segment = (length + kMultiple - 1) / kMultiple * kMultiple;
  if (config.positions == PositionKind::kLearned) segment = std::min(segment, config.max_sequence);
  // Whole blocks of rows in every matrix product: a row's bits then do not depend on its place in the unit.
  const int64_t rows = segment % kMultiple == 0 ? std::max<int64_t>(1, kUnitTokens / segment) : 1;
  return {rows, segment};
}

static int thread_count(int wanted) {
  return wanted > 0 ? wanted : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

Result<std::unique_ptr<ModelRunner>> ModelRunner::open(FileSystem& fs, const std::string& directory, Step step,
                                                       const RunnerOptions& options) {
  STRAND_ASSIGN(ModelDirectory loaded, load_model_directory(fs, directory, step));
  if (!loaded.complete()) {
    return bad_input(concat(directory, ": ", join(loaded.notes, "; "),
                            "; import it first, which draws what is absent: strand import ", directory));
  }
  RunnerModel model;
  model.origin = loaded.origin;
  model.config = loaded.config;
  model.table = std::move(loaded.table);
  model.weights = std::move(loaded.weights);
  model.tokenizer_directory = loaded.tokenizer_directory;
  return std::make_unique<ModelRunner>(std::move(model), options);
}

ModelRunner::ModelRunner(RunnerModel model, const RunnerOptions& options)
    : model_(std::move(model)),
      options_(options),
      longest_row_(model_.config.max_sequence),
      token_head_(std::ranges::none_of(model_.table, [](const auto& p) { return p.name.starts_with("task."); })),
      layout_(model_layout(model_.config, model_.table, token_head_)),
      pool_(thread_count(options.threads)),
      workspace_(pool_.threads()),
      context_{&pool_, &workspace_, options.backend} {
  if (options.dtype != DType::kBF16) return;
  rounded_.resize(model_.weights.size());
  cast(context_, model_.weights.data(), static_cast<int64_t>(model_.weights.size()), rounded_.data());
}

uint64_t ModelRunner::weight_bytes() const {
  return model_.weights.size() * sizeof(float) + rounded_.size() * sizeof(BFloat16);
}

Status ModelRunner::allow_rows(int64_t tokens) {
  if (tokens < 1) return bad_input(concat("rows of ", tokens, " tokens; expected at least 1"));
  if (tokens > model_.config.max_sequence) {
    if (model_.config.positions == PositionKind::kLearned) {
      return bad_input(concat(model_.origin, ": has learned positions for ", model_.config.max_sequence,
                              " tokens a row, not for ", tokens, "; cut or split longer sequences (--too-long)"));
    }
    model_.config.max_sequence = tokens;
  }
  longest_row_ = tokens;
  return {};
}

Status ModelRunner::check_row(const TokenRow& row) const {
  if (row.begin >= row.end) return bad_input("no tokens; expected a sequence");
  if (static_cast<int64_t>(row.ids.size()) > longest_row()) {
    return bad_input(concat(row.ids.size(), " tokens, the model takes ", longest_row(), " a row"));
  }
  for (const int32_t id : row.ids) {
    if (id >= 0 && id < model_.config.vocabulary) continue;
    return bad_input(concat("token ", id, ", but the model's vocabulary has ", model_.config.vocabulary,
                            " ids; name the tokenizer it was trained with (--tokenizer)"));
  }
  return {};
}

MicroBatch ModelRunner::fill(std::span<const TokenRow> rows, std::span<const size_t> numbers, UnitShape shape) {
  const auto segment = static_cast<size_t>(shape.segment), count = static_cast<size_t>(shape.rows);
  ids_.assign(count * segment, 0);
  lengths_.assign(count, 0);
  row_numbers_.assign(count, 0);
  for (size_t r = 0; r < numbers.size(); ++r) {
    const std::vector<int32_t>& ids = rows[numbers[r]].ids;
    std::ranges::copy(ids, ids_.begin() + static_cast<ptrdiff_t>(r * segment));
    lengths_[r] = static_cast<int32_t>(ids.size());
  }
  return {.rows = shape.rows,
          .segment = shape.segment,
          .ids = ids_.data(),
          .targets = nullptr,
          .row_numbers = row_numbers_.data(),
          .lengths = lengths_.data()};
}

Status ModelRunner::run(std::span<const TokenRow> rows, int64_t layer,
                        const std::function<Status(const Unit&)>& visit) {
  std::map<UnitShape, std::vector<size_t>> by_shape;
  for (size_t r = 0; r < rows.size(); ++r) {
    by_shape[unit_shape(model_.config, static_cast<int64_t>(rows[r].ids.size()))].push_back(r);
  }
  for (const auto& [shape, numbers] : by_shape) {
    if (pass_ == nullptr || shape != shape_) {
      pass_.reset();  // one at a time
      pass_ = std::make_unique<ForwardPass>(model_.config, layout_, options_.dtype, shape.rows, shape.segment);
      shape_ = shape;
    }
    const auto most = static_cast<size_t>(shape.rows);
    for (size_t first = 0; first < numbers.size(); first += most) {
      const auto unit = std::span(numbers).subspan(first, std::min(most, numbers.size() - first));
      const MicroBatch batch = fill(rows, unit, shape);
      STRAND_TRY(visit({unit, batch, pass_->forward(context_, weights(), batch, layer)}));
      if (progress_ && !progress_(unit.size())) return Error(ErrorCode::kStopped, "stopped on request");
    }
  }
  return {};
}

Matrix ModelRunner::logits(ConstMatrix hidden) {
  STRAND_CHECK(token_head_);
  if (logits_.rows() < hidden.rows) {
    logits_ = Buffer(DType::kF32, hidden.rows, model_.config.vocabulary);
    head_ = std::make_unique<TokenHead>(model_.config, layout_.head, options_.dtype, hidden.rows);
  }
  const Matrix out = logits_.view(hidden.rows);
  head_->forward(context_, weights(), hidden, out);
  return out;
}

UnitSpans unit_spans(std::span<const TokenRow> rows, const ModelRunner::Unit& unit, bool with_specials) {
  UnitSpans spans{std::vector<int32_t>(static_cast<size_t>(unit.batch.rows), 0),
                  std::vector<int32_t>(static_cast<size_t>(unit.batch.rows), 0)};
  for (size_t r = 0; r < unit.rows.size(); ++r) {
    const TokenRow& row = rows[unit.rows[r]];
    spans.begin[r] = static_cast<int32_t>(with_specials ? 0 : row.begin);
    spans.end[r] = static_cast<int32_t>(with_specials ? static_cast<int64_t>(row.ids.size()) : row.end);
  }
  return spans;
}

Status ModelRunner::pool(std::span<const TokenRow> rows, PoolingKind pooling, int64_t layer, float* out) {
  const int64_t d = model_.config.hidden;
  Buffer pooled;
  return run(rows, layer, [&](const Unit& unit) -> Status {
    if (pooled.rows() < unit.batch.rows) pooled = Buffer(DType::kF32, unit.batch.rows, d);
    const bool with_specials = pooling == PoolingKind::kCls || pooling == PoolingKind::kLast;
    const UnitSpans spans = unit_spans(rows, unit, with_specials);
    const Matrix to = pooled.view(unit.batch.rows);
    pooling_forward(context_,
                    {.kind = pooling,
                     .rows = unit.batch.rows,
                     .segment = unit.batch.segment,
                     .begin = spans.begin.data(),
                     .end = spans.end.data()},
                    unit.hidden, to);
    for (size_t r = 0; r < unit.rows.size(); ++r) {
      std::copy_n(to.f32() + static_cast<int64_t>(r) * d, d, out + static_cast<int64_t>(unit.rows[r]) * d);
    }
    return {};
  });
}

Status ModelRunner::token_vectors(std::span<const TokenRow> rows, int64_t layer, std::vector<std::vector<float>>* out) {
  const int64_t d = model_.config.hidden;
  out->assign(rows.size(), {});
  return run(rows, layer, [&](const Unit& unit) -> Status {
    for (size_t r = 0; r < unit.rows.size(); ++r) {
      const TokenRow& row = rows[unit.rows[r]];
      std::vector<float>& vectors = (*out)[unit.rows[r]];
      vectors.resize(static_cast<size_t>((row.end - row.begin) * d));
      const ConstMatrix own =
          unit.hidden.row_range(static_cast<int64_t>(r) * unit.batch.segment + row.begin, row.end - row.begin);
      if (own.dtype == DType::kBF16) {
        cast(context_, own.bf16(), own.rows * d, vectors.data());
      } else {
        std::copy_n(own.f32(), own.rows * d, vectors.data());
      }
    }
    return {};
  });
}

}  // namespace strand
