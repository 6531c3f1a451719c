// The BPE tokenizers. Added tokens are cut out first, the rest is split into words, each word is merged. Two ways to
// split:
//  * words of letters (DNABERT-2, Omni-DNA): runs of letters, digits and underscores, and runs of other characters;
//  white
//    space is dropped; a character that is no token gives one unknown token and ends its word;
//  * GPT-2's words over bytes (GPT-2, RoBERTa, OPT; byte_level.h): nothing is dropped and every byte has a token.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataserver/tokenizer/added_tokens.h"
#include "dataserver/tokenizer/bpe_model.h"
#include "dataserver/tokenizer/tokenizer.h"
#include "shared/formats/json.h"

namespace strand {

struct WordRule {
  BpeModel::Alphabet alphabet = BpeModel::Alphabet::kAscii;  // kBytes: GPT-2's words
  // Only with kBytes:
  bool add_prefix_space = false;  // a piece that does not begin with a space gets one
  bool use_regex = true;          // false: a piece is one word
};

struct BpeParts {
  BpeModel model;
  WordRule words;
  std::vector<AddedToken> added;  // may repeat tokens of the model, and continues its ids without a gap
  SequenceFrame frame;
  SpecialTokens specials;
  Json document;  // the tokenizer.json
};

std::unique_ptr<Tokenizer> make_bpe_tokenizer(BpeParts parts);

}  // namespace strand
