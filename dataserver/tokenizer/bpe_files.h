// Reads vocab.json with merges.txt: the byte-level BPE of GPT-2, RoBERTa and OPT. Ids are the file's, never computed.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "dataserver/tokenizer/special_names.h"

namespace strand {

struct NamedText {
  std::string_view text;
  std::string origin;  // the file's name in errors
};

// Special tokens, all of which are searched for in the text before the model sees it, and the frame come from `config`,
// without one from the layout (special_names.h). kBadInput names file, token or line and the mend: no JSON; ids that
// are not 0 to n-1, each once; a line of merges.txt that is not two tokens, whose tokens or product the vocabulary
// lacks, or that occurs twice.
Result<std::unique_ptr<Tokenizer>> parse_bpe_files(const NamedText& vocab, const NamedText& merges,
                                                   const TokenizerConfig& config);

}  // namespace strand
