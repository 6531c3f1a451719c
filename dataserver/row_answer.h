// Rows as they travel: the message and its bulk frames. Pure.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dataserver/dataset.h"
#include "shared/net/transport.h"
#include "shared/wire/messages.h"

namespace strand {

struct RowAnswer {
  Rows rows;
  std::vector<Frame> bulk;  // as schemas/data.capnp says
  size_t bytes = 0;         // of the bulk frames
};

// The fewest bytes that hold every id of a vocabulary: 1 or 2.
uint8_t token_bytes_for(int32_t vocabulary);

// The answer with rows from `first_row` on. The frames keep the block alive. token_bytes: 1 (every id is below
// kMostNarrowIds) or 2.
RowAnswer make_row_answer(std::shared_ptr<const RowBlock> block, uint64_t first_row, uint8_t token_bytes);

}  // namespace strand
