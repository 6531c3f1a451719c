#include "dataserver/corpus/alphabet.h"

#include <algorithm>

namespace strand {

namespace {

constexpr std::array<char, 256> make_complements() {
  std::array<char, 256> complements{};
  complements.fill('N');
  for (int code = 0; code < 4; ++code) complements[static_cast<uint8_t>(kBaseLetters[code])] = kBaseLetters[3 - code];
  return complements;
}

constexpr auto kComplements = make_complements();

}  // namespace

void reverse_complement(std::string* bases) {
  std::reverse(bases->begin(), bases->end());
  for (char& base : *bases) base = kComplements[static_cast<uint8_t>(base)];
}

}  // namespace strand
