// Included first by every *_cpu.cpp that uses Highway: which instruction sets are compiled. SSE4 is the baseline of
// those files (ops/CMakeLists.txt), AVX2 and AVX-512 are chosen at run time; the rest would only lengthen the build.
#pragma once

#include <hwy/detect_targets.h>

#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
