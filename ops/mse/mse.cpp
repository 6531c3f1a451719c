#include "ops/mse/mse.h"

#include <cmath>

#include "ops/core/label_loss.h"
#include "ops/mse/mse_backends.h"

namespace strand {

LossSum mse(const OpContext& context, Matrix predictions, ConstMatrix labels, bool want_gradient) {
  check_label_loss(predictions, labels, [](float label) { return std::isfinite(label); });
  switch (context.backend) {
    case Backend::kReference: return reference::mse(context, predictions, labels, want_gradient);
    case Backend::kCpu: return cpu::mse(context, predictions, labels, want_gradient);
  }
  return {};
}

}  // namespace strand
