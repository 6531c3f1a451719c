// Which rows went into a step, as one number: the proof that every row was taken once, by its number, with its tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace strand {

// Sum modulo 2^64 of XXH3-64 over 16 + 2 x tokens bytes for each row: its number in the run (u64), the dataset's own
// number of the sample it is made from (u64, docs/data_flow.md), its tokens as they enter the embedding without padding
// (u16 each), all little-endian. A sum does not depend on the order of rows, lanes or workers, so partial sums are
// simply added. A row that is repeated, skipped or swapped with another changes it (but for one chance in 2^64).
class RowAudit {
 public:
  // `Id`: any integer type that holds token ids below 65,536.
  template <class Id>
  void add(uint64_t row, uint64_t sample, const Id* tokens, size_t count) {
    text_.resize(kHead + 2 * count);
    put(0, row);
    put(8, sample);
    char* at = text_.data() + kHead;
    for (size_t i = 0; i < count; ++i) {
      const auto id = static_cast<uint16_t>(tokens[i]);
      at[2 * i] = static_cast<char>(id & 0xff);
      at[2 * i + 1] = static_cast<char>(id >> 8);
    }
    add_text();
  }
  uint64_t sum() const { return sum_; }

 private:
  static constexpr size_t kHead = 16;
  void put(size_t at, uint64_t value);
  void add_text();

  std::string text_;  // of the row at hand
  uint64_t sum_ = 0;
};

// 16 lower-case hexadecimal digits: JSON's numbers do not hold 64 bits.
std::string hex64(uint64_t value);

}  // namespace strand
