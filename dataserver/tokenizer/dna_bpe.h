// Byte-pair encoding of A, C, G and T: the same ids as any other way, many times faster.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "dataserver/tokenizer/bpe_rules.h"
#include "dataserver/tokenizer/pair_check.h"

namespace strand {

// The search of backtrack.h with a look ahead. Bases are packed into two bits; the next eight are the index into a
// table of the tokens among them after which some encoding of the rest of the eight is possible, which spares most of
// the search's ways back: DNABERT-2's vocabulary takes 1.7 steps for a token of fly DNA instead of 3.7. Tokens of more
// bases are found in a tree with four branches. Which tokens may be neighbours stands in a matrix of bits. Memory for a
// vocabulary of 4096: tables of 0.8 MiB, and the matrix of 2 MiB.
class DnaBpe {
 public:
  // Only the tokens over the four letters count, whatever else the vocabulary holds. nullopt where one of the four is
  // no token, there are more than PairMatrix::kMostTokens, or BpeRules has none.
  static std::optional<DnaBpe> make(std::array<int32_t, 256> letters, const std::vector<BpeMerge>& merges);

  // Appends the ids of a word; `steps` (may be null) counts the tokens tried and taken back. False, and nothing is
  // appended, when the word holds another byte than A, C, G and T.
  bool encode(std::string_view word, std::vector<int32_t>* ids, size_t* steps) const;

 private:
  static constexpr size_t kWindow = 8;  // bases
  static constexpr uint16_t kNoToken = 0xffff;

  struct Shape {
    uint16_t bytes;
    uint16_t shorter;      // the longest token that it begins with
    uint16_t row, column;  // in the matrix
  };
  struct Entry {
    uint16_t token;   // the longest that may stand here, or kNoToken
    uint8_t lengths;  // bit n: so may the token of n + 1 bases
    bool deep;        // there are tokens of more bases
  };
  struct Node {
    std::array<uint32_t, 4> next{};  // 0: none
    uint16_t token = kNoToken;       // that ends here
  };
  struct Tables;
  class Builder;

  explicit DnaBpe(const BpeRules& rules);

  PairMatrix pairs_;
  std::vector<int32_t> ids_;    // by number
  std::vector<Shape> shapes_;   // by number
  std::vector<Node> nodes_;     // the first is the root
  std::vector<Entry> window_;   // by eight bases, the first in the low bits
  std::vector<uint32_t> deep_;  // by eight bases: their node where it is deep
  size_t longest_ = 1;
};

}  // namespace strand
