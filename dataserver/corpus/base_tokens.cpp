#include "dataserver/corpus/base_tokens.h"

#include <cstring>

#include "shared/base/check.h"

namespace strand {

namespace {

uint32_t code_at(const uint8_t* packed, uint32_t i) {
  return (packed[i / 4] >> (2 * (i % 4))) & 3;
}

}  // namespace

BaseTokens::BaseTokens(const std::array<uint16_t, 4>& ids) : ids_(ids) {
  for (uint32_t byte = 0; byte < 256; ++byte) {
    for (uint32_t i = 0; i < 4; ++i) {
      const uint32_t code = (byte >> (2 * i)) & 3;
      forward_[byte][i] = ids[code];
      reverse_[byte][3 - i] = ids[3 - code];
    }
  }
}

void BaseTokens::put(const Chunk& chunk, uint32_t begin, uint32_t count, uint16_t* out) const {
  STRAND_CHECK(begin <= chunk.bases && count <= chunk.bases - begin, begin, " + ", count, " of ", chunk.bases);
  const auto* packed = reinterpret_cast<const uint8_t*>(chunk.packed.data());
  uint32_t i = begin;
  const uint32_t end = begin + count;
  for (; i < end && i % 4 != 0; ++i) *out++ = ids_[code_at(packed, i)];
  for (; i + 4 <= end; i += 4, out += 4) std::memcpy(out, forward_[packed[i / 4]].data(), 4 * sizeof(uint16_t));
  for (; i < end; ++i) *out++ = ids_[code_at(packed, i)];
}

void BaseTokens::put_reverse_complement(const Chunk& chunk, uint32_t begin, uint32_t count, uint16_t* out) const {
  STRAND_CHECK(begin <= chunk.bases && count <= chunk.bases - begin, begin, " + ", count, " of ", chunk.bases);
  const auto* packed = reinterpret_cast<const uint8_t*>(chunk.packed.data());
  uint32_t i = begin + count;  // what is left: [begin, i)
  for (; i > begin && i % 4 != 0; --i) *out++ = ids_[3 - code_at(packed, i - 1)];
  for (; i >= begin + 4; i -= 4, out += 4) {
    std::memcpy(out, reverse_[packed[i / 4 - 1]].data(), 4 * sizeof(uint16_t));
  }
  for (; i > begin; --i) *out++ = ids_[3 - code_at(packed, i - 1)];
}

}  // namespace strand
