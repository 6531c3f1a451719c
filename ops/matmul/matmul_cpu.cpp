// The output is cut into tiles and long sums into chunks, by shape alone; each tile is one task, whose chunks are
// single-threaded oneDNN products added in order. Sizes are from bench/matrix_ops_bench.cpp.
#include <algorithm>
#include <vector>

#include "ops/cpu/product.h"
#include "ops/matmul/matmul_backends.h"

namespace strand::cpu {
namespace {

constexpr int64_t kTileRows = 256;
constexpr int64_t kTileCols = 512;
constexpr int64_t kSmallestTile = 128;
constexpr int64_t kWantedTiles = 8;          // work for four threads, two tiles each
constexpr int64_t kLongestSum = 4096;        // beyond, a packed panel of B falls out of the second-level cache
constexpr int64_t kLongestTransposed = 512;  // the same where A is read down its columns, as in weight gradients
constexpr double kSmallProduct = 2e6;        // multiplications: less than 20 microseconds, not worth cutting

int64_t pieces(int64_t size, int64_t piece) {
  return (size + piece - 1) / piece;
}

// The size of equal pieces no larger than `most` (but for rounding up to `multiple`).
int64_t balanced(int64_t size, int64_t most, int64_t multiple) {
  const int64_t even = pieces(size, pieces(size, most));
  return pieces(even, multiple) * multiple;
}

struct Tiling {
  int64_t rows, cols, depth;  // of a tile
  int64_t across, down, deep;
};

Tiling tiling_of(const MatmulArgs& args) {
  const auto [m, n, k] = matmul_size(args);
  int64_t rows = kTileRows;
  int64_t cols = kTileCols;
  if (static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) > kSmallProduct) {
    while (pieces(m, rows) * pieces(n, cols) < kWantedTiles && std::max(rows, cols) > kSmallestTile) {
      int64_t& longer = std::min(cols, n) >= std::min(rows, m) && cols > kSmallestTile ? cols : rows;
      if (longer <= kSmallestTile) break;
      longer /= 2;
    }
  }
  Tiling t{};
  t.rows = balanced(m, rows, 16);
  t.cols = balanced(n, cols, 16);
  // Chunks are added in C, so a bf16 C takes its sums whole.
  t.depth = args.c.dtype == DType::kF32 ? balanced(k, args.transpose_a ? kLongestTransposed : kLongestSum, 64) : k;
  t.down = pieces(m, t.rows);
  t.across = pieces(n, t.cols);
  t.deep = pieces(k, t.depth);
  return t;
}

ConstMatrix part(ConstMatrix x, bool transposed, int64_t row, int64_t rows, int64_t col, int64_t cols) {
  return transposed ? x.row_range(col, cols).columns(row, rows) : x.row_range(row, rows).columns(col, cols);
}

// What one tile and one chunk of its sum come to.
MatmulArgs piece_of(const MatmulArgs& args, const Tiling& t, int64_t tile, int64_t chunk) {
  const auto [m, n, k] = matmul_size(args);
  const int64_t row = tile % t.down * t.rows;
  const int64_t col = tile / t.down * t.cols;
  const int64_t from = chunk * t.depth;
  const int64_t rows = std::min(t.rows, m - row);
  const int64_t cols = std::min(t.cols, n - col);
  const int64_t depth = std::min(t.depth, k - from);
  MatmulArgs piece = args;
  piece.a = part(args.a, args.transpose_a, row, rows, from, depth);
  piece.b = part(args.b, args.transpose_b, from, depth, col, cols);
  piece.c = args.c.row_range(row, rows).columns(col, cols);
  piece.accumulate = args.accumulate || chunk > 0;
  piece.bias = args.bias != nullptr && chunk == 0 ? args.bias + col : nullptr;
  return piece;
}

ProductKey key_of(const MatmulArgs& args) {
  const auto [m, n, k] = matmul_size(args);
  ProductKey key;
  key.m = m;
  key.n = n;
  key.k = k;
  key.stride_a = args.a.stride;
  key.stride_b = args.b.stride;
  key.stride_c = args.c.stride;
  key.transpose_a = args.transpose_a;
  key.transpose_b = args.transpose_b;
  key.accumulate = args.accumulate;
  key.bias = args.bias != nullptr;
  key.inputs = args.a.dtype;
  key.output = args.c.dtype;
  return key;
}

ProductCache& cache_of(const OpContext& context) {
  auto& kernels = context.workspace->kernels();
  if (kernels == nullptr) kernels = std::make_unique<ProductCache>();
  return static_cast<ProductCache&>(*kernels);
}

struct Step {
  MatmulArgs args;
  const Product* product = nullptr;
};

}  // namespace

void matmul(const OpContext& context, const MatmulArgs& args) {
  if (matmul_size(args).k == 0) return reference::matmul(context, args);
  const Tiling t = tiling_of(args);
  const int64_t tiles = t.down * t.across;
  std::vector<Step> steps(static_cast<size_t>(tiles * t.deep));
  size_t scratch_bytes = 1;
  context.pool->run(1, [&](int64_t, int) {  // one thread, and OpenMP at one: oneDNN compiles for that
    ProductCache& cache = cache_of(context);
    cache.trim();
    for (size_t i = 0; i < steps.size(); ++i) {
      steps[i].args = piece_of(args, t, static_cast<int64_t>(i) / t.deep, static_cast<int64_t>(i) % t.deep);
      steps[i].product = cache.find(key_of(steps[i].args));
      if (steps[i].product) scratch_bytes = std::max(scratch_bytes, steps[i].product->scratch_bytes());
    }
  });
  context.pool->run(tiles, [&](int64_t tile, int thread) {
    for (int64_t chunk = 0; chunk < t.deep; ++chunk) {
      const auto& [piece, product] = steps[static_cast<size_t>(tile * t.deep + chunk)];
      if (product == nullptr) {
        reference::matmul(context, piece);  // right on every machine, but slow
        continue;
      }
      product->run(piece.a.data, piece.b.data, piece.c.data, piece.bias,
                   context.workspace->scratch(thread, scratch_bytes));
    }
  });
}

}  // namespace strand::cpu
