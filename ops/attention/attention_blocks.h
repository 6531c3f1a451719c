// Block sizes of the CPU's attention and how one task's scratch is divided. Sizes depend on the shape alone.
#pragma once

#include <cstdint>

#include "ops/core/matrix.h"

namespace strand::cpu {

constexpr int64_t kBlock = 64;         // queries and keys of one block of scores
constexpr int64_t kTaskQueries = 256;  // queries of one forward task, which share the copies of keys and values
constexpr int64_t kPadding = 16;       // floats: one vector of AVX-512, four of SSE4
constexpr int64_t kRowMultiple = 16;   // rows of a product, at least the rows kept in registers

inline int64_t round_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// One head of one row of the batch.
struct HeadBlocks {
  int64_t sequence = 0;
  int64_t keys = 0;   // keys [0, keys) are real
  int64_t size = 0;   // head size
  int64_t width = 0;  // head size padded to whole vectors
  bool causal = true;
  float scale = 0;
  float slope = 0;  // of the bias, 0: none
};

// The head's part of each operand: [sequence, head size]; lse [sequence].
struct ForwardViews {
  ConstMatrix q, k, v;
  Matrix out;
  float* lse = nullptr;
};
struct BackwardViews {
  ConstMatrix q, k, v, out, d_out;
  const float* lse = nullptr;
  Matrix d_q, d_k, d_v;
};

// Hands out consecutive pieces of one block of floats; with a null start it only counts.
class Carver {
 public:
  explicit Carver(float* memory) : memory_(memory) {}
  float* take(int64_t floats) {
    float* piece = memory_ == nullptr ? nullptr : memory_ + used_;
    used_ += round_up(floats, kPadding);
    return piece;
  }
  int64_t used() const { return used_; }

 private:
  float* memory_;
  int64_t used_ = 0;
};

struct ForwardScratch {
  float* q = nullptr;       // [kTaskQueries, width], scaled
  float* out = nullptr;     // [kTaskQueries, width], not yet divided by sum
  float* top = nullptr;     // [kTaskQueries], largest score so far
  float* sum = nullptr;     // [kTaskQueries], of exp(score - top)
  float* k = nullptr;       // [width, kBlock]: keys transposed
  float* v = nullptr;       // [kBlock, width]
  float* scores = nullptr;  // [kBlock, kBlock]
  int64_t floats = 0;
};

inline ForwardScratch carve_forward(const HeadBlocks& head, float* memory) {
  Carver carver(memory);
  ForwardScratch s;
  s.q = carver.take(kTaskQueries * head.width);
  s.out = carver.take(kTaskQueries * head.width);
  s.top = carver.take(kTaskQueries);
  s.sum = carver.take(kTaskQueries);
  s.k = carver.take(kBlock * head.width);
  s.v = carver.take(kBlock * head.width);
  s.scores = carver.take(kBlock * kBlock);
  s.floats = carver.used();
  return s;
}

struct BackwardScratch {
  float* q = nullptr;             // [sequence, width], scaled
  float* d_out = nullptr;         // [sequence, width]
  float* d_q = nullptr;           // [sequence, width], not yet scaled
  float* mean = nullptr;          // [sequence]: d_out . out
  float* k = nullptr;             // [kBlock, width]
  float* k_transposed = nullptr;  // [width, kBlock]
  float* v_transposed = nullptr;  // [width, kBlock]
  float* d_k = nullptr;           // [kBlock, width]
  float* d_v = nullptr;           // [kBlock, width]
  float* p = nullptr;             // [kBlock, kBlock]
  float* d_p = nullptr;           // [kBlock, kBlock]
  int64_t floats = 0;
};

inline BackwardScratch carve_backward(const HeadBlocks& head, float* memory) {
  Carver carver(memory);
  const int64_t rows = round_up(head.sequence, kBlock);
  BackwardScratch s;
  s.q = carver.take(rows * head.width);
  s.d_out = carver.take(rows * head.width);
  s.d_q = carver.take(rows * head.width);
  s.mean = carver.take(rows);
  s.k = carver.take(kBlock * head.width);
  s.k_transposed = carver.take(kBlock * head.width);
  s.v_transposed = carver.take(kBlock * head.width);
  s.d_k = carver.take(kBlock * head.width);
  s.d_v = carver.take(kBlock * head.width);
  s.p = carver.take(kBlock * kBlock);
  s.d_p = carver.take(kBlock * kBlock);
  s.floats = carver.used();
  return s;
}

}  // namespace strand::cpu
