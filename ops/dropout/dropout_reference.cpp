#include "ops/core/element.h"
#include "ops/dropout/dropout_backends.h"

namespace strand::reference {

void dropout(const OpContext&, const DropoutArgs& args, Matrix x) {
  const double scale = 1 / (1 - static_cast<double>(args.probability));
  for (int64_t t = 0; t < x.rows; ++t) {
    const auto n = static_cast<uint64_t>(args.row_numbers[t / args.sequence]);
    for (int64_t c = 0; c < x.cols; ++c) {
      const auto e = static_cast<uint32_t>(t % args.sequence * x.cols + c);
      const bool keep = unit_float(random_word(args.key, n, args.layer, e)) >= args.probability;
      set_element(x, t, c, element(x, t, c) * (keep ? scale : 0));
    }
  }
}

}  // namespace strand::reference
