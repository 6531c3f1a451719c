// The seam between the stages of one replica: activations forward, their gradients back, each with its tag.
#pragma once

#include <optional>

#include "shared/base/clock.h"
#include "shared/base/result.h"
#include "shared/net/transport.h"
#include "worker/pipeline/schedule.h"

namespace strand {

// Messages of a kind that a link holds for a stage, sent and not yet taken. No schedule of ours needs more than one to
// end. With two and equal stages none is slower than with room for all, while a message takes no longer than a forward
// (both are tests).
inline constexpr int kLinkBuffers = 2;

// One stage's two neighbours, for one step of one generation: whoever makes it stamps what it sends with (job,
// generation, step) and drops what arrives with another stamp. Used by one thread.
//
// Bytes are the stored bits, never converted; both sides know shape and element type from the job. A frame given to
// send() must not be written to again: the link may keep it without a copy.
class StageLink {
 public:
  virtual ~StageLink() = default;

  // Hands a message over, at the latest after `wait`. False: there was no room, nothing was sent; call again. Room is
  // what `buffers` leave of the messages of this kind that the receiver has not taken. A link whose peer tells it of
  // room by a message has to listen for that, and for messages, while it waits here.
  virtual Result<bool> send(const MessageTag& tag, const Frame& bytes, Duration wait) = 0;

  // Takes the message with this tag, or nothing after `wait`. Messages of one kind come in the order in which they are
  // taken (check_schedule), so another tag at the front is an internal error. The sender's room grows when it is taken.
  virtual Result<std::optional<Frame>> receive(const MessageTag& tag, Duration wait) = 0;

  // This stage has given the step up. Tells both neighbours as well as it can and never waits; from then on their
  // send() and receive() return this error as it is. Messages may be lost.
  virtual void abort(const Error& reason) = 0;
};

}  // namespace strand
