// Messages of the parameter shards as frames: the encoded message and, for gradients, sums and weights, the numbers.
#pragma once

#include <cstdint>
#include <vector>

#include "shared/base/result.h"
#include "shared/net/transport.h"
#include "shared/plan/group_plan.h"
#include "worker/params/commit_protocol.h"

namespace strand {

// Numbers are little-endian fp32, weights and moments one after the other. With bf16 gradients, pieces that are still
// to be added to others travel as bf16: they are rounded for that addition in any case, so no bit of the sum changes.
class ShardFrames {
 public:
  // `ranges`: of the whole job (cut_ranges).
  ShardFrames(const std::vector<PlannedRange>& ranges, int64_t lanes, bool bf16_gradients);

  // fp32 numbers are not copied: they stay with the bulk, which the frame keeps.
  std::vector<Frame> encode(const ShardMail& mail) const;
  // The frames of one received message, whose numbers stay in them. kCorrupt for a message that does not decode,
  // kBadInput, naming it, for a range that the job has not and for numbers that do not fit it.
  Result<ShardMail> decode(const std::vector<Frame>& frames) const;

  // The same where the message is encoded by somebody else (worker/group/peer_hub.h): the numbers alone, empty for a
  // message without; and a received message with its own. Errors as decode.
  Frame numbers_frame(const ShardMail& mail) const;
  Result<ShardMail> with_numbers(ShardMessage message, const Frame& numbers) const;

 private:
  bool rounded(const ShardBody& body) const;

  std::vector<int64_t> elements_;  // by range
  uint32_t top_level_ = 0;         // of the lane tree
  bool bf16_ = false;
};

}  // namespace strand
