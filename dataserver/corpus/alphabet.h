// The letters of a genome and their 2-bit codes. A=0 C=1 G=2 T=3, so that the complement of code c is 3 - c.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace strand {

constexpr std::array<char, 4> kBaseLetters = {'A', 'C', 'G', 'T'};

enum class LetterKind : uint8_t {
  kOther,      // not of a DNA sequence: refused
  kBase,       // A C G T, either case
  kAmbiguous,  // the other IUPAC codes R Y S W K M B D H V N, either case: N for the model
};

LetterKind letter_kind(char letter);
inline bool is_lower(char letter) {
  return letter >= 'a' && letter <= 'z';
}
inline char to_upper(char letter) {
  return is_lower(letter) ? static_cast<char>(letter - 32) : letter;
}
// Code of A C G T in either case; 0 for any other letter.
uint8_t base_code(char letter);

// In place; letters other than upper-case A C G T become N.
void reverse_complement(std::string* bases);

}  // namespace strand
