// What the gated linear units (swiglu, geglu) have in common outside vector code: argument checks and reference loops.
#pragma once

#include "ops/core/element.h"

namespace strand {

inline void check_gated(ConstMatrix x, ConstMatrix y) {
  check_matrix("y", y);
  check_shape("x", x, y.rows, 2 * y.cols);
  check_dtype("y", y, x.dtype);
}

inline void check_gated_backward(ConstMatrix x, ConstMatrix d_y, ConstMatrix d_x) {
  check_matrix("d_y", d_y);
  check_shape("x", x, d_y.rows, 2 * d_y.cols);
  check_shape("d_x", d_x, x.rows, x.cols);
  check_dtype("d_y", d_y, x.dtype);
  check_dtype("d_x", d_x, x.dtype);
}

namespace reference {

// value and derivative: of the gate's function, double to double.
template <class Value>
void gated_forward(ConstMatrix x, Matrix y, const Value& value) {
  for (int64_t r = 0; r < y.rows; ++r) {
    for (int64_t c = 0; c < y.cols; ++c) {
      set_element(y, r, c, value(element(x, r, y.cols + c)) * element(x, r, c));
    }
  }
}

template <class Value, class Derivative>
void gated_backward(ConstMatrix x, ConstMatrix d_y, Matrix d_x, const Value& value, const Derivative& derivative) {
  const int64_t h = d_y.cols;
  for (int64_t r = 0; r < d_y.rows; ++r) {
    for (int64_t c = 0; c < h; ++c) {
      const double linear = element(x, r, c);
      const double gate = element(x, r, h + c);
      const double g = element(d_y, r, c);
      set_element(d_x, r, c, g * value(gate));
      set_element(d_x, r, h + c, g * linear * derivative(gate));
    }
  }
}

}  // namespace reference
}  // namespace strand
