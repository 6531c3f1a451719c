// The letters of a genome and their 2-bit codes. A=0 C=1 G=2 T=3, so that the complement of code c is 3 - c.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace strand {

constexpr std::array<char, 4> kBaseLetters = {'A', 'C', 'G', 'T'};

enum class LetterKind : uint8_t {
  kOther,      // not of a DNA sequence: refused
  kBase,       // A C G T, either case
  kAmbiguous,  // the other IUPAC codes R Y S W K M B D H V N, either case: N for the model
};

constexpr std::array<LetterKind, 256> make_letter_kinds() {
  std::array<LetterKind, 256> kinds{};
  for (const char c : std::string_view("ACGTacgt")) kinds[static_cast<uint8_t>(c)] = LetterKind::kBase;
  for (const char c : std::string_view("RYSWKMBDHVNryswkmbdhvn")) {
    kinds[static_cast<uint8_t>(c)] = LetterKind::kAmbiguous;
  }
  return kinds;
}
inline constexpr auto kLetterKinds = make_letter_kinds();

// Here, since it is asked of every letter that is read.
inline LetterKind letter_kind(char letter) {
  return kLetterKinds[static_cast<uint8_t>(letter)];
}
inline bool is_lower(char letter) {
  return letter >= 'a' && letter <= 'z';
}
inline char to_upper(char letter) {
  return is_lower(letter) ? static_cast<char>(letter - 32) : letter;
}
// Code of A C G T in either case; 0 for any other letter. Bits 1 and 2 of the letters tell them apart.
inline uint8_t base_code(char letter) {
  const auto byte = static_cast<uint8_t>(letter);
  return letter_kind(letter) == LetterKind::kBase ? static_cast<uint8_t>(((byte >> 1) ^ (byte >> 2)) & 3) : 0;
}

// In place; letters other than upper-case A C G T become N.
void reverse_complement(std::string* bases);

}  // namespace strand
