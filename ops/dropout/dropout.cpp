#include "ops/dropout/dropout.h"

#include "ops/core/element.h"
#include "ops/dropout/dropout_backends.h"

namespace strand {

void dropout(const OpContext& context, const DropoutArgs& args, Matrix x) {
  check_matrix("x", x);
  STRAND_CHECK(args.probability >= 0 && args.probability < 1, "probability ", args.probability);
  if (args.probability == 0 || x.rows == 0) return;
  STRAND_CHECK(args.sequence > 0 && args.row_numbers != nullptr, "sequence ", args.sequence);
  STRAND_CHECK(args.sequence * x.cols <= int64_t{1} << 32, "elements of a row: ", args.sequence * x.cols,
               ", at most 2^32 can be numbered");
  switch (context.backend) {
    case Backend::kReference: return reference::dropout(context, args, x);
    case Backend::kCpu: return cpu::dropout(context, args, x);
  }
}

}  // namespace strand
