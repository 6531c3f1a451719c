#include "worker/row_frames.h"

#include <algorithm>
#include <cstring>

#include "shared/base/hash.h"
#include "shared/base/text.h"

namespace strand {
namespace {

const uint16_t* words(const Frame& frame) {
  return reinterpret_cast<const uint16_t*>(frame.data());
}

}  // namespace

Status ArrivedRows::check() const {
  const size_t cells = size_t{rows_.rows} * rows_.segment;
  std::vector<size_t> sizes = {rows_.token_bytes * cells, 2 * size_t{rows_.rows}};
  if (rows_.targets) sizes.push_back(2 * cells);
  if (rows_.labels_per_row > 0) sizes.push_back(4 * size_t{rows_.rows} * rows_.labels_per_row);
  bool right = frames_.size() == sizes.size() + 1 && rows_.samples.size() == rows_.rows &&
               (rows_.token_bytes == 1 || rows_.token_bytes == 2);
  uint64_t found = 0;
  for (size_t i = 0; right && i < sizes.size(); ++i) {
    right = frames_[i + 1].size() == sizes[i];
    found ^= hash64(frames_[i + 1].data(), frames_[i + 1].size());
  }
  if (!right) {
    return corrupt(concat("rows from ", rows_.first_row, ": the frames do not have the sizes their message says"));
  }
  if (found != rows_.checksum) return corrupt(concat("rows from ", rows_.first_row, ": damaged on the way"));
  return {};
}

Result<ArrivedRows> ArrivedRows::take(Rows rows, std::vector<Frame> frames) {
  ArrivedRows arrived;
  arrived.rows_ = std::move(rows);
  arrived.frames_ = std::move(frames);
  STRAND_TRY(arrived.check());
  if (arrived.rows_.token_bytes == 1) {
    const Frame& narrow = arrived.frames_[1];
    const auto* begin = reinterpret_cast<const uint8_t*>(narrow.data());
    arrived.tokens_.assign(begin, begin + narrow.size());
    arrived.frames_[1] = Frame();
  }
  if (arrived.rows_.labels_per_row > 0) {
    const Frame& labels = arrived.frames_.back();
    arrived.labels_.resize(labels.size() / sizeof(float));
    std::memcpy(arrived.labels_.data(), labels.data(), labels.size());
  }
  return arrived;
}

Batch ArrivedRows::batch() const {
  Batch batch;
  batch.first_row = rows_.first_row;
  batch.rows = rows_.rows;
  batch.segment = rows_.segment;
  batch.tokens = rows_.token_bytes == 1 ? tokens_.data() : words(frames_[1]);
  batch.lengths = words(frames_[2]);
  batch.samples = rows_.samples.data();
  if (rows_.targets) batch.targets = words(frames_[3]);
  batch.labels_per_row = rows_.labels_per_row;
  if (batch.labels_per_row > 0) batch.labels = labels_.data();
  return batch;
}

}  // namespace strand
