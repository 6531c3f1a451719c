// Speed of strand embed without its files: mean vectors of random sequences. bench/peers/embed_torch.py runs it beside
// the same model in PyTorch.
//   embed_bench make DIR [--preset NAME] [--tokens N] [--sequences N]
//       a model with random weights as published files, and DIR/ids.i32: sequences x tokens
//   embed_bench run DIR [--tokens N] [--first N] [--sequences N] [--dtype f32|bf16] [--threads N]
//       prints {"seconds", "sequences", "threads"}; the vectors go to DIR/vectors.f32
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "shared/base/rng.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"
#include "shared/formats/safetensors.h"
#include "worker/inference/model_runner.h"
#include "worker/model/families/family.h"
#include "worker/model/families/published_weights.h"
#include "worker/params/initial_weights.h"

namespace strand {
namespace {

struct Options {
  std::string command, directory, preset = "omni-dna-116m", dtype = "f32";
  int64_t tokens = 200, sequences = 32, first = 0, threads = 0;
};

Status make(FileSystem& fs, const Options& options) {
  STRAND_ASSIGN(TransformerConfig config, preset_config(options.preset));
  config.max_sequence = std::max(config.max_sequence, options.tokens);
  const std::vector<ParameterInfo> table = parameter_table(config);
  std::vector<float> weights(static_cast<size_t>(parameter_count(config)));
  ThreadPool pool(1);
  OpContext context;
  context.pool = &pool;
  for (const ParameterInfo& tensor : table) {
    fill_initial_weights(context, tensor, 1, weights.data() + tensor.first_element);
  }
  STRAND_ASSIGN(const Family* family, family_for_export(config));
  STRAND_ASSIGN(std::vector<TensorToWrite> tensors, tensors_to_write(*family, config, table, weights));
  STRAND_TRY(fs.make_directories(options.directory));
  STRAND_TRY(write_safetensors(fs, options.directory + "/model.safetensors", std::move(tensors)));
  const Json json = family->write_config(config, family->ids);
  STRAND_TRY(write_file_atomically(fs, options.directory + "/config.json", dump_json(json, 2) + "\n"));
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < options.sequences * options.tokens; ++i) {
    const uint32_t word = random_word(philox_key(1, Purpose::kTest), static_cast<uint64_t>(i / options.tokens), 0,
                                      static_cast<uint32_t>(i % options.tokens));
    ids.push_back(static_cast<int32_t>(word % static_cast<uint32_t>(config.vocabulary)));
  }
  const std::string bytes(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t));
  return write_file_atomically(fs, options.directory + "/ids.i32", bytes);
}

Result<std::vector<TokenRow>> read_rows(FileSystem& fs, const Options& options) {
  const auto row_bytes = static_cast<size_t>(options.tokens) * sizeof(int32_t);
  STRAND_ASSIGN(const std::string bytes,
                fs.read_range(options.directory + "/ids.i32", static_cast<uint64_t>(options.first) * row_bytes,
                              static_cast<size_t>(options.sequences) * row_bytes));
  if (bytes.size() != static_cast<size_t>(options.sequences) * row_bytes) {
    return bad_input(concat(options.directory, "/ids.i32: too short for ", options.sequences, " sequences of ",
                            options.tokens, " tokens from ", options.first));
  }
  std::vector<TokenRow> rows;
  for (int64_t r = 0; r < options.sequences; ++r) {
    const auto* begin = reinterpret_cast<const int32_t*>(bytes.data()) + r * options.tokens;
    rows.push_back({{begin, begin + options.tokens}, 0, options.tokens});
  }
  return rows;
}

Status run(FileSystem& fs, const Options& options) {
  const RunnerOptions how{options.dtype == "bf16" ? DType::kBF16 : DType::kF32, static_cast<int>(options.threads)};
  STRAND_ASSIGN(const auto runner, ModelRunner::open(fs, options.directory, -1, how));
  STRAND_ASSIGN(const std::vector<TokenRow> rows, read_rows(fs, options));
  const auto width = static_cast<size_t>(runner->config().hidden);
  std::vector<float> vectors(rows.size() * width);
  STRAND_TRY(runner->pool({rows.data(), 1}, PoolingKind::kMean, ForwardPass::kFinal, vectors.data()));  // warm
  const auto begun = std::chrono::steady_clock::now();
  STRAND_TRY(runner->pool(rows, PoolingKind::kMean, ForwardPass::kFinal, vectors.data()));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begun;
  const std::string bytes(reinterpret_cast<const char*>(vectors.data()), vectors.size() * sizeof(float));
  STRAND_TRY(write_file_atomically(fs, options.directory + "/vectors.f32", bytes));
  const Json json = {{"seconds", seconds.count()}, {"sequences", options.sequences}, {"threads", runner->threads()}};
  std::printf("%s\n", dump_json(json).c_str());
  return {};
}

int main_of(int argc, char** argv) {
  Options options;
  const std::map<std::string, int64_t*> numbers = {{"--tokens", &options.tokens},
                                                   {"--sequences", &options.sequences},
                                                   {"--first", &options.first},
                                                   {"--threads", &options.threads}};
  const std::map<std::string, std::string*> texts = {{"--preset", &options.preset}, {"--dtype", &options.dtype}};
  bool right = argc >= 3 && argc % 2 == 1;
  for (int i = 3; right && i + 1 < argc; i += 2) {
    if (const auto number = numbers.find(argv[i]); number != numbers.end()) {
      *number->second = std::atoll(argv[i + 1]);
    } else if (const auto text = texts.find(argv[i]); text != texts.end()) {
      *text->second = argv[i + 1];
    } else {
      right = false;
    }
  }
  if (right) options.command = argv[1], options.directory = argv[2];
  if (options.command != "make" && options.command != "run") {
    std::fprintf(stderr,
                 "usage: embed_bench make|run DIR [--tokens N] [--sequences N] ...; see the head of the source\n");
    return 2;
  }
  const auto fs = make_posix_file_system();
  const Status status = options.command == "make" ? make(*fs, options) : run(*fs, options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "embed_bench: %s\n", status.error().message().c_str());
  return exit_code(status.error());
}

}  // namespace
}  // namespace strand

int main(int argc, char** argv) {
  return strand::main_of(argc, argv);
}
