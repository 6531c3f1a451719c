#include "ops/pooling/pooling.h"

#include "ops/core/element.h"
#include "ops/pooling/pooling_backends.h"

namespace strand {
namespace {

void check_pooling(const PoolingShape& shape, ConstMatrix hidden, ConstMatrix pooled) {
  check_shape("hidden", hidden, shape.rows * shape.segment, pooled.cols);
  check_shape("pooled", pooled, shape.rows, pooled.cols);
  check_dtype("pooled", pooled, DType::kF32);
  STRAND_CHECK(shape.segment < int64_t{1} << 24, "segment ", shape.segment);
  for (int64_t r = 0; r < shape.rows; ++r) {
    for (const int32_t* bound : {shape.begin, shape.end}) {
      STRAND_CHECK(bound == nullptr || (bound[r] >= 0 && bound[r] <= shape.segment), "row ", r, ": token ", bound[r],
                   " of ", shape.segment);
    }
  }
}

}  // namespace

void pooling_forward(const OpContext& context, const PoolingShape& shape, ConstMatrix hidden, Matrix pooled) {
  check_pooling(shape, hidden, pooled);
  switch (context.backend) {
    case Backend::kReference: return reference::pooling_forward(context, shape, hidden, pooled);
    case Backend::kCpu: return cpu::pooling_forward(context, shape, hidden, pooled);
  }
}

void pooling_backward(const OpContext& context, const PoolingShape& shape, ConstMatrix hidden, ConstMatrix d_pooled,
                      Matrix d_hidden) {
  check_pooling(shape, hidden, d_pooled);
  check_shape("d_hidden", d_hidden, hidden.rows, hidden.cols);
  check_dtype("d_hidden", d_hidden, hidden.dtype);
  switch (context.backend) {
    case Backend::kReference: return reference::pooling_backward(context, shape, hidden, d_pooled, d_hidden);
    case Backend::kCpu: return cpu::pooling_backward(context, shape, hidden, d_pooled, d_hidden);
  }
}

}  // namespace strand
