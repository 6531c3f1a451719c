// Straight from packed bases to tokens, for a tokenizer that gives each base one id: no letters in between. Pure.
#pragma once

#include <array>
#include <cstdint>

#include "dataserver/corpus/chunk.h"

namespace strand {

// The tokens of every packed byte, four bases at a time.
class BaseTokens {
 public:
  // The ids of A, C, G and T.
  explicit BaseTokens(const std::array<uint16_t, 4>& ids);

  // Tokens of bases [begin, begin + count) of the chunk into out[count]. Inside an `other` run they mean nothing.
  void put(const Chunk& chunk, uint32_t begin, uint32_t count, uint16_t* out) const;
  // The same of the other strand: complements from the last base to the first.
  void put_reverse_complement(const Chunk& chunk, uint32_t begin, uint32_t count, uint16_t* out) const;

 private:
  std::array<uint16_t, 4> ids_;
  std::array<std::array<uint16_t, 4>, 256> forward_, reverse_;
};

}  // namespace strand
