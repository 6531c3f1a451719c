// One stored piece of a sequence: 2 bits a base, with the runs of other letters and of lower case beside them. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"

namespace strand {

constexpr int64_t kChunkBases = 64 * 1024;

// Letters [begin, begin + length) of a chunk that are all `letter` (an upper-case IUPAC code), or all lower case.
struct LetterRun {
  uint32_t begin = 0;
  uint32_t length = 0;
  char letter = 0;  // 0 in a mask run
  bool operator==(const LetterRun&) const = default;
};

struct Chunk {
  uint32_t bases = 0;
  std::vector<LetterRun> other;  // letters that are not A C G T; their two bits are 0
  std::vector<LetterRun> mask;   // lower case
  std::string packed;            // base i in bits 2 (i mod 4) and up of byte i div 4

  uint64_t footprint() const;  // bytes of memory, about
};

// `letters`: IUPAC DNA codes in either case, at most kChunkBases.
Chunk pack_chunk(std::string_view letters);
// The letters again, exactly.
std::string unpack_chunk(const Chunk& chunk);
// The same in upper case.
std::string unpack_upper(const Chunk& chunk);
// Writes bases [begin, begin + count) as upper-case A C G T; inside an `other` run the letter written means nothing.
void unpack_bases(const Chunk& chunk, uint32_t begin, uint32_t count, char* out);

// As stored: little-endian 32-bit (bases, other runs, mask runs), the runs (12 bytes each), the packed bases.
std::string encode_chunk(const Chunk& chunk);
// kCorrupt for bytes that encode_chunk cannot have written.
Result<Chunk> decode_chunk(std::string_view bytes);

}  // namespace strand
