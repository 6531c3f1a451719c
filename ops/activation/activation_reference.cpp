#include <cmath>
#include <numbers>

#include "ops/activation/activation_backends.h"
#include "ops/core/element.h"
#include "ops/core/gelu.h"

namespace strand::reference {

namespace {

constexpr double kTanhCubic = 0.044715;  // Hendrycks and Gimpel, 2016

double value(Activation f, double x) {
  switch (f) {
    case Activation::kGelu: return gelu(x);
    case Activation::kGeluTanh: {
      const double u = std::sqrt(2 / std::numbers::pi) * (x + kTanhCubic * x * x * x);
      return 0.5 * x * (1 + std::tanh(u));
    }
    case Activation::kRelu: return x < 0 ? 0 : x;
    case Activation::kTanh: return std::tanh(x);
  }
  return 0;
}

double derivative(Activation f, double x) {
  switch (f) {
    case Activation::kGelu: return gelu_derivative(x);
    case Activation::kGeluTanh: {
      const double k = std::sqrt(2 / std::numbers::pi);
      const double t = std::tanh(k * (x + kTanhCubic * x * x * x));
      return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * k * (1 + 3 * kTanhCubic * x * x);
    }
    case Activation::kRelu: return x > 0 ? 1 : 0;
    case Activation::kTanh: return 1 / (std::cosh(x) * std::cosh(x));
  }
  return 0;
}

}  // namespace

void activation_forward(const OpContext&, Activation f, ConstMatrix x, Matrix y) {
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t c = 0; c < x.cols; ++c) set_element(y, r, c, value(f, element(x, r, c)));
  }
}

void activation_backward(const OpContext&, Activation f, ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t c = 0; c < x.cols; ++c) {
      set_element(d_x, r, c, derivative(f, element(x, r, c)) * element(d_y, r, c));
    }
  }
}

}  // namespace strand::reference
