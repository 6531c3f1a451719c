// Byte-pair encoding of one word: the merge rules of a tokenizer, with the ids Hugging Face's `tokenizers` gives.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dataserver/tokenizer/pair_map.h"

namespace strand {

struct BpeMerge {
  int32_t left = 0, right = 0;  // ids
  int32_t product = 0;          // id of the two texts joined
};

class BpeModel {
 public:
  // `vocabulary` by id, ASCII; `merges` in rank order, each pair once, none touching `unknown`.
  BpeModel(std::vector<std::string> vocabulary, std::vector<BpeMerge> merges, int32_t unknown);

  const std::vector<std::string>& vocabulary() const { return vocabulary_; }
  const std::vector<BpeMerge>& merges() const { return merges_; }
  int32_t unknown() const { return unknown_; }

  // The id of a letter that is a token by itself, or -1.
  int32_t letter(char c) const { return letters_[static_cast<uint8_t>(c)]; }

  // Appends the ids of a word whose letters are all tokens. Merges the pair of lowest rank, leftmost first, until no
  // rule applies; O(n log n) in the letters. Words have fewer than 2^32 - 1 letters.
  void encode_word(std::string_view word, std::vector<int32_t>* ids) const;

 private:
  std::vector<std::string> vocabulary_;
  std::vector<BpeMerge> merges_;
  int32_t unknown_;
  std::array<int32_t, 256> letters_;
  PairMap ranks_;
};

}  // namespace strand
