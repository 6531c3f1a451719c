// How rows of tokens stand in a batch.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "dataserver/tokenizer/tokenizer.h"
#include "shared/base/check.h"

namespace strand {

struct RowStyle {
  int64_t segment = 0;  // tokens in a row, the frame's included
  bool masked = false;  // rows are for a masked model: held-out rows touch. Else they overlap by one token
  SequenceFrame frame;  // around every row

  int64_t frame_size() const { return static_cast<int64_t>(frame.prefix.size() + frame.suffix.size()); }
  int64_t room() const { return segment - frame_size(); }  // for tokens of the sequence
};

// Puts the frame around `length` tokens of a row, which stand behind the place of its prefix, and pads with 0; the
// row's length. row[segment]; length <= room().
inline uint16_t finish_row(const RowStyle& style, size_t length, uint16_t* row) {
  const auto narrow = [](int32_t id) { return static_cast<uint16_t>(id); };
  STRAND_CHECK(static_cast<int64_t>(length) <= style.room(), length, " tokens in room for ", style.room());
  uint16_t* at = std::transform(style.frame.prefix.begin(), style.frame.prefix.end(), row, narrow);
  at = std::transform(style.frame.suffix.begin(), style.frame.suffix.end(), at + length, narrow);
  std::fill(at, row + style.segment, uint16_t{0});
  return static_cast<uint16_t>(at - row);
}

// Writes frame and ids to row[segment], padded with 0; the row's length. At most room() ids.
template <class Id>
uint16_t put_row(const RowStyle& style, std::span<const Id> ids, uint16_t* row) {
  STRAND_CHECK(static_cast<int64_t>(ids.size()) <= style.room(), ids.size(), " tokens in room for ", style.room());
  std::transform(ids.begin(), ids.end(), row + style.frame.prefix.size(),
                 [](Id id) { return static_cast<uint16_t>(id); });
  return finish_row(style, ids.size(), row);
}

}  // namespace strand
