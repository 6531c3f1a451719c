#include <cmath>

#include "ops/core/element.h"
#include "ops/swiglu/swiglu_backends.h"

namespace strand::reference {

void swiglu_forward(const OpContext&, ConstMatrix x, Matrix y) {
  for (int64_t r = 0; r < y.rows; ++r) {
    for (int64_t c = 0; c < y.cols; ++c) {
      const double gate = element(x, r, y.cols + c);
      set_element(y, r, c, gate / (1 + std::exp(-gate)) * element(x, r, c));
    }
  }
}

void swiglu_backward(const OpContext&, ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  const int64_t h = d_y.cols;
  for (int64_t r = 0; r < d_y.rows; ++r) {
    for (int64_t c = 0; c < h; ++c) {
      const double linear = element(x, r, c);
      const double gate = element(x, r, h + c);
      const double g = element(d_y, r, c);
      const double sigmoid = 1 / (1 + std::exp(-gate));
      set_element(d_x, r, c, g * gate * sigmoid);
      set_element(d_x, r, h + c, g * linear * sigmoid * (1 + gate * (1 - sigmoid)));
    }
  }
}

}  // namespace strand::reference
