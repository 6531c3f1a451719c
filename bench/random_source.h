// Rows of a benchmark: the same ones over and over, no data server.
#pragma once

#include <cstdint>
#include <vector>

#include "shared/base/rng.h"
#include "worker/trainer.h"

namespace strand {

// Uniform random nucleotide tokens, full rows.
class RandomSource : public BatchSource {
 public:
  RandomSource(int64_t rows, int64_t segment, int64_t vocabulary)
      : segment_(segment), lengths_(static_cast<size_t>(rows), static_cast<uint16_t>(segment)) {
    const PhiloxKey key = philox_key(1, Purpose::kTest);
    for (int64_t i = 0; i < rows * segment; ++i) {
      tokens_.push_back(
          static_cast<uint16_t>(random_word(key, 0, 0, static_cast<uint32_t>(i)) % static_cast<uint64_t>(vocabulary)));
    }
  }
  Result<Batch> training_rows(uint64_t first_row, int64_t rows) override {
    return Batch{first_row, rows, segment_, tokens_.data(), lengths_.data()};
  }
  Result<Batch> held_out_rows(uint64_t first_row, int64_t rows) override { return training_rows(first_row, rows); }

 private:
  int64_t segment_;
  std::vector<uint16_t> tokens_, lengths_;
};

}  // namespace strand
