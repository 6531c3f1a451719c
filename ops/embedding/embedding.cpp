#include "ops/embedding/embedding.h"

#include "ops/core/element.h"
#include "ops/embedding/embedding_backends.h"

namespace strand {

void embedding_forward(const OpContext& context, const int32_t* ids, ConstMatrix table, float scale, Matrix out) {
  check_matrix("table", table);
  check_shape("out", out, out.rows, table.cols);
  check_dtype("out", out, DType::kF32);
  for (int64_t t = 0; t < out.rows; ++t) {
    STRAND_CHECK(ids[t] >= 0 && ids[t] < table.rows, "id ", ids[t], " of token ", t, ", vocabulary ", table.rows);
  }
  switch (context.backend) {
    case Backend::kReference: return reference::embedding_forward(context, ids, table, scale, out);
    case Backend::kCpu: return cpu::embedding_forward(context, ids, table, scale, out);
  }
}

void embedding_backward(const OpContext& context, const int32_t* ids, ConstMatrix d_out, float scale, Matrix d_table) {
  check_shape("d_table", d_table, d_table.rows, d_out.cols);
  check_matrix("d_out", d_out);
  check_dtype("d_out", d_out, DType::kF32);
  check_dtype("d_table", d_table, DType::kF32);
  for (int64_t t = 0; t < d_out.rows; ++t) {
    STRAND_CHECK(ids[t] >= 0 && ids[t] < d_table.rows, "id ", ids[t], " of token ", t, ", vocabulary ", d_table.rows);
  }
  switch (context.backend) {
    case Backend::kReference: return reference::embedding_backward(context, ids, d_out, scale, d_table);
    case Backend::kCpu: return cpu::embedding_backward(context, ids, d_out, scale, d_table);
  }
}

}  // namespace strand
