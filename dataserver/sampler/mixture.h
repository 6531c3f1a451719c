// Which source each row of a run comes from, when several are mixed. Pure: row n's source follows from n alone.
#pragma once

#include <cstdint>
#include <vector>

#include "shared/base/result.h"

namespace strand {

// Weights as whole shares of a period: rows [0, sum of shares) hold each source exactly as often as its share says.
// The shortest period of at most kLongestPeriod rows in which the weights are whole; where there is none, or it is
// longer, kLongestPeriod rows with shares by largest remainders, which are off by less than 1 in 65,536 rows.
// Weights are from 0, one is above. kBadInput for a weight above 0 that comes to less than one row of a period.
inline constexpr uint32_t kLongestPeriod = 1u << 16;
Result<std::vector<uint32_t>> whole_shares(const std::vector<double>& weights);

// From `first_row` on sources are drawn by `shares` (whole_shares).
struct MixturePhase {
  uint64_t first_row = 0;
  std::vector<uint32_t> shares;
};

// Rows are dealt by the quota method of Balinski & Young ("The quota method of apportionment", 1975): of the sources
// that are below their share after this row, the one that would be the first to fall a whole row behind; ties go to the
// first. Within a phase no source is ever a whole row or more ahead of its share or behind it. (Simply drawing the one
// that is furthest behind keeps no such bound: with 212 sources one falls back by 1.8 rows.) A phase repeats after the
// sum of its shares, so a table of one period answers for any row; it takes 5 bytes a row of the period.
class Mixture {
 public:
  // At least one phase, the first from row 0, in rising order; all with shares for the same 1 to 255 sources.
  explicit Mixture(std::vector<MixturePhase> phases);

  struct Drawn {
    uint32_t source = 0;
    uint64_t index = 0;  // how many rows of the run before this one are of the same source
  };
  Drawn at(uint64_t row) const;
  // Of each source, among rows [0, row).
  std::vector<uint64_t> counts(uint64_t row) const;
  const std::vector<MixturePhase>& phases() const { return phases_; }

 private:
  struct Table {
    std::vector<uint64_t> before;  // rows of each source before the phase
    std::vector<uint8_t> source;   // of each row of a period
    std::vector<uint32_t> rank;    // how many before it in the period are of its source
  };
  size_t phase_of(uint64_t row) const;
  static void deal(const std::vector<uint32_t>& shares, Table* table);

  std::vector<MixturePhase> phases_;
  std::vector<Table> tables_;
};

}  // namespace strand
