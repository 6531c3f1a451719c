// The cases of ops/embedding, for tests and benchmarks.
#pragma once

#include <string>
#include <vector>

#include "ops/embedding/embedding.h"
#include "tests/ops/tensors.h"

namespace strand::test {

struct EmbeddingShape {
  int64_t tokens;
  int64_t vocabulary;
  int64_t cols;
  int64_t padding = 0;
  DType dtype = DType::kF32;
  float scale = 1;
};

inline std::vector<int32_t> embedding_ids(const EmbeddingShape& s) {
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < s.tokens; ++t) {
    const uint32_t word = random_word(philox_key(kSeed, Purpose::kTest), static_cast<uint64_t>(t), 99, 0);
    ids.push_back(static_cast<int32_t>(word % static_cast<uint64_t>(s.vocabulary)));
  }
  return ids;
}

// Tensors: table, out; backward: d_out, d_table.
inline Prepared embedding_case(bool backward, const EmbeddingShape& s) {
  Prepared p;
  p.name = shape_name(backward ? "embedding backward" : "embedding", s.tokens, s.cols, s.padding, s.dtype) +
           concat(" vocabulary ", s.vocabulary, " scale ", s.scale);
  const std::vector<int32_t> ids = embedding_ids(s);
  const double count = static_cast<double>(s.tokens * s.cols);
  if (backward) {
    p.tensors = {random_tensor(1, DType::kF32, s.tokens, s.cols, s.padding),
                 random_tensor(2, DType::kF32, s.vocabulary, s.cols, s.padding)};
    p.run = [ids, s](const OpContext& context, Tensors& t) {
      embedding_backward(context, ids.data(), t[0].matrix(), s.scale, t[1].matrix());
    };
    p.absolute = 1e-6 * s.scale * std::sqrt(static_cast<double>(s.tokens));
    p.bytes_moved = 4 * count + 8 * static_cast<double>(s.vocabulary * s.cols);
  } else {
    p.tensors = {random_tensor(1, s.dtype, s.vocabulary, s.cols, s.padding),
                 Tensor(DType::kF32, s.tokens, s.cols, s.padding)};
    p.run = [ids, s](const OpContext& context, Tensors& t) {
      embedding_forward(context, ids.data(), t[0].matrix(), s.scale, t[1].matrix());
    };
    p.relative = p.absolute = 0;
    p.bytes_moved = 8 * count;
  }
  return p;
}

inline std::vector<Prepared> embedding_cases() {
  std::vector<Prepared> cases;
  for (bool backward : {false, true}) {
    for (DType dtype : {DType::kF32, DType::kBF16}) {
      for (int64_t cols : {1, 3, 17, 255, 256, 257}) {
        cases.push_back(embedding_case(backward, {50, 7, cols, 0, dtype}));
      }
      cases.push_back(embedding_case(backward, {0, 4, 8, 0, dtype}));
      cases.push_back(embedding_case(backward, {1500, 1, 40, 3, dtype, 22.6f}));  // all tokens to one row
      cases.push_back(embedding_case(backward, {300, 4096, 70, 0, dtype, 0.5f}));
    }
  }
  return cases;
}

}  // namespace strand::test
