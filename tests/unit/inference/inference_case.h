// Small models behind a runner, and random rows.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "tests/unit/worker/model_case.h"
#include "worker/inference/model_runner.h"

namespace strand::testing {

inline std::unique_ptr<ModelRunner> make_runner(const TransformerConfig& config, int threads = 1,
                                                DType dtype = DType::kF32, Backend backend = Backend::kCpu) {
  RunnerModel model;
  model.origin = "test";
  model.config = config;
  model.table = parameter_table(config);
  model.weights = test_weights(model.table);
  return std::make_unique<ModelRunner>(std::move(model), RunnerOptions{dtype, threads, backend});
}

// Row `number` of random tokens, `specials` of which stand before and behind the sequence's own.
inline TokenRow random_row(const TransformerConfig& config, uint64_t number, int64_t length, int64_t specials = 0) {
  TokenRow row;
  for (int64_t i = 0; i < length; ++i) {
    const float u = (draw(5000 + number, static_cast<uint64_t>(i)) + 1) / 2;
    row.ids.push_back(std::min(static_cast<int32_t>(u * static_cast<float>(config.vocabulary)),
                               static_cast<int32_t>(config.vocabulary) - 1));
  }
  row.begin = specials;
  row.end = length - specials;
  return row;
}

// The row alone through the transformer that trains, without any padding: its final hidden states and its logits.
struct DirectForward {
  DirectForward(const ModelRunner& runner, const TokenRow& row, Backend backend = Backend::kCpu)
      : machine(1, backend),
        length(static_cast<int64_t>(row.ids.size())),
        real(static_cast<int32_t>(length)),
        model(runner.config(), runner.model().table, {.dtype = runner.dtype(), .rows = 1, .segment = length}) {
    batch = {.rows = 1, .segment = length, .ids = row.ids.data(), .row_numbers = &row_number, .lengths = &real};
    model.forward(machine.context, runner.weights(), batch, Mode::kEvaluate);
    logits.resize(static_cast<size_t>(length * runner.config().vocabulary));
    model.logits(machine.context, runner.weights(), batch,
                 {logits.data(), DType::kF32, length, runner.config().vocabulary});
  }
  // log p(id) behind token `position`, in double from the fp32 logits.
  double log_probability(int64_t position, int32_t id) const {
    const auto vocabulary = static_cast<int64_t>(logits.size()) / length;
    double sum = 0;
    for (int64_t v = 0; v < vocabulary; ++v) sum += std::exp(static_cast<double>(logit(position, v)));
    return static_cast<double>(logit(position, id)) - std::log(sum);
  }
  float logit(int64_t position, int64_t id) const {
    return logits[static_cast<size_t>(position * (static_cast<int64_t>(logits.size()) / length) + id)];
  }

  Machine machine;
  int64_t length, row_number = 0;
  int32_t real;
  Transformer model;
  MicroBatch batch;
  std::vector<float> logits;
};

}  // namespace strand::testing
