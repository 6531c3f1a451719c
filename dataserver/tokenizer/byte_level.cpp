#include "dataserver/tokenizer/byte_level.h"

#include <array>

#include "dataserver/tokenizer/unicode_class.h"
#include "dataserver/tokenizer/utf8.h"

namespace strand {
namespace {

constexpr uint32_t kLetters = 256 + 68;

bool stands_for_itself(uint32_t byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

struct Alphabet {
  std::array<uint16_t, 256> letters;
  std::array<int16_t, kLetters> bytes;

  Alphabet() {
    bytes.fill(-1);
    uint16_t next = 256;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      letters[byte] = stands_for_itself(byte) ? static_cast<uint16_t>(byte) : next++;
      bytes[letters[byte]] = static_cast<int16_t>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet made;
  return made;
}

// Classes of the characters of one byte; the others are looked up.
constexpr std::array<CharacterClass, 128> kAscii = [] {
  std::array<CharacterClass, 128> classes{};
  for (uint32_t code = 0; code < 128; ++code) {
    const bool letter = (code >= 'A' && code <= 'Z') || (code >= 'a' && code <= 'z');
    const bool space = code == ' ' || (code >= '\t' && code <= '\r');
    classes[code] = letter                       ? CharacterClass::kLetter
                    : code >= '0' && code <= '9' ? CharacterClass::kNumber
                    : space                      ? CharacterClass::kWhiteSpace
                                                 : CharacterClass::kOther;
  }
  return classes;
}();

struct ClassAt {
  CharacterClass kind;
  size_t bytes;
};

ClassAt class_at(std::string_view text, size_t at) {
  const uint8_t first = static_cast<uint8_t>(text[at]);
  if (first < 0x80) return {kAscii[first], 1};
  const Character character = character_at(text, at);
  return {character_class(character.code), character.bytes};
}

// The end of the run of one class that starts at `at`.
size_t run_end(std::string_view text, size_t at, CharacterClass kind) {
  while (at < text.size()) {
    const ClassAt next = class_at(text, at);
    if (next.kind != kind) break;
    at += next.bytes;
  }
  return at;
}

// Bytes of the English contraction that starts at the apostrophe text[at], or 0. Lower case only.
size_t contraction(std::string_view text, size_t at) {
  for (const std::string_view ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
    if (text.substr(at).starts_with(ending)) return ending.size();
  }
  return 0;
}

// A run of white space keeps its last character for the word behind it; alone, it is a word.
size_t white_space_end(std::string_view text, size_t at) {
  size_t last = at, end = at;
  while (end < text.size()) {
    const ClassAt next = class_at(text, end);
    if (next.kind != CharacterClass::kWhiteSpace) return last > at ? last : end;
    last = end;
    end += next.bytes;
  }
  return end;
}

}  // namespace

uint32_t letter_of_byte(uint8_t byte) {
  return alphabet().letters[byte];
}

int byte_of_letter(uint32_t code) {
  return code < kLetters ? alphabet().bytes[code] : -1;
}

std::string to_byte_letters(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) append_utf8(letter_of_byte(static_cast<uint8_t>(byte)), &text);
  return text;
}

std::string from_byte_letters(std::string_view token) {
  std::string bytes;
  for (size_t at = 0; at < token.size();) {
    const Character character = character_at(token, at);
    const int byte = byte_of_letter(character.code);
    if (byte < 0) return std::string(token);
    bytes.push_back(static_cast<char>(byte));
    at += character.bytes;
  }
  return bytes;
}

size_t word_end(std::string_view text, size_t at) {
  if (text[at] == '\'') {
    if (const size_t bytes = contraction(text, at); bytes > 0) return at + bytes;
  }
  ClassAt first = class_at(text, at);
  if (first.kind == CharacterClass::kWhiteSpace) {
    if (text[at] != ' ' || at + 1 == text.size()) return white_space_end(text, at);
    first = class_at(text, at + 1);
    if (first.kind == CharacterClass::kWhiteSpace) return white_space_end(text, at);
    return run_end(text, at + 1, first.kind);
  }
  return run_end(text, at + first.bytes, first.kind);
}

}  // namespace strand
