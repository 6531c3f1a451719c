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

template <class HeaderBuilder>
void write_header(HeaderBuilder to, const Header& from) {
  to.setRequest(from.request);
  to.setJob(from.job.value);
  to.setGeneration(from.generation.value);
  to.setSender(from.sender.value);
  to.setIncarnation(from.incarnation.value);
  to.setStep(from.step);
}

template <class HeaderReader>
void read_header(HeaderReader from, Header* to) {
  to->request = from.getRequest();
  to->job.value = from.getJob();
  to->generation.value = from.getGeneration();
  to->sender.value = from.getSender();
  to->incarnation.value = from.getIncarnation();
  to->step = from.getStep();
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
