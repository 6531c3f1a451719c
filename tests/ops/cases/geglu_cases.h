// The cases of ops/geglu, for tests and benchmarks: those of ops/swiglu.
#pragma once

#include <vector>

#include "ops/geglu/geglu.h"
#include "tests/ops/cases/swiglu_cases.h"

namespace strand::test {

inline constexpr GatedOp kGeGlu{"geglu", geglu_forward, geglu_backward};

inline std::vector<Prepared> geglu_cases() {
  return gated_cases(kGeGlu);
}

}  // namespace strand::test
