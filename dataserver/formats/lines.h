// A stream of bytes as lines, the same lines however the bytes are cut into pieces.
#pragma once

#include <string>
#include <string_view>

#include "shared/base/result.h"

namespace strand {

// Calls line(text) for each line that ends in `bytes`, without its line feed; `pending` keeps the one that has not
// ended. A line of more than `longest` bytes is the error that too_long() makes.
template <class TooLong, class Line>
Status feed_lines(std::string_view bytes, size_t longest, std::string* pending, const TooLong& too_long,
                  const Line& line) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    if (pending->size() + piece.size() > longest) return too_long();
    if (end == std::string_view::npos) {
      *pending += piece;
      return {};
    }
    if (pending->empty()) {
      STRAND_TRY(line(piece));
    } else {
      *pending += piece;
      STRAND_TRY(line(std::string_view(*pending)));
      pending->clear();
    }
    bytes.remove_prefix(end + 1);
  }
  return {};
}

}  // namespace strand
