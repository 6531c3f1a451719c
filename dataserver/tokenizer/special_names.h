// Which tokens are special and what stands around a sequence: from the files beside a vocabulary, else by the names
// that the published vocabularies use.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dataserver/tokenizer/bpe_reader.h"
#include "dataserver/tokenizer/tokenizer.h"

namespace strand {

// tokenizer_config.json and special_tokens_map.json, as far as they decide ids.
struct TokenizerConfig {
  bool has_config = false;               // there is a tokenizer_config.json
  std::string tokenizer_class;           // "GPT2Tokenizer"; empty when not named
  std::optional<bool> add_bos, add_eos;  // add_bos_token, add_eos_token
  bool add_prefix_space = false;
  std::map<std::string, AddedToken> named;  // by role ("bos", "unk"); their ids are not set
  std::vector<AddedToken> added;            // added_tokens_decoder, by id
};

// Text and name of either file; an empty text stands for an absent file. tokenizer_config.json counts where both name a
// role. kBadInput with file and key for a value of the wrong kind.
Result<TokenizerConfig> parse_tokenizer_config(std::string_view config, const std::string& config_origin,
                                               std::string_view map, const std::string& map_origin);

// Special ids of a vocabulary. Where a config names roles, these and no others (kBadInput for a text that is no token);
// else by name: [CLS] or <cls>, ...; the fairseq layout (<s> 0, <pad> 1, </s> 2, <unk> 3) is OPT's, where </s> is bos,
// eos and unknown, unless the frame is RoBERTa's <s> x </s>; GPT-2's <|endoftext|> is bos, eos and unknown.
// `model_unknown` (-1: none) is what the model gives for what it does not know, and goes before all names.
Result<SpecialTokens> name_specials(const FilePlace& place, const TokenIds& ids, const TokenizerConfig& config,
                                    int32_t model_unknown, const SequenceFrame& frame);

// What stands around a sequence when no post_processor says it. Byte-level vocabularies: RoBERTa's <s> x </s> by class;
// bos and eos as add_bos_token and add_eos_token say; without tokenizer_config.json </s> x for OPT's layout, nothing
// else. Lists (vocab.txt): cls x sep, each where there is one; eos closes where a config names it and no sep.
SequenceFrame byte_level_frame(const TokenIds& ids, const TokenizerConfig& config, const SpecialTokens& specials);
SequenceFrame list_frame(const TokenizerConfig& config, const SpecialTokens& specials);

// tokenizer_config.json and special_tokens_map.json of a tokenizer. `extra` are more keys of the first.
std::vector<TokenizerFile> config_files(const SpecialTokens& specials, const std::vector<std::string>& texts,
                                        const std::vector<AddedToken>& added, const std::string& tokenizer_class,
                                        const std::vector<std::pair<std::string, Json>>& extra);

}  // namespace strand
