// A keyed bijection of [0, n) in constant memory: what shuffles the segments of a pass without a list of them.
#pragma once

#include <cstdint>
#include <span>

#include "shared/base/rng.h"

namespace strand {

// Unbalanced Feistel network over ceil(log2 n) bits whose round function is Philox, with cycle walking for the values
// that fall outside [0, n) (Black & Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). Fewer than two
// walks are expected. The order is part of every dataset's meaning: it changes only with kBatchFormatVersion.
class KeyedPermutation {
 public:
  // n >= 1. Distinct (seed, pass) give unrelated orders.
  KeyedPermutation(uint64_t seed, uint64_t pass, uint64_t n);

  uint64_t size() const { return n_; }
  // Where position i < n of the pass comes from. Bijective.
  uint64_t operator()(uint64_t i) const;
  // The same of each of the positions, in place. Several at a time: the rounds of one wait for each other, those of
  // several do not.
  void map(std::span<uint64_t> positions) const;

 private:
  uint64_t encrypt(uint64_t value) const;
  void encrypt_all(std::span<uint64_t> values) const;

  PhiloxKey key_;
  uint64_t pass_;
  uint64_t n_;
  int low_bits_;
  uint64_t low_mask_;
  uint64_t high_mask_;
};

}  // namespace strand
