// Characters of UTF-8 text. Bytes that are no valid UTF-8 are characters of one byte each, so that every text can be
// walked through and no byte gets lost.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace strand {

struct Character {
  uint32_t code = 0;   // Unicode scalar value; kReplacement for an invalid byte
  uint32_t bytes = 1;  // 1 to 4
};

// U+FFFD, what lossy readers put in the place of an invalid byte.
inline constexpr uint32_t kReplacement = 0xfffd;

// The character that starts at text[at]. Overlong forms, surrogates and values above U+10FFFF are invalid.
Character character_at(std::string_view text, size_t at);
// The character that ends right before text[end], end > 0.
Character character_before(std::string_view text, size_t end);

// Bytes of the character that starts at text[at].
inline size_t character_bytes(std::string_view text, size_t at) {
  return static_cast<uint8_t>(text[at]) < 0x80 ? 1 : character_at(text, at).bytes;
}

// Appends a Unicode scalar value as UTF-8.
void append_utf8(uint32_t code, std::string* text);

// Unicode's White_Space property: the `\s` of Hugging Face's regexes.
bool is_white_space(uint32_t code);
// The same of the character that starts at text[at].
bool is_white_space(std::string_view text, size_t at);

}  // namespace strand
