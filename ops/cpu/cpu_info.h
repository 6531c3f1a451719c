// What decides the bits of CPU results beside the program: part of the numerics fingerprint (DESIGN section 5).
#pragma once

#include <string>

namespace strand {

std::string onednn_version();  // "2.6.3"
// The instruction set oneDNN chooses on this machine: "avx2", "avx512_core_bf16", "avx512_core_bf16_amx_bf16", ...
std::string onednn_isa();
// A matrix unit for bf16 (AMX) that makes it faster than fp32 by far.
bool cpu_has_bf16_matrix_unit();

}  // namespace strand
