// Matrix products of the 20M and 116M models, in FLOP/s and as a share of the peak of a register-only FMA loop measured
// beside them.
//
//   matmul_bench --benchmark_filter='threads:1'
#include <benchmark/benchmark.h>

#include "tests/ops/cases/matmul_cases.h"

namespace strand::test {
namespace {

struct Named {
  const char* name;
  MatmulShape shape;
};

std::vector<Named> model_shapes() {
  std::vector<Named> all;
  const auto layer = [&all](const char* model, int64_t tokens, int64_t d, int64_t up, int64_t down) {
    const auto linear = [&](const char* which, int64_t out, int64_t in) {
      static std::vector<std::unique_ptr<std::string>> names;
      const auto add = [&](const char* pass, MatmulShape shape) {
        names.push_back(std::make_unique<std::string>(concat(model, "/", which, "/", pass)));
        all.push_back({names.back()->c_str(), shape});
      };
      add("forward", {tokens, out, in, false, true});
      add("input_gradient", {tokens, in, out, false, false});
      add("weight_gradient", {out, in, tokens, true, false, true});
    };
    linear("qkv", 3 * d, d);
    linear("out", d, d);
    linear("ff_proj", up, d);
    linear("ff_out", d, down);
  };
  layer("20m", 4000, 256, 2048, 1024);
  layer("20m_64rows", 16000, 256, 2048, 1024);
  layer("116m", 4000, 768, 6144, 3072);
  return all;
}

// Gradients of a lane are accumulated, so that is what is measured.
void run(benchmark::State& state, const MatmulShape& shape, DType dtype, int threads) {
  const bool gradient = shape.accumulate;
  Prepared p = matmul_case(shape, dtype, gradient ? DType::kF32 : dtype);
  Machine machine(threads, Backend::kCpu);
  p.run(machine.context, p.tensors);
  for (auto _ : state) p.run(machine.context, p.tensors);
  const double flops = 2.0 * static_cast<double>(shape.m) * static_cast<double>(shape.n) * static_cast<double>(shape.k);
  state.counters["FLOPs"] =
      benchmark::Counter(flops * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

}  // namespace
}  // namespace strand::test

int main(int argc, char** argv) {
  using namespace strand;
  using namespace strand::test;
  for (const Named& named : model_shapes()) {
    for (DType dtype : {DType::kF32, DType::kBF16}) {
      for (int threads : {1, 2}) {
        benchmark::RegisterBenchmark(concat(named.name, "/", dtype_name(dtype), "/threads:", threads).c_str(),
                                     [=](benchmark::State& state) { run(state, named.shape, dtype, threads); })
            ->UseRealTime()
            ->Unit(benchmark::kMillisecond);
      }
    }
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
