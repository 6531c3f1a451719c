// Whether two tokens may stand side by side in a byte-pair encoding (BpeRules::holds), answered from memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataserver/tokenizer/bpe_rules.h"

namespace strand {

// Every answer, one bit each. Many tokens have the same neighbours on one side, so rows and columns stand for classes
// of tokens: of DNABERT-2's 4091 tokens there are 1096 and 1153, which makes 163 KiB of bits out of 2 MiB.
class PairMatrix {
 public:
  static constexpr size_t kMostTokens = 8192;  // for which making it takes 8 MiB

  explicit PairMatrix(const BpeRules& rules);

  // Of tokens by number; row(tokens().size()) is that of a text's start, after which everything may stand.
  uint32_t row(uint32_t left) const { return rows_[left]; }
  uint32_t column(uint32_t right) const { return columns_[right]; }
  bool holds_at(uint32_t row, uint32_t column) const {
    return (forbidden_[row * words_ + (column >> 6)] >> (column & 63) & 1) == 0;
  }
  bool holds(uint32_t left, uint32_t right) const { return holds_at(rows_[left], columns_[right]); }

 private:
  size_t words_;  // of a row
  std::vector<uint64_t> forbidden_;
  std::vector<uint16_t> rows_, columns_;
};

// The answers asked for last: a table of fixed size with one place for each pair. Threads share it without a lock; an
// entry is one word, so what is read is either right or of another pair.
class PairMemo {
 public:
  explicit PairMemo(const BpeRules& rules) : rules_(rules), slots_(new std::atomic<uint64_t>[kSlots]) {
    for (size_t i = 0; i < kSlots; ++i) slots_[i].store(~uint64_t{0}, std::memory_order_relaxed);
  }

  bool holds(uint32_t left, uint32_t right) const {
    if (left == rules_.tokens().size()) return true;  // the start of a text
    const uint64_t key = uint64_t{left} << 31 | right;
    std::atomic<uint64_t>& slot = slots_[key * 0x9e3779b97f4a7c15ull >> (64 - kSlotBits)];
    const uint64_t known = slot.load(std::memory_order_relaxed);
    if (known >> 1 == key) return (known & 1) != 0;
    const bool answer = rules_.holds(left, right);
    slot.store(key << 1 | uint64_t{answer}, std::memory_order_relaxed);
    return answer;
  }

 private:
  static constexpr int kSlotBits = 16;
  static constexpr size_t kSlots = size_t{1} << kSlotBits;

  const BpeRules& rules_;
  std::unique_ptr<std::atomic<uint64_t>[]> slots_;
};

}  // namespace strand
