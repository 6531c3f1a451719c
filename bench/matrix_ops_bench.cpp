// Matrix products and attention of the 20M and 116M models, in FLOP/s, beside the peak of a loop of fused
// multiply-adds in registers. One thread is timed by the processor time it used, so that a busy machine matters less.
//
//   matrix_ops_bench --benchmark_filter='peak|20m.*threads:1'
#include <benchmark/benchmark.h>

#include "ops/cpu/fma_peak.h"
#include "tests/ops/cases/attention_cases.h"
#include "tests/ops/cases/matmul_cases.h"

namespace strand::test {
namespace {

struct Entry {
  std::string name;
  double flops = 0;
  std::function<Prepared(DType)> make;
};

// Gradients of a lane are accumulated in fp32, so that is what is measured.
Entry matmul_entry(const std::string& name, const MatmulShape& s) {
  return {name, 2.0 * static_cast<double>(s.m) * static_cast<double>(s.n) * static_cast<double>(s.k),
          [s](DType dtype) { return matmul_case(s, dtype, s.accumulate ? DType::kF32 : dtype); }};
}

void add_linear(const std::string& name, int64_t tokens, int64_t out, int64_t in, std::vector<Entry>& all) {
  all.push_back(matmul_entry(name + "/forward", {tokens, out, in, false, true}));
  all.push_back(matmul_entry(name + "/input_gradient", {tokens, in, out, false, false}));
  all.push_back(matmul_entry(name + "/weight_gradient", {out, in, tokens, true, false, true}));
}

// Only pairs of query and key that see each other are counted: two products forward, five backward.
void add_attention(const std::string& name, const AttentionCase& c, std::vector<Entry>& all) {
  const double pairs = static_cast<double>(c.sequence) * static_cast<double>(c.sequence + 1) / 2;
  const double product = 2 * pairs * static_cast<double>(c.batch * c.heads * c.head_size);
  all.push_back({name + "/forward", 2 * product, [c](DType dtype) {
                   Prepared p = attention_case(c, dtype);
                   p.run = [c](const OpContext& context, Tensors& t) { attention_run_forward(context, c, t); };
                   return p;
                 }});
  all.push_back({name + "/forward_and_backward", 7 * product, [c](DType dtype) { return attention_case(c, dtype); }});
}

std::vector<Entry> entries() {
  std::vector<Entry> all;
  const auto add_layer = [&all](const std::string& model, int64_t rows, int64_t d, int64_t heads, int64_t up) {
    constexpr int64_t kSequence = 250;
    const int64_t tokens = rows * kSequence;
    add_linear(model + "/qkv", tokens, 3 * d, d, all);
    add_linear(model + "/out", tokens, d, d, all);
    add_linear(model + "/ff_proj", tokens, up, d, all);
    add_linear(model + "/ff_out", tokens, d, up / 2, all);
    add_attention(model + "/attention", {rows, kSequence, heads, d / heads, true, {}, 1}, all);
  };
  add_layer("20m", 16, 256, 8, 2048);
  add_layer("20m_64rows", 64, 256, 8, 2048);
  add_layer("116m", 16, 768, 16, 6144);
  return all;
}

void set_rate(benchmark::State& state, double flops) {
  state.counters["FLOPs"] =
      benchmark::Counter(flops * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

void run(benchmark::State& state, const Entry& entry, DType dtype, int threads) {
  Prepared p = entry.make(dtype);
  Machine machine(threads, Backend::kCpu);
  p.run(machine.context, p.tensors);
  for (auto _ : state) p.run(machine.context, p.tensors);
  set_rate(state, entry.flops);
}

void peak(benchmark::State& state) {
  constexpr int64_t kRounds = 1 << 20;
  double flops = 0;
  for (auto _ : state) flops = run_fma_loop(kRounds);
  set_rate(state, flops);
}

}  // namespace
}  // namespace strand::test

int main(int argc, char** argv) {
  using namespace strand;
  using namespace strand::test;
  benchmark::RegisterBenchmark("peak", peak)->Unit(benchmark::kMillisecond);
  for (const Entry& entry : entries()) {
    for (DType dtype : {DType::kF32, DType::kBF16}) {
      for (int threads : {1, 2}) {
        auto* registered =
            benchmark::RegisterBenchmark(concat(entry.name, "/", dtype_name(dtype), "/threads:", threads).c_str(),
                                         [=](benchmark::State& state) { run(state, entry, dtype, threads); });
        registered->Unit(benchmark::kMillisecond);
        if (threads > 1) registered->UseRealTime();
      }
    }
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
