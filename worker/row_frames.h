// The other end of a Rows message: its bulk frames checked and made into what training reads. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "shared/base/result.h"
#include "shared/net/transport.h"
#include "shared/wire/messages.h"
#include "worker/trainer.h"

namespace strand {

// A Rows message that arrived whole.
class ArrivedRows {
 public:
  ArrivedRows() = default;
  // frames: the message's, frame 0 included. kCorrupt when sizes or checksum are not what the message says.
  static Result<ArrivedRows> take(Rows rows, std::vector<Frame> frames);

  // Valid as long as this is neither moved nor destroyed.
  Batch batch() const;

 private:
  Status check() const;

  Rows rows_;
  std::vector<Frame> frames_;
  std::vector<uint16_t> tokens_;  // widened; empty when they travelled as uint16
  std::vector<float> labels_;     // copied: a frame of labels need not be aligned
};

}  // namespace strand
