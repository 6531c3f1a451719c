// Which window, on which strand, row n of a run is made from. Pure: any data server answers the same, in any order.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataserver/sampler/mixture.h"

namespace strand {

struct SampledRow {
  uint64_t pass = 0;      // over its source: n div segments where there is one source
  uint64_t position = 0;  // n mod segments, within the pass
  uint64_t window = 0;    // the training window at that position of the pass's keyed order
  bool reverse_complement = false;
  uint32_t source = 0;
  int64_t shift = 0;  // bases that its window begins further on
};

// Row n of the run with this seed over `segments` >= 1 windows. Every window comes once in each pass. The strand is a
// fair coin of (seed, n), so the same window may come on the other strand in the next pass.
SampledRow sample_row(uint64_t seed, uint64_t segments, bool both_strands, uint64_t n);

// The windows [first, first + segments) of one source. Its order has a key of its own, of seed and name, so that it
// does not change with the sources beside it.
struct OrderedSource {
  std::string name;
  uint64_t first = 0, segments = 0;
};

// The order of a whole run: sample_row for one source, or several mixed, each going on in its own passes and orders
// where its last row was. Strand and shift are drawn for each row by its number in the run.
class RowOrder {
 public:
  RowOrder() = default;
  // `shift`: windows begin 0 to shift - 1 bases further on, all equally likely.
  RowOrder(uint64_t segments, bool both_strands, int64_t shift = 0)
      : segments_(segments), both_strands_(both_strands), shift_(shift) {}
  // Sources that the mixture never draws may be empty.
  RowOrder(std::vector<OrderedSource> sources, Mixture mixture, bool both_strands, int64_t shift = 0);

  SampledRow row(uint64_t seed, uint64_t n) const;
  // Rows first, first + 1, ...: of one source several times as fast as one by one.
  void rows(uint64_t seed, uint64_t first, std::span<SampledRow> rows) const;
  uint64_t segments() const { return segments_; }  // windows of all sources
  const Mixture* mixture() const { return mixture_ ? &*mixture_ : nullptr; }
  const std::vector<OrderedSource>& sources() const { return sources_; }  // empty without a mixture

 private:
  int64_t shift_of(uint64_t seed, uint64_t n) const;

  std::vector<OrderedSource> sources_;
  std::optional<Mixture> mixture_;
  uint64_t segments_ = 0;
  bool both_strands_ = false;
  int64_t shift_ = 0;
};

// Held-out rows are served in one fixed shuffled order (seed 0), so that any prefix of them stands for the whole set.
uint64_t held_out_row(uint64_t rows, uint64_t index);

}  // namespace strand
