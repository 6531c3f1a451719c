#include <cmath>

#include "ops/core/element.h"
#include "ops/pooling/pooling_backends.h"

namespace strand::reference {
namespace {

// The matrix row of a column's maximum: the first of equal ones, the first NaN if there is any. count > 0.
int64_t first_maximum(ConstMatrix hidden, const PooledTokens& tokens, int64_t column) {
  int64_t best = tokens.first;
  for (int64_t t = tokens.first + 1; t < tokens.first + tokens.count; ++t) {
    const double x = element(hidden, t, column), top = element(hidden, best, column);
    if (x > top || (std::isnan(x) && !std::isnan(top))) best = t;
  }
  return best;
}

double pooled_value(const PoolingShape& shape, ConstMatrix hidden, const PooledTokens& tokens, int64_t column) {
  if (tokens.count == 0) return 0;
  if (shape.kind == PoolingKind::kMax) return element(hidden, first_maximum(hidden, tokens, column), column);
  double sum = 0;
  for (int64_t t = 0; t < tokens.count; ++t) sum += element(hidden, tokens.first + t, column);
  return sum / static_cast<double>(tokens.count);
}

void add_to(Matrix matrix, int64_t row, int64_t column, double value) {
  set_element(matrix, row, column, element(matrix, row, column) + value);
}

}  // namespace

void pooling_forward(const OpContext&, const PoolingShape& shape, ConstMatrix hidden, Matrix pooled) {
  for (int64_t r = 0; r < shape.rows; ++r) {
    const PooledTokens tokens = pooled_tokens(shape, r);
    for (int64_t c = 0; c < pooled.cols; ++c) set_element(pooled, r, c, pooled_value(shape, hidden, tokens, c));
  }
}

void pooling_backward(const OpContext&, const PoolingShape& shape, ConstMatrix hidden, ConstMatrix d_pooled,
                      Matrix d_hidden) {
  for (int64_t r = 0; r < shape.rows; ++r) {
    const PooledTokens tokens = pooled_tokens(shape, r);
    if (tokens.count == 0) continue;
    for (int64_t c = 0; c < d_pooled.cols; ++c) {
      const double g = element(d_pooled, r, c);
      if (shape.kind == PoolingKind::kMax) {
        add_to(d_hidden, first_maximum(hidden, tokens, c), c, g);
        continue;
      }
      for (int64_t t = 0; t < tokens.count; ++t) {
        add_to(d_hidden, tokens.first + t, c, g / static_cast<double>(tokens.count));
      }
    }
  }
}

}  // namespace strand::reference
