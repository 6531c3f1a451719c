#include <vector>

#include "ops/core/element.h"
#include "ops/embedding/embedding_backends.h"

namespace strand::reference {

void embedding_forward(const OpContext&, const int32_t* ids, ConstMatrix table, float scale, Matrix out) {
  for (int64_t t = 0; t < out.rows; ++t) {
    for (int64_t c = 0; c < out.cols; ++c) set_element(out, t, c, scale * element(table, ids[t], c));
  }
}

void embedding_backward(const OpContext&, const int32_t* ids, ConstMatrix d_out, float scale, Matrix d_table) {
  const int64_t d = d_out.cols;
  std::vector<double> sums(static_cast<size_t>(d_table.rows * d));
  for (int64_t t = 0; t < d_out.rows; ++t) {
    for (int64_t c = 0; c < d; ++c) sums[static_cast<size_t>(ids[t] * d + c)] += scale * element(d_out, t, c);
  }
  for (int64_t r = 0; r < d_table.rows; ++r) {
    for (int64_t c = 0; c < d; ++c) {
      set_element(d_table, r, c, element(d_table, r, c) + sums[static_cast<size_t>(r * d + c)]);
    }
  }
}

}  // namespace strand::reference
