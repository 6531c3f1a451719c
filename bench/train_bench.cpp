// Training speed of a preset on synthetic batches, beside the matrix rate measured in the same run, and where the time
// of a step goes (each kind of op timed alone, on the step's own shapes).
//   train_bench [--preset NAME] [--threads N] [--micro-batch N] [--lanes N] [--steps N] [--vocabulary N]
//               [--precision fp32|bf16] [--breakdown 0|1]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "bench/random_source.h"
#include "ops/attention/attention.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "ops/embedding/embedding.h"
#include "ops/matmul/matmul.h"
#include "ops/reduce/reduce.h"
#include "ops/residual/residual.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/rope/rope.h"
#include "ops/swiglu/swiglu.h"
#include "shared/job_spec/parameter_table.h"
#include "worker/model/buffer.h"
#include "worker/model/layers.h"
#include "worker/trainer.h"

namespace strand {
namespace {

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The median of repeated calls, after one that warms up.
double typical_seconds(const std::function<void()>& work) {
  work();
  std::vector<double> times;
  for (int i = 0; i < 5; ++i) times.push_back(seconds_of(work));
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// Times kinds of ops on the shapes of one micro batch of an RMS, RoPE, SwiGLU model.
class Breakdown {
 public:
  Breakdown(const JobSpec& spec, int threads)
      : config_(spec.model.config),
        rows_(spec.train.micro_batch),
        segment_(spec.data.segment),
        tokens_(rows_ * segment_),
        dtype_(spec.train.precision == Precision::kBf16 ? DType::kBF16 : DType::kF32),
        pool_(threads),
        workspace_(threads),
        context_{&pool_, &workspace_, Backend::kCpu} {
    // A new thread starts on its parent's core and on a busy machine stays there for a while.
    const Buffer warm(DType::kF32, 512, 512), out(DType::kF32, 512, 512);
    while (elapsed() < 1) matmul(context_, {.a = warm.view(), .b = warm.view(), .c = out.view()});
  }

  // Seconds per micro batch by kind.
  std::map<std::string, double> measure() {
    const int64_t d = config_.hidden, m = config_.mlp_hidden;
    const auto layers = static_cast<double>(config_.layers);
    linear("qkv", 3 * d, d, layers);
    linear("out", d, d, layers);
    linear("up", 2 * m, d, layers);
    linear("down", d, m, layers);
    linear("head", config_.vocabulary, d, 1);
    attention(layers);
    rows_ops(layers);
    head_and_input();
    return seconds_;
  }

 private:
  double elapsed() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  void time(const std::string& kind, double times, const std::function<void()>& work) {
    seconds_[kind] += times * typical_seconds(work);
  }
  Buffer buffer(int64_t cols, int64_t rows = 0) {
    Buffer b(dtype_, rows == 0 ? tokens_ : rows, cols);
    fill(b.view());
    return b;
  }
  void fill(Matrix x) {
    for (int64_t i = 0; i < x.rows * x.cols; ++i) {
      const float value = 0.001f * static_cast<float>(i % 997) - 0.5f;
      if (x.dtype == DType::kF32)
        x.f32()[i] = value;
      else
        x.bf16()[i] = to_bf16(value);
    }
  }

  void linear(const std::string& name, int64_t out, int64_t in, double times) {
    const Buffer x = buffer(in), y = buffer(out), w = buffer(in, out);
    const Buffer d_w(DType::kF32, out, in);
    time("matmul " + name + " forward", times,
         [&] { matmul(context_, {.a = x.view(), .b = w.view(), .c = y.view(), .transpose_b = true}); });
    time("matmul " + name + " d_x", times, [&] { matmul(context_, {.a = y.view(), .b = w.view(), .c = x.view()}); });
    fill(x.view());
    time("matmul " + name + " d_w", times, [&] {
      matmul(context_, {.a = y.view(), .b = x.view(), .c = d_w.view(), .transpose_a = true, .accumulate = true});
    });
  }

  void attention(double times) {
    const int64_t d = config_.hidden;
    const Buffer qkv = buffer(3 * d), out = buffer(d), d_qkv = buffer(3 * d), d_out = buffer(d);
    std::vector<float> lse(static_cast<size_t>(tokens_ * config_.heads));
    const AttentionShape shape{.batch = rows_,
                               .sequence = segment_,
                               .heads = config_.heads,
                               .head_size = config_.head_size(),
                               .causal = true,
                               .scale = 0.2f};
    const Matrix x = qkv.view(), g = d_qkv.view();
    time("attention forward", times, [&] {
      attention_forward(context_, shape, x.columns(0, d), x.columns(d, d), x.columns(2 * d, d), out.view(), lse.data());
    });
    time("attention backward", times, [&] {
      attention_backward(context_, shape, x.columns(0, d), x.columns(d, d), x.columns(2 * d, d), out.view(), lse.data(),
                         d_out.view(), g.columns(0, d), g.columns(d, d), g.columns(2 * d, d));
    });
    time("rope", 4 * times, [&] {
      rope(context_, x.columns(0, d), segment_, config_.heads, config_.head_size(), config_.rope_theta, false);
    });
  }

  void rows_ops(double times) {
    const int64_t d = config_.hidden, m = config_.mlp_hidden;
    Buffer x(DType::kF32, tokens_, d), x2(DType::kF32, tokens_, d), y = buffer(d);
    fill(x.view());
    std::vector<float> weight(static_cast<size_t>(d), 1.0f), rstd(static_cast<size_t>(tokens_)), d_weight(weight);
    time("norm forward", 2 * times,
         [&] { rms_norm_forward(context_, x.view(), weight.data(), 1e-5f, y.view(), rstd.data()); });
    time("norm backward", 2 * times, [&] {
      rms_norm_backward(context_, y.view(), x.view(), weight.data(), rstd.data(), x2.view(), d_weight.data());
    });
    const Buffer up = buffer(2 * m), activated = buffer(m), d_up = buffer(2 * m), d_activated = buffer(m);
    time("swiglu forward", times, [&] { swiglu_forward(context_, up.view(), activated.view()); });
    time("swiglu backward", times, [&] { swiglu_backward(context_, up.view(), d_activated.view(), d_up.view()); });
    time("residual", 2 * times, [&] { residual_add(context_, y.view(), x.view()); });
    time("copy of the stream", 2 * times, [&] { copy(context_, x.view(), x2.view()); });
  }

  void head_and_input() {
    const int64_t d = config_.hidden, v = config_.vocabulary;
    Buffer logits(DType::kF32, tokens_, v), x(DType::kF32, tokens_, d), d_table(DType::kF32, v, d);
    const Buffer table = buffer(d, v);
    std::vector<int32_t> ids;
    for (int64_t t = 0; t < tokens_; ++t) ids.push_back(static_cast<int32_t>(t * 7 % v));
    time("cross entropy", 1, [&] { cross_entropy(context_, logits.view(), ids.data(), true, nullptr); });
    time("embedding", 1, [&] { embedding_forward(context_, ids.data(), table.view(), 1, x.view()); });
    time("embedding", 1, [&] { embedding_backward(context_, ids.data(), x.view(), 1, d_table.view()); });
  }

  TransformerConfig config_;
  int64_t rows_, segment_, tokens_;
  DType dtype_;
  ThreadPool pool_;
  Workspace workspace_;
  OpContext context_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::map<std::string, double> seconds_;
};

// Once a step, whatever the number of micro batches: zeroing and adding lanes, norm, AdamW.
double update_seconds(const JobSpec& spec, int threads) {
  ThreadPool pool(threads);
  Workspace workspace(threads);
  const OpContext context{&pool, &workspace, Backend::kCpu};
  ParamShard shard(parameter_table(spec.model.config), spec.train, spec.train.precision == Precision::kBf16);
  shard.init(context, 1);
  std::vector<float> gradient(static_cast<size_t>(shard.elements()), 1.0f), other(gradient);
  const double lanes = typical_seconds([&] {
    fill_zero(context, other.data(), shard.elements());
    add(context, other.data(), shard.elements(), gradient.data());
  });
  const double update = typical_seconds([&] {
    shard.push({0, shard.elements()}, gradient.data());
    shard.commit(context, shard.squared_norm(context), 1000, 1e-4);
  });
  return lanes * static_cast<double>(spec.train.lanes) + update;
}

int run(std::map<std::string, std::string> options) {
  const auto number = [&](const std::string& name) { return std::atoll(options[name].c_str()); };
  const auto preset = preset_config(options["--preset"]);
  if (!preset.ok()) {
    std::fprintf(stderr, "%s\n", preset.error().message().c_str());
    return 2;
  }
  JobSpec spec;
  spec.model.config = *preset;
  if (number("--vocabulary") > 0) spec.model.config.vocabulary = number("--vocabulary");
  spec.train.micro_batch = number("--micro-batch");
  spec.train.lanes = number("--lanes");
  spec.train.precision = options["--precision"] == "bf16" ? Precision::kBf16 : Precision::kFp32;
  const int threads = static_cast<int>(number("--threads"));
  auto created = Trainer::create(spec, {}, {.threads = threads, .backend = Backend::kCpu});
  if (!created.ok()) {
    std::fprintf(stderr, "%s\n", created.error().message().c_str());
    return 2;
  }
  Trainer& trainer = **created;
  trainer.initialise();
  RandomSource source(spec.train.micro_batch, spec.data.segment, spec.model.config.vocabulary);
  const double rate = trainer.matrix_rate();
  std::vector<double> times;
  int64_t tokens = 0;
  for (int64_t i = 0; i <= number("--steps"); ++i) {
    const double seconds = seconds_of([&] {
      const auto result = trainer.step(source);
      STRAND_CHECK(result.ok(), result.ok() ? "" : result.error().message());
      tokens = result->tokens;
    });
    if (i > 0) times.push_back(seconds);  // the first one warms up
  }
  std::sort(times.begin(), times.end());
  const double step = times[times.size() / 2];
  const double flops = flops_per_token(spec.model.config, spec.data.segment) * static_cast<double>(tokens) / step;
  std::printf("%s vocabulary %lld %s threads %d: %lld tokens a step, %.3f s (best %.3f, worst %.3f)\n",
              options["--preset"].c_str(), static_cast<long long>(spec.model.config.vocabulary),
              options["--precision"].c_str(), threads, static_cast<long long>(tokens), step, times.front(),
              times.back());
  std::printf("tokens/s %.0f   %.1f GFLOP/s of a matrix rate of %.1f: %.1f%%\n", static_cast<double>(tokens) / step,
              flops * 1e-9, rate * 1e-9, 100 * flops / rate);
  if (number("--breakdown") == 0) return 0;
  const double batches = static_cast<double>(spec.train.lanes);
  double sum = update_seconds(spec, threads);
  std::printf("%-28s %8.2f ms a step  %5.1f%%\n", "lanes, norm, AdamW", 1e3 * sum, 100 * sum / step);
  for (const auto& [kind, seconds] : Breakdown(spec, threads).measure()) {
    std::printf("%-28s %8.2f ms a step  %5.1f%%\n", kind.c_str(), 1e3 * seconds * batches,
                100 * seconds * batches / step);
    sum += seconds * batches;
  }
  std::printf("%-28s %8.2f ms a step  %5.1f%%\n", "sum", 1e3 * sum, 100 * sum / step);
  return 0;
}

}  // namespace
}  // namespace strand

int main(int argc, char** argv) {
  std::map<std::string, std::string> options = {{"--preset", "omni-dna-20m"},
                                                {"--threads", "2"},
                                                {"--micro-batch", "16"},
                                                {"--lanes", "4"},
                                                {"--steps", "5"},
                                                {"--vocabulary", "0"},
                                                {"--precision", "fp32"},
                                                {"--breakdown", "1"}};
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc || options.count(argv[i]) == 0) {
      std::fprintf(stderr, "unknown option or missing value: %s\n", argv[i]);
      return 2;
    }
    options[argv[i]] = argv[i + 1];
  }
  return strand::run(options);
}
