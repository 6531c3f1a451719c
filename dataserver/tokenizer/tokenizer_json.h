// Reads a tokenizer.json with the files beside it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "dataserver/tokenizer/special_names.h"

namespace strand {

// As parse_tokenizer_json, with the special tokens that `config` names.
Result<std::unique_ptr<Tokenizer>> read_tokenizer_json(std::string_view text, const std::string& origin,
                                                       const TokenizerConfig& config);

}  // namespace strand
