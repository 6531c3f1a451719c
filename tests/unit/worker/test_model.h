// Small models, random batches and a batch source, for the tests of the trainer.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ops/core/context.h"
#include "shared/base/rng.h"
#include "shared/job_spec/parameter_table.h"
#include "worker/model/transformer.h"
#include "worker/trainer.h"

namespace strand::testing {

constexpr uint64_t kSeed = 20240607;

// Threads, scratch and backend in one.
struct Machine {
  explicit Machine(int threads = 1, Backend backend = Backend::kReference)
      : pool(threads), workspace(threads), context{&pool, &workspace, backend} {}
  ThreadPool pool;
  Workspace workspace;
  OpContext context;
};

inline TransformerConfig small_config() {
  TransformerConfig config;
  config.layers = 2;
  config.hidden = 8;
  config.heads = 2;
  config.mlp_hidden = 12;
  config.vocabulary = 11;
  config.max_sequence = 7;
  return config;
}

// Uniform in [-1, 1), numbered.
inline float draw(uint64_t stream, uint64_t index) {
  const uint32_t word = random_word(philox_key(kSeed, Purpose::kTest), stream, 0, static_cast<uint32_t>(index));
  return 2 * unit_float(word) - 1;
}

// Weights large enough that every tensor matters to the loss; norm weights around 1.
inline std::vector<float> test_weights(const std::vector<ParameterInfo>& table) {
  std::vector<float> weights;
  for (size_t i = 0; i < table.size(); ++i) {
    const float centre = table[i].init == InitRule::kOnes ? 1.0f : 0.0f;
    for (int64_t e = 0; e < table[i].elements; ++e) {
      weights.push_back(centre + 0.4f * draw(i, static_cast<uint64_t>(e)));
    }
  }
  return weights;
}

// Rows of random tokens and lengths, with targets as the trainer makes them.
struct TestBatch {
  TestBatch(const TransformerConfig& config, int64_t rows, int64_t segment, bool short_rows = true) {
    batch.rows = rows;
    batch.segment = segment;
    for (int64_t r = 0; r < rows; ++r) {
      const auto length = short_rows ? std::max<int64_t>(1, segment - r) : segment;
      lengths.push_back(static_cast<int32_t>(length));
      row_numbers.push_back(1000 + r);
      for (int64_t i = 0; i < segment; ++i) {
        const float u = (draw(900 + static_cast<uint64_t>(r), static_cast<uint64_t>(i)) + 1) / 2;
        ids.push_back(i < length ? static_cast<int32_t>(u * static_cast<float>(config.vocabulary)) : 0);
      }
      for (int64_t i = 0; i < segment; ++i) {
        targets.push_back(i + 1 < length ? ids[static_cast<size_t>(r * segment + i + 1)] : kIgnoredTarget);
      }
    }
  }
  MicroBatch view() {
    batch.ids = ids.data();
    batch.targets = targets.data();
    batch.row_numbers = row_numbers.data();
    batch.lengths = lengths.data();
    return batch;
  }
  MicroBatch batch;
  std::vector<int32_t> ids, targets, lengths;
  std::vector<int64_t> row_numbers;
};

// Row n is a periodic sequence whose phase and period depend on n; some rows are short.
class PeriodicSource : public BatchSource {
 public:
  PeriodicSource(int64_t vocabulary, int64_t segment) : vocabulary_(vocabulary), segment_(segment) {}
  Result<Batch> training_rows(uint64_t first_row, int64_t rows) override { return make(first_row, rows); }
  Result<Batch> held_out_rows(uint64_t first_row, int64_t rows) override { return make(first_row + 1000000, rows); }

 private:
  Result<Batch> make(uint64_t first_row, int64_t rows) {
    tokens_.assign(static_cast<size_t>(rows * segment_), 0);
    lengths_.clear();
    for (int64_t r = 0; r < rows; ++r) {
      const uint64_t n = first_row + static_cast<uint64_t>(r);
      const auto length = segment_ - static_cast<int64_t>(n % 3);
      lengths_.push_back(static_cast<uint16_t>(length));
      for (int64_t i = 0; i < length; ++i) {
        const uint64_t period = 2 + n % 4;
        const uint64_t phase = (static_cast<uint64_t>(i) + n / 4) % period;
        tokens_[static_cast<size_t>(r * segment_ + i)] =
            static_cast<uint16_t>((phase * 3 + period) % static_cast<uint64_t>(vocabulary_));
      }
    }
    return Batch{first_row >= 1000000 ? first_row - 1000000 : first_row, rows, segment_, tokens_.data(),
                 lengths_.data()};
  }

  int64_t vocabulary_, segment_;
  std::vector<uint16_t> tokens_, lengths_;
};

inline JobSpec small_job() {
  JobSpec spec;
  spec.model.config = small_config();
  spec.model.config.hidden = 32;
  spec.model.config.mlp_hidden = 48;
  spec.model.config.heads = 4;
  spec.model.config.vocabulary = 16;
  spec.data.segment = 24;
  spec.model.config.max_sequence = 24;
  spec.train.steps = 100;
  spec.train.lanes = 4;
  spec.train.micro_batch = 3;
  spec.train.micro_batches_per_lane = 2;
  spec.train.precision = Precision::kFp32;
  spec.train.learning_rate = 3e-3;
  spec.train.warmup = 10;
  return spec;
}

inline std::unique_ptr<Trainer> make_trainer(const JobSpec& spec, int threads, Backend backend = Backend::kCpu) {
  auto trainer = Trainer::create(spec, std::vector<uint8_t>(static_cast<size_t>(spec.model.config.vocabulary), 1),
                                 {.threads = threads, .backend = backend});
  STRAND_CHECK(trainer.ok(), trainer.ok() ? "" : trainer.error().message());
  (*trainer)->initialise();
  return std::move(*trainer);
}

}  // namespace strand::testing
