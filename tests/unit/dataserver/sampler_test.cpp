#include "dataserver/sampler/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

#include "dataserver/sampler/permutation.h"

namespace strand {
namespace {

std::vector<uint64_t> order(uint64_t seed, uint64_t pass, uint64_t n) {
  const KeyedPermutation permutation(seed, pass, n);
  std::vector<uint64_t> values;
  for (uint64_t i = 0; i < n; ++i) values.push_back(permutation(i));
  return values;
}

bool is_bijection(const std::vector<uint64_t>& values) {
  std::vector<bool> seen(values.size(), false);
  for (const uint64_t value : values) {
    if (value >= values.size() || seen[value]) return false;
    seen[value] = true;
  }
  return true;
}

TEST(KeyedPermutation, ManyAtOnceAreThoseOneByOne) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const uint64_t n = seed < 100 ? seed + 1 : uint64_t{1} << seed % 61 | seed;
    const KeyedPermutation permutation(seed, seed % 3, n);
    std::vector<uint64_t> positions, expected;
    for (uint64_t i = 0; i < seed % 50; ++i) positions.push_back((seed * 0x9e3779b97f4a7c15 + i * i) % n);
    for (const uint64_t position : positions) expected.push_back(permutation(position));
    permutation.map(positions);
    EXPECT_EQ(positions, expected) << seed;
  }
}

TEST(RowOrder, ManyRowsAtOnceAreThoseOneByOne) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const RowOrder one(1 + seed * seed % 97, seed % 2 == 0, seed % 3 == 0 ? 40 : 0);
    const uint64_t first = seed % 5 == 0 ? uint64_t{1} << 40 : seed * 13;
    std::vector<SampledRow> rows(seed % 70);
    one.rows(seed, first, rows);
    for (size_t i = 0; i < rows.size(); ++i) {
      const SampledRow expected = one.row(seed, first + i);
      EXPECT_EQ(rows[i].pass, expected.pass);
      EXPECT_EQ(rows[i].position, expected.position);
      EXPECT_EQ(rows[i].window, expected.window);
      EXPECT_EQ(rows[i].reverse_complement, expected.reverse_complement);
      EXPECT_EQ(rows[i].source, expected.source);
      EXPECT_EQ(rows[i].shift, expected.shift);
    }
  }
}

TEST(KeyedPermutation, IsABijectionForEveryN) {
  for (uint64_t n = 1; n <= 300; ++n) EXPECT_TRUE(is_bijection(order(n, n % 3, n))) << n;
  for (const uint64_t n : {997, 1009, 7919, 17638, 65537}) EXPECT_TRUE(is_bijection(order(1, 0, n))) << n;
  for (int k = 9; k <= 17; ++k) {
    for (const int delta : {-1, 0, 1}) {
      const uint64_t n = (uint64_t{1} << k) + static_cast<uint64_t>(delta);
      EXPECT_TRUE(is_bijection(order(7, 5, n))) << n;
    }
  }
}

TEST(KeyedPermutation, StaysInsideAHugeRange) {
  for (const uint64_t n : {(uint64_t{1} << 40) + 1, (uint64_t{1} << 62) - 1, uint64_t{1} << 62}) {
    const KeyedPermutation permutation(3, 9, n);
    std::set<uint64_t> values;
    for (uint64_t i = 0; i < 2000; ++i) {
      const uint64_t value = permutation(n - 1 - i);
      EXPECT_LT(value, n);
      values.insert(value);
    }
    EXPECT_EQ(values.size(), 2000u);
  }
}

// The order is part of what a dataset fingerprint means: these values never change under one batch format version.
TEST(KeyedPermutation, GoldenOrder) {
  EXPECT_EQ(order(1, 0, 10), (std::vector<uint64_t>{8, 0, 7, 9, 2, 5, 3, 4, 1, 6}));
  EXPECT_EQ(order(1, 1, 10), (std::vector<uint64_t>{2, 5, 4, 8, 0, 1, 3, 9, 6, 7}));
  const KeyedPermutation permutation(42, 3, 17638);
  std::vector<uint64_t> first;
  for (uint64_t i = 0; i < 6; ++i) first.push_back(permutation(i));
  EXPECT_EQ(first, (std::vector<uint64_t>{15811, 1471, 2693, 10326, 9105, 8557}));
}

TEST(KeyedPermutation, SeedsAndPassesGiveUnrelatedOrders) {
  const uint64_t n = 5000;
  const auto base = order(1, 0, n);
  for (const auto& other : {order(2, 0, n), order(1, 1, n)}) {
    int same = 0;
    for (uint64_t i = 0; i < n; ++i) same += base[i] == other[i] ? 1 : 0;
    EXPECT_LT(same, 10);  // one is expected by chance
  }
}

// Where each of n values goes, over many seeds, is uniform: chi-square over the n x n table stays near its mean.
TEST(KeyedPermutation, IsUniformOverSeeds) {
  for (const uint64_t n : {2, 3, 5, 8, 13}) {
    const uint64_t seeds = 4000;
    std::vector<double> counts(n * n, 0);
    for (uint64_t seed = 0; seed < seeds; ++seed) {
      const auto values = order(seed, 0, n);
      for (uint64_t i = 0; i < n; ++i) ++counts[i * n + values[i]];
    }
    const double expected = static_cast<double>(seeds) / static_cast<double>(n);
    double chi = 0;
    for (const double count : counts) chi += (count - expected) * (count - expected) / expected;
    const double freedom = static_cast<double>((n - 1) * (n - 1));
    EXPECT_LT(chi, freedom + 6 * std::sqrt(2 * freedom) + 6) << n;
  }
}

TEST(Sampler, EveryWindowOnceAPassAndBothStrandsAboutEqually) {
  const uint64_t segments = 4001;
  int reversed = 0;
  int changed = 0;
  std::vector<bool> first_strand(segments);
  for (uint64_t pass = 0; pass < 2; ++pass) {
    std::vector<uint64_t> windows;
    for (uint64_t position = 0; position < segments; ++position) {
      const SampledRow row = sample_row(11, segments, true, pass * segments + position);
      EXPECT_EQ(row.pass, pass);
      EXPECT_EQ(row.position, position);
      windows.push_back(row.window);
      reversed += row.reverse_complement ? 1 : 0;
      if (pass == 0) first_strand[row.window] = row.reverse_complement;
      if (pass == 1) changed += first_strand[row.window] != row.reverse_complement ? 1 : 0;
    }
    EXPECT_TRUE(is_bijection(windows));
  }
  EXPECT_NEAR(reversed, 4001, 300);
  EXPECT_NEAR(changed, 2000, 200);
  EXPECT_FALSE(sample_row(11, segments, false, 5).reverse_complement);
}

TEST(Sampler, HeldOutOrderIsABijection) {
  std::vector<uint64_t> rows;
  for (uint64_t i = 0; i < 933; ++i) rows.push_back(held_out_row(933, i));
  EXPECT_TRUE(is_bijection(rows));
}

}  // namespace
}  // namespace strand
