// The fastest this processor can multiply and add: the yardstick of the matrix products' benchmark.
#pragma once

#include <cstdint>

namespace strand {

// Runs independent fp32 fused multiply-adds in registers, `rounds` of them per register, on the calling thread and the
// widest vectors here. Returns the floating-point operations done.
double run_fma_loop(int64_t rounds);

}  // namespace strand
