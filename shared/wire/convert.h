// Conversions that several files of the codec need. Templates over the generated types, so that no header of ours
// includes Cap'n Proto.
#pragma once

#include <string>

#include "shared/base/hash.h"

namespace strand {

template <class DigestBuilder>
void write_digest(DigestBuilder to, const Digest128& from) {
  to.setHigh(from.high);
  to.setLow(from.low);
}

template <class DigestReader>
Digest128 read_digest(DigestReader from) {
  return {from.getHigh(), from.getLow()};
}

// Any bytes, also zeros.
template <class TextReader>
std::string read_text(TextReader from) {
  return {from.begin(), from.size()};
}

}  // namespace strand
