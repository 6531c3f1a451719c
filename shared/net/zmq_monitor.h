// Whether the listener at the other end of one connected ZeroMQ socket lets us in.
#pragma once

#include <optional>
#include <string>

#include "shared/base/result.h"

namespace strand {

class ZmqMonitor {
 public:
  // Of `socket`, which is not connected yet and must outlive this. `public_key`: ours, empty without keys.
  ZmqMonitor(void* context, void* socket, std::string endpoint, std::string public_key);
  ~ZmqMonitor();
  ZmqMonitor(const ZmqMonitor&) = delete;

  // What the last handshake said: kBadInput with the mend, or nothing.
  std::optional<Error> refusal();

 private:
  void take_event(uint16_t event, uint32_t value);

  void* socket_;
  void* events_;
  std::string endpoint_, public_key_;
  std::optional<Error> refusal_;
};

}  // namespace strand
