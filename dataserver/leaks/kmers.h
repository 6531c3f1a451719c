// Canonical k-mers of a sequence and sketches made of them. Pure.
//
// A k-mer is the smaller of its two strands as a number of 2 bits a base (A=0 C=1 G=2 T=3, the first base highest), and
// is named by a 64-bit mix of that number (splitmix64's finalizer, one to one: different k-mers never share a name).
// Windows with a letter that is not A C G T have none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "dataserver/corpus/alphabet.h"

namespace strand {

constexpr int kLeakKmer = 21;
// Sequences with at most so many different k-mers are compared by all of them.
constexpr size_t kWholeSketch = 1000;

inline uint64_t kmer_name(uint64_t kmer) {
  kmer = (kmer ^ (kmer >> 30)) * 0xbf58476d1ce4e5b9ULL;
  kmer = (kmer ^ (kmer >> 27)) * 0x94d049bb133111ebULL;
  return kmer ^ (kmer >> 31);
}

// Calls take(name) for every k-mer of `bases` (upper case; other letters than A C G T break it) in order.
template <class Take>
void for_kmers(std::string_view bases, const Take& take) {
  constexpr uint64_t kMask = (uint64_t{1} << (2 * kLeakKmer)) - 1;
  constexpr int kTop = 2 * (kLeakKmer - 1);
  uint64_t forward = 0, backward = 0;
  int known = 0;
  for (const char letter : bases) {
    if (letter_kind(letter) != LetterKind::kBase) {
      known = 0;
      continue;
    }
    const uint64_t code = base_code(letter);
    forward = ((forward << 2) | code) & kMask;
    backward = (backward >> 2) | ((3 - code) << kTop);
    if (++known >= kLeakKmer) take(kmer_name(forward < backward ? forward : backward));
  }
}

struct Sketch {
  std::vector<uint64_t> names;  // rising, each once
  bool whole = true;            // all k-mers; else those whose name is below 2^64 / scale (FracMinHash)
};
// Scale 1 keeps every k-mer of a long sequence too, but such a sketch still counts as not whole.
// FracMinHash: Irber et al., "Lightweight compositional analysis of metagenomes with FracMinHash and minimum
// metagenome covers", bioRxiv 2022.
Sketch sketch_of(std::string_view bases, uint64_t scale);

}  // namespace strand
