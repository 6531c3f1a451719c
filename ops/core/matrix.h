// Views of row-major matrices. A view owns nothing; `stride` is the distance between rows in elements, so that the
// q, k and v parts of one [tokens, 3 * hidden] buffer are three views.
#pragma once

#include <cstdint>

#include "ops/core/dtype.h"
#include "shared/base/check.h"

namespace strand {

template <bool kConst>
struct BasicMatrix {
  using Void = std::conditional_t<kConst, const void, void>;
  template <class T>
  using Pointer = std::conditional_t<kConst, const T*, T*>;

  Void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;

  BasicMatrix() = default;
  BasicMatrix(Void* d, DType t, int64_t r, int64_t c) : data(d), dtype(t), rows(r), cols(c), stride(c) {}
  BasicMatrix(Void* d, DType t, int64_t r, int64_t c, int64_t s) : data(d), dtype(t), rows(r), cols(c), stride(s) {}
  // A mutable view converts to a constant one.
  template <bool kOther>
  requires(kConst && !kOther) BasicMatrix(const BasicMatrix<kOther>& m)
      : data(m.data), dtype(m.dtype), rows(m.rows), cols(m.cols), stride(m.stride) {}

  Pointer<float> f32() const {
    STRAND_CHECK(dtype == DType::kF32);
    return static_cast<Pointer<float>>(data);
  }
  Pointer<BFloat16> bf16() const {
    STRAND_CHECK(dtype == DType::kBF16);
    return static_cast<Pointer<BFloat16>>(data);
  }
  BasicMatrix columns(int64_t first, int64_t count) const { return {offset(first), dtype, rows, count, stride}; }
  BasicMatrix row_range(int64_t first, int64_t count) const {
    return {offset(first * stride), dtype, count, cols, stride};
  }

 private:
  Void* offset(int64_t elements) const {
    using Byte = std::conditional_t<kConst, const char, char>;
    return static_cast<Byte*>(data) + elements * static_cast<int64_t>(dtype_size(dtype));
  }
};

using Matrix = BasicMatrix<false>;
using ConstMatrix = BasicMatrix<true>;

}  // namespace strand
