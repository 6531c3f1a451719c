// Byte-pair encoding of any bytes, in time linear in the word.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "dataserver/tokenizer/bpe_rules.h"
#include "dataserver/tokenizer/pair_check.h"
#include "dataserver/tokenizer/token_trie.h"

namespace strand {

class ByteBpe {
 public:
  // Null where BpeRules has none.
  static std::unique_ptr<const ByteBpe> make(const std::array<int32_t, 256>& letters,
                                             const std::vector<BpeMerge>& merges);

  // Appends the ids of a word; `steps` (may be null) counts the tokens tried. False, and nothing is appended, when a
  // byte of the word is no token.
  bool encode(std::string_view word, std::vector<int32_t>* ids, size_t* steps) const;

 private:
  struct Shape {
    int32_t id;
    uint32_t bytes;
    uint32_t shorter;  // the longest token that it begins with
  };
  template <class Pairs>
  struct Tables;

  explicit ByteBpe(BpeRules rules);
  template <class Pairs>
  void encode_with(const Pairs& pairs, std::string_view word, std::vector<int32_t>* ids, size_t* steps) const;

  BpeRules rules_;
  TokenTrie trie_;
  std::vector<Shape> shapes_;  // by number
  size_t longest_ = 1;
  // One of the two: the matrix where it is small enough.
  std::optional<PairMatrix> matrix_;
  std::optional<PairMemo> memo_;
};

}  // namespace strand
