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
  bool operator==(const BpeMerge&) const = default;
};

class BpeModel {
 public:
  // What the bytes of a word are: themselves, or the letters of the byte-level alphabet (byte_level.h).
  enum class Alphabet { kAscii, kBytes };

  // `vocabulary` by id; `merges` in rank order, each pair once, none touching `unknown`, which is -1 where there is
  // none.
  BpeModel(std::vector<std::string> vocabulary, std::vector<BpeMerge> merges, int32_t unknown,
           Alphabet alphabet = Alphabet::kAscii);

  const std::vector<std::string>& vocabulary() const { return vocabulary_; }
  const std::vector<BpeMerge>& merges() const { return merges_; }
  int32_t unknown() const { return unknown_; }

  // The id of a byte that is a token by itself, or -1.
  int32_t letter(char c) const { return letters_[static_cast<uint8_t>(c)]; }

  // Appends the ids of a word. Merges the pair of lowest rank, leftmost first, until no rule applies; O(n log n) in the
  // bytes. A byte that is no token gives the unknown token; without one it is left out, and its neighbours touch. Words
  // have fewer than 2^32 - 1 bytes.
  void encode_word(std::string_view word, std::vector<int32_t>* ids) const;

 private:
  // The id of a byte as encode_word takes it, -1: left out.
  int32_t symbol(char c) const {
    const int32_t id = letter(c);
    return id >= 0 ? id : unknown_;
  }
  void encode_short(std::string_view word, std::vector<int32_t>* ids) const;
  void encode_long(std::string_view word, std::vector<int32_t>* ids) const;

  std::vector<std::string> vocabulary_;
  std::vector<BpeMerge> merges_;
  int32_t unknown_;
  std::array<int32_t, 256> letters_;
  PairMap ranks_;
  bool each_product_once_ = true;
};

}  // namespace strand
