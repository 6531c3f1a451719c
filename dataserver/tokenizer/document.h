// The parts of a Hugging Face tokenizer.json, in the order and layout of the published files.
#pragma once

#include <string>
#include <vector>

#include "dataserver/tokenizer/bpe_tokenizer.h"
#include "shared/formats/json.h"

namespace strand {

// The file's head: version to post_processor, which puts `before` and `after` around a text (empty: nothing).
// `model` and `pre_tokenizer` are the format's objects of those names.
Json tokenizer_document(const std::vector<AddedToken>& added, Json pre_tokenizer, const AddedToken* before,
                        const AddedToken* after, Json model);

// The "model" object of a BPE tokenizer, merges as "left right".
Json bpe_model_document(const BpeModel& model);

}  // namespace strand
