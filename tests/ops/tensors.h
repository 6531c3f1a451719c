// Tensors and comparisons for the tests and benchmarks of row and pointwise operators. A case of an operator is its
// tensors, inputs and outputs alike, and a function that runs it on them; everything here works on any such case.
#pragma once

#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "ops/core/context.h"
#include "ops/core/element.h"
#include "shared/base/rng.h"

namespace strand::test {

constexpr uint64_t kSeed = 20250;
constexpr unsigned char kGuard = 0xa5;  // fills what lies between the end of a row and the start of the next

// A matrix with its storage: exactly rows * stride elements, so that a sanitizer sees any access outside.
struct Tensor {
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;
  std::vector<unsigned char> bytes;

  Tensor() = default;
  Tensor(DType type, int64_t r, int64_t c, int64_t padding = 0)
      : dtype(type),
        rows(r),
        cols(c),
        stride(c + padding),
        bytes(static_cast<size_t>(r * (c + padding)) * dtype_size(type), kGuard) {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < cols; ++j) put(i, j, 0);
    }
  }
  Matrix matrix() { return {bytes.data(), dtype, rows, cols, stride}; }
  ConstMatrix matrix() const { return {bytes.data(), dtype, rows, cols, stride}; }
  float* f32() { return matrix().f32(); }
  const float* f32() const { return matrix().f32(); }
  double at(int64_t r, int64_t c) const { return element(matrix(), r, c); }
  void put(int64_t r, int64_t c, double value) { set_element(matrix(), r, c, value); }
};

// scale * uniform(-1, 1) + offset, the same for the same stream number.
inline Tensor random_tensor(uint32_t stream, DType dtype, int64_t rows, int64_t cols, int64_t padding = 0,
                            double scale = 1, double offset = 0) {
  Tensor t(dtype, rows, cols, padding);
  const PhiloxKey key = philox_key(kSeed, Purpose::kTest);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      const uint32_t word = random_word(key, static_cast<uint64_t>(r), stream, static_cast<uint32_t>(c));
      t.put(r, c, offset + scale * (2 * open_unit_double(word) - 1));
    }
  }
  return t;
}

using Tensors = std::vector<Tensor>;
using Run = std::function<void(const OpContext&, Tensors&)>;

struct Prepared {
  std::string name;
  Tensors tensors;
  Run run;
  double relative = 2e-6;  // of the reference's value
  double absolute = 2e-6;
  double bytes_moved = 0;  // the least memory traffic of one run, for benchmarks
};

inline std::string shape_name(const std::string& what, int64_t rows, int64_t cols, int64_t padding, DType dtype) {
  return concat(what, " ", rows, "x", cols, padding > 0 ? concat("+", padding) : "", " ", dtype_name(dtype));
}

// Owns what an OpContext points to.
struct Machine {
  explicit Machine(int threads, Backend backend)
      : pool(threads), workspace(threads), context{&pool, &workspace, backend} {}
  ThreadPool pool;
  Workspace workspace;
  OpContext context;
};

inline Tensors result_of(const Prepared& prepared, Backend backend, int threads) {
  Machine machine(threads, backend);
  Tensors tensors = prepared.tensors;
  prepared.run(machine.context, tensors);
  return tensors;
}

}  // namespace strand::test
