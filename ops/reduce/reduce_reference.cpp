#include <algorithm>

#include "ops/core/element.h"
#include "ops/reduce/reduce_backends.h"

namespace strand::reference {

void sum_rows(const OpContext&, ConstMatrix x, float* out) {
  for (int64_t c = 0; c < x.cols; ++c) {
    double sum = out[c];
    for (int64_t r = 0; r < x.rows; ++r) sum += element(x, r, c);
    out[c] = static_cast<float>(sum);
  }
}

void sum_squares_by_block(const OpContext&, const float* x, int64_t n, double* partial) {
  for (int64_t first = 0; first < n; first += kBlockElements) {
    double sum = 0;
    for (int64_t i = first; i < std::min(n, first + kBlockElements); ++i) sum += static_cast<double>(x[i]) * x[i];
    partial[first / kBlockElements] = sum;
  }
}

void add(const OpContext&, const float* from, int64_t n, float* into) {
  for (int64_t i = 0; i < n; ++i) into[i] += from[i];
}

}  // namespace strand::reference
