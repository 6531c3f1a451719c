// Text to token ids and back. A tokenizer is immutable after it is made; encode is thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/hash.h"
#include "shared/base/result.h"

namespace strand {

struct SpecialTokens {  // -1 where the vocabulary has none; names may share an id (OPT: bos, eos and unknown)
  int32_t unknown = -1, cls = -1, sep = -1, pad = -1, mask = -1, bos = -1, eos = -1;
  bool operator==(const SpecialTokens&) const = default;
};

// The special ids that a model of this tokenizer expects around one sequence: [CLS] x [SEP] (DNA FM, DNABERT-2),
// </s> x (OPT), <cls> x (Nucleotide Transformer). Both are empty where the tokenizer's file defines none.
struct SequenceFrame {
  std::vector<int32_t> prefix, suffix;
  bool operator==(const SequenceFrame&) const = default;
};

struct TokenizerFile {
  std::string name;  // tokenizer.json, vocab.json, merges.txt, vocab.txt, tokenizer_config.json, ...
  std::string content;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual int32_t vocabulary() const = 0;  // ids are in [0, vocabulary)
  virtual SpecialTokens specials() const = 0;
  // What goes around one sequence; encode() does not put it there.
  virtual const SequenceFrame& frame() const = 0;
  // Appends the ids of `text`, without any special token around it.
  virtual void encode(std::string_view text, std::vector<int32_t>* ids) const = 0;
  // The tokens' texts one after another, special tokens included; an id outside the vocabulary reads as unknown.
  // Of a byte-level tokenizer these are bytes, which need not be UTF-8 when the ids were not made by encode().
  virtual std::string decode(const std::vector<int32_t>& ids) const = 0;
  // How many characters (byte-level: bytes) of input one id stands for: the denominator of bits per base. 0 for special
  // tokens, and for the labels and words added to a vocabulary of bases.
  virtual int32_t characters(int32_t id) const = 0;
  // Hash of everything that decides encode(): part of the dataset fingerprint. The frame is not in it.
  virtual Digest128 fingerprint() const = 0;
  // The file other tools read (Hugging Face tokenizer.json), UTF-8.
  virtual std::string to_json() const = 0;
  // All files that the usual Python libraries look for beside a model: tokenizer.json, tokenizer_config.json,
  // special_tokens_map.json, and of the kinds that have them vocab.json with merges.txt, or vocab.txt.
  virtual std::vector<TokenizerFile> files() const = 0;
};

// The 16-entry vocabulary of DNA FM (reference: lingo-dnafm-formats.md section C); one token per base.
// Around a row [CLS] x [SEP], or [CLS] [BOS] x [EOS] [SEP].
std::unique_ptr<Tokenizer> make_nucleotide_tokenizer(bool bos_eos = false);
// Non-overlapping k-mers in Nucleotide Transformer's order and remainder rule; 1 <= k <= kLongestKmer.
inline constexpr int kLongestKmer = 8;
std::unique_ptr<Tokenizer> make_kmer_tokenizer(int k);
// DNABERT's overlapping k-mers: a token for each letter but the last k - 1, of it and the next ones; unknown where one
// of them is not A, C, G or T. Ids: [PAD] [UNK] [CLS] [SEP] [MASK], then the k-mers in the order of A, T, C, G (its
// published vocab.txt). characters() of a k-mer is 1: the letter that it adds to those before it. decode() joins what
// overlaps. Its files hold the k-mers as words, since other tools are given a text of k-mers with blanks between.
std::unique_ptr<Tokenizer> make_overlapping_tokenizer(int k);
// A Hugging Face tokenizer.json with a BPE model: over words of letters (DNABERT-2, Omni-DNA) or over bytes (GPT-2,
// OPT). `origin` names the file in errors. Also reads what to_json() of the two above writes. Letters are not
// upper-cased by any of them. Files of the other layouts: open_tokenizer.h.
Result<std::unique_ptr<Tokenizer>> parse_tokenizer_json(std::string_view text, const std::string& origin);

struct BpeTrainOptions {
  int32_t vocabulary = 4096;      // including the special tokens [UNK] [CLS] [SEP] [PAD] [MASK] and A C G T
  int32_t max_token_length = 32;  // characters
};
// Trains byte-pair merges on sequences over A, C, G, T (other letters end a word). Ties are broken by the pair's ids,
// smaller first, so the result depends on the input alone. Stops early, with fewer ids, when no pair occurs twice.
// Takes 5 to 8 bytes of memory for each base beside the sequences, one thread; refuses more than 2^31 - 2 bases.
Result<std::unique_ptr<Tokenizer>> train_bpe(const std::vector<std::string>& sequences, const BpeTrainOptions& options);

}  // namespace strand
