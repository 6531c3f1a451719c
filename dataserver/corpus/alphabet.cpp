#include "dataserver/corpus/alphabet.h"

#include <algorithm>
#include <string_view>

namespace strand {

namespace {

constexpr std::array<LetterKind, 256> make_kinds() {
  std::array<LetterKind, 256> kinds{};
  for (const char c : std::string_view("ACGTacgt")) kinds[static_cast<uint8_t>(c)] = LetterKind::kBase;
  for (const char c : std::string_view("RYSWKMBDHVNryswkmbdhvn")) {
    kinds[static_cast<uint8_t>(c)] = LetterKind::kAmbiguous;
  }
  return kinds;
}

constexpr std::array<uint8_t, 256> make_codes() {
  std::array<uint8_t, 256> codes{};
  for (uint8_t code = 0; code < 4; ++code) {
    codes[static_cast<uint8_t>(kBaseLetters[code])] = code;
    codes[static_cast<uint8_t>(kBaseLetters[code] + 32)] = code;
  }
  return codes;
}

constexpr std::array<char, 256> make_complements() {
  std::array<char, 256> complements{};
  complements.fill('N');
  for (int code = 0; code < 4; ++code) complements[static_cast<uint8_t>(kBaseLetters[code])] = kBaseLetters[3 - code];
  return complements;
}

constexpr auto kKinds = make_kinds();
constexpr auto kCodes = make_codes();
constexpr auto kComplements = make_complements();

}  // namespace

LetterKind letter_kind(char letter) {
  return kKinds[static_cast<uint8_t>(letter)];
}
uint8_t base_code(char letter) {
  return kCodes[static_cast<uint8_t>(letter)];
}

void reverse_complement(std::string* bases) {
  std::reverse(bases->begin(), bases->end());
  for (char& base : *bases) base = kComplements[static_cast<uint8_t>(base)];
}

}  // namespace strand
