#include "dataserver/sampler/shuffle_quality.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "dataserver/sampler/permutation.h"

namespace strand {
namespace {

constexpr uint64_t kRows = 20000, kStep = 32;

std::vector<uint64_t> in_order() {
  std::vector<uint64_t> places(kRows);
  std::iota(places.begin(), places.end(), 0);
  return places;
}

// Blocks of `block` rows in any order, rows within a block in order or shuffled: what a reader of shards does.
std::vector<uint64_t> by_blocks(uint64_t block, bool within) {
  std::mt19937_64 random(1);
  std::vector<uint64_t> blocks(kRows / block), places;
  std::iota(blocks.begin(), blocks.end(), 0);
  std::shuffle(blocks.begin(), blocks.end(), random);
  for (const uint64_t b : blocks) {
    for (uint64_t i = 0; i < block; ++i) places.push_back(b * block + i);
    if (within) std::shuffle(places.end() - static_cast<ptrdiff_t>(block), places.end(), random);
  }
  return places;
}

// Any row of a buffer of `size` next ones: WebDataset's and Hugging Face's way.
std::vector<uint64_t> by_buffer(uint64_t size) {
  std::mt19937_64 random(2);
  std::vector<uint64_t> buffer, places;
  for (uint64_t next = 0; places.size() < kRows;) {
    while (buffer.size() < size && next < kRows) buffer.push_back(next++);
    const size_t at = random() % buffer.size();
    places.push_back(buffer[at]);
    buffer.erase(buffer.begin() + static_cast<ptrdiff_t>(at));
  }
  return places;
}

std::vector<uint64_t> by_key(uint64_t seed) {
  const KeyedPermutation permutation(seed, 0, kRows);
  std::vector<uint64_t> places;
  for (uint64_t i = 0; i < kRows; ++i) places.push_back(permutation(i));
  return places;
}

TEST(ShuffleQuality, OursIsThatOfAUniformShuffle) {
  std::mt19937_64 random(3);
  std::vector<uint64_t> uniform = in_order();
  std::shuffle(uniform.begin(), uniform.end(), random);
  for (const auto& places : {uniform, by_key(1), by_key(2), by_key(99)}) {
    const ShuffleQuality quality = shuffle_quality(places, kRows, kStep);
    const double deviation = 1 / std::sqrt(static_cast<double>(kRows));
    EXPECT_EQ(quality.rows, kRows);
    EXPECT_LT(std::fabs(quality.correlation), 4 * deviation);
    EXPECT_NEAR(quality.distance, 1, 0.02);
    EXPECT_NEAR(quality.near, 0.0199, 0.004);
    EXPECT_GT(quality.score, 1 - 2.5 * deviation);
    EXPECT_NEAR(quality.together, quality.together_uniform, 0.02);
  }
}

TEST(ShuffleQuality, PoorShufflesScoreWorse) {
  const ShuffleQuality ordered = shuffle_quality(in_order(), kRows, kStep);
  EXPECT_NEAR(ordered.correlation, 1, 1e-9);
  EXPECT_LT(ordered.score, 0.001);
  EXPECT_EQ(ordered.near, 1);
  EXPECT_GT(ordered.together, 0.9);
  EXPECT_LT(shuffle_quality(by_blocks(500, false), kRows, kStep).score, 0.05);
  // Rows within a block are shuffled, and neighbours still come from one block.
  const ShuffleQuality blocks = shuffle_quality(by_blocks(500, true), kRows, kStep);
  EXPECT_LT(blocks.score, 0.1);
  EXPECT_GT(blocks.together, 3 * blocks.together_uniform);
  const ShuffleQuality buffer = shuffle_quality(by_buffer(1000), kRows, kStep);
  EXPECT_GT(buffer.correlation, 0.9);
  EXPECT_LT(buffer.score, 0.4);
  // The larger the buffer the better, and never as good as ours.
  double before = 0;
  for (const uint64_t size : {10, 100, 1000, 10000}) {
    const double score = shuffle_quality(by_buffer(size), kRows, kStep).score;
    EXPECT_GT(score, before);
    before = score;
  }
  EXPECT_LT(before, shuffle_quality(by_key(1), kRows, kStep).score - 0.02);
}

TEST(ShuffleQuality, SmallStreamsHaveFigures) {
  const ShuffleQuality quality = shuffle_quality({1, 0}, 2, 1);
  EXPECT_EQ(quality.correlation, -1);
  EXPECT_EQ(quality.together, 0);
  EXPECT_EQ(shuffle_quality({0, 0, 0}, 1, 3).correlation, 0);
}

}  // namespace
}  // namespace strand
