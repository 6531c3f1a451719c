// The byte-level alphabet and the words of GPT-2 (openai/gpt-2 encoder.py), shared by RoBERTa and OPT.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace strand {

// The visible character that stands for a byte in vocabulary files: bytes 33-126, 161-172 and 174-255 are the
// characters of those numbers, the 68 others in increasing order are U+0100, U+0101, ... (space U+0120, line feed
// U+010A).
uint32_t letter_of_byte(uint8_t byte);
// The byte that a character stands for, or -1.
int byte_of_letter(uint32_t code);

// Bytes written with those characters; any bytes can be written.
std::string to_byte_letters(std::string_view bytes);
// The bytes of a token of a vocabulary file. As Hugging Face's decoder: a text with any other character in it stands
// for its own UTF-8 bytes.
std::string from_byte_letters(std::string_view token);

// The end of the word that starts at text[at], at < text.size(); words follow one another without a gap. The rule is
// the first alternative that matches of
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// where a byte that is no valid UTF-8 counts as a character that is no letter, number or space.
size_t word_end(std::string_view text, size_t at);

}  // namespace strand
