// Memory of the model's activations: allocated once, reused by every micro batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "ops/core/matrix.h"
#include "shared/base/check.h"

namespace strand {

// A row-major matrix that owns its memory: 64-byte aligned, zeroed.
class Buffer {
 public:
  Buffer() = default;
  Buffer(DType dtype, int64_t rows, int64_t cols);

  // The first `rows` rows; all of them without an argument.
  Matrix view(int64_t rows) const {
    STRAND_CHECK(rows <= rows_, "rows ", rows, " of ", rows_);
    return {data_.get(), dtype_, rows, cols_};
  }
  Matrix view() const { return view(rows_); }
  float* f32() const { return view().f32(); }
  int64_t rows() const { return rows_; }

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  std::unique_ptr<void, Free> data_;
  DType dtype_ = DType::kF32;
  int64_t rows_ = 0, cols_ = 0;
};

}  // namespace strand
