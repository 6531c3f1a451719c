// The BPE tokenizer of DNABERT-2 and Omni-DNA: added tokens are cut out first, the rest is split into words (runs of
// letters, digits and underscores, and runs of other characters; white space is dropped), each word is merged.
// A character that is no token gives one unknown token and ends its word.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataserver/tokenizer/bpe_model.h"
#include "dataserver/tokenizer/tokenizer.h"
#include "shared/formats/json.h"

namespace strand {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool special = true;
  bool normalized = false;  // searched for after the others
};

// `added` may repeat tokens of the model, and continues its ids without a gap. `document` is the tokenizer.json.
std::unique_ptr<Tokenizer> make_bpe_tokenizer(BpeModel model, std::vector<AddedToken> added, Json document);

}  // namespace strand
