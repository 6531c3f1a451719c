// One task is a tile of columns of one row of the batch.
#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/pooling/pooling_cpu.cpp"
#include <hwy/foreach_target.h>

#include <algorithm>

#include "ops/cpu/chunks.h"
#include "ops/cpu/simd-inl.h"
#include "ops/pooling/pooling_backends.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

constexpr int64_t kTilePadding = 64;  // floats: whole vectors past the last column of a tile

// out[c] = mean of x[t, c] over `count` tokens: 256 tokens in fp32, those sums in double. cols <= kTileColumns.
template <class T>
void mean_tile(const T* x, int64_t stride, int64_t count, int64_t cols, float* out) {
  double total[kTileColumns] = {};
  for (int64_t first = 0; first < count; first += kChunkRows) {
    HWY_ALIGN float sum[kTileColumns + kTilePadding] = {};
    const int64_t end = std::min(count, first + kChunkRows);
    for (int64_t t = first; t < end; ++t) {
      for (int64_t c = 0; c < cols; c += lanes()) {
        store(hn::Add(load(sum + c), load(x + t * stride + c, cols - c)), sum + c);
      }
    }
    for (int64_t c = 0; c < cols; ++c) total[c] += static_cast<double>(sum[c]);
  }
  for (int64_t c = 0; c < cols; ++c) out[c] = static_cast<float>(total[c] / static_cast<double>(count));
}

// best[c] and where[c], the value and the token of column c's maximum: the first of equal ones, the first NaN if there
// is any. Both have room for whole vectors. Token numbers below 2^24 are exact in fp32.
template <class T>
void maximum_tile(const T* x, int64_t stride, int64_t count, int64_t cols, float* best, float* where) {
  for (int64_t c = 0; c < cols; c += lanes()) {
    VF top = load(x + c, cols - c);
    VF at = zero();
    for (int64_t t = 1; t < count; ++t) {
      const VF v = load(x + t * stride + c, cols - c);
      const auto first_nan = hn::AndNot(hn::IsNaN(top), hn::IsNaN(v));
      const auto better = hn::Or(hn::Gt(v, top), first_nan);
      top = hn::IfThenElse(better, v, top);
      at = hn::IfThenElse(better, set(static_cast<float>(t)), at);
    }
    store(top, best + c);
    store(at, where + c);
  }
}

template <class T>
void add_to_maxima(const T* x, int64_t x_stride, int64_t count, int64_t cols, const float* d_out, T* d_x,
                   int64_t stride) {
  HWY_ALIGN float best[kTileColumns + kTilePadding];
  HWY_ALIGN float where[kTileColumns + kTilePadding];
  maximum_tile(x, x_stride, count, cols, best, where);
  for (int64_t c = 0; c < cols; ++c) {
    T& target = d_x[static_cast<int64_t>(where[c]) * stride + c];
    if constexpr (sizeof(T) == 4) {
      target += d_out[c];
    } else {
      target = to_bf16(to_float(target) + d_out[c]);
    }
  }
}

template <class T>
void add_to_all(int64_t count, int64_t cols, const float* d_out, T* d_x, int64_t stride) {
  HWY_ALIGN float share[kTileColumns + kTilePadding];
  for (int64_t c = 0; c < cols; c += lanes()) {
    store(hn::Div(load(d_out + c, cols - c), set(static_cast<float>(count))), share + c);
  }
  for (int64_t t = 0; t < count; ++t) {
    T* row = d_x + t * stride;
    for (int64_t c = 0; c < cols; c += lanes()) {
      store(hn::Add(load(row + c, cols - c), load(share + c)), row + c, cols - c);
    }
  }
}

template <class T>
void pool_typed(bool maximum, const T* x, const ConstMatrix& tokens, float* out) {
  if (!maximum) return mean_tile(x, tokens.stride, tokens.rows, tokens.cols, out);
  HWY_ALIGN float best[kTileColumns + kTilePadding];
  HWY_ALIGN float where[kTileColumns + kTilePadding];
  maximum_tile(x, tokens.stride, tokens.rows, tokens.cols, best, where);
  std::copy_n(best, tokens.cols, out);
}

// tokens [count, columns of the tile], count > 0; out [columns of the tile].
void pool_tokens(bool maximum, ConstMatrix tokens, float* out) {
  if (tokens.dtype == DType::kF32) {
    pool_typed(maximum, tokens.f32(), tokens, out);
  } else {
    pool_typed(maximum, tokens.bf16(), tokens, out);
  }
}

template <class T>
void pool_backward_typed(bool maximum, const T* x, const ConstMatrix& tokens, const float* d_out, T* d_x,
                         int64_t stride) {
  if (maximum) {
    add_to_maxima(x, tokens.stride, tokens.rows, tokens.cols, d_out, d_x, stride);
  } else {
    add_to_all(tokens.rows, tokens.cols, d_out, d_x, stride);
  }
}

void pool_tokens_backward(bool maximum, ConstMatrix tokens, const float* d_out, Matrix d_tokens) {
  if (tokens.dtype == DType::kF32) {
    pool_backward_typed(maximum, tokens.f32(), tokens, d_out, d_tokens.f32(), d_tokens.stride);
  } else {
    pool_backward_typed(maximum, tokens.bf16(), tokens, d_out, d_tokens.bf16(), d_tokens.stride);
  }
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strand::cpu {
namespace {

HWY_EXPORT(pool_tokens);
HWY_EXPORT(pool_tokens_backward);

// body(row, tokens, first column, columns) for every tile.
template <class Body>
void for_tiles(const OpContext& context, const PoolingShape& shape, int64_t cols, const Body& body) {
  const int64_t tiles = chunks(cols, kTileColumns);
  context.pool->run(shape.rows * tiles, [&](int64_t task, int) {
    const int64_t row = task / tiles;
    const int64_t first = task % tiles * kTileColumns;
    body(row, pooled_tokens(shape, row), first, std::min(kTileColumns, cols - first));
  });
}

}  // namespace

void pooling_forward(const OpContext& context, const PoolingShape& shape, ConstMatrix hidden, Matrix pooled) {
  const bool maximum = shape.kind == PoolingKind::kMax;
  for_tiles(context, shape, pooled.cols, [&](int64_t row, PooledTokens tokens, int64_t first, int64_t cols) {
    float* out = pooled.f32() + row * pooled.stride + first;
    if (tokens.count == 0) {
      std::fill_n(out, cols, 0.0f);
    } else {
      HWY_DYNAMIC_DISPATCH(pool_tokens)
      (maximum, hidden.row_range(tokens.first, tokens.count).columns(first, cols), out);
    }
  });
}

void pooling_backward(const OpContext& context, const PoolingShape& shape, ConstMatrix hidden, ConstMatrix d_pooled,
                      Matrix d_hidden) {
  const bool maximum = shape.kind == PoolingKind::kMax;
  for_tiles(context, shape, d_pooled.cols, [&](int64_t row, PooledTokens tokens, int64_t first, int64_t cols) {
    if (tokens.count == 0) return;
    HWY_DYNAMIC_DISPATCH(pool_tokens_backward)
    (maximum, hidden.row_range(tokens.first, tokens.count).columns(first, cols),
     d_pooled.f32() + row * d_pooled.stride + first,
     d_hidden.row_range(tokens.first, tokens.count).columns(first, cols));
  });
}

}  // namespace strand::cpu
#endif
