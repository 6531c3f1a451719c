#include "worker/inference/likelihood.h"

#include <algorithm>
#include <cstring>

#include "ops/cross_entropy/cross_entropy.h"

namespace strand {
namespace {

// One masked token of a row.
struct Masked {
  size_t row = 0;
  int64_t position = 0;
};

// The unit's hidden states at one position of each row, close together; padding rows give their token 0.
class Gathered {
 public:
  ConstMatrix gather(const ModelRunner::Unit& unit, std::span<const int64_t> positions) {
    const int64_t d = unit.hidden.cols;
    if (buffer_.rows() < unit.batch.rows) buffer_ = Buffer(unit.hidden.dtype, unit.batch.rows, d);
    const Matrix to = buffer_.view(unit.batch.rows);
    const auto bytes = static_cast<size_t>(d) * dtype_size(unit.hidden.dtype);
    for (int64_t r = 0; r < unit.batch.rows; ++r) {
      const auto row = static_cast<size_t>(r);
      const int64_t at = r * unit.batch.segment + (row < unit.rows.size() ? positions[unit.rows[row]] : 0);
      std::memcpy(to.row_range(r, 1).data, unit.hidden.row_range(at, 1).data, bytes);
    }
    return to;
  }

 private:
  Buffer buffer_;
};

// visit(number of the masked token, logits fp32 [1, V]) for every one, each with nothing else of its row under the
// mask.
Status for_masked(ModelRunner& runner, std::span<const TokenRow> rows, std::span<const Masked> masked, int32_t mask_id,
                  const std::function<void(size_t number, Matrix logits)>& visit) {
  constexpr int64_t kTokens = 64 * kUnitTokens;  // of masked rows at a time
  Gathered gathered;
  std::vector<TokenRow> copies;
  std::vector<int64_t> positions;
  int64_t tokens = 0;
  size_t first = 0;
  const auto flush = [&]() -> Status {
    const Status status = runner.run(copies, ForwardPass::kFinal, [&](const ModelRunner::Unit& unit) -> Status {
      const Matrix logits = runner.logits(gathered.gather(unit, positions));
      for (size_t r = 0; r < unit.rows.size(); ++r) {
        visit(first + unit.rows[r], logits.row_range(static_cast<int64_t>(r), 1));
      }
      return {};
    });
    first += copies.size();
    copies.clear();
    positions.clear();
    tokens = 0;
    return status;
  };
  for (const Masked& token : masked) {
    TokenRow copy = rows[token.row];
    copy.ids[static_cast<size_t>(token.position)] = mask_id;
    tokens += static_cast<int64_t>(copy.ids.size());
    copies.push_back(std::move(copy));
    positions.push_back(token.position);
    if (tokens >= kTokens) STRAND_TRY(flush());
  }
  return flush();
}

}  // namespace

Result<std::vector<RowLikelihood>> causal_likelihood(ModelRunner& runner, std::span<const TokenRow> rows) {
  STRAND_CHECK(runner.config().causal);
  std::vector<RowLikelihood> out(rows.size());
  std::vector<int32_t> targets;
  std::vector<float> losses;
  const Status status = runner.run(rows, ForwardPass::kFinal, [&](const ModelRunner::Unit& unit) -> Status {
    const int64_t tokens = unit.batch.tokens(), segment = unit.batch.segment;
    targets.assign(static_cast<size_t>(tokens), kIgnoredTarget);
    losses.assign(static_cast<size_t>(tokens), 0.0f);
    for (size_t r = 0; r < unit.rows.size(); ++r) {
      const TokenRow& row = rows[unit.rows[r]];
      out[unit.rows[r]].begin = std::max<int64_t>(1, row.begin);
      for (int64_t i = out[unit.rows[r]].begin; i < row.end; ++i) {
        targets[r * static_cast<size_t>(segment) + static_cast<size_t>(i) - 1] = row.ids[static_cast<size_t>(i)];
      }
    }
    const int64_t chunk = head_chunk_rows(runner.config().vocabulary, tokens);
    for (int64_t first = 0; first < tokens; first += chunk) {
      const int64_t count = std::min(chunk, tokens - first);
      (void)cross_entropy(runner.context(), runner.logits(unit.hidden.row_range(first, count)), targets.data() + first,
                          /*want_gradient=*/false, losses.data() + first);
    }
    for (size_t r = 0; r < unit.rows.size(); ++r) {
      for (int64_t i = 0; i < segment; ++i) {
        out[unit.rows[r]].nats -=
            static_cast<double>(losses[r * static_cast<size_t>(segment) + static_cast<size_t>(i)]);
      }
    }
    return {};
  });
  if (!status.ok()) return status.error();
  return out;
}

Result<std::vector<RowLikelihood>> pseudo_likelihood(ModelRunner& runner, std::span<const TokenRow> rows,
                                                     int32_t mask_id) {
  STRAND_CHECK(!runner.config().causal);
  std::vector<RowLikelihood> out(rows.size());
  std::vector<Masked> masked;
  for (size_t r = 0; r < rows.size(); ++r) {
    out[r].begin = rows[r].begin;
    for (int64_t i = rows[r].begin; i < rows[r].end; ++i) masked.push_back({r, i});
  }
  std::vector<double> losses(masked.size());
  STRAND_TRY(for_masked(runner, rows, masked, mask_id, [&](size_t number, Matrix logits) {
    const Masked& token = masked[number];
    const int32_t target = rows[token.row].ids[static_cast<size_t>(token.position)];
    losses[number] = cross_entropy(runner.context(), logits, &target, /*want_gradient=*/false, nullptr).loss;
  }));
  for (size_t m = 0; m < masked.size(); ++m) out[masked[m].row].nats -= losses[m];
  return out;
}

Result<std::vector<double>> masked_log_ratios(ModelRunner& runner, std::span<const TokenRow> rows,
                                              std::span<const MaskedChoice> choices, int32_t mask_id) {
  STRAND_CHECK(!runner.config().causal && rows.size() == choices.size());
  std::vector<Masked> masked;
  for (size_t r = 0; r < rows.size(); ++r) masked.push_back({r, choices[r].position});
  std::vector<double> out(rows.size());
  STRAND_TRY(for_masked(runner, rows, masked, mask_id, [&](size_t number, Matrix logits) {
    const MaskedChoice& choice = choices[number];
    out[number] =
        static_cast<double>(logits.f32()[choice.alternative]) - static_cast<double>(logits.f32()[choice.reference]);
  }));
  return out;
}

}  // namespace strand
