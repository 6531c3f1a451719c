#include "ops/attention/attention.h"

#include "ops/attention/attention_backends.h"
#include "ops/core/element.h"

namespace strand {
namespace {

void check_operand(const char* name, const AttentionShape& shape, ConstMatrix matrix, DType dtype) {
  check_shape(name, matrix, shape.batch * shape.sequence, shape.heads * shape.head_size);
  check_dtype(name, matrix, dtype);
}

bool is_empty(const AttentionShape& shape) {
  return shape.batch * shape.sequence * shape.heads * shape.head_size == 0;
}

}  // namespace

void attention_forward(const OpContext& context, const AttentionShape& shape, ConstMatrix q, ConstMatrix k,
                       ConstMatrix v, Matrix out, float* lse) {
  check_operand("q", shape, q, q.dtype);
  check_operand("k", shape, k, q.dtype);
  check_operand("v", shape, v, q.dtype);
  check_operand("out", shape, out, q.dtype);
  if (is_empty(shape)) return;
  STRAND_CHECK(lse != nullptr);
  const AttentionForwardArgs args{shape, q, k, v, out, lse};
  switch (context.backend) {
    case Backend::kReference: return reference::attention_forward(context, args);
    case Backend::kCpu: return cpu::attention_forward(context, args);
  }
}

void attention_backward(const OpContext& context, const AttentionShape& shape, ConstMatrix q, ConstMatrix k,
                        ConstMatrix v, ConstMatrix out, const float* lse, ConstMatrix d_out, Matrix d_q, Matrix d_k,
                        Matrix d_v) {
  check_operand("q", shape, q, q.dtype);
  check_operand("k", shape, k, q.dtype);
  check_operand("v", shape, v, q.dtype);
  check_operand("out", shape, out, q.dtype);
  check_operand("d_out", shape, d_out, q.dtype);
  check_operand("d_q", shape, d_q, q.dtype);
  check_operand("d_k", shape, d_k, q.dtype);
  check_operand("d_v", shape, d_v, q.dtype);
  if (is_empty(shape)) return;
  STRAND_CHECK(lse != nullptr);
  const AttentionBackwardArgs args{shape, q, k, v, out, lse, d_out, d_q, d_k, d_v};
  switch (context.backend) {
    case Backend::kReference: return reference::attention_backward(context, args);
    case Backend::kCpu: return cpu::attention_backward(context, args);
  }
}

}  // namespace strand
