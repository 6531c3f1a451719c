#include "dataserver/row_answer.h"

#include <algorithm>

#include "shared/base/check.h"
#include "shared/base/hash.h"

namespace strand {

uint8_t token_bytes_for(int32_t vocabulary) {
  return vocabulary <= kMostNarrowIds ? 1 : 2;
}

RowAnswer make_row_answer(std::shared_ptr<const RowBlock> block, uint64_t first_row, uint8_t token_bytes) {
  STRAND_CHECK(token_bytes == 1 || token_bytes == 2, "tokens of ", int{token_bytes}, " bytes");
  RowAnswer answer;
  Rows& rows = answer.rows;
  rows.first_row = first_row;
  rows.rows = static_cast<uint32_t>(block->lengths.size());
  rows.segment = static_cast<uint32_t>(block->tokens.size() / block->lengths.size());
  rows.targets = !block->targets.empty();
  rows.labels_per_row = static_cast<uint32_t>(block->labels.size() / block->lengths.size());
  rows.samples = block->samples;
  rows.token_bytes = token_bytes;
  const auto add = [&](const auto& values, const std::shared_ptr<const void>& owner) {
    answer.bulk.push_back(Frame::view_of(values.data(), values.size() * sizeof(values[0]), owner));
    rows.checksum ^= hash64(answer.bulk.back().data(), answer.bulk.back().size());
    answer.bytes += answer.bulk.back().size();
  };
  if (token_bytes == 1) {
    const auto narrow = std::make_shared<std::vector<uint8_t>>(block->tokens.size());
    std::ranges::transform(block->tokens, narrow->begin(), [](uint16_t id) { return static_cast<uint8_t>(id); });
    add(*narrow, narrow);
  } else {
    add(block->tokens, block);
  }
  add(block->lengths, block);
  if (rows.targets) add(block->targets, block);
  if (rows.labels_per_row > 0) add(block->labels, block);
  return answer;
}

}  // namespace strand
