#include <cmath>

#include "ops/bce/bce_backends.h"
#include "ops/core/label_loss.h"

namespace strand::reference {
namespace {

// exp(-|x|) never overflows; x >= 0 ? x (1 - t) : -x t is the part that grows.
double loss(double x, double label) {
  return (x >= 0 ? x * (1 - label) : -x * label) + std::log1p(std::exp(-std::abs(x)));
}

double derivative(double x, double label) {
  const double e = std::exp(-std::abs(x));
  const double smaller = e / (1 + e);  // of sigmoid(x) and 1 - sigmoid(x)
  return x >= 0 ? (1 - label) - smaller : smaller - label;
}

}  // namespace

LossSum bce(const OpContext&, Matrix logits, ConstMatrix labels, bool want_gradient) {
  return label_loss(logits, labels, want_gradient, loss, derivative);
}

}  // namespace strand::reference
