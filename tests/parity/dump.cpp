// Reads a model, its weights and batches from a file written by omni_dna_parity.py; writes what Strand makes of them:
//   parity_dump IN OUT
// IN, little-endian:  int64 layers, hidden, heads, mlp_hidden, vocabulary, max_sequence, norm, positions, mlp, tied,
//   bias, bf16, rows, segment, steps;  double norm_eps, rope_theta, learning_rate, weight_decay, clip, epsilon;
//   float weights[elements];  uint16 tokens[steps][rows][segment], lengths[steps][rows];
//   float gradients[steps][elements] (mean gradients to feed to AdamW alone)
// OUT: float logits[rows * segment][vocabulary] of the first batch; double loss (sum), targets; float
// gradient[elements]
//   (sum); float weights[elements] after `steps` training steps; float weights[elements] after AdamW on `gradients`.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "worker/params/optimizer.h"
#include "worker/trainer.h"
#include "worker/trainer_impl.h"

namespace strand {
namespace {

class Reader {
 public:
  explicit Reader(const std::string& path) : in_(path, std::ios::binary) {}
  template <class T>
  std::vector<T> read(int64_t count) {
    std::vector<T> values(static_cast<size_t>(count));
    in_.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
    STRAND_CHECK(in_.good(), "the input ends early");
    return values;
  }
  int64_t integer() { return read<int64_t>(1)[0]; }
  double real() { return read<double>(1)[0]; }

 private:
  std::ifstream in_;
};

template <class T>
void write(std::ofstream& out, const T* data, size_t count) {
  out.write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(count * sizeof(T)));
}

struct Input : BatchSource {
  explicit Input(Reader in) {
    TransformerConfig& c = spec.model.config;
    c.layers = in.integer();
    c.hidden = in.integer();
    c.heads = in.integer();
    c.mlp_hidden = in.integer();
    c.vocabulary = in.integer();
    c.max_sequence = in.integer();
    c.norm = static_cast<NormKind>(in.integer());
    c.positions = static_cast<PositionKind>(in.integer());
    c.mlp = static_cast<MlpKind>(in.integer());
    c.tied = in.integer() != 0;
    c.bias = c.mlp_up_bias = c.mlp_down_bias = in.integer() != 0;
    spec.train.precision = in.integer() != 0 ? Precision::kBf16 : Precision::kFp32;
    spec.train.lanes = 1;
    spec.train.micro_batch = in.integer();
    spec.data.segment = in.integer();
    spec.train.steps = in.integer();
    c.norm_eps = static_cast<float>(in.real());
    c.rope_theta = static_cast<float>(in.real());
    spec.train.learning_rate = in.real();
    spec.train.weight_decay = in.real();
    spec.train.clip = in.real();
    spec.train.epsilon = in.real();
    spec.train.schedule = ScheduleKind::kConstant;
    spec.train.warmup = 0;
    elements = parameter_count(c);
    weights = in.read<float>(elements);
    tokens = in.read<uint16_t>(spec.train.steps * spec.train.micro_batch * spec.data.segment);
    lengths = in.read<uint16_t>(spec.train.steps * spec.train.micro_batch);
    gradients = in.read<float>(spec.train.steps * elements);
  }
  Result<Batch> training_rows(uint64_t first_row, int64_t rows) override {
    return Batch{first_row, rows, spec.data.segment,
                 tokens.data() + first_row * static_cast<uint64_t>(spec.data.segment), lengths.data() + first_row};
  }
  Result<Batch> held_out_rows(uint64_t first_row, int64_t rows) override { return training_rows(first_row, rows); }

  JobSpec spec;
  int64_t elements = 0;
  std::vector<float> weights, gradients;
  std::vector<uint16_t> tokens, lengths;
};

void write_model(Input& input, const OpContext& context, ParamShard& shard, std::ofstream& out) {
  const TransformerConfig& config = input.spec.model.config;
  const bool bf16 = input.spec.train.precision == Precision::kBf16;
  const int64_t rows = input.spec.train.micro_batch, segment = input.spec.data.segment;
  Transformer model(config, shard.table(),
                    {.dtype = bf16 ? DType::kBF16 : DType::kF32, .rows = rows, .segment = segment});
  PreparedBatch batch;
  const Status filled = batch.fill(*input.training_rows(0, rows), config, 0, rows, segment);
  STRAND_CHECK(filled.ok(), filled.ok() ? "" : filled.error().message());
  const KeyRange all{0, shard.elements()};
  const Weights weights{shard.pull(all), shard.pull_bf16(all)};
  std::vector<float> gradient(static_cast<size_t>(model.layout().gradients));
  std::vector<float> logits(static_cast<size_t>(rows * segment * config.vocabulary));
  const Gradients gradients{gradient.data()};
  model.forward(context, weights, batch.view(), Mode::kTrain);
  model.logits(context, weights, batch.view(), {logits.data(), DType::kF32, rows * segment, config.vocabulary});
  const CrossEntropySum sum = model.loss(context, weights, batch.view(), &gradients);
  model.backward(context, weights, batch.view(), gradients);
  model.fold_tied(context, gradients);
  const double scalars[] = {sum.loss, static_cast<double>(sum.targets)};
  write(out, logits.data(), logits.size());
  write(out, scalars, 2);
  write(out, gradient.data(), static_cast<size_t>(input.elements));
}

int run(const std::string& in, const std::string& out_path) {
  Input input{Reader(in)};
  std::ofstream out(out_path, std::ios::binary);
  auto created = Trainer::create(input.spec, {}, {.threads = 2, .backend = Backend::kCpu});
  STRAND_CHECK(created.ok(), created.ok() ? "" : created.error().message());
  Trainer& trainer = **created;
  ParamShard& shard = trainer.shard();
  std::copy(input.weights.begin(), input.weights.end(), shard.weights().begin());
  trainer.restored(0);

  ThreadPool pool(2);
  Workspace workspace(2);
  const OpContext context{&pool, &workspace, Backend::kCpu};
  write_model(input, context, shard, out);
  for (int64_t step = 0; step < input.spec.train.steps; ++step) {
    const auto result = trainer.step(input);
    STRAND_CHECK(result.ok(), result.ok() ? "" : result.error().message());
  }
  write(out, shard.weights().data(), shard.weights().size());

  ParamShard fed(parameter_table(input.spec.model.config), input.spec.train, false);
  std::copy(input.weights.begin(), input.weights.end(), fed.weights().begin());
  fed.restored(context, 0);
  for (int64_t step = 0; step < input.spec.train.steps; ++step) {
    fed.push({0, input.elements}, input.gradients.data() + step * input.elements);
    fed.commit(context, fed.squared_norm(context), 1, input.spec.train.learning_rate);
  }
  write(out, fed.weights().data(), fed.weights().size());
  out.close();
  return out.good() ? 0 : 1;
}

}  // namespace
}  // namespace strand

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: parity_dump IN OUT\n");
    return 2;
  }
  return strand::run(argv[1], argv[2]);
}
