// Element access by row and column in double, and shape checks: for argument checks and the reference implementations.
#pragma once

#include "ops/core/matrix.h"

namespace strand {

inline double element(ConstMatrix m, int64_t row, int64_t col) {
  const int64_t i = row * m.stride + col;
  return m.dtype == DType::kF32 ? static_cast<const float*>(m.data)[i]
                                : to_float(static_cast<const BFloat16*>(m.data)[i]);
}

inline void set_element(Matrix m, int64_t row, int64_t col, double value) {
  const int64_t i = row * m.stride + col;
  if (m.dtype == DType::kF32) {
    static_cast<float*>(m.data)[i] = static_cast<float>(value);
  } else {
    static_cast<BFloat16*>(m.data)[i] = to_bf16(static_cast<float>(value));
  }
}

inline void check_matrix(const char* name, ConstMatrix m) {
  STRAND_CHECK(m.rows >= 0 && m.cols >= 0 && (m.rows <= 1 || m.stride >= m.cols), name, ": ", m.rows, " x ", m.cols,
               ", stride ", m.stride);
  STRAND_CHECK(m.data != nullptr || m.rows == 0 || m.cols == 0, name, ": no data");
}

inline void check_shape(const char* name, ConstMatrix m, int64_t rows, int64_t cols) {
  check_matrix(name, m);
  STRAND_CHECK(m.rows == rows && m.cols == cols, name, ": found ", m.rows, " x ", m.cols, ", expected ", rows, " x ",
               cols);
}

inline void check_dtype(const char* name, ConstMatrix m, DType dtype) {
  STRAND_CHECK(m.dtype == dtype, name, ": found ", dtype_name(m.dtype), ", expected ", dtype_name(dtype));
}

}  // namespace strand
