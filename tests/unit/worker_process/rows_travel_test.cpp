// What a data server packs is what training reads, however wide the tokens travel; and what was changed on the way is
// refused.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "dataserver/row_answer.h"
#include "worker/row_frames.h"

namespace strand {
namespace {

RowBlock random_block(std::mt19937_64* random, uint32_t vocabulary) {
  const size_t rows = 1 + (*random)() % 9, segment = 1 + (*random)() % 40, labels = (*random)() % 3;
  RowBlock block;
  for (size_t i = 0; i < rows * segment; ++i) block.tokens.push_back(static_cast<uint16_t>((*random)() % vocabulary));
  for (size_t i = 0; i < rows; ++i) {
    block.lengths.push_back(static_cast<uint16_t>((*random)() % (segment + 1)));
    block.samples.push_back((*random)());
  }
  if ((*random)() % 2 == 0) {
    for (size_t i = 0; i < rows * segment; ++i) block.targets.push_back(static_cast<uint16_t>((*random)()));
  }
  for (size_t i = 0; i < rows * labels; ++i) block.labels.push_back(i % 3 == 2 ? std::nanf("") : static_cast<float>(i));
  return block;
}

// Over the codec, frame 0 included.
Result<ArrivedRows> travel(const RowAnswer& answer) {
  std::vector<Frame> frames;
  frames.push_back(Frame::from_string(encode_message({{}, answer.rows})));
  for (const Frame& frame : answer.bulk) frames.push_back(Frame::copy_of(frame.data(), frame.size()));
  STRAND_ASSIGN(const WireMessage message, decode_message(frames[0].data(), frames[0].size()));
  return ArrivedRows::take(std::get<Rows>(message.body), std::move(frames));
}

void expect_same(const RowBlock& block, uint64_t first_row, const Batch& batch) {
  const size_t rows = block.lengths.size(), cells = block.tokens.size();
  EXPECT_EQ(batch.first_row, first_row);
  ASSERT_EQ(batch.rows, static_cast<int64_t>(rows));
  ASSERT_EQ(batch.segment * batch.rows, static_cast<int64_t>(cells));
  EXPECT_EQ(std::vector<uint16_t>(batch.tokens, batch.tokens + cells), block.tokens);
  EXPECT_EQ(std::vector<uint16_t>(batch.lengths, batch.lengths + rows), block.lengths);
  EXPECT_EQ(std::vector<uint64_t>(batch.samples, batch.samples + rows), block.samples);
  ASSERT_EQ(batch.targets != nullptr, !block.targets.empty());
  if (batch.targets != nullptr) {
    EXPECT_EQ(std::vector<uint16_t>(batch.targets, batch.targets + cells), block.targets);
  }
  ASSERT_EQ(static_cast<size_t>(batch.labels_per_row) * rows, block.labels.size());
  if (batch.labels != nullptr) {
    EXPECT_EQ(std::memcmp(batch.labels, block.labels.data(), sizeof(float) * block.labels.size()), 0);
  }
}

TEST(RowsTravel, OneByteAndTwoBytesGiveTheSameBatch) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto vocabulary = static_cast<uint32_t>(seed % 3 == 0 ? kMostNarrowIds : 1 + random() % kMostNarrowIds);
    ASSERT_EQ(token_bytes_for(static_cast<int32_t>(vocabulary)), 1);
    const auto block = std::make_shared<const RowBlock>(random_block(&random, vocabulary));
    size_t bytes[2] = {};
    for (const uint8_t width : {1, 2}) {
      const RowAnswer answer = make_row_answer(block, seed, width);
      EXPECT_EQ(answer.bulk[0].size(), width * block->tokens.size());
      bytes[width - 1] = answer.bytes;
      const auto arrived = travel(answer);
      ASSERT_TRUE(arrived.ok()) << arrived.error().message();
      expect_same(*block, seed, arrived->batch());
    }
    EXPECT_EQ(bytes[1] - bytes[0], block->tokens.size());
  }
}

TEST(RowsTravel, ManyIdsTravelInTwoBytes) {
  std::mt19937_64 random(7);
  EXPECT_EQ(token_bytes_for(kMostNarrowIds + 1), 2);
  const auto block = std::make_shared<const RowBlock>(random_block(&random, 65536));
  const auto arrived = travel(make_row_answer(block, 3, 2));
  ASSERT_TRUE(arrived.ok());
  expect_same(*block, 3, arrived->batch());
}

TEST(RowsTravel, AnyChangedByteAndAnyOtherWidthIsRefused) {
  std::mt19937_64 random(11);
  for (int i = 0; i < 100; ++i) {
    const auto block = std::make_shared<const RowBlock>(random_block(&random, 16));
    RowAnswer answer = make_row_answer(block, 1, static_cast<uint8_t>(1 + i % 2));
    if (i % 5 == 0) {
      answer.rows.token_bytes = static_cast<uint8_t>(answer.rows.token_bytes == 1 ? 2 : 1);
    } else if (i % 5 == 1) {
      answer.rows.token_bytes = static_cast<uint8_t>(random() % 2 == 0 ? 0 : 3);
    } else {
      Frame& frame = answer.bulk[random() % answer.bulk.size()];
      std::string bytes(frame.data(), frame.size());
      bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
      frame = Frame::from_string(bytes);
    }
    const auto arrived = travel(answer);
    ASSERT_FALSE(arrived.ok()) << i;
    EXPECT_EQ(arrived.error().code(), ErrorCode::kCorrupt);
  }
}

}  // namespace
}  // namespace strand
