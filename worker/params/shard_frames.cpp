#include "worker/params/shard_frames.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string>

#include "ops/core/dtype.h"
#include "shared/base/check.h"
#include "shared/base/text.h"
#include "worker/params/shard_store.h"

namespace strand {
namespace {

// What a message's numbers are of: a range, so many times.
struct Numbers {
  uint32_t range = 0;
  int64_t copies = 1;
};
std::optional<Numbers> numbers_of(const ShardBody& body) {
  if (const auto* piece = std::get_if<GradientPiece>(&body)) return Numbers{piece->range, 1};
  if (const auto* sum = std::get_if<GradientSum>(&body)) return Numbers{sum->range, 1};
  if (const auto* data = std::get_if<RangeData>(&body)) return Numbers{data->range, data->state ? 3 : 1};
  return {};
}

}  // namespace

ShardFrames::ShardFrames(const std::vector<PlannedRange>& ranges, int64_t lanes, bool bf16_gradients)
    : top_level_(static_cast<uint32_t>(std::countr_zero(static_cast<uint64_t>(lanes)))), bf16_(bf16_gradients) {
  for (const PlannedRange& range : ranges) elements_.push_back(range.keys.elements);
}

// The sum over all lanes is no operand of the lane tree.
bool ShardFrames::rounded(const ShardBody& body) const {
  const auto* piece = std::get_if<GradientPiece>(&body);
  return bf16_ && piece != nullptr && piece->level < top_level_;
}

std::vector<Frame> ShardFrames::encode(const ShardMail& mail) const {
  std::vector<Frame> frames = {Frame::from_string(encode_shard_message(mail.message))};
  if (numbers_of(mail.message.body)) frames.push_back(numbers_frame(mail));
  return frames;
}

Frame ShardFrames::numbers_frame(const ShardMail& mail) const {
  if (!numbers_of(mail.message.body)) return {};
  const auto& bulk = static_cast<const FloatBulk&>(*mail.bulk);
  if (!rounded(mail.message.body)) {
    const auto bytes = static_cast<size_t>(bulk.elements()) * sizeof(float);
    return Frame::view_of(bulk.data(), bytes, mail.bulk);
  }
  const auto halves = std::make_shared<std::vector<BFloat16>>(static_cast<size_t>(bulk.elements()));
  std::transform(bulk.data(), bulk.data() + bulk.elements(), halves->begin(), to_bf16);
  return Frame::view_of(halves->data(), halves->size() * sizeof(BFloat16), halves);
}

Result<ShardMail> ShardFrames::decode(const std::vector<Frame>& frames) const {
  if (frames.empty()) return corrupt("a message between workers: no frame at all");
  STRAND_ASSIGN(ShardMessage message, decode_shard_message(frames[0].data(), frames[0].size()));
  const size_t expected = numbers_of(message.body) ? 2 : 1;
  if (frames.size() != expected) {
    return bad_input(concat(shard_message_name(message.body), ": ", frames.size(), " frames, expected ", expected));
  }
  return with_numbers(std::move(message), expected == 2 ? frames[1] : Frame());
}

Result<ShardMail> ShardFrames::with_numbers(ShardMessage message, const Frame& frame) const {
  ShardMail mail{std::move(message), nullptr};
  const std::string name = shard_message_name(mail.message.body);
  const auto numbers = numbers_of(mail.message.body);
  if (!numbers) {
    if (frame.size() == 0) return mail;
    return bad_input(concat(name, ": ", frame.size(), " bytes of numbers, expected none"));
  }
  if (numbers->range >= elements_.size()) {
    return bad_input(concat(name, ": range ", numbers->range, ", the job has ", elements_.size()));
  }
  const int64_t elements = numbers->copies * elements_[numbers->range];
  const bool halves = rounded(mail.message.body);
  const size_t expected = static_cast<size_t>(elements) * (halves ? sizeof(BFloat16) : sizeof(float));
  if (frame.size() != expected) {
    return bad_input(concat(name, ": ", frame.size(), " bytes for range ", numbers->range, ", expected ", expected));
  }
  if (!halves) {
    const auto keeper = std::make_shared<Frame>(frame);
    mail.bulk = std::make_shared<FloatBulk>(reinterpret_cast<const float*>(keeper->data()), elements, keeper);
    return mail;
  }
  auto bulk = std::make_shared<FloatBulk>(elements);
  for (int64_t i = 0; i < elements; ++i) {
    BFloat16 half;
    std::memcpy(&half, frame.data() + i * static_cast<int64_t>(sizeof half), sizeof half);
    bulk->writable()[i] = to_float(half);
  }
  mail.bulk = std::move(bulk);
  return mail;
}

}  // namespace strand
