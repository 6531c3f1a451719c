// Unicode's classes of characters, as the regular expressions of published tokenizers use them.
#pragma once

#include <cstdint>

namespace strand {

enum class CharacterClass : uint8_t {
  kLetter,      // \p{L}
  kNumber,      // \p{N}
  kWhiteSpace,  // \s
  kOther,       // the rest: [^\s\p{L}\p{N}], U+FFFD and unassigned values among them
};

// Of any value up to U+10FFFF. Unicode 15.0 (utf8proc 2.8): a character assigned later is kOther.
CharacterClass character_class(uint32_t code);

// `\w` of Unicode's regular expressions (UTS 18): letters, marks, digits, connectors and joiners.
bool is_word_character(uint32_t code);

}  // namespace strand
