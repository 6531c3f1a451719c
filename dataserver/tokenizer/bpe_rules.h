// The rules of a byte-pair model that can ever apply, and the tokens that can come out of it, in the form that linear
// encoding needs: of every two tokens it can be told whether they may stand side by side.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataserver/tokenizer/pair_map.h"

namespace strand {

struct BpeMerge {
  int32_t left = 0, right = 0;  // ids
  int32_t product = 0;          // id of the two texts joined
  bool operator==(const BpeMerge&) const = default;
};

class BpeRules {
 public:
  struct Token {
    int32_t id = -1;
    uint32_t rank = 0;                     // one more than its rule's place among the merges; 0: a letter
    uint32_t left = kNone, right = kNone;  // numbers of its halves
    std::string bytes;
  };
  static constexpr uint32_t kNone = ~0u;

  // `letters`: the id of each byte that is a token by itself, or -1; `merges` in rank order, each pair once. Keeps the
  // tokens over these letters that a text can be encoded to: a token that its own text is not encoded to never comes
  // out, in whatever text it stands, and neither does what is made of it. nullopt where a rule comes before the one
  // that makes its half, so that ranks are not the order in which merges happen; no training gives such rules.
  static std::optional<BpeRules> make(const std::array<int32_t, 256>& letters, const std::vector<BpeMerge>& merges);

  // By number. Tokens that begin with a token's whole text by way of left halves follow it without a gap: numbers are
  // a walk over the forest in which a token hangs below its left half, highest rank first.
  const std::vector<Token>& tokens() const { return tokens_; }

  // The encoding of the two texts joined is these two tokens. Undoes, latest first, the merges that touch the boundary;
  // the pair fails when a rule would have joined the neighbours of that time. Time: the depth of both tokens.
  bool holds(uint32_t left, uint32_t right) const { return holds(left, right, kNone); }

 private:
  // Only rules of a rank below `limit` count.
  bool holds(uint32_t left, uint32_t right, uint32_t limit) const;
  void renumber();
  uint32_t rank_of(uint32_t left, uint32_t right) const {
    return ranks_.find(static_cast<int32_t>(left), static_cast<int32_t>(right));
  }
  void set_rank(uint32_t left, uint32_t right, uint32_t rank) {
    ranks_.find_or_insert(static_cast<int32_t>(left), static_cast<int32_t>(right), rank);
  }

  std::vector<Token> tokens_;
  PairMap ranks_;  // by numbers
};

}  // namespace strand
