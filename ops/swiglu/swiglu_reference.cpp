#include <cmath>

#include "ops/core/gated.h"
#include "ops/swiglu/swiglu_backends.h"

namespace strand::reference {
namespace {

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}
double silu(double x) {
  return x * sigmoid(x);
}
double silu_derivative(double x) {
  return sigmoid(x) * (1 + x * (1 - sigmoid(x)));
}

}  // namespace

void swiglu_forward(const OpContext&, ConstMatrix x, Matrix y) {
  gated_forward(x, y, silu);
}

void swiglu_backward(const OpContext&, ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  gated_backward(x, d_y, d_x, silu, silu_derivative);
}

}  // namespace strand::reference
