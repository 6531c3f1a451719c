// The parts of a Hugging Face tokenizer.json, in the order and layout of the published files.
#pragma once

#include <string>
#include <vector>

#include "dataserver/tokenizer/added_tokens.h"
#include "dataserver/tokenizer/bpe_model.h"
#include "dataserver/tokenizer/tokenizer.h"
#include "shared/formats/json.h"

namespace strand {

// The whole file. `pre_tokenizer`, `decoder` and `model` are the format's objects of those names; the post_processor
// puts `frame` around a text (null when it is empty). `texts` by id, added tokens included.
Json tokenizer_document(const std::vector<AddedToken>& added, Json pre_tokenizer, const SequenceFrame& frame,
                        const std::vector<std::string>& texts, Json decoder, Json model);

// The "model" object of a BPE tokenizer, merges as "left right".
Json bpe_model_document(const BpeModel& model);

// The object of pre_tokenizer, decoder or post_processor that writes bytes as letters.
Json byte_level_document(bool add_prefix_space, bool use_regex);

}  // namespace strand
