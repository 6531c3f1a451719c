// Which vector instruction set the row and pointwise operators run on: part of the numerics fingerprint, since the
// number of lanes decides the order of sums within a row.
#pragma once

#include <string>
#include <vector>

namespace strand {

// The instruction sets compiled in and supported here, best first: "AVX3" (AVX-512), "AVX2", "SSE4".
std::vector<std::string> simd_targets();
// The one in use.
std::string simd_target();
// For tests only, and not while an op runs: use `name` of simd_targets() from now on; "" returns to the best.
void use_simd_target_for_test(const std::string& name);

}  // namespace strand
