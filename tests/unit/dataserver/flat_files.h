// Writes GenBank and EMBL files for tests.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "shared/base/text.h"

namespace strand::testing {

using Records = std::vector<std::pair<std::string, std::string>>;

inline std::string padded(const std::string& text, size_t width) {
  return std::string(width - std::min(width, text.size()), ' ') + text;
}

// 60 letters in groups of ten, in lower case.
inline std::string groups_of_ten(const std::string& letters, size_t at) {
  std::string line;
  for (size_t i = at; i < std::min(letters.size(), at + 60); ++i) {
    if (i > at && (i - at) % 10 == 0) line += ' ';
    line += static_cast<char>(letters[i] | 32);
  }
  return line;
}

// Names are "ACCESSION.VERSION"; each record has a feature over all of it.
inline std::string genbank(const Records& records) {
  std::string text;
  for (const auto& [name, letters] : records) {
    const std::string accession = name.substr(0, name.find('.'));
    text +=
        concat("LOCUS       ", accession, "  ", letters.size(), " bp    DNA     linear   BCT 01-JAN-2000\nACCESSION   ",
               accession, "\nVERSION     ", name,
               "\nFEATURES             Location/Qualifiers\n     source          1..", letters.size(), "\nORIGIN\n");
    for (size_t at = 0; at < letters.size(); at += 60) {
      text += padded(std::to_string(at + 1), 9) + " " + groups_of_ten(letters, at) + "\n";
    }
    text += "//\n";
  }
  return text;
}

inline std::string embl(const Records& records) {
  std::string text;
  for (const auto& [name, letters] : records) {
    const size_t dot = name.find('.');
    text += concat("ID   ", name.substr(0, dot), "; SV ", name.substr(dot + 1), "; linear; genomic DNA; STD; PRO; ",
                   letters.size(), " BP.\nXX\nFH   Key             Location/Qualifiers\nFH\nFT   source          1..",
                   letters.size(), "\nFT                   /organism=\"none\"\nXX\nSQ   Sequence ", letters.size(),
                   " BP;\n");
    for (size_t at = 0; at < letters.size(); at += 60) {
      text +=
          "     " + groups_of_ten(letters, at) + padded(std::to_string(std::min(letters.size(), at + 60)), 10) + "\n";
    }
    text += "//\n";
  }
  return text;
}

}  // namespace strand::testing
