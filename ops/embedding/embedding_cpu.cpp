// The first version calls the reference.
#include "ops/embedding/embedding_backends.h"

namespace strand::cpu {

void embedding_forward(const OpContext& context, const int32_t* ids, ConstMatrix table, float scale, Matrix out) {
  return reference::embedding_forward(context, ids, table, scale, out);
}

void embedding_backward(const OpContext& context, const int32_t* ids, ConstMatrix d_out, float scale, Matrix d_table) {
  return reference::embedding_backward(context, ids, d_out, scale, d_table);
}

}  // namespace strand::cpu
