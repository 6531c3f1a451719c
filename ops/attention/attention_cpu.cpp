// The first version calls the reference.
#include "ops/attention/attention_backends.h"

namespace strand::cpu {

void attention_forward(const OpContext& context, const AttentionForwardArgs& args) {
  return reference::attention_forward(context, args);
}

void attention_backward(const OpContext& context, const AttentionBackwardArgs& args) {
  return reference::attention_backward(context, args);
}

}  // namespace strand::cpu
