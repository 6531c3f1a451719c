// The cases of ops/cross_entropy, for tests and benchmarks.
#pragma once

#include <string>
#include <vector>

#include "ops/cross_entropy/cross_entropy.h"
#include "tests/ops/tensors.h"

namespace strand::test {

enum class Targets { kAll, kSomeIgnored, kAllIgnored };

struct CrossEntropyShape {
  int64_t rows;
  int64_t vocabulary;
  int64_t padding = 0;
  Targets targets = Targets::kSomeIgnored;
  bool gradient = true;
  double scale = 5;
};

inline std::vector<int32_t> cross_entropy_targets(const CrossEntropyShape& s) {
  std::vector<int32_t> targets;
  for (int64_t r = 0; r < s.rows; ++r) {
    const uint32_t word = random_word(philox_key(kSeed, Purpose::kTest), static_cast<uint64_t>(r), 98, 0);
    const bool ignored = s.targets == Targets::kAllIgnored || (s.targets == Targets::kSomeIgnored && r % 3 == 1);
    targets.push_back(ignored ? kIgnoredTarget : static_cast<int32_t>(word % static_cast<uint64_t>(s.vocabulary)));
  }
  return targets;
}

// Tensors: logits, row losses, [sum of the loss as two floats (high and low part), number of targets].
inline Prepared cross_entropy_case(const CrossEntropyShape& s) {
  Prepared p;
  p.name = shape_name("cross_entropy", s.rows, s.vocabulary, s.padding, DType::kF32) +
           concat(" x ", s.scale, " targets ", static_cast<int>(s.targets), s.gradient ? " gradient" : "");
  p.tensors = {random_tensor(1, DType::kF32, s.rows, s.vocabulary, s.padding, s.scale), Tensor(DType::kF32, 1, s.rows),
               Tensor(DType::kF32, 1, 2)};
  const std::vector<int32_t> targets = cross_entropy_targets(s);
  p.run = [targets, s](const OpContext& context, Tensors& t) {
    const CrossEntropySum sum = cross_entropy(context, t[0].matrix(), targets.data(), s.gradient, t[1].f32());
    t[2].put(0, 0, sum.loss);
    t[2].put(0, 1, static_cast<double>(sum.targets));
  };
  p.relative = 1e-6;
  p.absolute = 2e-7;
  p.bytes_moved = (s.gradient ? 8.0 : 4.0) * static_cast<double>(s.rows * s.vocabulary);
  return p;
}

inline std::vector<Prepared> cross_entropy_cases() {
  std::vector<Prepared> cases;
  for (bool gradient : {true, false}) {
    for (int64_t vocabulary : {1, 3, 8, 16, 17, 255, 257, 4096}) {
      cases.push_back(cross_entropy_case({37, vocabulary, 0, Targets::kSomeIgnored, gradient}));
    }
    cases.push_back(cross_entropy_case({5, 50280, 0, Targets::kAll, gradient, 10}));
    cases.push_back(cross_entropy_case({0, 8, 0, Targets::kAll, gradient}));
    cases.push_back(cross_entropy_case({20, 16, 0, Targets::kAllIgnored, gradient}));
    cases.push_back(cross_entropy_case({3000, 12, 4, Targets::kSomeIgnored, gradient}));
    cases.push_back(cross_entropy_case({60, 100, 0, Targets::kAll, gradient, 1e4}));
  }
  return cases;
}

}  // namespace strand::test
