#include "ops/core/element.h"
#include "ops/residual/residual_backends.h"

namespace strand::reference {

void residual_add(const OpContext&, ConstMatrix y, Matrix x) {
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t c = 0; c < x.cols; ++c) set_element(x, r, c, element(x, r, c) + element(y, r, c));
  }
}

}  // namespace strand::reference
