// What the tokenizers need of Unicode: where a character ends, and which characters are white space.
#pragma once

#include <cstddef>
#include <string_view>

namespace strand {

// Bytes of the UTF-8 character that starts at text[at]; a byte that starts no valid character is a character itself.
size_t character_bytes(std::string_view text, size_t at);

// The character that starts at text[at] has Unicode's White_Space property (the `\s` of Hugging Face's regexes).
bool is_white_space(std::string_view text, size_t at);

}  // namespace strand
