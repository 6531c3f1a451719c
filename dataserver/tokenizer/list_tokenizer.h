// Tokenizers whose vocabulary is a plain list: letters, k-mers, words. Both published families that have one (DNA FM's
// RNABert, Nucleotide Transformer and the other ESM models) cut a text the same way: the longest token that starts
// here, special tokens included; whatever is between tokens is split at white space and each piece is one unknown
// token. Letters are not upper-cased: "acgt" is one unknown token of a vocabulary of upper-case letters.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataserver/tokenizer/special_names.h"
#include "dataserver/tokenizer/tokenizer.h"

namespace strand {

// A special token of a list is one in brackets: [CLS], <mask>.
bool is_special_text(std::string_view text);

struct TokenList {
  std::vector<std::string> tokens;  // by id, checked by check_token_list
  SpecialTokens specials;           // unknown >= 0
  SequenceFrame frame;
};

// Refuses a list that the rule above does not fit: a token that is empty, occurs twice, or holds anything but printable
// ASCII; a bracket within a token that is not special; the "##" of WordPiece. `name` says where token `id` stands.
Status check_token_list(const FilePlace& place, const std::vector<std::string>& tokens,
                        std::string (*name)(const std::string& token, size_t id));

std::unique_ptr<Tokenizer> make_list_tokenizer(TokenList list);

// The lists of make_nucleotide_tokenizer and make_kmer_tokenizer.
std::vector<std::string> nucleotide_vocabulary();
std::vector<std::string> kmer_vocabulary(int k);
size_t kmer_vocabulary_size(int k);
// Of make_overlapping_tokenizer.
std::vector<std::string> overlapping_vocabulary(int k);

// A vocab.txt: one token in each line, the first has id 0. kBadInput names `origin`, the line and the mend.
Result<std::unique_ptr<Tokenizer>> parse_vocab_txt(std::string_view text, const std::string& origin,
                                                   const TokenizerConfig& config);

// The "model" of type WordLevel in a tokenizer.json, read only where the whole file is what make_list_tokenizer writes.
Result<std::unique_ptr<Tokenizer>> read_word_level(const FilePlace& place, const Json& document,
                                                   const TokenizerConfig& config);

}  // namespace strand
