#include "dataserver/corpus/chunk.h"

#include <array>
#include <cstring>

#include "dataserver/corpus/alphabet.h"
#include "shared/base/check.h"

namespace strand {

namespace {

constexpr size_t kHeaderBytes = 12;
constexpr size_t kRunBytes = 12;

// The four letters of every packed byte.
constexpr std::array<std::array<char, 4>, 256> make_quads() {
  std::array<std::array<char, 4>, 256> quads{};
  for (size_t byte = 0; byte < 256; ++byte) {
    for (size_t i = 0; i < 4; ++i) quads[byte][i] = kBaseLetters[(byte >> (2 * i)) & 3];
  }
  return quads;
}
constexpr auto kQuads = make_quads();

void append_u32(std::string* out, uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out->push_back(static_cast<char>(value >> shift));
}

uint32_t read_u32(const char* bytes) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = (value << 8) | static_cast<uint8_t>(bytes[i]);
  return value;
}

// Makes the last run longer, or begins one.
void extend(std::vector<LetterRun>* runs, uint32_t at, uint32_t length, char letter) {
  if (!runs->empty() && runs->back().begin + runs->back().length == at && runs->back().letter == letter) {
    runs->back().length += length;
  } else {
    runs->push_back({at, length, letter});
  }
}

constexpr uint32_t kPackedAtOnce = 64;

// What the letters of a piece have in common: most pieces of a genome need no look at single letters.
struct Common {
  bool bases = false;  // all A C G T, in either case
  bool lower = false, upper = false;
  bool same = false;  // one letter only
};

Common survey(const char* letters) {
  uint8_t other = 0, any = 0, all = 0xff, differs = 0;
  for (uint32_t i = 0; i < kPackedAtOnce; ++i) {
    const auto c = static_cast<uint8_t>(letters[i]);
    const uint8_t u = c & 0xdf;
    other |= static_cast<uint8_t>(!((u == 'A') | (u == 'C') | (u == 'G') | (u == 'T')));
    any |= c;
    all &= c;
    differs |= static_cast<uint8_t>(c ^ static_cast<uint8_t>(letters[0]));
  }
  return {other == 0, (all & 0x20) != 0, (any & 0x20) == 0, differs == 0};
}

// Two bits of each of eight bytes, brought together pair by pair: no multiplication, no table.
void pack_eight(const char* letters, char* two_bytes) {
  uint64_t x = 0;
  std::memcpy(&x, letters, 8);
  x = ((x >> 1) ^ (x >> 2)) & 0x0303030303030303u;
  x = (x | (x >> 6)) & 0x000f000f000f000fu;
  x = (x | (x >> 12)) & 0x000000ff000000ffu;
  x |= x >> 24;
  two_bytes[0] = static_cast<char>(x);
  two_bytes[1] = static_cast<char>(x >> 8);
}

// Any letters, from place `at` of the chunk on.
void pack_letters(std::string_view letters, uint32_t at, Chunk* chunk) {
  for (const char letter : letters) {
    if (is_lower(letter)) extend(&chunk->mask, at, 1, 0);
    if (letter_kind(letter) != LetterKind::kBase) extend(&chunk->other, at, 1, to_upper(letter));
    chunk->packed[at / 4] = static_cast<char>(chunk->packed[at / 4] | (base_code(letter) << (2 * (at % 4))));
    ++at;
  }
}

// kPackedAtOnce letters.
void pack_piece(const char* letters, uint32_t at, Chunk* chunk) {
  const Common common = survey(letters);
  if (!(common.lower || common.upper) || !(common.bases || common.same)) {
    return pack_letters({letters, kPackedAtOnce}, at, chunk);
  }
  if (common.lower) extend(&chunk->mask, at, kPackedAtOnce, 0);
  if (!common.bases) return extend(&chunk->other, at, kPackedAtOnce, to_upper(letters[0]));
  for (uint32_t i = 0; i < kPackedAtOnce; i += 8) pack_eight(letters + i, &chunk->packed[(at + i) / 4]);
}

// Rising, apart and within the chunk.
bool sound(const std::vector<LetterRun>& runs, uint32_t bases) {
  uint64_t end = 0;
  for (const LetterRun& run : runs) {
    if (run.length == 0 || run.begin < end) return false;
    end = uint64_t{run.begin} + run.length;
  }
  return end <= bases;
}

}  // namespace

uint64_t Chunk::footprint() const {
  return packed.size() + sizeof(LetterRun) * (other.size() + mask.size()) + sizeof(Chunk) + 128;
}

Chunk pack_chunk(std::string_view letters) {
  STRAND_CHECK(letters.size() <= static_cast<size_t>(kChunkBases), letters.size(), " letters");
  Chunk chunk;
  chunk.bases = static_cast<uint32_t>(letters.size());
  chunk.packed.assign((letters.size() + 3) / 4, '\0');
  uint32_t at = 0;
  for (; at + kPackedAtOnce <= chunk.bases; at += kPackedAtOnce) pack_piece(letters.data() + at, at, &chunk);
  pack_letters(letters.substr(at), at, &chunk);
  return chunk;
}

void unpack_bases(const Chunk& chunk, uint32_t begin, uint32_t count, char* out) {
  STRAND_CHECK(begin <= chunk.bases && count <= chunk.bases - begin, begin, " + ", count, " of ", chunk.bases);
  const auto* packed = reinterpret_cast<const uint8_t*>(chunk.packed.data());
  uint32_t i = begin;
  const uint32_t end = begin + count;
  for (; i < end && i % 4 != 0; ++i) *out++ = kQuads[packed[i / 4]][i % 4];
  for (; i + 4 <= end; i += 4, out += 4) std::memcpy(out, kQuads[packed[i / 4]].data(), 4);
  for (; i < end; ++i) *out++ = kQuads[packed[i / 4]][i % 4];
}

std::string unpack_upper(const Chunk& chunk) {
  std::string letters(chunk.bases, 'N');
  unpack_bases(chunk, 0, chunk.bases, letters.data());
  for (const LetterRun& run : chunk.other) std::fill_n(letters.begin() + run.begin, run.length, run.letter);
  return letters;
}

std::string unpack_chunk(const Chunk& chunk) {
  std::string letters = unpack_upper(chunk);
  for (const LetterRun& run : chunk.mask) {
    for (uint32_t i = run.begin; i < run.begin + run.length; ++i) letters[i] = static_cast<char>(letters[i] + 32);
  }
  return letters;
}

std::string encode_chunk(const Chunk& chunk) {
  std::string bytes;
  bytes.reserve(kHeaderBytes + kRunBytes * (chunk.other.size() + chunk.mask.size()) + chunk.packed.size());
  append_u32(&bytes, chunk.bases);
  append_u32(&bytes, static_cast<uint32_t>(chunk.other.size()));
  append_u32(&bytes, static_cast<uint32_t>(chunk.mask.size()));
  for (const auto* runs : {&chunk.other, &chunk.mask}) {
    for (const LetterRun& run : *runs) {
      append_u32(&bytes, run.begin);
      append_u32(&bytes, run.length);
      append_u32(&bytes, static_cast<uint8_t>(run.letter));
    }
  }
  return bytes + chunk.packed;
}

Result<Chunk> decode_chunk(std::string_view bytes) {
  const Error damaged = corrupt("a stored chunk of bases is damaged; build the store again");
  if (bytes.size() < kHeaderBytes) return damaged;
  Chunk chunk;
  chunk.bases = read_u32(bytes.data());
  const uint64_t runs[2] = {read_u32(bytes.data() + 4), read_u32(bytes.data() + 8)};
  const uint64_t packed = (uint64_t{chunk.bases} + 3) / 4;
  if (chunk.bases > kChunkBases || bytes.size() != kHeaderBytes + kRunBytes * (runs[0] + runs[1]) + packed) {
    return damaged;
  }
  const char* at = bytes.data() + kHeaderBytes;
  for (int kind = 0; kind < 2; ++kind) {
    std::vector<LetterRun>& list = kind == 0 ? chunk.other : chunk.mask;
    list.reserve(runs[kind]);
    for (uint64_t i = 0; i < runs[kind]; ++i, at += kRunBytes) {
      list.push_back({read_u32(at), read_u32(at + 4), static_cast<char>(read_u32(at + 8))});
    }
    if (!sound(list, chunk.bases)) return damaged;
  }
  chunk.packed.assign(at, packed);
  return chunk;
}

}  // namespace strand
