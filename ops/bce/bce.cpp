#include "ops/bce/bce.h"

#include "ops/bce/bce_backends.h"
#include "ops/core/label_loss.h"

namespace strand {

LossSum bce(const OpContext& context, Matrix logits, ConstMatrix labels, bool want_gradient) {
  check_label_loss(logits, labels, [](float label) { return label >= 0 && label <= 1; });
  switch (context.backend) {
    case Backend::kReference: return reference::bce(context, logits, labels, want_gradient);
    case Backend::kCpu: return cpu::bce(context, logits, labels, want_gradient);
  }
  return {};
}

}  // namespace strand
