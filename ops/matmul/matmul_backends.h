// The implementations matmul.cpp chooses from. Arguments are as in matmul.h, already checked, m and n at least 1.
#pragma once

#include "ops/matmul/matmul.h"

namespace strand {

struct MatmulSize {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
};
inline MatmulSize matmul_size(const MatmulArgs& args) {
  return {args.c.rows, args.c.cols, args.transpose_a ? args.a.rows : args.a.cols};
}

namespace reference {
void matmul(const OpContext& context, const MatmulArgs& args);
}
namespace cpu {
void matmul(const OpContext& context, const MatmulArgs& args);
}

}  // namespace strand
