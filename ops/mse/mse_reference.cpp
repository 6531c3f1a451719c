#include "ops/core/label_loss.h"
#include "ops/mse/mse_backends.h"

namespace strand::reference {
namespace {

double loss(double x, double label) {
  return (x - label) * (x - label);
}

double derivative(double x, double label) {
  return 2 * (x - label);
}

}  // namespace

LossSum mse(const OpContext&, Matrix predictions, ConstMatrix labels, bool want_gradient) {
  return label_loss(predictions, labels, want_gradient, loss, derivative);
}

}  // namespace strand::reference
