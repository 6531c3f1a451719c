// The tokenizers that several tests, and the comparison with Hugging Face's, agree on.
#pragma once

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "dataserver/tokenizer/tokenizer.h"
#include "tests/support/genome_file.h"

namespace strand {

// Public data that is not part of the project; tests skip without it.
inline constexpr const char* kPublishedTokenizer = "../shared/data/tokenizers/dnabert2-tokenizer.json";
inline constexpr const char* kGpt2Vocabulary = "../shared/data/tokenizers/gpt2-vocab.json";
inline constexpr const char* kGpt2Merges = "../shared/data/tokenizers/gpt2-merges.txt";

inline std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// Trained on the first 300 kb of the bundled genome in pieces of 1 kb: 1,024 ids, tokens of at most 12 bases.
inline Result<std::unique_ptr<Tokenizer>> train_small() {
  const std::string genome = read_genome_file(kBundledGenome);
  std::vector<std::string> pieces;
  for (size_t at = 0; at < std::min<size_t>(300'000, genome.size()); at += 1000)
    pieces.push_back(genome.substr(at, 1000));
  return train_bpe(pieces, {.vocabulary = 1024, .max_token_length = 12});
}

// A byte-level vocabulary with OPT's first four tokens and `merges` merges learned from a few sentences and bases.
struct BytesFiles {
  std::string vocab, merges;
};
BytesFiles small_bytes_files(size_t merges = 300);
std::unique_ptr<Tokenizer> small_bytes();

inline std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> ids;
  tokenizer.encode(text, &ids);
  return ids;
}

}  // namespace strand
