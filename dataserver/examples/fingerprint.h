// Fields of a dataset's fingerprint.
#pragma once

#include <charconv>
#include <string>
#include <vector>

#include "dataserver/tokenizer/tokenizer.h"
#include "shared/base/text.h"
#include "shared/wire/messages.h"

namespace strand {

// The shortest text that reads back to the same number.
inline std::string exact_number(double value) {
  char buffer[40];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

inline FingerprintField frame_field(const SequenceFrame& frame) {
  std::string text;
  for (const int32_t id : frame.prefix) text += concat(id, " ");
  text += "row";
  for (const int32_t id : frame.suffix) text += concat(" ", id);
  return {"frame", text};
}

}  // namespace strand
