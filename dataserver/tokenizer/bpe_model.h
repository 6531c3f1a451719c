// Byte-pair encoding of one word: the merge rules of a tokenizer, with the ids Hugging Face's `tokenizers` gives.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataserver/tokenizer/bpe_rules.h"
#include "dataserver/tokenizer/byte_bpe.h"
#include "dataserver/tokenizer/dna_bpe.h"
#include "dataserver/tokenizer/pair_map.h"

namespace strand {

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

  // Appends the ids of a word: what merging the pair of lowest rank, leftmost first, until no rule applies would give.
  // A byte that is no token gives the unknown token; without one it is left out, and its neighbours touch. Linear in
  // the bytes (backtrack.h); words of bytes without a token, and models without BpeRules, take encode_word_by_merging.
  // Words have fewer than 2^32 - 1 bytes. `steps` (may be null) counts what the linear way does.
  void encode_word(std::string_view word, std::vector<int32_t>* ids, size_t* steps = nullptr) const;

  // The same by the definition, with a queue for long words: O(n log n).
  void encode_word_by_merging(std::string_view word, std::vector<int32_t>* ids) const;

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
  // Copies of a model share what is made of it; null where the model does not allow it, or has no use for it.
  std::shared_ptr<const DnaBpe> bases_;
  std::shared_ptr<const ByteBpe> bytes_;
};

}  // namespace strand
