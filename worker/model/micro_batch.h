// The rows of one forward.
#pragma once

#include <cstddef>
#include <cstdint>

namespace strand {

// Everything random about row i is keyed by row_numbers[i].
struct MicroBatch {
  int64_t rows = 0, segment = 0;
  const int32_t* ids = nullptr;          // [rows * segment]; read by the embeddings only
  const int32_t* targets = nullptr;      // [rows * segment]; kIgnoredTarget where nothing is predicted. The loss only
  const int64_t* row_numbers = nullptr;  // [rows]
  // [rows]: real tokens, which come first. Read by bidirectional attention and by token dropout only.
  const int32_t* lengths = nullptr;
  // [rows]: where each row's first token stands; null: 0. Read by learned positions only.
  const int32_t* first_positions = nullptr;
  size_t slot = 0;  // which of the model's slots keeps its activations from forward to backward
  int64_t tokens() const { return rows * segment; }
};

}  // namespace strand
