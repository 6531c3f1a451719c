// The first version calls the reference.
#include "ops/matmul/matmul_backends.h"

namespace strand::cpu {

void matmul(const OpContext& context, const MatmulArgs& args) {
  return reference::matmul(context, args);
}

}  // namespace strand::cpu
