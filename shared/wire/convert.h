// Conversions that several files of the codec need. Templates over the generated types, so that no header of ours
// includes Cap'n Proto.
#pragma once

#include <string>

#include "shared/base/hash.h"
#include "shared/wire/messages.h"

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

// A setter of text takes a reader: `make` builds one from a string that outlives the call.
template <class BestBuilder, class MakeText>
void write_best(BestBuilder to, const BestEvaluation& from, const MakeText& make) {
  to.setMetric(make(from.metric));
  to.setStep(from.step);
  to.setValue(from.value);
  to.setSince(from.since);
  to.setLast(from.last);
}

// Any bytes, also zeros.
template <class TextReader>
std::string read_text(TextReader from) {
  return {from.begin(), from.size()};
}

template <class BestReader>
BestEvaluation read_best(BestReader from) {
  return {read_text(from.getMetric()), from.getStep(), from.getValue(), from.getSince(), from.getLast()};
}

}  // namespace strand
