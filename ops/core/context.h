// What every op is given: threads, scratch memory and which implementation to run. Never global.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "ops/core/thread_pool.h"

namespace strand {

// kReference: plain loops with double accumulation, the definition of each op. kCpu: the fast one.
enum class Backend { kReference, kCpu };

// What a backend keeps between calls: compiled kernels, by shape.
class KernelCache {
 public:
  virtual ~KernelCache() = default;
};

// Grow-only scratch, one aligned block per thread; contents do not survive the op that asked.
class Workspace {
 public:
  explicit Workspace(int threads);
  ~Workspace();
  // At least `bytes` bytes, 64-byte aligned, for this thread's use until the next call with the same thread.
  void* scratch(int thread, size_t bytes);
  size_t allocated_bytes() const;
  // Null until the backend sets it. Only for the thread that calls ops, not for their tasks.
  std::unique_ptr<KernelCache>& kernels() { return kernels_; }

 private:
  struct Block;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::unique_ptr<KernelCache> kernels_;
};

struct OpContext {
  ThreadPool* pool = nullptr;
  Workspace* workspace = nullptr;
  Backend backend = Backend::kCpu;
};

}  // namespace strand
