// The cases of ops/mse, for tests and benchmarks: those of ops/bce, with labels of any size.
#pragma once

#include <vector>

#include "ops/mse/mse.h"
#include "tests/ops/cases/bce_cases.h"

namespace strand::test {

inline constexpr LabelLossOp kMse{"mse", mse, false};

inline std::vector<Prepared> mse_cases() {
  return label_loss_cases(kMse);
}

}  // namespace strand::test
