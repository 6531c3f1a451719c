// Properties every operator case must have.
#pragma once

#include <gtest/gtest.h>

#include "tests/ops/tensors.h"

namespace strand::test {

inline bool guard_untouched(const Tensor& t) {
  const auto size = static_cast<int64_t>(dtype_size(t.dtype));
  for (int64_t r = 0; r < t.rows; ++r) {
    for (int64_t i = (r * t.stride + t.cols) * size; i < (r + 1) * t.stride * size; ++i) {
      if (t.bytes[static_cast<size_t>(i)] != kGuard) return false;
    }
  }
  return true;
}

// The fast version against the double-accumulating one, element by element; a bf16 result may be one rounding away.
inline void expect_cpu_matches_reference(const Prepared& p) {
  const Tensors expected = result_of(p, Backend::kReference, 1);
  const Tensors found = result_of(p, Backend::kCpu, 2);
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_TRUE(guard_untouched(found[i])) << p.name << ": tensor " << i << " written past the end of a row";
    const double rounding = expected[i].dtype == DType::kBF16 ? 0x1p-7 : 0;
    for (int64_t r = 0; r < expected[i].rows; ++r) {
      for (int64_t c = 0; c < expected[i].cols; ++c) {
        const double want = expected[i].at(r, c);
        if (found[i].at(r, c) == want) continue;  // also the same infinity
        const double bound = p.absolute + (p.relative + rounding) * std::abs(want);
        ASSERT_NEAR(found[i].at(r, c), want, bound) << p.name << ": tensor " << i << " at " << r << ", " << c;
      }
    }
  }
}

inline void expect_same_bits_for_threads(const Prepared& p) {
  const Tensors one = result_of(p, Backend::kCpu, 1);
  for (int threads : {2, 3, 4}) {
    const Tensors many = result_of(p, Backend::kCpu, threads);
    for (size_t i = 0; i < one.size(); ++i) {
      ASSERT_TRUE(one[i].bytes == many[i].bytes) << p.name << ": tensor " << i << ", " << threads << " threads";
    }
  }
}

inline void expect_all(const std::vector<Prepared>& cases) {
  for (const Prepared& p : cases) {
    SCOPED_TRACE(p.name);
    expect_cpu_matches_reference(p);
    expect_same_bits_for_threads(p);
  }
}

// Sum over elements of weight * value, in double: a scalar loss whose gradient by `value` is `weight`.
inline double dot(const Tensor& weight, const Tensor& value) {
  double sum = 0;
  for (int64_t r = 0; r < value.rows; ++r) {
    for (int64_t c = 0; c < value.cols; ++c) sum += weight.at(r, c) * value.at(r, c);
  }
  return sum;
}

// gradient . direction against a five-point difference of `loss` along it, for three random directions. The bound is
// relative to the gradient's norm, which is the standard deviation of gradient . direction.
inline void expect_gradient(const std::string& name, const Tensor& input, const Tensor& gradient,
                            const std::function<double(const Tensor&)>& loss, double tolerance = 5e-4) {
  constexpr double kStep = 1.0 / 64;
  for (uint32_t trial = 0; trial < 3; ++trial) {
    const Tensor direction = random_tensor(1000 + trial, DType::kF32, input.rows, input.cols, 0, std::sqrt(3.0));
    const auto moved = [&](double distance) {
      Tensor t = input;
      for (int64_t r = 0; r < t.rows; ++r) {
        for (int64_t c = 0; c < t.cols; ++c) t.put(r, c, t.at(r, c) + distance * direction.at(r, c));
      }
      return loss(t);
    };
    const double difference =
        (8 * (moved(kStep) - moved(-kStep)) - (moved(2 * kStep) - moved(-2 * kStep))) / (12 * kStep);
    const double norm = std::sqrt(dot(gradient, gradient));
    ASSERT_NEAR(dot(gradient, direction), difference, tolerance * (norm + 1e-3)) << name << ", direction " << trial;
  }
}

}  // namespace strand::test
