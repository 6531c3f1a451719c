// Attention in blocks of 64 queries by 64 keys, in fp32, on copies padded to whole vectors. Forward: one task is up to
// 256 queries of one head, with online softmax. Backward: one task is one head, scores computed again from lse.
#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/attention/attention_cpu.cpp"
#include <hwy/foreach_target.h>

#include <cmath>
#include <limits>

#include "ops/attention/attention_backends.h"
#include "ops/attention/attention_blocks.h"
#include "ops/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// Rows of C kept in registers by the product: 8 x 2 vectors of AVX-512's 32 registers, 4 x 2 of the others' 16.
#if HWY_TARGET == HWY_AVX3
constexpr int64_t kRegisterRows = 8;
#else
constexpr int64_t kRegisterRows = 4;
#endif
static_assert(kRowMultiple % kRegisterRows == 0);

// A matrix operand read one element at a time: element (i, p) is at data[i * row + p * col].
struct Scalars {
  const float* data;
  int64_t row;
  int64_t col;
};

template <int64_t kVectors>
HWY_INLINE void product_tile(Scalars a, const float* b, int64_t b_row, float* c, int64_t c_row, int64_t k, bool add) {
  VF sum[kRegisterRows][kVectors];
#pragma GCC unroll 8
  for (int64_t i = 0; i < kRegisterRows; ++i) {
#pragma GCC unroll 2
    for (int64_t j = 0; j < kVectors; ++j) sum[i][j] = add ? load(c + i * c_row + j * lanes()) : zero();
  }
  for (int64_t p = 0; p < k; ++p) {
    VF right[kVectors];
#pragma GCC unroll 2
    for (int64_t j = 0; j < kVectors; ++j) right[j] = load(b + p * b_row + j * lanes());
#pragma GCC unroll 8
    for (int64_t i = 0; i < kRegisterRows; ++i) {
      const VF left = set(a.data[i * a.row + p * a.col]);
#pragma GCC unroll 2
      for (int64_t j = 0; j < kVectors; ++j) sum[i][j] = hn::MulAdd(left, right[j], sum[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int64_t i = 0; i < kRegisterRows; ++i) {
#pragma GCC unroll 2
    for (int64_t j = 0; j < kVectors; ++j) store(sum[i][j], c + i * c_row + j * lanes());
  }
}

// C [m, n] = A [m, k] B [k, n], or += with `add`. m a multiple of kRowMultiple, n of kPadding; rows of B and C are
// b_row and c_row apart. Each element is summed in order of k.
void product(Scalars a, const float* b, int64_t b_row, float* c, int64_t c_row, int64_t m, int64_t n, int64_t k,
             bool add) {
  int64_t j = 0;
  for (; j + 2 * lanes() <= n; j += 2 * lanes()) {
    for (int64_t i = 0; i < m; i += kRegisterRows) {
      product_tile<2>({a.data + i * a.row, a.row, a.col}, b + j, b_row, c + i * c_row + j, c_row, k, add);
    }
  }
  for (; j < n; j += lanes()) {
    for (int64_t i = 0; i < m; i += kRegisterRows) {
      product_tile<1>({a.data + i * a.row, a.row, a.col}, b + j, b_row, c + i * c_row + j, c_row, k, add);
    }
  }
}

// to [padded_rows, width] = factor * the head's columns of rows [first_row, + rows), zero where there is nothing.
template <class T>
void copy_rows(const T* from, int64_t stride, int64_t rows, int64_t padded_rows, const HeadBlocks& head, float factor,
               float* to) {
  const VF f = set(factor);
  for (int64_t r = 0; r < padded_rows; ++r) {
    for (int64_t c = 0; c < head.width; c += lanes()) {
      const int64_t left = head.size - c;
      const VF v = r < rows && left > 0 ? hn::Mul(load(from + r * stride + c, left), f) : zero();
      store(v, to + r * head.width + c);
    }
  }
}

// to [width, kBlock] = rows [kBlock, width] transposed.
void transpose(const float* rows, int64_t width, float* to) {
  for (int64_t c = 0; c < width; ++c) {
    for (int64_t r = 0; r < kBlock; ++r) to[c * kBlock + r] = rows[r * width + c];
  }
}

template <class T>
void store_rows(const float* from, const HeadBlocks& head, int64_t rows, float factor, T* to, int64_t stride) {
  const VF f = set(factor);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < head.size; c += lanes()) {
      store(hn::Mul(load(from + r * head.width + c), f), to + r * stride + c, head.size - c);
    }
  }
}

HWY_INLINE float row_maximum(const float* row, int64_t visible) {
  VF top = set(kMinusInfinity);
  for (int64_t j = 0; j < visible; j += lanes()) {
    top = hn::Max(top, within(load(row + j), visible - j, set(kMinusInfinity)));
  }
  return hn::GetLane(hn::MaxOfLanes(Floats(), top));
}

// row[j] = exp(row[j] - top), 0 from `visible` to the end of the block; returns the sum.
HWY_INLINE float exponentials(float* row, int64_t visible, float top) {
  const VF t = set(top);
  VF sum = zero();
  for (int64_t j = 0; j < kBlock; j += lanes()) {
    const int64_t left = visible - j;
    const VF p = left > 0 ? within(hn::Exp(Floats(), hn::Sub(load(row + j), t)), left, zero()) : zero();
    store(p, row + j);
    sum = hn::Add(sum, p);
  }
  return sum_lanes(sum);
}

// One block of keys joins the running softmax of `rows` queries: scores become probabilities relative to the new
// maximum, and what was summed so far is scaled to it.
void join_softmax(const int64_t* visible, int64_t rows, float* scores, float* top, float* sum, float* out,
                  int64_t width) {
  float joined[kBlock];
  float factor[kBlock];
  for (int64_t i = 0; i < rows; ++i) joined[i] = std::max(top[i], row_maximum(scores + i * kBlock, visible[i]));
  for (int64_t i = rows; i < kBlock; ++i) joined[i] = kMinusInfinity;
  for (int64_t i = 0; i < kBlock; i += lanes()) {
    const VF now = load(joined + i);
    // Where nothing was seen yet the difference would be infinity minus infinity.
    const VF e = hn::Exp(Floats(), hn::Sub(load(top + i), now));
    store(hn::IfThenElse(hn::Eq(load(top + i), set(kMinusInfinity)), zero(), e), factor + i);
  }
  for (int64_t i = 0; i < rows; ++i) {
    if (factor[i] != 1) {
      const VF f = set(factor[i]);
      float* row = out + i * width;
      for (int64_t c = 0; c < width; c += lanes()) store(hn::Mul(load(row + c), f), row + c);
    }
    sum[i] = sum[i] * factor[i] + exponentials(scores + i * kBlock, visible[i], joined[i]);
    top[i] = joined[i];
  }
}

// Keys of the block at `first_key` that each query of the block at `first_query` sees; none for the padding.
void visible_in_block(const HeadBlocks& head, int64_t first_query, int64_t first_key, int64_t* visible) {
  for (int64_t i = 0; i < kBlock; ++i) {
    const int64_t query = first_query + i;
    const int64_t end = head.causal ? std::min(head.keys, query + 1) : head.keys;
    visible[i] = query < head.sequence ? std::clamp<int64_t>(end - first_key, 0, kBlock) : 0;
  }
}

// scores[i][j] -= slope * |query - key| for the first m rows and n columns of a block.
void add_bias(const HeadBlocks& head, int64_t first_query, int64_t first_key, int64_t m, int64_t n, float* scores) {
  if (head.slope == 0) return;
  const VF slope = set(head.slope);
  for (int64_t i = 0; i < m; ++i) {
    const VF offset = hn::Iota(Floats(), static_cast<float>(first_key - first_query - i));
    for (int64_t j = 0; j < n; j += lanes()) {
      const VF distance = hn::Abs(hn::Add(offset, set(static_cast<float>(j))));
      float* at = scores + i * kBlock + j;
      store(hn::NegMulAdd(slope, distance, load(at)), at);
    }
  }
}

template <class T>
void forward_task(const HeadBlocks& head, const ForwardViews& in, int64_t first, ForwardScratch s) {
  const int64_t width = head.width;
  const int64_t rows = std::min(kTaskQueries, head.sequence - first);
  const int64_t padded = round_up(rows, kBlock);
  const auto at = [&](const ConstMatrix& m, int64_t row) { return static_cast<const T*>(m.data) + row * m.stride; };
  copy_rows(at(in.q, first), in.q.stride, rows, padded, head, head.scale, s.q);
  std::fill_n(s.out, padded * width, 0.0f);
  std::fill_n(s.top, padded, kMinusInfinity);
  std::fill_n(s.sum, padded, 0.0f);
  const int64_t end = head.causal ? std::min(head.keys, first + rows) : head.keys;
  for (int64_t key = 0; key < end; key += kBlock) {
    const int64_t keys = std::min(kBlock, head.keys - key);
    copy_rows(at(in.k, key), in.k.stride, keys, kBlock, head, 1, s.v);
    transpose(s.v, width, s.k);
    copy_rows(at(in.v, key), in.v.stride, keys, kBlock, head, 1, s.v);
    // Blocks of queries that all come before this key see nothing of it.
    const int64_t start = head.causal ? std::max<int64_t>(0, key - first) / kBlock * kBlock : 0;
    for (int64_t block = start; block < rows; block += kBlock) {
      const int64_t m = round_up(std::min(kBlock, rows - block), kRowMultiple);
      const int64_t n = round_up(keys, kPadding);
      int64_t visible[kBlock];
      visible_in_block(head, first + block, key, visible);
      product({s.q + block * width, width, 1}, s.k, kBlock, s.scores, kBlock, m, n, head.size, false);
      add_bias(head, first + block, key, m, n, s.scores);
      join_softmax(visible, m, s.scores, s.top + block, s.sum + block, s.out + block * width, width);
      product({s.scores, kBlock, 1}, s.v, width, s.out + block * width, width, m, width, keys, true);
    }
  }
  for (int64_t i = 0; i < rows; ++i) {
    const bool seen = s.top[i] != kMinusInfinity;
    in.lse[first + i] = seen ? s.top[i] + std::log(s.sum[i]) : kMinusInfinity;
    store_rows(s.out + i * width, head, 1, seen ? 1 / s.sum[i] : 0,
               static_cast<T*>(in.out.data) + (first + i) * in.out.stride, 0);
  }
}

void attention_forward_task(const HeadBlocks& head, const ForwardViews& views, int64_t first, ForwardScratch scratch) {
  if (views.q.dtype == DType::kF32) {
    forward_task<float>(head, views, first, scratch);
  } else {
    forward_task<BFloat16>(head, views, first, scratch);
  }
}

// p = exp(score - lse) and d_score = p * (d_p - mean) for a block; d_p becomes d_score, scores become p.
void softmax_gradient(const int64_t* visible, int64_t rows, const float* lse, const float* mean, int64_t queries,
                      float* scores, float* d_p) {
  for (int64_t i = 0; i < rows; ++i) {
    float* p_row = scores + i * kBlock;
    float* d_row = d_p + i * kBlock;
    exponentials(p_row, visible[i], i < queries ? lse[i] : 0);
    const VF average = set(i < queries ? mean[i] : 0);
    for (int64_t j = 0; j < kBlock; j += lanes()) {
      const bool any = j < visible[i];
      store(any ? hn::Mul(load(p_row + j), hn::Sub(load(d_row + j), average)) : zero(), d_row + j);
    }
  }
}

// mean[i] = d_out . out of each query: what the softmax's gradient subtracts. out is read from the result, as stored.
template <class T>
void output_means(const float* d_out, const T* out, int64_t stride, const HeadBlocks& head, float* mean) {
  for (int64_t i = 0; i < head.sequence; ++i) {
    VF sum = zero();
    for (int64_t c = 0; c < head.size; c += lanes()) {
      sum = hn::MulAdd(load(d_out + i * head.width + c), load(out + i * stride + c, head.size - c), sum);
    }
    mean[i] = sum_lanes(sum);
  }
}

// One block of keys against all queries that see it, in order.
void backward_key_block(const HeadBlocks& head, const float* lse, int64_t key, int64_t keys, const BackwardScratch& s) {
  const int64_t width = head.width;
  std::fill_n(s.d_k, kBlock * width, 0.0f);
  std::fill_n(s.d_v, kBlock * width, 0.0f);
  const int64_t n = round_up(keys, kPadding);
  for (int64_t query = head.causal ? key : 0; query < head.sequence; query += kBlock) {
    const int64_t queries = std::min(kBlock, head.sequence - query);
    const int64_t m = round_up(queries, kRowMultiple);
    const float* q = s.q + query * width;
    const float* d_out = s.d_out + query * width;
    int64_t visible[kBlock];
    visible_in_block(head, query, key, visible);
    product({q, width, 1}, s.k_transposed, kBlock, s.p, kBlock, m, n, head.size, false);
    add_bias(head, query, key, m, n, s.p);
    product({d_out, width, 1}, s.v_transposed, kBlock, s.d_p, kBlock, m, n, head.size, false);
    softmax_gradient(visible, m, lse + query, s.mean + query, queries, s.p, s.d_p);
    product({s.p, 1, kBlock}, d_out, width, s.d_v, width, n, width, queries, true);
    product({s.d_p, 1, kBlock}, q, width, s.d_k, width, n, width, queries, true);
    product({s.d_p, kBlock, 1}, s.k, width, s.d_q + query * width, width, m, width, keys, true);
  }
}

template <class T>
void backward_task(const HeadBlocks& head, const BackwardViews& in, const BackwardScratch& s) {
  const int64_t rows = head.sequence;
  const int64_t padded = round_up(rows, kBlock);
  const auto at = [&](const ConstMatrix& m, int64_t row) { return static_cast<const T*>(m.data) + row * m.stride; };
  const auto into = [&](const Matrix& m, int64_t row) { return static_cast<T*>(m.data) + row * m.stride; };
  copy_rows(at(in.q, 0), in.q.stride, rows, padded, head, head.scale, s.q);
  copy_rows(at(in.d_out, 0), in.d_out.stride, rows, padded, head, 1, s.d_out);
  output_means(s.d_out, at(in.out, 0), in.out.stride, head, s.mean);
  std::fill_n(s.d_q, padded * head.width, 0.0f);
  for (int64_t key = 0; key < rows; key += kBlock) {
    const int64_t keys = std::clamp<int64_t>(head.keys - key, 0, kBlock);
    copy_rows(at(in.v, key), in.v.stride, keys, kBlock, head, 1, s.k);
    transpose(s.k, head.width, s.v_transposed);
    copy_rows(at(in.k, key), in.k.stride, keys, kBlock, head, 1, s.k);
    transpose(s.k, head.width, s.k_transposed);
    backward_key_block(head, in.lse, key, keys, s);
    const int64_t stored = std::min(kBlock, rows - key);
    store_rows(s.d_k, head, stored, 1, into(in.d_k, key), in.d_k.stride);
    store_rows(s.d_v, head, stored, 1, into(in.d_v, key), in.d_v.stride);
  }
  store_rows(s.d_q, head, rows, head.scale, into(in.d_q, 0), in.d_q.stride);
}

void attention_backward_task(const HeadBlocks& head, const BackwardViews& views, const BackwardScratch& scratch) {
  if (views.q.dtype == DType::kF32) {
    backward_task<float>(head, views, scratch);
  } else {
    backward_task<BFloat16>(head, views, scratch);
  }
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strand::cpu {
namespace {

HWY_EXPORT(attention_forward_task);
HWY_EXPORT(attention_backward_task);

// Heads are numbered over the whole batch: batch row * heads + head.
HeadBlocks head_of(const AttentionShape& shape, int64_t head_number) {
  return {.sequence = shape.sequence,
          .keys = attention_keys(shape, head_number / shape.heads),
          .size = shape.head_size,
          .width = round_up(shape.head_size, kPadding),
          .causal = shape.causal,
          .scale = shape.scale,
          .slope = shape.slopes == nullptr ? 0 : shape.slopes[head_number % shape.heads]};
}

}  // namespace

void attention_forward(const OpContext& context, const AttentionForwardArgs& args) {
  const AttentionShape& shape = args.shape;
  const int64_t parts = (shape.sequence + kTaskQueries - 1) / kTaskQueries;
  context.pool->run(shape.batch * shape.heads * parts, [&](int64_t task, int thread) {
    const int64_t part = task % parts;
    const int64_t head_number = task / parts;
    const int64_t batch_row = head_number / shape.heads;
    const HeadBlocks head = head_of(shape, head_number);
    const auto view = [&](auto matrix) {
      return matrix.row_range(batch_row * shape.sequence, shape.sequence)
          .columns(head_number % shape.heads * shape.head_size, shape.head_size);
    };
    const ForwardViews views{view(args.q), view(args.k), view(args.v), view(args.out),
                             args.lse + head_number * shape.sequence};
    const int64_t floats = carve_forward(head, nullptr).floats;
    auto* memory = static_cast<float*>(context.workspace->scratch(thread, static_cast<size_t>(floats) * sizeof(float)));
    HWY_DYNAMIC_DISPATCH(attention_forward_task)(head, views, part * kTaskQueries, carve_forward(head, memory));
  });
}

void attention_backward(const OpContext& context, const AttentionBackwardArgs& args) {
  const AttentionShape& shape = args.shape;
  context.pool->run(shape.batch * shape.heads, [&](int64_t head_number, int thread) {
    const int64_t batch_row = head_number / shape.heads;
    const HeadBlocks head = head_of(shape, head_number);
    const auto view = [&](auto matrix) {
      return matrix.row_range(batch_row * shape.sequence, shape.sequence)
          .columns(head_number % shape.heads * shape.head_size, shape.head_size);
    };
    const BackwardViews views{view(args.q),   view(args.k),     view(args.v),
                              view(args.out), view(args.d_out), args.lse + head_number * shape.sequence,
                              view(args.d_q), view(args.d_k),   view(args.d_v)};
    const int64_t floats = carve_backward(head, nullptr).floats;
    auto* memory = static_cast<float*>(context.workspace->scratch(thread, static_cast<size_t>(floats) * sizeof(float)));
    HWY_DYNAMIC_DISPATCH(attention_backward_task)(head, views, carve_backward(head, memory));
  });
}

}  // namespace strand::cpu
#endif
