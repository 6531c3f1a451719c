// One single-threaded matrix product C = op(A) op(B) [+ bias] [+ C] of oneDNN, compiled for its sizes and strides.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "ops/core/context.h"
#include "ops/core/dtype.h"

namespace strand::cpu {

// Sizes and strides as in ops/matmul: op(A) is [m, k], op(B) [k, n]; strides are of the stored rows, in elements.
struct ProductKey {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  int64_t stride_a = 0;
  int64_t stride_b = 0;
  int64_t stride_c = 0;
  bool transpose_a = false;
  bool transpose_b = false;
  bool accumulate = false;
  bool bias = false;
  DType inputs = DType::kF32;
  DType output = DType::kF32;
  auto operator<=>(const ProductKey&) const = default;
};

class Product {
 public:
  virtual ~Product() = default;
  virtual size_t scratch_bytes() const = 0;
  // Thread-safe as long as each thread brings its own scratch.
  virtual void run(const void* a, const void* b, void* c, const float* bias, void* scratch) const = 0;
};

class ProductCache : public KernelCache {
 public:
  ProductCache();
  ~ProductCache() override;
  // Compiles on first use; null where oneDNN has no such product on this machine (bf16 without AVX-512). To be called
  // with OpenMP at one thread. Valid until `trim` finds the cache full.
  const Product* find(const ProductKey& key);
  void trim();

 private:
  struct Library;
  std::unique_ptr<Library> library_;
  std::map<ProductKey, std::unique_ptr<Product>> products_;
};

}  // namespace strand::cpu
