// The exact GELU, x Phi(x) with the normal distribution function Phi (Hendrycks and Gimpel, 2016), and its derivative
// in double: what the reference implementations mean by it.
#pragma once

#include <cmath>
#include <numbers>

namespace strand::reference {

inline double gelu(double x) {
  return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
}
inline double gelu_derivative(double x) {
  const double density = std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi);
  return 0.5 * std::erfc(-x / std::numbers::sqrt2) + x * density;
}

}  // namespace strand::reference
