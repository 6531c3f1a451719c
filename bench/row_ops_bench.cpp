// Speed of the memory-bound operators, as the least memory traffic of one run over its time, beside a memcpy on the
// same threads. The cases are those of tests/ops/cases.
//
//   row_ops_bench --benchmark_filter='/4000x1024'
#include <benchmark/benchmark.h>

#include <cstring>
#include <functional>

#include "tests/ops/cases/activation_cases.h"
#include "tests/ops/cases/adamw_cases.h"
#include "tests/ops/cases/bce_cases.h"
#include "tests/ops/cases/cast_cases.h"
#include "tests/ops/cases/cross_entropy_cases.h"
#include "tests/ops/cases/dropout_cases.h"
#include "tests/ops/cases/embedding_cases.h"
#include "tests/ops/cases/geglu_cases.h"
#include "tests/ops/cases/layer_norm_cases.h"
#include "tests/ops/cases/mse_cases.h"
#include "tests/ops/cases/pooling_cases.h"
#include "tests/ops/cases/reduce_cases.h"
#include "tests/ops/cases/residual_cases.h"
#include "tests/ops/cases/rms_norm_cases.h"
#include "tests/ops/cases/rope_cases.h"

namespace strand::test {
namespace {

constexpr int64_t kRows = 4000;
constexpr DType kF = DType::kF32;

Prepared memcpy_case(int64_t cols) {
  Prepared p;
  p.tensors = {random_tensor(1, kF, kRows, cols), Tensor(kF, kRows, cols)};
  p.bytes_moved = 8.0 * static_cast<double>(kRows * cols);
  p.run = [cols](const OpContext& context, Tensors& t) {
    constexpr int64_t kTask = 100;
    context.pool->run(kRows / kTask, [&](int64_t task, int) {
      const auto size = static_cast<size_t>(kTask * cols) * 4;
      const auto first = static_cast<size_t>(task) * size;
      std::memcpy(t[1].bytes.data() + first, t[0].bytes.data() + first, size);
    });
  };
  return p;
}

struct Entry {
  const char* name;
  std::function<Prepared(int64_t cols, DType dtype)> make;
  bool has_bf16;
};

std::vector<Entry> activation_entries() {
  const auto activation = [](Activation f, bool backward) {
    return [=](int64_t c, DType t) { return activation_case(f, backward, kRows, c, 0, t); };
  };
  const auto gated = [](const GatedOp& op, bool backward) {
    return [=](int64_t c, DType t) { return gated_case(op, backward, kRows, c, 0, t); };
  };
  return {
      {"swiglu", gated(kSwiGlu, false), true},
      {"swiglu_backward", gated(kSwiGlu, true), true},
      {"geglu", gated(kGeGlu, false), true},
      {"geglu_backward", gated(kGeGlu, true), true},
      {"gelu", activation(Activation::kGelu, false), true},
      {"gelu_backward", activation(Activation::kGelu, true), true},
      {"gelu_tanh", activation(Activation::kGeluTanh, false), true},
      {"relu", activation(Activation::kRelu, false), true},
      {"tanh", activation(Activation::kTanh, false), true},
  };
}

std::vector<Entry> pooling_and_loss_entries() {
  const auto pooling = [](PoolingKind kind, bool backward) {
    return [=](int64_t c, DType t) { return pooling_case(backward, {kind, 16, 250, c, 0, t}); };
  };
  return {
      {"pooling_mean", pooling(PoolingKind::kMean, false), true},
      {"pooling_mean_backward", pooling(PoolingKind::kMean, true), true},
      {"pooling_max", pooling(PoolingKind::kMax, false), true},
      {"pooling_max_backward", pooling(PoolingKind::kMax, true), true},
      {"cross_entropy",
       [](int64_t c, DType) {
         return cross_entropy_case({kRows, c});
       },
       false},
      {"bce",
       [](int64_t c, DType) {
         return label_loss_case(kBce, {kRows, c});
       },
       false},
      {"mse",
       [](int64_t c, DType) {
         return label_loss_case(kMse, {kRows, c});
       },
       false},
  };
}

std::vector<Entry> other_entries() {
  return {
      {"memcpy", [](int64_t c, DType) { return memcpy_case(c); }, false},
      {"residual", [](int64_t c, DType t) { return residual_case(kRows, c, 0, t); }, true},
      {"layer_norm",
       [](int64_t c, DType t) {
         return layer_norm_case(false, {kRows, c, 0, true, t});
       },
       true},
      {"layer_norm_backward",
       [](int64_t c, DType t) {
         return layer_norm_case(true, {kRows, c, 0, true, t});
       },
       true},
      {"rms_norm",
       [](int64_t c, DType t) {
         return rms_norm_case(false, {kRows, c, 0, true, t});
       },
       true},
      {"rms_norm_backward",
       [](int64_t c, DType t) {
         return rms_norm_case(true, {kRows, c, 0, true, t});
       },
       true},
      {"rope",
       [](int64_t c, DType t) {
         return rope_case({kRows, 250, c / 32, 32, 0, t});
       },
       true},
      {"dropout",
       [](int64_t c, DType t) {
         return dropout_case({16, 250, c, 0, t});
       },
       true},
      {"embedding",
       [](int64_t c, DType) {
         return embedding_case(false, {kRows, 16, c});
       },
       false},
      {"embedding_backward",
       [](int64_t c, DType) {
         return embedding_case(true, {kRows, 16, c});
       },
       false},
      {"sum_rows", [](int64_t c, DType t) { return sum_rows_case(kRows, c, 0, t); }, true},
      {"sum_squares", [](int64_t c, DType) { return sum_squares_case(kRows * c); }, false},
      {"add", [](int64_t c, DType) { return add_case(kRows * c); }, false},
      {"cast", [](int64_t c, DType) { return cast_case(kRows * c); }, false},
      {"adamw", [](int64_t c, DType) { return adamw_case(kRows * c, 10, false); }, false},
  };
}

std::vector<Entry> entries() {
  std::vector<Entry> all = other_entries();
  for (const auto& more : {activation_entries(), pooling_and_loss_entries()}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

void measure(benchmark::State& state, const Entry& entry, int64_t cols, DType dtype, int threads) {
  Machine machine(threads, Backend::kCpu);
  Prepared p = entry.make(cols, dtype);
  for (auto _ : state) {
    p.run(machine.context, p.tensors);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<int64_t>(p.bytes_moved * static_cast<double>(state.iterations())));
}

}  // namespace
}  // namespace strand::test

int main(int argc, char** argv) {
  using strand::DType;
  const auto entries = strand::test::entries();
  for (int threads : {1, 2}) {
    for (int64_t cols : {256, 1024}) {
      for (const auto& entry : entries) {
        for (DType dtype : {DType::kF32, DType::kBF16}) {
          if (dtype == DType::kBF16 && !entry.has_bf16) continue;
          const std::string name =
              strand::concat(entry.name, "/4000x", cols, "/", strand::dtype_name(dtype), "/threads:", threads);
          benchmark::RegisterBenchmark(
              name.c_str(), [=](benchmark::State& state) { strand::test::measure(state, entry, cols, dtype, threads); })
              ->UseRealTime()
              ->Unit(benchmark::kMicrosecond);
        }
      }
    }
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
